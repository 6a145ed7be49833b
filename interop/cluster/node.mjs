// A server of Socket.IO with an adapter for Redis, and clients of its own. It is told what to do
// by lines of JSON, {do, ...}, and says by lines of JSON, {what, ...}, what happens.
//
//   node node.mjs classic|old|sharded|streams host:port
//
// old is the predecessor of the classic adapter, with the emitter of its time.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import oldRedis from "redis-3";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import oldEmitter from "socket.io-emitter";
import oldAdapter from "socket.io-redis";

const [wire, address] = process.argv.slice(2);
const say = (what, more) => process.stdout.write(JSON.stringify({ what, ...more }) + "\n");
const text = (v) => JSON.parse(JSON.stringify(v, (_, x) =>
  x?.type === "Buffer" ? "hex:" + Buffer.from(x.data).toString("hex") : x));

const open = async () => {
  const client = createClient({ url: "redis://" + address });
  client.on("error", (e) => say("redis error", { error: String(e) }));
  await client.connect();
  return client;
};
const openOld = () => oldRedis.createClient("redis://" + address);
const pub = await open();
const adapter = wire === "old" ? oldAdapter.createAdapter({ pubClient: openOld(), subClient: openOld() })
  : wire === "classic" ? createAdapter(pub, await open())
  : wire === "sharded" ? createShardedAdapter(pub, await open())
  : createStreamsAdapter(pub);

const http = createServer();
const io = new Server(http, { adapter });
io.on("connection", (socket) => {
  socket.data.from = "node";
  socket.join(socket.handshake.auth.rooms ?? []);
});
io.on("question", (n, answer) => { say("server event", { args: text([n]) }); answer?.("node:" + n); });
await new Promise((done) => http.listen(0, "127.0.0.1", done));

const emitter = wire === "old" ? oldEmitter(openOld()) : new Emitter(pub);
const clients = {};
const hex = (v) => (typeof v === "string" && v.startsWith("hex:") ? Buffer.from(v.slice(4), "hex") : v);
const target = (t) => {
  let to = io;
  if (t.rooms) to = to.to(t.rooms);
  if (t.except) to = to.except(t.except);
  return to;
};

const actions = {
  async client({ name, rooms }) {
    const c = connect("http://127.0.0.1:" + http.address().port, { transports: ["websocket"], auth: { rooms }, forceNew: true });
    clients[name] = c;
    c.onAny((...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
      say("event", { client: name, args: text(args.map((v) => (v instanceof ArrayBuffer ? Buffer.from(v) : v))) });
      ack?.(name + ":" + args[1]);
    });
    c.on("disconnect", (reason) => say("gone", { client: name, reason }));
    await new Promise((done) => c.once("connect", done));
    say("here", { client: name, id: c.id });
  },
  emit: (x) => { target(x).emit(...x.args.map(hex)); },
  emitter: (x) => { (x.rooms ?? []).reduce((e, room) => e.to(room), emitter).emit(...x.args.map(hex)); },
  emitterJoin: (x) => emitter.in(x.rooms).socketsJoin(x.names),
  emitterServerEvent: (x) => emitter.serverSideEmit(...x.args),
  join: (x) => target(x).socketsJoin(x.names),
  leave: (x) => target(x).socketsLeave(x.names),
  disconnect: (x) => target(x).disconnectSockets(x.close),
  async fetch(x) {
    const list = await target(x).fetchSockets();
    say("fetched", { sockets: list.map((s) => ({ id: s.id, rooms: [...s.rooms].sort(), data: s.data })) });
  },
  async rooms() { say("rooms", { rooms: [...await io.of("/").adapter.allRooms()].sort() }); },
  serverEvent: (x) => { io.serverSideEmit(...x.args); },
  async question(x) { say("answers", { answers: await io.serverSideEmitWithAck(...x.args) }); },
  async ask(x) { say("acks", { acks: (await target(x).timeout(4000).emitWithAck(...x.args)).sort() }); },
  async count() { say("count", { count: await io.of("/").adapter.serverCount() }); },
  async end() {
    Object.values(clients).forEach((c) => c.disconnect());
    await io.close();
    process.exit(0);
  },
};

say("ready", { node: process.version });
for await (const line of createInterface({ input: process.stdin })) {
  const x = JSON.parse(line);
  Promise.resolve().then(() => actions[x.do](x)).then(() => say("done", { did: x.do }), (e) => say("failed", { did: x.do, error: String(e?.message ?? e) }));
}
