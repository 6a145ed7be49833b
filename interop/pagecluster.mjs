// Two pages of the chat example in chromium, each at a process of its own, chat with each
// other. It says "up" when they do; a line on stdin tells that the process of the first page
// is gone, the next one that it is back. Arguments: the addresses of the pages.
import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import { createInterface } from "node:readline";

const [here, there] = process.argv.slice(2);
const told = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const open = async (url, nick) => {
    const p = await (await browser.newContext()).newPage();
    p.on("pageerror", e => { throw e; });
    await p.goto(url);
    await p.fill("#nick", nick);
    await p.click("#join button");
    await p.waitForSelector("#text:enabled");
    return p;
  };
  const say = async (p, text) => { await p.fill("#text", text); await p.press("#text", "Enter"); };
  const hears = (p, text) => p.waitForFunction(t => [...document.querySelectorAll("#log li")].some(li => li.textContent.includes(t)), text);
  const sees = (p, n) => p.waitForFunction(n => document.querySelectorAll("#nicks li").length === n, n);
  const connected = p => p.waitForFunction(() => document.querySelector("#state").textContent.startsWith("connected over websocket to process "));

  const ann = await open(here, "ann");
  await say(ann, "first, by way of one process");
  const bob = await open(there, "bob");
  await sees(ann, 2);
  await sees(bob, 2);
  await say(ann, "hello bob");
  await hears(bob, "hello bob");
  await say(bob, "hello ann");
  await hears(ann, "hello ann");
  for (const p of [ann, bob]) await connected(p);
  assert.notEqual(await ann.textContent("#state"), await bob.textContent("#state"));
  // What was said by way of the other process before is not here, and the page says so.
  assert.equal(await bob.locator("#log li").count(), 3);
  assert.match(await bob.locator("#log li").first().textContent(), /of your process/);
  console.log("up");

  await told.next(); // ann's process is gone
  await ann.waitForFunction(() => document.querySelector("#state").textContent.startsWith("disconnected"));
  await sees(bob, 1);
  console.log("away");

  await told.next(); // it is back
  await connected(ann);
  await sees(ann, 2);
  await sees(bob, 2);
  await hears(ann, "You were away");
  await hears(ann, "hello ann"); // the new process does not know this
  await say(bob, "welcome back");
  await hears(ann, "welcome back");
  console.log("came back");
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy(); // otherwise it keeps the process
}
