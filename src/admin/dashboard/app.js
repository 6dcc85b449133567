// The dashboard: reads the admin API's events, and shows them.

import { $, clock, duration, el, lostOf, number, plural, sum, text, took } from "./parts.js";
import { drawChart } from "./chart.js";

const TOKEN = "steadfast-admin-token";
const FEED = 200;

const state = {
  token: sessionStorage.getItem(TOKEN),
  sample: null,
  events: new Map(),
  history: [],
  alert: null,
  rows: new Map(),
  pools: new Map(),
};

function say(words) {
  $("said").textContent = words;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { $("said").textContent = ""; }, 6000);
}

// ---- the API

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = { ...(options.headers ?? {}) };
  if (state.token) headers.Authorization = `Bearer ${state.token}`;
  const response = await fetch(path, { ...options, headers, cache: "no-store" });
  if (response.status === 401) {
    await enterToken(Boolean(state.token));
    return ask(path, options);
  }
  if (!response.ok) {
    const failure = await response.json().catch(() => null);
    const error = failure?.error;
    throw new Refused(response.status, error ? `${error.message}; ${error.help}` : `status ${response.status}`);
  }
  return response;
}

const get = async (path) => (await ask(path)).json();

async function post(path, body) {
  const response = await ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return response.json();
}

// One dialog, whoever finds that a token is needed.
let entering = null;
function enterToken(wasWrong) {
  entering ??= new Promise((resolve) => {
    const dialog = $("enter");
    text($("enter-title"), wasWrong ? "That token is not the right one" : "The admin token, please");
    dialog.addEventListener("close", () => {
      state.token = $("token").value.trim();
      sessionStorage.setItem(TOKEN, state.token);
      $("token").value = "";
      entering = null;
      resolve();
    }, { once: true });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
    $("token").focus();
  });
  return entering;
}

// ---- events: read by fetch, because an EventSource cannot send a token

function link(how, words) {
  $("link").dataset.state = how;
  text($("link-text"), words);
}

async function listen() {
  let pause = 500;
  for (;;) {
    try {
      const response = await ask("v1/events");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      await catchUp();
      link("live", "live");
      pause = 500;
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        rest += value;
        const messages = rest.split("\n\n");
        rest = messages.pop();
        messages.forEach(hear);
        draw();
      }
    } catch (error) {
      if (error instanceof Refused) say(error.message);
    }
    link("lost", "no connection, trying again");
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    pause = Math.min(pause * 2, 8000);
  }
}

function hear(message) {
  let kind = "message";
  let data = "";
  for (const line of message.split("\n")) {
    if (line.startsWith("event: ")) kind = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (data === "") return;
  const heard = JSON.parse(data);
  if (kind === "sample") state.sample = heard;
  else if (kind === "happened") happened(heard);
  else if (kind === "missed") catchUp();
}

// What is not told, but asked for.
async function catchUp() {
  const [status, history, advice] = await Promise.all([get("v1/status"), get("v1/history"), get("v1/advice")]);
  text($("process"), `version ${status.version}, process ${status.pid}, up ${duration(status.uptime_s)}`);
  state.history = history.pools;
  drawAdvice(advice);
  drawHour();
}

// ---- the verdict and the numbers

function drawVerdict(backends) {
  const away = backends.filter((backend) => !["up", "draining", "maintenance"].includes(backend.state));
  const draining = backends.filter((backend) => backend.state === "draining");
  const lost = lastHour("lost");
  const now = state.sample.at_s;
  const alert = state.alert && now - state.alert.at_s < 600 ? state.alert : null;
  let level = "good";
  let title = "All sessions are where they belong";
  const words = [];
  if (alert) {
    level = "bad";
    title = alert.text;
  } else if (backends.length > 0 && !backends.some((backend) => backend.state === "up")) {
    level = "bad";
    title = "No backend takes new sessions";
  } else if (away.length > 0) {
    level = "warn";
    title = away.length === 1 ? `${away[0].id} is ${away[0].state}` : `${plural(away.length, "backend")} cannot serve: ${away.map((backend) => backend.id).join(", ")}`;
  } else if (draining.length > 0) {
    title = `${draining.map((backend) => backend.id).join(", ")} ${draining.length === 1 ? "drains" : "drain"}; all sessions are where they belong`;
  }
  if (draining.length > 0) {
    words.push(draining.map((backend) => `${plural(backend.sessions.live, "session")} of ${backend.id} left to drain`).join(", "));
  }
  for (const certificate of ending()) {
    if (level === "good") level = "warn";
    words.push(`the certificate of ${certificate.name || `listener ${certificate.listener}`} ${endsIn(daysLeft(certificate))}`);
  }
  words.push(lost === 0 ? "no session was lost in the last hour" : `${plural(lost, "session")} lost in the last hour`);
  $("verdict").dataset.level = level;
  text($("verdict-title"), title);
  const sentence = words.join("; ");
  text($("verdict-text"), `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`);
}

const lastHour = (of) => sum(state.history, (pool) => sum(pool.points, (point) => point[of]))
  + sum(state.sample?.pools ?? [], (pool) => sinceLastPoint(pool, of));

// Counted since the last point of the history, which is up to fifteen seconds old.
function sinceLastPoint(pool, of) {
  const known = state.history.find((line) => line.name === pool.name);
  if (!known) return 0;
  const total = sum(pool.backends, (backend) => (of === "lost" ? lostOf(backend.sessions) : backend.sessions.moved_in));
  return Math.max(0, total - (of === "lost" ? known.lost_until_then : known.moved_until_then));
}

function drawNumbers(backends) {
  const live = sum(backends, (backend) => backend.sessions.live);
  const byToken = sum(backends, (backend) => backend.sessions.by_token);
  const lost = lastHour("lost");
  text($("n-live"), number(live));
  text($("n-live-note"), byToken > 0 ? `about ${number(byToken)} by cookie alone` : "all of them known here");
  text($("n-moved"), number(lastHour("moved")));
  text($("n-lost"), number(lost));
  $("n-lost").classList.toggle("bad", lost > 0);
  text($("n-rate"), number(sum(backends, (backend) => backend.rate)));
  const errors = sum(backends, (backend) => backend.error_rate);
  text($("n-errors"), number(errors));
  $("n-errors").classList.toggle("bad", errors > 0);
  const { median_ms: median, slow_ms: slow } = state.sample;
  text($("n-median"), took(median));
  text($("n-slow"), median === null ? "no request lately" : `half of them; 99 %: ${took(slow)}`);
}

// ---- pools and backends

const COLUMNS = ["Backend", "State", "Sessions", "Requests/s", "Half took", "99 %", "Errors/s", "In flight", "Lost", "Change"];

function poolSection(name) {
  const known = state.pools.get(name);
  if (known) return known;
  const id = `pool-${name}`;
  const head = COLUMNS.map((words, at) => el("th", { scope: "col", role: "columnheader", className: at === 1 ? "left" : "" }, words));
  const body = el("tbody", { role: "rowgroup" });
  const note = el("p", { className: "quiet" });
  const table = el("table", { className: "backends", role: "table", "aria-labelledby": id },
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...head)), body);
  const section = el("section", { className: "card", "aria-labelledby": id },
    el("div", { className: "head" }, el("h2", { id }, `Pool ${name}`), note), table);
  const pool = { section, body, note };
  state.pools.set(name, pool);
  return pool;
}

function backendRow(pool, id) {
  const key = `${pool}/${id}`;
  const known = state.rows.get(key);
  if (known) return known;
  const cell = (label, className = "") => el("td", { role: "cell", className, data: { label } });
  const part = {
    name: el("span", { className: "name" }, id), address: el("span", { className: "under" }),
    state: el("span", { className: "state" }), drain: el("span", { className: "under warn" }),
    live: el("span"), share: el("span"),
    rate: cell(COLUMNS[3]), median: cell(COLUMNS[4]), slow: cell(COLUMNS[5]), errors: cell(COLUMNS[6]),
    flight: cell(COLUMNS[7]), lost: cell(COLUMNS[8]), act: cell("", "act"),
  };
  const button = (action, words) => {
    const made = el("button", { type: "button", data: { action }, "aria-label": `${words} ${id} of pool ${pool}` }, words);
    made.addEventListener("click", () => change(pool, id, action));
    return made;
  };
  part.drainButton = button("drain", "Drain");
  part.maintainButton = button("maintain", "Maintain");
  part.readyButton = button("ready", "Ready");
  part.act.append(el("div", { className: "buttons" }, part.readyButton, part.drainButton, part.maintainButton));
  const sessions = cell(COLUMNS[2]);
  sessions.append(part.live, el("span", { className: "share", "aria-hidden": "true" }, part.share));
  const where = cell("", "left");
  where.append(part.state, part.drain);
  part.row = el("tr", { role: "row" }, el("th", { scope: "row", role: "rowheader" }, part.name, part.address), where, sessions,
    part.rate, part.median, part.slow, part.errors, part.flight, part.lost, part.act);
  state.rows.set(key, part);
  return part;
}

function drawPools() {
  const holder = $("pools");
  const seen = new Set();
  for (const pool of state.sample.pools) {
    const { section, body, note } = poolSection(pool.name);
    if (section.parentNode !== holder) holder.append(section);
    const all = sum(pool.backends, (backend) => backend.sessions.live);
    const up = pool.backends.filter((backend) => backend.state === "up").length;
    text(note, `${plural(all, "session")}, ${up} of ${pool.backends.length} up`);
    for (const backend of pool.backends) {
      seen.add(`${pool.name}/${backend.id}`);
      const part = backendRow(pool.name, backend.id);
      if (part.row.parentNode !== body) body.append(part.row);
      drawBackend(part, backend, all);
    }
  }
  for (const [key, part] of state.rows) {
    if (!seen.has(key)) { part.row.remove(); state.rows.delete(key); }
  }
  for (const [name, { section }] of state.pools) {
    if (!state.sample.pools.some((pool) => pool.name === name)) { section.remove(); state.pools.delete(name); }
  }
}

function drawBackend(part, backend, all) {
  const { sessions } = backend;
  text(part.address, backend.weight === 1 ? backend.address : `${backend.address}, weight ${backend.weight}`);
  text(part.state, backend.state);
  part.state.dataset.state = backend.state;
  text(part.drain, drainWords(backend));
  text(part.live, number(sessions.live));
  part.share.style.setProperty("width", `${all === 0 ? 0 : Math.round((100 * sessions.live) / all)}%`);
  text(part.rate, number(backend.rate));
  text(part.median, took(backend.median_ms));
  text(part.slow, took(backend.slow_ms));
  text(part.errors, number(backend.error_rate));
  part.errors.classList.toggle("lostmark", backend.error_rate > 0);
  text(part.flight, backend.waiting > 0 ? `${backend.in_flight} + ${backend.waiting} wait` : backend.in_flight);
  const lost = lostOf(sessions);
  text(part.lost, number(lost));
  part.lost.classList.toggle("lostmark", lost > 0);
  part.lost.title = `${sessions.lost_at_home} by a restart, ${sessions.lost_after_move} after a move, ${sessions.lost_no_proof} without proof`;
  part.readyButton.hidden = backend.wanted === "up";
  part.drainButton.hidden = backend.wanted !== "up";
  part.maintainButton.hidden = backend.wanted === "maintenance";
}

function drainWords(backend) {
  if (backend.drain_left_s === null || backend.wanted !== "draining") return "";
  const { live } = backend.sessions;
  if (live === 0) return "drained: no session is left";
  const deadline = `${duration(backend.drain_left_s)} to the deadline`;
  const end = backend.drain_forecast_s;
  if (end === null) return `${plural(live, "session")} left, ${deadline}`;
  return `${plural(live, "session")} left, ${end === 0 ? "95 % are gone" : `95 % gone in about ${duration(end)}`}, ${deadline}`;
}

async function change(pool, id, action) {
  const backend = state.sample?.pools.find((one) => one.name === pool)?.backends.find((one) => one.id === id);
  const live = backend?.sessions.live ?? 0;
  const dialogs = {
    drain: [`Drain ${id}?`, `It keeps its ${plural(live, "session")} until they end or the deadline passes, and takes no new ones.`, "Drain"],
    maintain: [`Take ${id} out at once?`, live === 0 ? "It has no session." : `Its ${plural(live, "session")} move to other backends with their next requests; an application that keeps sessions in memory loses them.`, "Take it out"],
  };
  let body = {};
  if (dialogs[action]) {
    const deadline = await sure(...dialogs[action], action === "drain");
    if (deadline === null) return;
    if (deadline !== "") body = { deadline };
  }
  try {
    const after = await post(`v1/pools/${encodeURIComponent(pool)}/backends/${encodeURIComponent(id)}/${action}`, body);
    say(`${id} is ${after.state}`);
  } catch (error) {
    say(error.message);
  }
}

// Asks; gives the deadline, or null for no.
function sure(title, words, verb, hasDeadline) {
  const dialog = $("sure");
  text($("sure-title"), title);
  text($("sure-text"), words);
  text($("sure-yes"), verb);
  $("sure-deadline-line").hidden = !hasDeadline;
  $("sure-deadline").value = "";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? $("sure-deadline").value : null), { once: true });
  });
}

// ---- what happened

const GROUPS = { sessions: ["moved", "lost"], backends: ["state", "drain", "configuration", "upgrade"], alerts: ["alert"] };
const WORDS = { state: "state", moved: "moved", lost: "lost", drain: "drain", configuration: "change", upgrade: "upgrade", alert: "alert" };

const isShown = (event) => { const group = GROUPS[$("filter").value]; return !group || group.includes(event.kind); };

function happened(event) {
  if (event.kind === "alert") state.alert = event;
  if (event.kind === "alert" || event.kind === "configuration") refresh();
  if (state.events.has(event.number)) return;
  const item = eventItem(event);
  state.events.set(event.number, { event, item });
  item.hidden = !isShown(event);
  $("happened").prepend(item);
  if (state.events.size > FEED) {
    const [oldest, last] = state.events.entries().next().value;
    last.item.remove();
    state.events.delete(oldest);
  }
  drawFeed();
}

// Soon, and once for many events.
function refresh() {
  clearTimeout(refresh.timer);
  refresh.timer = setTimeout(() => catchUp().catch(() => {}), 300);
}

function eventItem(event) {
  const at = new Date(event.at_s * 1000);
  const line = el("div", { className: "event" },
    el("time", { dateTime: at.toISOString() }, clock(event.at_s)),
    el("span", { className: "kind", data: { kind: event.kind } }, WORDS[event.kind] ?? event.kind),
    el("span", { className: "text" }, event.pool && state.pools.size > 1 ? `${event.pool}: ${event.text}` : event.text));
  const item = el("li", {}, line);
  if (event.request !== null) item.append(whyOf(event.request));
  return item;
}

function whyOf(request) {
  const details = el("details", { className: "why" }, el("summary", {}, "Why?"));
  details.addEventListener("toggle", async () => {
    if (!details.open || details.dataset.asked) return;
    details.dataset.asked = "yes";
    try {
      details.append(explanation(await get(`v1/requests/${request}`)));
    } catch (error) {
      details.append(el("p", { className: "quiet" }, error.message));
    }
  });
  return details;
}

function explanation({ request, evidence, states, runner_up: next }) {
  const list = el("dl");
  const line = (name, ...words) => list.append(el("dt", {}, name), el("dd", {}, ...words));
  line("request", `${request.method} ${request.path}, number ${request.number}, status ${request.status}`);
  line("went to", request.backend ? `${request.backend} (${request.reason})` : `nobody (${request.reason})`);
  line("because", request.because);
  line("came to", request.outcome);
  const clues = evidence.map((clue) => el("span", { className: "clue" }, `${clue.what}: ${clue.says} – `,
    el("span", { className: "weight" }, clue.weight), `: ${clue.why}`));
  line("evidence", ...(clues.length > 0 ? clues : ["none"]));
  line("backends", states.map((one) => `${one.backend} ${one.state}`).join(", "));
  if (next) line("next", `${next}, if that one were gone`);
  return list;
}

function drawFeed() {
  const shown = [...state.events.values()].filter(({ item }) => !item.hidden).length;
  $("happened-none").hidden = shown > 0;
}

$("filter").addEventListener("change", () => {
  for (const { event, item } of state.events.values()) item.hidden = !isShown(event);
  drawFeed();
});

// ---- advice, and what differs from the file

function list(id, items) {
  $(id).replaceChildren(...items);
  $(`${id}-none`).hidden = items.length > 0;
}

function drawAdvice(advice) {
  list("advice", advice.advice.map((one) => el("li", { data: { level: one.level } }, one.text)));
}

function drawDifferences() {
  const differences = state.sample.differences;
  const joined = differences.join("\n");
  if (drawDifferences.last === joined) return;
  drawDifferences.last = joined;
  list("differences", differences.map((words) => el("li", {}, words)));
  $("differences-some").hidden = differences.length === 0;
}

// ---- certificates: those that end first on top

// As the alert rules have it.
const SOON_DAYS = 14;

const daysLeft = (certificate) => Math.floor((certificate.ends_s - state.sample.at_s) / 86400);
const ending = () => state.sample.certificates.filter((certificate) => daysLeft(certificate) < SOON_DAYS);
const endsIn = (days) => (days < 0 ? "has ended" : days === 0 ? "ends today" : `ends in ${plural(days, "day")}`);

function drawCertificates() {
  const all = [...state.sample.certificates].sort((one, other) => one.ends_s - other.ends_s);
  const lines = all.map((certificate) => {
    const days = daysLeft(certificate);
    const date = new Date(certificate.ends_s * 1000).toLocaleDateString([], { dateStyle: "medium" });
    return { level: days < 3 ? "bad" : days < SOON_DAYS ? "warn" : "good", words: `${certificate.name || "without a name"}: ${endsIn(days)}, on ${date} (listener ${certificate.listener})` };
  });
  const joined = lines.map(({ words }) => words).join("\n");
  if (drawCertificates.last === joined) return;
  drawCertificates.last = joined;
  $("certificates").replaceChildren(...lines.map(({ level, words }) => el("li", { data: { level } }, words)));
  $("certificates-card").hidden = lines.length === 0;
}

// ---- the last hour

function drawHour() {
  const { sample } = state;
  const live = sample && sum(sample.pools, (pool) => sum(pool.backends, (backend) => backend.sessions.live));
  drawChart(state.history, sample && { at_s: sample.at_s, live });
}

// ---- everything

let sampleCount = 0;
function draw() {
  if (!state.sample) return;
  const backends = state.sample.pools.flatMap((pool) => pool.backends);
  drawVerdict(backends);
  drawNumbers(backends);
  drawPools();
  drawCertificates();
  drawDifferences();
  if (!$("chart").hasChildNodes() || sampleCount++ % 5 === 0) drawHour();
}

setInterval(() => { if ($("link").dataset.state === "live") catchUp().catch(() => {}); }, 15000);
listen();
