// A page of the chat example in chromium whose server goes away and comes back. It
// says "up" when it has joined; a line on stdin tells that the server is gone, the
// next one that it is back. Argument: the page's address.
import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import { createInterface } from "node:readline";

const [url] = process.argv.slice(2);
const told = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const p = await (await browser.newContext()).newPage();
  p.on("pageerror", e => { throw e; });
  await p.goto(url);
  await p.fill("#nick", "ann");
  await p.click("#join button");
  await p.waitForSelector("#text:enabled");
  const lines = () => p.evaluate(() => [...document.querySelectorAll("#log li")].map(li => li.lastChild.textContent));
  const state = () => p.textContent("#state");
  const says = text => p.waitForFunction(t => document.querySelector("#state").textContent.includes(t), text);
  const say = async text => { await p.fill("#text", text); await p.press("#text", "Enter"); };
  await say("before");
  await p.waitForFunction(() => document.querySelectorAll("#log li").length === 1);
  await says("connected over websocket");
  console.log("up");

  await told.next(); // the server is gone
  await says("trying again");
  assert.equal(await p.locator("#nicks li").count(), 0, "who is in the room is not known now");
  await say("typed while the server was away");
  await say("and another");
  assert.match(await state(), /2 messages wait/);
  console.log("away");

  await told.next(); // the server is back, with a new history
  await p.waitForFunction(() => document.querySelectorAll("#log li").length === 2);
  await says("connected over");
  await p.waitForFunction(() => document.querySelectorAll("#nicks li").length === 1);
  assert.deepEqual(await lines(), ["typed while the server was away", "and another"]);
  const bob = await (await browser.newContext()).newPage(); // somebody else sees them too
  await bob.goto(url);
  await bob.fill("#nick", "bob");
  await bob.click("#join button");
  await bob.waitForSelector("#text:enabled");
  assert.deepEqual(await bob.evaluate(() => [...document.querySelectorAll("#log li")].map(li => li.lastChild.textContent)), await lines());
  assert.match(await state(), /^connected over/);
  console.log("came back");
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy(); // otherwise it keeps the process
}
