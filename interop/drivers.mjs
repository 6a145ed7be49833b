// One way to speak to the official clients of every generation: each driver
// opens a connection and hands out the sockets of its namespaces.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const fast = { reconnectionDelay: 50, reconnectionDelayMax: 100, forceNew: true };

// Socket.IO 3.x and 4.x.
function modern(name, url, transports, { query, reconnection = true, agent } = {}) {
  const { Manager } = require("client-" + name);
  const manager = new Manager(url, { ...fast, transports, query, reconnection, ...(agent && { agent }) });
  return {
    of: (ns, { auth } = {}) => manager.socket(ns, { auth }),
    authorize: (s, auth) => { s.auth = auth; },
    rejoin: s => s.connect(),
    refused: "connect_error",
    message: e => e.message,
    denied: "connect_error",
    booted: "io server disconnect",
    transport: () => manager.engine.transport.name,
    onBeat: f => manager.engine.on("packet", p => p.type === "ping" && f()),
    close: () => manager._close(),
  };
}

// Socket.IO 1.x and 2.x.
function eio3(name, url, transports, { query, reconnection = true, agent } = {}) {
  const { Manager } = require("client-" + name);
  // Clients up to 1.4 connect a namespace without a query of its own; what they
  // write behind its name is the same on the wire.
  const named = name.startsWith("1.");
  const manager = new Manager(url, { ...fast, transports, query, reconnection, ...(agent && { agent }) });
  return {
    of: (ns, { auth } = {}) => {
      const q = auth && ns !== "/" ? new URLSearchParams(auth).toString() : "";
      const s = named && q ? manager.socket(ns + "?" + q) : manager.socket(ns, q ? { query: q } : undefined);
      if (named && q) rename(manager, s, ns);
      return s;
    },
    rejoin: s => {
      if (name === "1.0.6") s.subEvents(); // which that client forgets
      s.connect();
    },
    refused: "error",
    message: e => typeof e === "string" ? e : e.message ?? e.code,
    denied: "connect_error",
    booted: "io server disconnect",
    transport: () => manager.engine.transport.name,
    onBeat: f => manager.engine.on("packet", p => p.type === "pong" && f()),
    close: () => { manager.skipReconnect = true; manager.engine.close(); },
  };
}

// The server answers for the namespace without the query: a client that has
// written it into the name must listen under the other one.
function rename(manager, s, ns) {
  if (manager.readyState === "open") { s.nsp = ns; return; } // the connect is out
  const packet = s.packet;
  s.packet = function (p) {
    if (p.type === 0) { packet.call(this, p); this.nsp = ns; } else packet.call(this, p);
  };
}

// Socket.IO 0.9.
function sio1(name, url, transports, { query, reconnection = true } = {}) {
  const io = require("client-" + name);
  const q = query ? "?" + new URLSearchParams(query) : "";
  const root = io.connect(url + q, { "force new connection": true, transports, "reconnection delay": 50, reconnect: reconnection });
  return {
    of: (ns, { auth } = {}) => {
      if (ns === "/") return root;
      if (!auth) return root.socket.of(ns);
      // What of() does, but with a query.
      const s = root.socket.namespaces[ns] = new io.SocketNamespace(root.socket, ns);
      s.packet({ type: "connect", qs: "?" + new URLSearchParams(auth) });
      return s;
    },
    rejoin: s => s.packet({ type: "connect" }),
    refused: "connect_failed",
    message: () => "unauthorized",
    denied: "error",
    booted: "booted",
    transport: () => root.socket.transport.name,
    // Polls carry no heartbeats: there the client's next requests are the beat.
    onBeat: f => {
      const t = root.socket.transport;
      const method = t.heartbeats?.() ? "onHeartbeat" : "get";
      const was = t[method];
      t[method] = function () { f(); return was.apply(this, arguments); };
    },
    close: () => { root.socket.options.reconnect = false; try { root.disconnect(); } catch { /* never had a transport */ } },
  };
}

const three = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

// What there is to check: clients, their transports, what they cannot do and why.
export const generations = [
  { names: ["0.8.7"], open: sio1, transports: { "xhr-polling": ["xhr-polling"] }, old: true,
    cannot: () => ({ binary: "revision 1 has none", websocket: "its library needs a function that Node has dropped" }) },
  { names: ["0.9.17"], open: sio1, transports: { websocket: ["websocket"], "xhr-polling": ["xhr-polling"] }, old: true,
    cannot: () => ({ binary: "revision 1 has none" }) },
  { names: ["1.0.6", "1.4.8", "1.7.4", "2.0.4", "2.5.0"], open: eio3, transports: three,
    cannot: name => name === "1.0.6" ? { "binary from the client": "on this Node it sends zeros, or nothing, for every Buffer" } : {} },
  { names: ["3.1.3", "4.0.2", "4.8"], open: modern, transports: three, cannot: () => ({}) },
];

export const patience = (promise, what, ms = 30_000) => {
  let timer;
  const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error("timeout: " + what)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
export const next = (s, event) => patience(new Promise(yes => {
  const on = (...a) => { s.removeListener(event, on); yes(a); };
  s.on(event, on);
}), event);
export const ack = (s, event, ...args) => patience(new Promise(yes => s.emit(event, ...args, (...a) => yes(a))), "ack of " + event);
export const sleep = ms => new Promise(yes => setTimeout(yes, ms));
