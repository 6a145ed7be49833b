// socket.io on Node with its defaults. It does what bench/README.md wants of a server.
//
//   node --expose-gc socketio.mjs host:port

import { createServer } from "node:http";
import { Server } from "socket.io";

const [host, port] = process.argv[2].split(":");
const http = createServer((req, res) => {
  res.setHeader("content-type", "application/json");
  res.end(JSON.stringify({ sockets: io.engine.clientsCount, heap: process.memoryUsage().heapUsed }));
});
const io = new Server(http);
io.on("connection", (socket) => {
  socket.on("echo", (...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : null;
    ack ? ack(...args) : socket.emit("echo", ...args);
  });
  socket.on("broadcast", (...args) => io.emit("b", ...args));
  socket.on("join", (ack) => {
    socket.join("room");
    ack();
  });
  socket.on("room", (...args) => io.to("room").emit("b", ...args));
});
process.on("SIGUSR2", () => globalThis.gc());
process.on("SIGTERM", () => io.close(() => process.exit(0))); // ends the clients first
// As many connections may wait to be accepted as with Go; the default of Node is 511.
http.listen({ host, port: Number(port), backlog: 4096 });
