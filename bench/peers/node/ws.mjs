// The package ws on Node, without Socket.IO: echo and broadcast, as the other raw peers.
//
//   node --expose-gc ws.mjs host:port

import { WebSocketServer } from "ws";

const [host, port] = process.argv[2].split(":");
const before = '42["broadcast"';
const server = new WebSocketServer({ host, port: Number(port), backlog: 4096, maxPayload: 1 << 20, perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    const text = isBinary ? "" : data.toString();
    if (!text.startsWith(before)) {
      socket.send(data, { binary: isBinary });
      return;
    }
    const all = '42["b"' + text.slice(before.length);
    for (const other of server.clients) other.send(all);
  });
});
process.on("SIGUSR2", () => globalThis.gc());
