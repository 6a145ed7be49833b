// A server of Socket.IO with an adapter for Redis, or an emitter, as one that acts in the matrix.
//
//   node matrixserver.mjs classic|sharded|sharded-static|sharded-private|streams host:port prefix
//
// With the wire emitter it is no server.

import { createServer } from "node:http";
import { isDeepStrictEqual } from "node:util";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { patience, revive, serve, show } from "./rpc.mjs";

const [wire, address, prefix, name] = process.argv.slice(2);
const open = async () => {
  const client = createClient({ url: "redis://" + address });
  client.setMaxListeners(0); // an adapter adds one for each namespace
  client.on("error", (e) => console.error(name, String(e)));
  await client.connect();
  return client;
};
const pub = await open();
const make = {
  classic: async () => createAdapter(pub, await open(), { key: prefix }),
  sharded: async () => createShardedAdapter(pub, await open(), { channelPrefix: prefix }),
  "sharded-static": async () => createShardedAdapter(pub, await open(), { channelPrefix: prefix, subscriptionMode: "static" }),
  "sharded-private": async () => createShardedAdapter(pub, await open(), { channelPrefix: prefix, subscriptionMode: "dynamic-private" }),
  streams: async () => createStreamsAdapter(pub, { streamName: prefix, channelPrefix: prefix }),
};

let io, emitter, http, dynamic;
const notes = [];
const noted = new Set();
if (wire === "emitter") {
  emitter = new Emitter(pub, { key: prefix });
} else {
  http = createServer();
  io = new Server(http, { adapter: await make[wire](), allowEIO3: true });
  const ready = (nsp) => {
    nsp.on("connection", (socket) => {
      socket.data.from = name;
      socket.on("join", (rooms, done) => { socket.join(rooms); done(socket.id); });
      socket.on("say", (room, ...args) => { socket.to(room).emit(...args); });
    });
    nsp.on("note", (...args) => { notes.push(show(args)); noted.forEach((f) => f()); });
    nsp.on("ask servers", (x, answer) => answer({ by: name, x }));
    nsp.on("ask node", (x, answer) => answer({ by: name, x }));
  };
  for (const nsp of ["/", "/bye"]) ready(io.of(nsp));
  dynamic = io.of(/^\/dyn\/\d+$/);
  ready(dynamic);
  await new Promise((done) => http.listen(0, "127.0.0.1", done));
}

const target = (x) => {
  const t = x.target ?? {};
  let to = emitter ? emitter.of(t.ns ?? "/") : t.pattern ? dynamic : io.of(t.ns ?? "/");
  if (t.from) {
    to = to.sockets.get(t.from);
    if (!t.rooms) to = to.broadcast;
  }
  if (t.rooms) to = to.to(t.rooms);
  if (t.except) to = to.except(t.except);
  if (t.volatile) to = to.volatile;
  if (t.local) to = to.local;
  return to;
};
const nsp = (x) => (emitter ?? io).of(x.target?.ns ?? "/");

await serve({
  url: () => "http://127.0.0.1:" + http.address().port,
  emit: (x) => { target(x).emit(...revive(x.args)); },
  count: (x) => { for (let i = 0; i < x.n; i++) target({ target: x.targets[i % x.targets.length] }).emit("num", i); },
  join: (x) => target(x).socketsJoin(x.rooms),
  leave: (x) => target(x).socketsLeave(x.rooms),
  disconnect: (x) => target(x).disconnectSockets(x.close),
  note: (x) => { nsp(x).serverSideEmit("note", ...revive(x.args)); },
  async noted({ args, ms }) {
    const there = () => notes.some((n) => isDeepStrictEqual(n, args));
    let check;
    const come = new Promise((done) => { check = () => there() && done(true); noted.add(check); check(); });
    await patience(come, ms, () => false);
    noted.delete(check);
    return notes.filter((n) => isDeepStrictEqual(n, args)).length;
  },
  async askServers(x) {
    return new Promise((done) => nsp(x).serverSideEmit(...revive(x.args), (e, answers) =>
      done({ error: e ? String(e.message) : "", answers: show(answers ?? []) })));
  },
  async call(x) {
    return new Promise((done) => target(x).timeout(x.ms).emit(...revive(x.args), (e, answers) =>
      done({ error: e ? String(e.message) : "", answers: show(answers ?? []) })));
  },
  // An emit and a question right behind.
  async emitAndCall(x) {
    target(x).emit(...revive(x.args));
    return new Promise((done) => target(x).timeout(x.ms).emit(...revive(x.ask), (e, answers) =>
      done({ error: e ? String(e.message) : "", answers: show(answers ?? []) })));
  },
  async sockets(x) {
    const list = await target(x).fetchSockets();
    return list.map((s) => ({ id: s.id, rooms: [...s.rooms].filter((r) => r !== s.id).map(String).sort(), own: [...s.rooms].includes(s.id), data: s.data,
      handshake: ["headers", "time", "address", "xdomain", "secure", "issued", "url", "query", "auth"].filter((k) => s.handshake?.[k] !== undefined).length }));
  },
  // What Node does to a socket that fetchSockets has yielded.
  async remote(x) {
    const list = (await nsp(x).fetchSockets()).filter((s) => s.id === x.socket);
    if (list.length !== 1) throw new Error(list.length + " sockets have the id");
    list[0].emit(...revive(x.args));
  },
  async allRooms(x) { return [...await nsp(x).adapter.allRooms()].sort(); },
  async end() { await io.close(); setImmediate(() => process.exit(0)); },
});
