// One client for each transport that must find its way back when the server is
// stopped and started again. Says "up" when all are connected and ends when all
// are connected a second time.
import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const { io } = require("client-4.8");
const url = process.argv[2];
const socks = [["polling"], ["websocket"], ["polling", "websocket"]].map(transports =>
  io(url, { transports, forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 200 }));
const reasons = [];
const times = n => Promise.all(socks.map(s => new Promise(yes => {
  s.on("connect", function on() {
    if (s.times === undefined) s.times = 0;
    if (++s.times === n) yes();
  });
})));
for (const s of socks) s.on("disconnect", r => reasons.push(r));
const twice = times(2);
await Promise.all(socks.map(s => s.connected ? 0 : new Promise(yes => s.once("connect", yes))));
// An upgrade that is cut off half-way costs the client a ping timeout.
while (socks[2].io.engine.transport.name !== "websocket") await new Promise(yes => setTimeout(yes, 10));
console.log("up");
await twice;
console.log("back " + JSON.stringify(reasons));
process.exit(0);
