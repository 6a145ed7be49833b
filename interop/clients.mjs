// Drives the official clients against one running testapp and prints a line of
// JSON for every client and transport: {client, transport, failed, cannot}.
import assert from "node:assert/strict";
import { generations, patience, next, ack, sleep } from "./drivers.mjs";

const [url, only] = process.argv.slice(2); // only: one client, when something is to be looked into

async function cell(gen, name, transport) {
  const failed = [];
  const check = async (what, f) => { try { await f(); } catch (e) { failed.push(what + ": " + e.message.slice(0, 300)); } };
  const all = [];
  const make = opts => { const c = gen.open(name, url, gen.transports[transport], opts); all.push(c); return c; };
  const done = () => { for (const c of all) c.close(); return failed; };
  const modern = gen.names.includes("4.8");
  const cannot = gen.cannot(name);

  const c = make({ query: { q: "1" } });
  const s = c.of("/", { auth: modern ? { token: "a" } : undefined });
  const welcome = next(s, "welcome");
  welcome.catch(() => {}); // nobody waits for it when there is no connection
  await check("connect", async () => {
    await next(s, "connect");
    const [w] = await welcome;
    assert.equal(w.ns, "/");
    assert.equal(w.query.q, "1");
    assert.deepEqual(w.auth, modern ? { token: "a" } : {});
  });
  if (failed.length) return done();
  if (transport === "upgrade") await check("upgrade", async () => {
    for (let i = 0; i < 100 && c.transport() !== "websocket"; i++) await sleep(20);
    assert.equal((await ack(s, "whoami"))[0].transport, "websocket");
  });
  await check("echo", async () => {
    const heard = next(s, "echo");
    s.emit("echo", 1, "two", { three: [4, null, true] });
    assert.deepEqual(await heard, [1, "two", { three: [4, null, true] }]);
  });
  await check("server ack", async () => assert.deepEqual(await ack(s, "ack", 1, "x"), [1, "x"]));
  await check("client ack", async () => {
    const asked = (x, cb) => { s.removeListener("question", asked); cb(x, "answered"); };
    s.on("question", asked);
    const answered = next(s, "answer");
    s.emit("ask", 7);
    assert.deepEqual(await answered, [7, "answered"]);
  });
  await check("message", async () => {
    let heard = next(s, "message");
    s.send("hello: 1+1");
    assert.equal((await heard)[0], "hello: 1+1");
    if (!gen.old) return;
    heard = next(s, "message");
    s.json.send({ a: ["b", 1] });
    assert.deepEqual((await heard)[0], { a: ["b", 1] });
    await patience(new Promise(yes => s.send("counted", yes)), "ack of a message");
  });
  if (!cannot.binary) await check("binary to the client", async () => {
    const got = next(s, "bin");
    s.emit("getbin", 300);
    const [bin] = await got;
    assert.equal(bin.n, 300);
    assert.equal(Buffer.from(bin.data)[299], 299 & 255);
  });
  if (!cannot.binary && !cannot["binary from the client"]) await check("binary from the client", async () => {
    const data = Buffer.from([0, 1, 2, 253, 254, 255]);
    const heard = next(s, "echo");
    s.emit("echo", data, { deep: [data] });
    const [a, b] = await heard;
    assert.deepEqual(Buffer.from(a), data);
    assert.deepEqual(Buffer.from(b.deep[0]), data);
    assert.deepEqual(await ack(s, "binlen", data, "no"), [[6, -1]]);
    assert.deepEqual(Buffer.from((await ack(s, "ack", data))[0]), data);
  });
  await check("unicode", async () => {
    const text = "café € 😀 \u2028 \u0000 \ud800 \"\\";
    const heard = next(s, "echo");
    s.emit("echo", text);
    assert.equal((await heard)[0], text);
    for (const [t, codes] of [["é😀", [0xe9, 0x1f600]], ["café", [99, 97, 102, 0xe9]], ["\u2028€", [0x2028, 0x20ac]], ["ÿ", [255]]]) {
      assert.deepEqual(await ack(s, "codes", t), [codes]);
    }
    const told = next(s, "text");
    s.emit("text-of", [0xe9, 0x20ac, 0x1f600, 0x2028]);
    assert.deepEqual(await told, ["é€😀\u2028"]);
  });
  await check("200 KB", async () => {
    const big = "x".repeat(200_000);
    const heard = next(s, "echo");
    s.emit("echo", big);
    assert.equal((await heard)[0].length, big.length);
    const wide = "é€😀".repeat(20_000);
    assert.equal((await ack(s, "ack", wide))[0], wide);
    if (Object.keys(cannot).length) return;
    const [bin] = await ack(s, "ack", Buffer.alloc(200_000, 7));
    assert.equal(bin.byteLength ?? bin.length, 200_000);
  });
  await check("200 in order", async () => {
    for (let i = 0; i < 200; i++) s.emit("collect", i);
    assert.deepEqual((await ack(s, "collected"))[0], [...Array(200).keys()]);
    const got = [];
    const on = i => got.push(i);
    s.on("item", on);
    const over = next(s, "burst-done");
    s.emit("burst", 200, 10);
    await over;
    s.removeListener("item", on);
    assert.deepEqual(got, [...Array(200).keys()]);
  });
  await check("access list", async () => {
    const refused = { error: { code: "refused", message: "event refused" } };
    assert.deepEqual(await ack(s, "guarded", 1), [1]);
    await ack(s, "gate", "lock");
    assert.deepEqual(await ack(s, "guarded", 1), [refused]);
    assert.deepEqual(await ack(s, "nosuchevent", 1), [refused]);
    assert.deepEqual(await ack(s, "ack", 1), [1]);
    assert.deepEqual(await ack(s, "gate", "allow", "guarded"), [true]);
    assert.deepEqual(await ack(s, "guarded", 1), [1]);
    await ack(s, "gate", "lift");
    await ack(s, "gate", "deny", "guarded", "message");
    assert.deepEqual(await ack(s, "guarded", 1), [refused]);
    let heard = false;
    s.once("message", () => { heard = true; });
    s.send("unheard");
    await ack(s, "gate", "lift");
    assert.equal(heard, false);
    s.removeAllListeners("message");
  });
  await check("rooms", async () => {
    const room = `${name} ${transport} ${process.pid}`;
    const o = make().of("/");
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
    all.pop().close();
  });
  await check("namespaces", async () => {
    const chat = c.of("/chat", { auth: { a: "b" } });
    const [w] = await next(chat, "welcome");
    assert.equal(w.ns, "/chat");
    assert.deepEqual(w.auth, { a: "b" });
    const heard = next(chat, "echo");
    chat.emit("echo", "c");
    assert.deepEqual(await heard, ["c"]);
    chat.disconnect();
    assert.deepEqual(await ack(s, "ack", "alive"), ["alive"]);
    const back = next(chat, "welcome");
    c.rejoin(chat);
    await back;
    const gone = next(chat, "disconnect");
    chat.emit("kick");
    const [why] = await gone;
    if (!gen.old) assert.equal(why, "io server disconnect");
    assert.deepEqual(await ack(s, "ack", "alive"), ["alive"]);
  });
  await check("refusal", async () => {
    const wrong = gen.old ? c : make();
    const secret = wrong.of("/secret", { auth: { token: "wrong" } });
    const [e] = await next(secret, c.refused);
    if (modern || gen.old) assert.equal(c.message(e), "unauthorized");
    else assert.deepEqual(e, { code: 401 });
    const right = gen.old ? c : make();
    const let_in = right.of("/secret", { auth: { token: "letmein" } });
    const [w] = await next(let_in, "welcome");
    assert.equal(w.ns, "/secret");
    let_in.disconnect();
    const denied = make({ query: { deny: "1" }, reconnection: false });
    await next(denied.of("/"), c.denied);
  });
  await check("unknown event and panic", async () => {
    assert.equal((await ack(s, "no such event"))[0].error.code, "refused");
    assert.equal((await ack(s, "boom"))[0].error.code, "internal");
  });
  await check("three heartbeats", async () => {
    let beats = 0;
    c.onBeat(() => beats++);
    for (let i = 0; i < 60 && beats < 3; i++) await sleep(100);
    assert.ok(beats >= 3, `${beats} heartbeats`);
    assert.deepEqual(await ack(s, "ack", "alive"), ["alive"]);
  });
  await check("reconnect", async () => {
    const [{ key }] = await ack(s, "whoami");
    const gone = next(s, "disconnect");
    const back = next(s, "welcome");
    s.emit("drop");
    await gone;
    await back;
    assert.deepEqual(await ack(s, "ack", "back"), ["back"]);
    assert.equal((await ack(s, "gone", key))[0], "transport close");
  });
  await check("disconnect by server", async () => {
    const gone = next(s, "disconnect");
    let again = false;
    s.emit("kick-all");
    assert.equal((await gone)[0], c.booted);
    s.on("connect", () => { again = true; });
    await sleep(300);
    assert.ok(!again, "came back");
  });
  return done();
}

const jobs = [];
for (const gen of generations) {
  for (const client of gen.names.filter(n => !only || n === only)) {
    for (const transport of Object.keys(gen.transports)) {
      const say = failed => console.log(JSON.stringify({ client, transport, failed, cannot: gen.cannot(client) }));
      jobs.push(cell(gen, client, transport).then(say, e => say([String(e).slice(0, 300)])));
    }
  }
}
await Promise.all(jobs);
process.exit(0);
