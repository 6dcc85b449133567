// The dashboard in a real Chromium, driven by a script. Called by tests/e2e/dashboard.rs:
//   node dashboard.mjs DASHBOARD BALANCER TOKEN FOLDER
// It asks for what only the test can do by a line on standard output ("stop app1"), and waits for a line back.

import { createInterface } from "node:readline/promises";
import { mkdirSync, readFileSync } from "node:fs";
import { get } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [dashboard, balancer, token, folder, modules] = process.argv.slice(2);
const require = createRequire(path.join(modules, "anything.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(folder, { recursive: true });

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function please(what) {
  console.log(what);
  await lines.next();
}

function assert(truth, words) {
  if (!truth) throw new Error(words);
}

// A visitor with a cookie jar, on a connection of its own.
async function visit(jar, where = "/shop/cart", agent = "visitor") {
  const cookies = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  const headers = { "User-Agent": agent, ...(cookies === "" ? {} : { Cookie: cookies }) };
  const { lines, body } = await new Promise((resolve, reject) => {
    const sent = get(`${balancer}${where}`, { agent: false, headers }, (response) => {
      let text = "";
      response.on("data", (piece) => { text += piece; });
      response.on("end", () => resolve({ lines: response.headers["set-cookie"] ?? [], body: text }));
    });
    sent.on("error", reject);
  });
  for (const line of lines) {
    const [pair] = line.split(";");
    const at = pair.indexOf("=");
    if (/max-age=0/i.test(line)) jar.delete(pair.slice(0, at));
    else jar.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return /server=(\S+)/.exec(body)[1];
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });

async function open(options) {
  const context = await browser.newContext({ bypassCSP: false, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", (message) => { if (message.type() === "error" && !message.text().includes("401")) wrong.push(message.text()); });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("request", (request) => { if (!request.url().startsWith(dashboard)) wrong.push(`loads ${request.url()}`); });
  await page.goto(dashboard);
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.keyboard.press("Enter");
  await page.getByText("live", { exact: true }).first().waitFor();
  await page.getByRole("rowheader").first().waitFor();
  return { page, wrong };
}

async function shot(page, name) {
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
  const over = await page.evaluate(() => [...document.querySelectorAll(".card")].filter((card) => card.scrollWidth > card.clientWidth).map((card) => card.textContent.slice(0, 40)));
  assert(over.length === 0, `nothing is wider than its card (${name}): ${over.join("; ")}`);
}

// No serious fault, by axe-core. It is not part of the page, so it goes around the page's policy.
async function examine(page, name) {
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe });
  const { result } = await session.send("Runtime.evaluate", {
    expression: "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => JSON.stringify(violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`) }))))",
    awaitPromise: true, returnByValue: true,
  });
  const violations = JSON.parse(result.value);
  for (const one of violations) console.log(`axe ${name}: ${one.impact} ${one.id}\n  ${one.nodes.join("\n  ")}`);
  assert(violations.every(({ impact }) => !["serious", "critical"].includes(impact)), `axe-core finds a serious fault (${name})`);
  console.log(`axe ${name}: ${violations.length} minor findings, none serious`);
}

try {
  const { page, wrong } = await open({ viewport: { width: 1360, height: 900 }, colorScheme: "light" });

  // Thirty visitors, spread over all backends.
  const visitors = [];
  for (let n = 0; n < 30; n += 1) {
    const jar = new Map();
    visitors.push({ jar, home: await visit(jar, "/shop/cart", `visitor ${n}`) });
  }
  for (let turn = 0; turn < 3; turn += 1) {
    for (const { jar } of visitors) await visit(jar);
  }
  const victim = visitors[0].home;
  const row = (id) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: id }) });
  const sessions = (id) => row(id).getByRole("cell").nth(1);
  const here = visitors.filter(({ home }) => home === victim);
  await page.waitForFunction(([id, count]) => [...document.querySelectorAll("tr")].some((line) => line.textContent.startsWith(id) && line.children[2]?.textContent === String(count)), [victim, here.length]);
  await page.getByRole("list").and(page.locator("#certificates")).getByText("soon.test: ends in 4 days").waitFor();
  await page.locator("#verdict-text").getByText("certificate of soon.test ends in 4 days").waitFor();
  await shot(page, "light");
  await examine(page, "light");

  // Drain it, by keyboard; its sessions end one by one, and the page counts them down to none.
  await row(victim).getByRole("button", { name: `Drain ${victim}` }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: `Drain ${victim}?` }).waitFor();
  await examine(page, "dialog");
  await page.getByRole("button", { name: "Drain", exact: true }).click();
  await row(victim).getByText("draining", { exact: true }).waitFor();
  await page.getByText("In force differs from the file:").waitFor();
  assert(!(await row(victim).getByRole("button", { name: `Drain ${victim}` }).isVisible()), "who drains cannot be drained");
  await shot(page, "draining");
  for (const { jar } of here) await visit(jar, "/logout");
  await row(victim).getByText("drained: no session is left").waitFor();
  assert((await sessions(victim).innerText()).trim() === "0", "no session is left");

  // Take it back, and lose a session of another one on purpose.
  await row(victim).getByRole("button", { name: `Ready ${victim}` }).click();
  await row(victim).getByText("up", { exact: true }).waitFor();
  const unlucky = visitors.find(({ home }) => home !== victim);
  await please(`stop ${unlucky.home}`);
  for (const visitor of visitors.filter(({ home }) => home === unlucky.home)) await visit(visitor.jar);
  const feed = page.getByRole("list").and(page.locator("#happened"));
  const loss = feed.getByRole("listitem").filter({ hasText: `was lost with ${unlucky.home}` }).first();
  await loss.waitFor();
  await loss.getByText("Why?").click();
  await loss.getByText("unusable").first().waitFor();
  await loss.getByText("lost_after_move").waitFor();
  await page.getByText("sessions of", { exact: false }).first().waitFor();
  await page.locator("#advice li").first().waitFor();
  assert(new Set(visitors.map(({ home }) => home)).size > 1, "visitors are spread");
  // Whose sessions they were, not who noticed.
  const lost = row(unlucky.home).getByRole("cell").nth(7);
  assert(Number(await lost.innerText()) === visitors.filter(({ home }) => home === unlucky.home).length, "each loss is counted where it lived");
  await shot(page, "loss");
  await examine(page, "loss");
  assert(wrong.length === 0, `the page complains: ${wrong.join("; ")}`);

  // Dark, and a phone.
  const dark = await open({ viewport: { width: 1360, height: 900 }, colorScheme: "dark" });
  await shot(dark.page, "dark");
  await examine(dark.page, "dark");
  for (const colorScheme of ["light", "dark"]) {
    const phone = await open({ viewport: { width: 390, height: 844 }, colorScheme, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
    const wide = await phone.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert(wide <= 0, `nothing is wider than a phone, but ${wide} pixels are`);
    await shot(phone.page, `phone-${colorScheme}`);
    await examine(phone.page, `phone ${colorScheme}`);
    assert(phone.wrong.length === 0, `the page complains: ${phone.wrong.join("; ")}`);
  }
  console.log("done");
} catch (error) {
  for (const [n, page] of browser.contexts().flatMap((context) => context.pages()).entries()) await shot(page, `failed-${n}`).catch(() => {});
  console.log(String(error?.stack ?? error));
  process.exitCode = 1;
} finally {
  await browser.close();
}
process.exit();
