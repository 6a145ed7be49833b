// The server for Node of bench/cluster: it is told what to emit by lines of JSON, and answers
// each. Every client is in the room "lobby".
//
//   node load.mjs classic|sharded|streams host:port

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [wire, address] = process.argv.slice(2);
const open = async () => {
  const client = createClient({ url: "redis://" + address });
  await client.connect();
  return client;
};
const pub = await open();
const adapter = wire === "classic" ? createAdapter(pub, await open(), { key: wire + "-node" })
  : wire === "sharded" ? createShardedAdapter(pub, await open(), { channelPrefix: wire + "-node" })
  : createStreamsAdapter(pub, { streamName: wire + "-node", maxLen: 1_000_000 });

const http = createServer();
const io = new Server(http, { adapter });
io.on("connection", (socket) => socket.join("lobby"));
await new Promise((done) => http.listen(0, "127.0.0.1", done));

const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");
const text = "0123456789abcdef";
const emit = async ({ do: what, room, local, ticks, per, every }) => {
  let next = performance.now();
  for (let i = 0; i < ticks; i++) {
    if (every > 0) {
      next += every / 1000;
      await new Promise((done) => setTimeout(done, Math.max(0, next - performance.now())));
    }
    if (what === "idle") continue;
    for (let n = 0; n < per; n++) {
      const target = local ? io.local : io;
      (room ? target.to(room) : target).emit("hello", text);
    }
  }
};

say({ addr: "127.0.0.1:" + http.address().port });
for await (const line of createInterface({ input: process.stdin })) {
  await emit(JSON.parse(line));
  say({});
}
process.exit(0);
