// Drives official clients against the servers behind a load balancer, and prints one line of
// JSON: how many have connected, on which servers they were, and what has failed.
//
//   node balance.mjs url all|polling|websocket milliseconds-of-silence
import assert from "node:assert/strict";
import { Agent } from "node:http";
import { generations, next, ack, patience, sleep } from "./drivers.mjs";

const [url, which, silence] = process.argv.slice(2);
const cast = {
  all: [["4.8", "websocket"], ["4.8", "polling"], ["4.8", "upgrade"], ["2.5.0", "websocket"], ["2.5.0", "polling"], ["2.5.0", "upgrade"], ["0.9.17", "websocket"], ["0.9.17", "xhr-polling"]],
  polling: [["4.8", "polling"]],
  websocket: [["4.8", "websocket"]],
}[which];
const room = "room " + process.pid;
const failed = [];
const check = async (what, f) => { try { await f(); } catch (e) { failed.push(`${what}: ${e.message.slice(0, 300)}`); } };
const all = [];

// An address of its own for each client, where its library lets one choose.
await Promise.all(cast.map(([name, transport], i) => check(`${name} ${transport} connects`, async () => {
  const gen = generations.find(g => g.names.includes(name));
  const agent = new Agent({ keepAlive: true, localAddress: "127.0.0." + (10 + i) });
  const c = gen.open(name, url, gen.transports[transport], { agent });
  const s = c.of("/");
  const o = { who: `${name} ${transport}`, gen, c, s, disconnects: 0 };
  await next(s, "connect");
  if (transport === "upgrade") {
    for (let n = 0; n < 250 && c.transport() !== "websocket"; n++) await sleep(20);
    assert.equal(c.transport(), "websocket");
  }
  [o.node] = await ack(s, "node");
  s.on("disconnect", () => { o.disconnects++; });
  all.push(o);
})));

// heard waits until each of some clients has been told something in the room.
const heard = (sockets, what) => Promise.all(sockets.map(o => patience(new Promise(yes => {
  const on = (r, said) => {
    try { assert.deepEqual([r, Buffer.isBuffer(said) || said instanceof ArrayBuffer ? Buffer.from(said) : said], [room, what]); } catch { return; }
    o.s.removeListener("said", on);
    yes();
  };
  o.s.on("said", on);
}), `${o.who} hears ${what}`)));
const talk = async o => {
  const args = [1, "two", { three: [4, null, true] }, "café € 😀"];
  assert.deepEqual(await ack(o.s, "echo", ...args), args);
  assert.equal((await ack(o.s, "echo", "x".repeat(900_000)))[0].length, 900_000);
  if (!o.gen.old) {
    const data = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i & 255));
    const [back] = await ack(o.s, "echo", data);
    assert.deepEqual(Buffer.from(back), data);
  }
  const asked = (x, answer) => { o.s.removeListener("question", asked); answer(x, o.who); };
  o.s.on("question", asked);
  const answered = next(o.s, "answer");
  o.s.emit("ask", "€");
  assert.deepEqual(await answered, ["€", o.who]);
};

for (const o of all) await check(`${o.who} talks`, () => talk(o));
for (const o of all) o.s.emit("join", room);
for (const o of all) await ack(o.s, "echo"); // each has joined by now
for (const o of all) await check(`${o.who} says something to the room`, async () => {
  const say = async (event, to, what) => {
    const came = heard(to, what);
    o.s.emit(event, room, what);
    await came;
  };
  await say("say", all, `${o.who} says`);
  if (!o.gen.old) await say("say", all.filter(to => !to.gen.old), Buffer.from([0, 1, all.indexOf(o)]));
  await say("say-others", all.filter(to => to !== o), `${o.who} says to others`);
});

// Nothing is said but pings.
if (+silence) {
  await sleep(+silence);
  for (const o of all) await check(`${o.who} after the silence`, async () => {
    assert.equal(o.disconnects, 0);
    assert.deepEqual(await ack(o.s, "node"), [o.node]);
    await talk(o);
  });
}
for (const { c } of all) c.close();
console.log(JSON.stringify({ clients: all.length, nodes: [...new Set(all.map(o => o.node))], failed }));
process.exit(0);
