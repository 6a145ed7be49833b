// Connection state recovery by the streams of Redis.
//
//   node recovery.mjs server host:port     a server of Socket.IO, in a cluster by that Redis
//   node recovery.mjs clients url count    official clients, behind a proxy that cuts connections
//
// Both are told what to do by lines of JSON, {do, ...}, and say by lines of JSON, {what, ...}, what
// happens. All events are numbered, by who emits them and to whom: to all, to one of ten rooms, and to one
// client.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";

const [mode, address, count] = process.argv.slice(2);
const say = (what, more) => process.stdout.write(JSON.stringify({ what, ...more }) + "\n");
const actions = mode === "server" ? await server() : clients(Number(count));
for await (const line of createInterface({ input: process.stdin })) {
  const x = JSON.parse(line);
  Promise.resolve().then(() => actions[x.do](x)).catch((e) => say("failed", { did: x.do, error: String(e?.message ?? e) }));
}

async function server() {
  const redis = createClient({ url: "redis://" + address });
  redis.on("error", (e) => say("failed", { error: String(e) }));
  await redis.connect();
  const http = createServer();
  const io = new Server(http, { adapter: createAdapter(redis), connectionStateRecovery: {} });
  io.on("connection", (socket) => {
    if (socket.recovered) {
      if (socket.data.client !== undefined && socket.data.client !== socket.handshake.auth.client) say("failed", { error: "the data of another client" });
      return;
    }
    const { client } = socket.handshake.auth;
    socket.data.client = client;
    socket.join(["room" + (client % 10), "client" + client]);
    socket.emit("recovery"); // a client without an offset cannot be recovered
  });
  const { adapter } = io.of("/");
  const read = adapter.onRawMessage;
  let last = "0-0";
  adapter.onRawMessage = (message, id) => {
    read.call(adapter, message, id);
    last = id;
  };
  await new Promise((done) => http.listen(0, "127.0.0.1", done));
  say("ready", { port: http.address().port });
  const sent = {};
  return {
    emit({ to }) {
      const n = sent[to] = (sent[to] ?? 0) + 1;
      (to === "all" ? io : io.to(to)).emit("event", "node", to.replace(/[0-9]+$/, ""), n, n % 7 ? null : Buffer.from("abc"));
    },
    count() { say("count", { sockets: io.of("/").sockets.size }); },
    read() { say("read", { last }); },
  };
}

function clients(count) {
  const results = [];
  const sockets = [];
  let there = 0;
  for (let i = 0; i < count; i++) {
    const r = { client: i, recovered: 0, fresh: 0, events: 0, last: {}, errors: [] };
    results.push(r);
    const socket = connect(address, { forceNew: true, transports: ["websocket"], reconnectionDelay: 5, reconnectionDelayMax: 50, auth: { client: i } });
    sockets.push(socket);
    let before = false, here = false;
    const come = () => { if (!here && ++there === count) say("all there", {}); here = true; };
    socket.on("connect", () => {
      if (socket.recovered) r.recovered++;
      else if (before) { r.fresh++; r.last = {}; } // it knows that it has missed something
      before = true;
      if (socket.recovered) come();
    });
    socket.on("recovery", () => come()); // it has an offset
    socket.on("disconnect", () => { if (here) there--; here = false; });
    socket.on("event", (from, kind, n, data) => {
      r.events++;
      const key = from + " " + kind, last = r.last[key] ?? (r.fresh ? n - 1 : 0);
      if (n !== last + 1 && r.errors.length < 5) r.errors.push(`${key} ${n} after ${last}`);
      r.last[key] = n;
      if (n % 7 === 0 && !(data instanceof ArrayBuffer || data instanceof Uint8Array)) r.errors.push(`${key} ${n} without its attachment`);
    });
  }
  return {
    report() { say("report", { results }); },
  };
}
