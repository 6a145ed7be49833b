// One client for each generation and transport that must find its way back when
// the server is stopped and started again. Says "up" when all are connected and
// ends when all are connected a second time.
import { generations, next } from "./drivers.mjs";

const url = process.argv[2];
const cast = [["0.9.17", "websocket"], ["0.9.17", "xhr-polling"], ["2.5.0", "polling"], ["2.5.0", "websocket"], ["4.8", "polling"], ["4.8", "websocket"], ["4.8", "upgrade"]];
const reasons = [];
const all = await Promise.all(cast.map(async ([name, transport]) => {
  const gen = generations.find(g => g.names.includes(name));
  const c = gen.open(name, url, gen.transports[transport]);
  const s = c.of("/");
  await next(s, "welcome");
  // An upgrade that is cut off half-way costs the client a ping timeout.
  while (transport === "upgrade" && c.transport() !== "websocket") await new Promise(yes => setTimeout(yes, 10));
  s.on("disconnect", r => reasons.push(`${name} ${transport}: ${r}`));
  return s;
}));
const back = Promise.all(all.map(s => new Promise(yes => s.on("welcome", yes))));
console.log("up");
await back;
console.log("back " + JSON.stringify(reasons));
process.exit(0);
