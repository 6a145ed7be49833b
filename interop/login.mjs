// The login examples in chromium: two tabs of one browser, and another browser.
// Argument: the page's address.
import { chromium } from "playwright-core";
import assert from "node:assert/strict";

const [url] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const state = (p, text) => p.waitForFunction(t => document.querySelector("#state").textContent === t, text);
const hears = (p, text) => p.waitForFunction(t => [...document.querySelectorAll("#log li")].some(li => li.textContent === t), text);
const say = async (p, text) => { await p.fill("#text", text); await p.press("#text", "Enter"); };

async function page(context) {
  const p = await context.newPage();
  await p.goto(url);
  return p;
}

async function login(context, user) {
  const p = await page(context);
  await state(p, "not logged in");
  await p.fill("[name=user]", user);
  await p.fill("[name=password]", "secret");
  await p.click("#login button");
  await state(p, "connected");
  await p.waitForFunction(u => document.querySelector("#user").textContent === u, user);
  return p;
}

try {
  const anns = await browser.newContext(), bobs = await browser.newContext();
  const ann = await login(anns, "ann");
  const ann2 = await page(anns); // the other tab has the session too
  await state(ann2, "connected");
  const bob = await login(bobs, "bob");
  for (const p of [ann, ann2, bob]) { // over a websocket before anything is asked
    await p.waitForFunction(() => socket.io.engine.transport.name === "websocket");
  }

  await say(ann2, "hello");
  for (const p of [ann, ann2, bob]) await hears(p, "ann: hello");
  await ann.click("#admin");
  await ann.waitForFunction(() => document.querySelector("#adminstate").textContent === "3 sockets");
  await bob.click("#admin");
  await bob.waitForFunction(() => document.querySelector("#adminstate").textContent.startsWith("refused"));

  const dropped = p => p.evaluate(() => new Promise(yes => socket.once("disconnect", () => yes(Date.now()))));
  const both = Promise.all([dropped(ann), dropped(ann2)]);
  const from = Date.now();
  await ann2.click("#logout");
  for (const at of await both) assert.ok(at - from < 1000, "the sockets of a session that has ended lived on for " + (at - from) + " ms");
  for (const p of [ann, ann2]) await state(p, "not logged in"); // they came back, as nobody
  await say(bob, "still here");
  await hears(bob, "bob: still here");

  const again = await login(anns, "cy"); // the same browser, as somebody else
  await say(again, "hi");
  await hears(bob, "cy: hi");
  console.log("logged in, chatted, logged out");
} finally {
  await browser.close();
}
