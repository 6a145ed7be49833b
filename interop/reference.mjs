// Reference servers for the conformance suite: the official server of the given
// generation, serving the application that `sioconform -app` describes.
//
//	node reference.mjs 4.8     clients 1.x to 4.x
//	node reference.mjs 0.9     clients 0.7 to 0.9
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const generation = process.argv[2];
let remembered = [];

// The host: a plain route, a cookie on every answer of the server, 404 elsewhere.
const host = createServer((req, res) => {
  if (req.url.split("?")[0] === "/plain") {
    res.end("ok");
  } else {
    res.writeHead(404);
    res.end();
  }
});

// Events that both generations serve alike. emitAll and emitRoom differ in how
// they are said.
function application(socket, say) {
  const on = (name, f) =>
    socket.on(name, (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : null;
      f(args, ack);
    });
  on("echo", (args, ack) => (ack ? ack(...args) : socket.emit("echo", ...args)));
  on("ask", (args) => socket.emit("question", ...args, (...answer) => socket.emit("answer", ...answer)));
  on("n", ([i], ack) => {
    remembered.push(i);
    ack?.();
  });
  on("handled", (_, ack) => ack?.(remembered));
  on("reset", (_, ack) => {
    remembered = [];
    ack?.();
  });
  on("burst", ([n]) => {
    for (let i = 0; i < n; i++) socket.emit("item", i);
  });
  on("join", ([room], ack) => {
    socket.join(room);
    ack?.();
  });
  on("leave", ([room], ack) => {
    socket.leave(room);
    ack?.();
  });
  on("say", ([room, x]) => say.room(room, "said", room, x));
  on("say-others", ([room, x]) => say.others(room, "said", room, x));
  on("shout", (args) => say.all("shouted", ...args));
  on("shout-others", (args) => socket.broadcast.emit("shouted", ...args));
  on("emit-then-sleep", ([ms]) => {
    socket.emit("before");
    setTimeout(() => socket.emit("after", Date.now() * 1000), ms);
  });
  // What the reference has no rule for is done the usual way: an error object.
  on("boom", (_, ack) => ack?.({ error: "boom" }));
  on("fail", (_, ack) => ack?.({ error: "fail" }));
}

// Serves the application with a server of 4.8.
function serve(options) {
  const { Server } = require("server-4.8");
  const io = new Server(host, {
    allowEIO3: true,
    pingInterval: 10_000,
    pingTimeout: 10_000,
    connectTimeout: 10_000,
    maxHttpBufferSize: 2 << 20,
    ...options,
  });
  io.engine.on("headers", (headers) => (headers["set-cookie"] = "host=1"));
  io.of("/secret").use((socket, next) => {
    const token = socket.handshake.auth.token ?? socket.handshake.query.token;
    if (token === "letmein") return next();
    const error = new Error("unauthorized");
    error.data = { code: 401 };
    next(error);
  });
  for (const path of ["/", "/chat", "/secret"]) {
    const nsp = io.of(path);
    nsp.on("connection", (socket) => {
      application(socket, {
        room: (room, ...args) => nsp.to(room).emit(...args),
        others: (room, ...args) => socket.to(room).emit(...args),
        all: (...args) => nsp.emit(...args),
      });
      socket.on("kick", (all) => socket.disconnect(all));
      socket.on("drop", () => socket.conn.close());
      socket.on("request", (header, ack) => {
        const req = socket.request;
        ack([req.method, req.url.split("?")[1] ?? "", req.headers[header.toLowerCase()] ?? "", req.headers.host]);
      });
      if (path === "/secret") socket.emit("welcome", socket.id);
    });
  }
}

if (generation === "4.8") {
  serve({});
  // Upgrades of other paths are for the first one to refuse.
  serve({ path: "/recovery", connectionStateRecovery: {}, destroyUpgrade: false });
} else {
  const io = require("server-0.9").listen(host, { "log level": 0, transports: ["websocket", "htmlfile", "xhr-polling", "jsonp-polling"] });
  io.set("heartbeat interval", 10);
  io.set("heartbeat timeout", 20);
  io.set("close timeout", 60);
  io.of("/secret").authorization((handshake, next) => next(null, handshake.query.token === "letmein"));
  for (const path of ["", "/chat", "/secret"]) {
    const nsp = io.of(path);
    nsp.on("connection", (socket) => {
      application(socket, {
        room: (room, ...args) => nsp.in(room).emit(...args),
        others: (room, ...args) => socket.broadcast.to(room).emit(...args),
        all: (...args) => nsp.emit(...args),
      });
      socket.on("kick", (all) => socket.disconnect(all ? "booted" : undefined));
      if (path === "/secret") socket.emit("welcome", socket.id);
    });
  }
}

host.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${host.address().port} (${generation})`));
// Some packets of the suite would end the whole process.
process.on("uncaughtException", (e) => console.error(`uncaught: ${String(e).slice(0, 100)}`));
process.on("SIGTERM", () => process.exit(0));
