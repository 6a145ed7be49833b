// Drives the official clients against one running testapp and prints a line of
// JSON for every client and transport: {client, transport, ok, failed: [...]}.
import { createRequire } from "node:module";
import assert from "node:assert/strict";

const require = createRequire(import.meta.url);
const url = process.argv[2];
const clients = ["3.1.3", "4.0.2", "4.8"];
const transports = {
  polling: ["polling"],
  websocket: ["websocket"],
  upgrade: ["polling", "websocket"],
};

const patience = (promise, what, ms = 10_000) => {
  let timer;
  const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error("timeout: " + what)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
const next = (s, event) => patience(new Promise(yes => s.once(event, (...a) => yes(a))), event);
const ack = (s, event, ...args) => patience(new Promise(yes => s.emit(event, ...args, (...a) => yes(a))), "ack of " + event);
const sleep = ms => new Promise(yes => setTimeout(yes, ms));

async function cell(name, transport) {
  const { io, Manager } = require("client-" + name);
  const make = (opts = {}) => new Manager(url, { transports: transports[transport], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 100, ...opts });
  const failed = [];
  const check = async (what, f) => { try { await f(); } catch (e) { failed.push(what + ": " + e.message); } };
  const all = [];
  const manager = make({ query: { q: "1" } });
  all.push(manager);
  const s = manager.socket("/", { auth: { token: "a" } });
  const welcome = next(s, "welcome");
  await check("connect", async () => {
    await next(s, "connect");
    const [w] = await welcome;
    assert.equal(w.ns, "/");
    assert.equal(w.query.q, "1");
    assert.deepEqual(w.auth, { token: "a" });
  });
  if (failed.length) { manager._close(); return failed; }
  if (transport === "upgrade") await check("upgrade", async () => {
    for (let i = 0; i < 100 && s.io.engine.transport.name !== "websocket"; i++) await sleep(20);
    assert.equal((await ack(s, "whoami"))[0].transport, "websocket");
  });
  await check("echo", async () => {
    s.emit("echo", 1, "two", { three: [4, null, true] });
    assert.deepEqual(await next(s, "echo"), [1, "two", { three: [4, null, true] }]);
  });
  await check("server ack", async () => assert.deepEqual(await ack(s, "ack", 1, "x"), [1, "x"]));
  await check("client ack", async () => {
    s.once("question", (x, cb) => cb(x, "answered"));
    s.emit("ask", 7);
    assert.deepEqual(await next(s, "answer"), [7, "answered"]);
  });
  await check("message", async () => {
    s.send("hello");
    assert.deepEqual(await next(s, "message"), ["hello"]);
  });
  await check("binary", async () => {
    const data = Buffer.from([0, 1, 2, 253, 254, 255]);
    s.emit("echo", data, { deep: [data] });
    const [a, b] = await next(s, "echo");
    assert.deepEqual(Buffer.from(a), data);
    assert.deepEqual(Buffer.from(b.deep[0]), data);
    s.emit("getbin", 300);
    const [bin] = await next(s, "bin");
    assert.equal(bin.n, 300);
    assert.equal(Buffer.from(bin.data)[299], 299 & 255);
    assert.deepEqual(await ack(s, "binlen", data, "no"), [[6, -1]]);
    assert.deepEqual(Buffer.from((await ack(s, "ack", data))[0]), data);
  });
  await check("unicode", async () => {
    const text = "café € 😀 \u2028 \u0000 \ud800 \"\\";
    s.emit("echo", text);
    assert.deepEqual(await next(s, "echo"), [text]);
    assert.deepEqual(await ack(s, "codes", "é😀"), [[0xe9, 0x1f600]]);
    s.emit("text-of", [0xe9, 0x20ac, 0x1f600]);
    assert.deepEqual(await next(s, "text"), ["é€😀"]);
  });
  await check("200 KB", async () => {
    const big = "x".repeat(200_000);
    s.emit("echo", big);
    assert.equal((await next(s, "echo"))[0].length, big.length);
    const [bin] = await ack(s, "ack", Buffer.alloc(200_000, 7));
    assert.equal(bin.byteLength ?? bin.length, 200_000);
  });
  await check("200 in order", async () => {
    for (let i = 0; i < 200; i++) s.emit("collect", i);
    assert.deepEqual((await ack(s, "collected"))[0], [...Array(200).keys()]);
    const got = [];
    const on = i => got.push(i);
    s.on("item", on);
    s.emit("burst", 200, 10);
    await next(s, "burst-done");
    s.off("item", on);
    assert.deepEqual(got, [...Array(200).keys()]);
  });
  await check("rooms", async () => {
    const room = name + transport;
    const other = make();
    all.push(other);
    const o = other.socket("/");
    await next(o, "connect");
    await ack(s, "join", room);
    await ack(o, "join", room);
    const heard = Promise.all([next(s, "said"), next(o, "said")]);
    s.emit("say", room, 1);
    assert.deepEqual(await heard, [[room, 1], [room, 1]]);
    const others = next(o, "said");
    s.emit("say-others", room, 2);
    assert.deepEqual(await others, [room, 2]);
    await ack(o, "leave", room);
    other._close();
  });
  await check("namespaces", async () => {
    const chat = manager.socket("/chat");
    if (!chat.connected) await next(chat, "connect");
    chat.emit("echo", "c");
    assert.deepEqual(await next(chat, "echo"), ["c"]);
    chat.disconnect();
    assert.deepEqual(await ack(s, "ack", "alive"), ["alive"]);
    chat.connect();
    await next(chat, "connect");
    const gone = next(chat, "disconnect");
    chat.emit("kick");
    assert.equal((await gone)[0], "io server disconnect");
    assert.deepEqual(await ack(s, "ack", "alive"), ["alive"]);
  });
  await check("refusal", async () => {
    const secret = manager.socket("/secret", { auth: { token: "wrong" } });
    const [e] = await next(secret, "connect_error");
    assert.equal(e.message, "unauthorized");
    secret.auth = { token: "letmein" };
    secret.connect();
    await next(secret, "connect");
    secret.disconnect();
    const denied = make({ query: { deny: "1" }, reconnection: false });
    all.push(denied);
    const [err] = await next(denied.socket("/"), "connect_error");
    assert.ok(err instanceof Error);
    denied._close();
  });
  await check("unknown event and panic", async () => {
    assert.equal((await ack(s, "no such event"))[0].error.code, "refused");
    assert.equal((await ack(s, "boom"))[0].error.code, "internal");
  });
  await check("heartbeats", async () => {
    let pings = 0;
    manager.engine.on("packet", p => { if (p.type === "ping") pings++; });
    for (let i = 0; i < 60 && pings < 3; i++) await sleep(100);
    assert.ok(pings >= 3, `${pings} pings`);
    assert.ok(s.connected);
  });
  await check("reconnect", async () => {
    const [{ key }] = await ack(s, "whoami");
    const gone = next(s, "disconnect");
    const back = next(s, "connect");
    s.emit("drop");
    assert.match((await gone)[0], /transport (close|error)/);
    await back;
    assert.deepEqual(await ack(s, "ack", "back"), ["back"]);
    assert.equal((await ack(s, "gone", key))[0], "transport close");
  });
  await check("disconnect by server", async () => {
    const gone = next(s, "disconnect");
    s.emit("kick-all");
    assert.equal((await gone)[0], "io server disconnect");
    await sleep(300);
    assert.ok(!s.connected, "came back");
  });
  for (const m of all) m._close();
  return failed;
}

const jobs = [];
for (const client of clients) {
  for (const transport of Object.keys(transports)) {
    jobs.push(cell(client, transport).then(
      failed => console.log(JSON.stringify({ client, transport, failed })),
      e => console.log(JSON.stringify({ client, transport, failed: [String(e)] })),
    ));
  }
}
await Promise.all(jobs);
process.exit(0);
