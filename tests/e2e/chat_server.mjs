// An application that keeps its sessions in memory: a login, a page, and Socket.IO. Called by tests/e2e/socket_io.rs:
//   node chat_server.mjs PORT NAME MODULES
// It serves until its standard input ends.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [port, name, modules] = process.argv.slice(2);
const require = createRequire(path.join(modules, "anything.js"));
const { Server } = require("socket.io");

// What nobody else knows: session id -> { user, said }.
const sessions = new Map();

function sessionOf(headers) {
  const pairs = (headers.cookie ?? "").split(";").map((pair) => pair.trim().split("="));
  return sessions.get(pairs.find(([key]) => key === "sid")?.[1]);
}

const login = `<!doctype html><title>Log in</title><form method="post" action="/login"><label>User <input name="user"></label><button>Log in</button></form>`;

const chat = (user) => `<!doctype html><title>Chat</title><p>server=<b id="server">${name}</b> user=<b id="user">${user}</b></p>
<script src="/socket.io/socket.io.js"></script>
<script>
  const first = new URLSearchParams(location.search).get("first") ?? "polling";
  const transports = first === "websocket" ? ["websocket", "polling"] : ["polling", "websocket"];
  const socket = io({ transports, tryAllTransports: true, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  const say = () => socket.timeout(10000).emitWithAck("say");
</script>`;

const http = createServer((request, response) => {
  const session = sessionOf(request.headers);
  const url = new URL(request.url, "http://here");
  const html = (status, text, headers = {}) => response.writeHead(status, { "Content-Type": "text/html", "Cache-Control": "no-store", ...headers }).end(text);
  if (request.method === "POST" && url.pathname === "/login") {
    let body = "";
    request.on("data", (piece) => { body += piece; });
    request.on("end", () => {
      const id = randomUUID();
      sessions.set(id, { user: new URLSearchParams(body).get("user"), said: 0 });
      html(303, "", { Location: "/", "Set-Cookie": `sid=${id}; Path=/; HttpOnly; Secure; SameSite=Lax` });
    });
    return;
  }
  if (url.pathname === "/login") return html(200, login);
  if (url.pathname === "/") return session ? html(200, chat(session.user)) : html(303, "", { Location: "/login" });
  html(404, "nothing here");
});

const io = new Server(http, { pingInterval: 2000, pingTimeout: 5000 });
io.use((socket, next) => {
  socket.data.session = sessionOf(socket.handshake.headers);
  next(socket.data.session ? undefined : new Error("no session"));
});
io.on("connection", (socket) => {
  socket.on("say", (answer) => {
    const { session } = socket.data;
    session.said += 1;
    answer({ server: name, user: session.user, said: session.said });
  });
});

http.listen(Number(port), "127.0.0.1", () => console.log("serving"));
process.stdin.resume().on("end", () => process.exit());
