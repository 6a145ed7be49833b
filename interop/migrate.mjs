// A client that says what it sees of the small server of docs/from-node.md: of the one in
// JavaScript, as the page has it, or of the one at a URL.
//
//	node migrate.mjs [URL]
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { io as connect } from "client-4.8";
import { Server } from "server-4.8";

let url = process.argv[2];
if (!url) {
  const page = readFileSync(new URL("../docs/from-node.md", import.meta.url), "utf8");
  const code = page.split("## A small server in both")[1].match(/```js\n([^]*?)```/)[1];
  const httpServer = createServer();
  new Function("Server", "httpServer", code)(Server, httpServer);
  await new Promise((listening) => httpServer.listen(0, "127.0.0.1", listening));
  url = `http://127.0.0.1:${httpServer.address().port}`;
}

const next = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
const seen = [];
for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  const enter = (token) => connect(url + "/chat", { transports, forceNew: true, reconnection: false, auth: { token } });

  const stranger = enter("wrong");
  const [refusal] = await next(stranger, "connect_error");
  seen.push(["refused", refusal.message, refusal.data ?? null]);
  stranger.disconnect();

  const ann = enter("letmein"), bob = enter("letmein");
  await Promise.all([next(ann, "connect"), next(bob, "connect")]);
  seen.push(["joined", await ann.emitWithAck("join", "red"), await bob.emitWithAck("join", "red")]);

  const first = { ann: next(ann, "said"), bob: next(bob, "said") }; // nobody hears what they say themselves
  ann.emit("say", "red", "hello");
  seen.push(["bob hears", ...(await first.bob)]);
  bob.emit("say", "red", "hello, ann");
  seen.push(["ann hears", ...(await first.ann)]);
  ann.disconnect();
  bob.disconnect();
}
console.log(JSON.stringify(seen));
process.exit(0);
