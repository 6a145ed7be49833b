// Two pages of the chat example in chromium chat with each other. Arguments: the
// page's address, and where to put the screenshot.
import { chromium } from "playwright-core";
import assert from "node:assert/strict";

const [url, shot] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const open = async nick => {
    const p = await (await browser.newContext({ viewport: { width: 900, height: 560 } })).newPage();
    p.on("pageerror", e => { throw e; });
    await p.goto(url);
    await p.fill("#nick", nick);
    await p.click("#join button");
    await p.waitForSelector("#text:enabled");
    return p;
  };
  const say = async (p, text) => { await p.fill("#text", text); await p.press("#text", "Enter"); };
  const hears = (p, text) => p.waitForFunction(t => [...document.querySelectorAll("#log li")].some(li => li.textContent.includes(t)), text);

  const ann = await open("ann");
  await say(ann, "first, before anyone is here");
  const bob = await open("bob");
  await hears(bob, "first, before anyone is here");
  await ann.waitForFunction(() => document.querySelectorAll("#nicks li").length === 2);
  await say(bob, "hello ann, café € 😀 <b>not bold</b>");
  await hears(ann, "hello ann, café € 😀 <b>not bold</b>");
  await ann.type("#text", "let me th");
  await bob.waitForFunction(() => document.querySelector("#typing").textContent === "ann is typing");
  await bob.waitForFunction(() => document.querySelector("#state").textContent === "connected over websocket");
  await say(ann, "hello bob");
  await hears(bob, "hello bob");
  assert.equal(await bob.locator("#log li").count(), 3);
  await bob.screenshot({ path: shot });
  await bob.close();
  await ann.waitForFunction(() => document.querySelectorAll("#nicks li").length === 1);
  console.log("two pages chatted");
} finally {
  await browser.close();
}
