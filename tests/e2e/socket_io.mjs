// Visitors in a real Chromium who log in to tests/e2e/chat_server.mjs over HTTPS and talk to it by Socket.IO. Called by
// tests/e2e/socket_io.rs:
//   node socket_io.mjs BALANCER MODULES VISITORS
// It asks for what only the test can do by a line on standard output ("drain app1"), and waits for a line back. At the end it
// says how many sessions were lost.

import { createInterface } from "node:readline/promises";
import { createRequire } from "node:module";
import path from "node:path";

const [balancer, modules, count] = process.argv.slice(2);
const require = createRequire(path.join(modules, "anything.js"));
const { chromium } = require("playwright-core");

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function please(what) {
  console.log(what);
  await lines.next();
}

const WAIT = { timeout: 15000 };
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });

class Visitor {
  constructor(user, first) {
    Object.assign(this, { user, first, said: 0, lost: null });
  }

  // Does something that only works while the session lives. A lost one stays lost.
  async attempt(what, act) {
    if (this.lost) return;
    try {
      await act();
    } catch (error) {
      this.lost = `${this.user} (${this.first} first), ${what}: ${String(error).split("\n")[0]}`;
      console.log(this.lost);
    }
  }

  async login() {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, userAgent: this.user });
    this.page = await context.newPage();
    this.page.setDefaultTimeout(WAIT.timeout);
    await this.page.goto(`${balancer}/login`);
    const protocol = await this.page.evaluate(() => performance.getEntriesByType("navigation")[0].nextHopProtocol);
    if (protocol !== "h2") throw new Error(`the page came by ${protocol}`);
    await this.attempt("login", async () => {
      await this.page.getByRole("textbox", { name: "User" }).fill(this.user);
      await this.page.getByRole("button", { name: "Log in" }).click();
      await this.page.waitForURL(`${balancer}/`, WAIT);
      this.home = await this.page.locator("#server").innerText(WAIT);
      await this.open();
    });
  }

  // The page, and whose it is.
  async open() {
    await this.page.goto(`${balancer}/?first=${this.first}`);
    const [server, user] = [await this.page.locator("#server").innerText(WAIT), await this.page.locator("#user").innerText(WAIT)];
    if (server !== this.home || user !== this.user) throw new Error(`${user} on ${server}, not ${this.user} on ${this.home}`);
  }

  // The transport that Socket.IO has settled on.
  async over(transport) {
    await this.page.waitForFunction((name) => socket.connected && socket.io.engine.transport.name === name, transport, WAIT);
  }

  async say(times) {
    for (let n = 0; n < times; n += 1) {
      const answer = await this.page.evaluate(() => say());
      this.said += 1;
      const { server, user, said } = answer;
      if (server !== this.home || user !== this.user || said !== this.said) {
        throw new Error(`${JSON.stringify(answer)}, not ${this.user} on ${this.home} for the ${this.said}th time`);
      }
    }
  }

  // Breaks its connection; Socket.IO makes another one.
  async reconnect() {
    const before = await this.page.evaluate(() => socket.id);
    await this.page.evaluate(() => socket.io.engine.close());
    await this.page.waitForFunction((id) => socket.connected && socket.id !== id, before, WAIT);
  }
}

const everybody = [];
const all = (what, act) => Promise.all(everybody.map((visitor) => visitor.attempt(what, () => act(visitor))));

try {
  for (let n = 0; n < Number(count); n += 1) {
    const visitor = new Visitor(`visitor-${n}`, n % 2 === 0 ? "websocket" : "polling");
    everybody.push(visitor);
    await visitor.login();
  }
  const homes = new Set(everybody.map(({ home }) => home));
  console.log(`${everybody.length} visitors on ${[...homes].sort().join(", ")}`);
  await all("by WebSocket", async (visitor) => {
    await visitor.over("websocket");
    await visitor.say(3);
  });

  const drained = everybody[0].home;
  await please(`drain ${drained}`);
  await all("while it drains", async (visitor) => {
    await visitor.say(3);
    await visitor.reconnect();
    await visitor.over("websocket");
    await visitor.say(3);
  });

  // From now on something on the way lets no WebSocket through.
  await please("refuse WebSockets");
  await all("without WebSockets", async (visitor) => {
    await visitor.reconnect();
    await visitor.over("polling");
    await visitor.say(10);
    await visitor.open();
    await visitor.over("polling");
    await visitor.say(3);
  });

  const newcomer = new Visitor("newcomer", "websocket");
  everybody.push(newcomer);
  await newcomer.login();
  await newcomer.attempt("as a newcomer", async () => {
    await newcomer.over("polling");
    await newcomer.say(3);
    if (newcomer.home === drained) throw new Error("its session began on a backend that drains");
  });
  const said = everybody.reduce((sum, visitor) => sum + visitor.said, 0);
  console.log(`${said} answers, ${homes.size} servers, ${everybody.filter(({ lost }) => lost).length} sessions lost`);
} catch (error) {
  console.log(String(error?.stack ?? error));
  process.exitCode = 1;
} finally {
  await browser.close();
}
process.exit();
