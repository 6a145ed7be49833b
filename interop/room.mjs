// Clients of four generations meet in one room of a running testapp: each hears
// the others, and acks work in every direction.
import assert from "node:assert/strict";
import { generations, next, ack } from "./drivers.mjs";

const url = process.argv[2];
const cast = [["0.9.17", "websocket"], ["0.9.17", "xhr-polling"], ["1.7.4", "polling"], ["2.5.0", "upgrade"], ["4.8", "websocket"], ["4.8", "polling"]];
const room = "room " + process.pid;
const all = [];
for (const [name, transport] of cast) {
  const gen = generations.find(g => g.names.includes(name));
  const c = gen.open(name, url, gen.transports[transport]);
  const s = c.of("/");
  await next(s, "connect");
  assert.deepEqual(await ack(s, "join", room), [room]);
  all.push({ who: `${name} ${transport}`, c, s });
}
for (const { who, s } of all) {
  const text = `${who}: café € 😀 \u2028`;
  const heard = Promise.all(all.map(o => next(o.s, "said")));
  s.emit("say", room, text, { deep: [1, null] });
  for (const args of await heard) assert.deepEqual(args, [room, text, { deep: [1, null] }]);
  const others = Promise.all(all.filter(o => o.s !== s).map(o => next(o.s, "said")));
  s.emit("say-others", room, who);
  for (const args of await others) assert.deepEqual(args, [room, who]);
  assert.deepEqual(await ack(s, "ack", who, "é"), [who, "é"]);
  const asked = (x, answer) => { s.removeListener("question", asked); answer(x, who); };
  s.on("question", asked);
  const answered = next(s, "answer");
  s.emit("ask", "€");
  assert.deepEqual(await answered, ["€", who]);
}
for (const { c } of all) c.close();
console.log(`${all.length} clients of four generations in one room`);
process.exit(0);
