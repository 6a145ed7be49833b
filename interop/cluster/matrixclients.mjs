// Official clients of several generations, which note what they get.

import { isDeepStrictEqual } from "node:util";
import { generations } from "../drivers.mjs";
import { patience, revive, serve, show } from "./rpc.mjs";

const clients = new Map();
const watchers = new Set();
const changed = () => watchers.forEach((f) => f());
const until = async (there, ms) => {
  if (there()) return true;
  let check;
  const come = new Promise((done) => { check = () => there() && done(true); watchers.add(check); });
  const ok = await patience(come, ms, () => false);
  watchers.delete(check);
  return ok;
};
const all = (names) => names.map((n) => clients.get(n));
const ask = (s, ms, event, ...args) => patience(new Promise((done) => s.emit(event, ...args, (...a) => done(a))), ms,
  () => { throw new Error("no ack of " + event); });

await serve({
  async open({ name, version, url, ns = "/", rooms = [], beside, ms }) {
    const gen = generations.find((g) => g.names.includes(version));
    const connection = gen.open(version, url, ["websocket"], { reconnection: false });
    const connected = (s) => patience(new Promise((done, no) => { s.on("connect", done); s.on("connect_error", no); s.on("error", no); }), ms,
      () => { throw new Error(name + " has not connected"); });
    const other = beside && connection.of(beside); // first: a client of 2.5 misses that "/" is connected else
    if (beside) await connected(other);
    const s = connection.of(ns);
    const c = { s, connection, events: [], nums: [], silent: false, gone: undefined };
    for (const event of ["e", "é€ x", "mark"]) s.on(event, (...args) => { c.events.push([event, ...show(args)]); changed(); });
    s.on("num", (i) => { c.nums.push(i); changed(); });
    s.on("ask", (x, answer) => {
      c.events.push(["ask", show(x)]);
      if (!c.silent) answer?.(...(x === "nothing" ? [] : x === "several" ? [{ who: name, x }, 2] : [{ who: name, x }]));
      changed();
    });
    s.on("disconnect", (reason) => { c.gone = String(reason); changed(); });
    await connected(s);
    if (beside) {
      c.beside = other;
      c.beside.on("disconnect", () => { c.besideGone = true; changed(); });
    }
    const [id] = await ask(s, ms, "join", rooms);
    if (beside) await ask(c.beside, ms, "join", []);
    clients.set(name, c);
    return id;
  },
  say: ({ name, args }) => { clients.get(name).s.emit(...revive(args)); },
  silent: ({ names, on }) => all(names).forEach((c) => { c.silent = on; }),
  // What each of the clients has got before a mark.
  async after({ names, mark, ms }) {
    const at = (c) => c.events.findIndex((e) => e[0] === "mark" && e[1] === mark);
    await until(() => all(names).every((c) => at(c) >= 0), ms);
    return Object.fromEntries(names.map((n) => {
      const c = clients.get(n), i = at(c);
      const got = { marked: i >= 0, events: c.events.splice(0, i < 0 ? c.events.length : i + 1) };
      if (got.marked) got.events.pop();
      return [n, got];
    }));
  },
  // Whether each of the clients has got an event; they keep it.
  got: ({ names, args, ms }) => until(() => all(names).every((c) => c.events.some((e) => isDeepStrictEqual(e, args))), ms),
  // The numbers that each client has got, and what is wrong with them.
  async nums({ wants, ms }) {
    const names = Object.keys(wants);
    await until(() => names.every((n) => clients.get(n).nums.length >= wants[n].length), ms);
    return Object.fromEntries(names.map((n) => {
      const got = clients.get(n).nums.splice(0);
      const i = wants[n].findIndex((v, k) => v !== got[k]);
      return [n, got.length !== wants[n].length ? `${got.length} of ${wants[n].length}` : i >= 0 ? `${got[i]} instead of ${wants[n][i]}` : ""];
    }));
  },
  // How clients were disconnected.
  async gone({ names, besides, ms, askMs }) {
    await until(() => all(names).every((c) => c.gone !== undefined && (!besides || c.besideGone)), ms);
    return Promise.all(all(names).map(async (c) => ({ reason: c.gone ?? "", beside: !c.besideGone &&
      await ask(c.beside, askMs, "join", []).then(() => true, () => false) })));
  },
  close: ({ names }) => all(names).forEach((c) => c.connection.close()),
});
