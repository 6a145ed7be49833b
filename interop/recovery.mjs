// Many clients behind a proxy that cuts their connections. Each checks that it gets every
// numbered event once and in order, or is told that it was not recovered.
import { io } from "client-4.8";

const [url, count] = [process.argv[2], Number(process.argv[3])];
const ways = [["websocket"], ["polling"], ["polling", "websocket"]];
const results = [];
let ready = 0, ended = 0;

for (let i = 0; i < count; i++) {
  const r = { client: i, transports: ways[i % 3].join(), recovered: 0, fresh: 0, events: 0, errors: [] };
  results.push(r);
  const socket = io(url, { forceNew: true, transports: ways[i % 3], reconnectionDelay: 5, reconnectionDelayMax: 50, auth: { client: i } });
  let last = null;
  socket.on("connect", () => {
    if (last === null) {
      last = { all: 0, room: 0, one: 0 };
      if (++ready === count) console.log("ready");
    } else if (socket.recovered) {
      r.recovered++;
    } else {
      r.fresh++;
      last = { all: null, room: null, one: null };
    }
  });
  for (const kind of ["all", "room", "one"]) {
    socket.on(kind, (n, data) => {
      r.events++;
      if (last[kind] !== null && n !== last[kind] + 1 && r.errors.length < 5) r.errors.push(`${kind} ${n} after ${last[kind]}`);
      last[kind] = n;
      if (n % 7 === 0 && !(data instanceof Uint8Array && data.length === 3)) r.errors.push(`${kind} ${n} without its attachment`);
    });
  }
  socket.on("end", (all, room, one) => {
    for (const [kind, n] of Object.entries({ all, room, one })) {
      if (last[kind] !== null && last[kind] !== n) r.errors.push(`${kind} ends with ${last[kind]}, not ${n}`);
    }
    if (++ended === count) {
      for (const r of results) console.log(JSON.stringify(r));
      process.exit(0);
    }
  });
}
