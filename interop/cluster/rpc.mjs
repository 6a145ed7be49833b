// Calls by lines of JSON: a line {id, do, ...} on the standard input is a call, a line {id, value}
// or {id, error} on the standard output its end. What JSON cannot say is in objects with one key:
// {$bin: base64}, {$js: name}.

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

const values = {
  date: () => new Date(1234), undefined: () => undefined, nan: () => NaN,
  float32: () => new Float32Array([1.5]), "1e21": () => 1e21,
};

export const revive = (v) => {
  if (Array.isArray(v)) return v.map(revive);
  if (v === null || typeof v !== "object") return v;
  if (v.$bin !== undefined) return Buffer.from(v.$bin, "base64");
  if (v.$js !== undefined) return values[v.$js]();
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, revive(x)]));
};

const digest = (b) => b.length + ":" + createHash("sha256").update(b).digest("hex").slice(0, 16);

// show makes of a value what can be compared: bytes as text, and long ones by their digest.
export const show = (v) => {
  if (v instanceof ArrayBuffer) v = Buffer.from(v);
  if (ArrayBuffer.isView(v)) {
    const b = Buffer.from(v.buffer, v.byteOffset, v.byteLength);
    return "bin:" + (b.length > 100 ? digest(b) : b.toString("hex"));
  }
  if (typeof v === "string") {
    const b = Buffer.from(v);
    return b.length > 100 ? "text:" + digest(b) : v;
  }
  if (Array.isArray(v)) return v.map(show);
  if (v === null || typeof v !== "object") return v;
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, show(x)]));
};

export const patience = (promise, ms, late) => {
  let timer;
  const over = new Promise((done, no) => { timer = setTimeout(() => { try { done(late()); } catch (e) { no(e); } }, ms); });
  return Promise.race([promise, over]).finally(() => clearTimeout(timer));
};

export async function serve(actions) {
  const say = (m) => process.stdout.write(JSON.stringify(m) + "\n");
  say({ id: 0, value: "ready" });
  for await (const line of createInterface({ input: process.stdin })) {
    const x = JSON.parse(line);
    Promise.resolve().then(() => actions[x.do](x)).then(
      (value) => say({ id: x.id, value: value ?? null }),
      (e) => say({ id: x.id, error: String(e?.stack ?? e) }));
  }
  process.exit(0);
}
