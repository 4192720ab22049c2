// A stand-in for the real server, to work on the page without one: one process
// that is dispatcher and worker at once, everything in memory, nothing checked.
// It starts and prints like the real one:
//
//   CHATUP_SHORT=1 CHATUP_BIN=node CHATUP_ARGS=test/fake-server.mjs npm run test:browser

import { randomBytes, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const EPOCH = randomBytes(8).toString("hex");
const HISTORY = 1000;
const DEMO = !process.argv.includes("--no-demo");
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src *; img-src 'self' data:";
const PAGES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/demo.css": ["demo.css", "text/css; charset=utf-8"],
  "/demo.js": ["demo.js", "text/javascript; charset=utf-8"],
  "/chatup.js": ["chatup.js", "text/javascript; charset=utf-8"],
};

/** Channel name to its messages; the first has offset 1. */
const channels = new Map();
const connections = new Set();
/** Idempotency key to where its message is. */
const said = new Map();

function channel(name) {
  if (!channels.has(name)) channels.set(name, []);
  return channels.get(name);
}

function position(messages, offset = messages.length) {
  return { epoch: EPOCH, offset, id: messages[offset - 1]?.i ?? "" };
}

function publish(name, entry) {
  const messages = channel(name);
  messages.push({ ...entry, i: randomUUID(), d: Date.now() / 1000 });
  for (const connection of connections) {
    if (connection.channels.has(name)) connection.send({ channel: name, offset: messages.length, messages: messages.slice(-1) });
  }
  return position(messages);
}

/** Numbers that no reader gets the messages of. */
function skip(name, count) {
  const messages = channel(name);
  const from = messages.length + 1;
  const lost = { user: { name: "Nobody" }, msg: "lost" };
  for (let index = 0; index < count; index += 1) messages.push({ ...lost, i: randomUUID(), d: Date.now() / 1000 });
  for (const connection of connections) {
    if (connection.channels.has(name)) connection.send({ gap: { channel: name, from, to: messages.length } });
  }
}

function tokenOf(name) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${encode({ alg: "none" })}.${encode({ _public: { name } })}.fake`;
}

function roomStats(room) {
  const clients = [...connections].filter((one) => one.room === room).map((one) => one.user);
  const subCount = [...connections].filter((one) => one.channels.has(`m_${room}`)).length;
  return { subCount, pubCount: clients.length, clients };
}

const CALLS = {
  ping: () => ({ ok: {} }),
  subscribe(connection, call) {
    const after = [];
    const answers = call.channels.map(({ channel: name, position: from, history }) => {
      const messages = channel(name);
      const recovered = from?.epoch === EPOCH;
      const first = recovered ? from.offset : Math.max(messages.length - Math.min(history ?? 0, HISTORY), 0);
      if (first < messages.length) after.push({ channel: name, offset: first + 1, messages: messages.slice(first) });
      connection.channels.add(name);
      return { channel: name, position: position(messages), next: first + 1, recovered };
    });
    return { ok: { channels: answers }, after };
  },
  auth(connection, { token }) {
    const user = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString())._public;
    if (connection.room !== null && user.name !== connection.user.name) {
      return { error: { code: "identity_locked", message: "Joined as somebody else", retry: false } };
    }
    connection.user = user;
    return { ok: { user, expires: null } };
  },
  join(connection, { room }) {
    if (connection.user === null) {
      return { error: { code: "not_authenticated", message: "Authenticate first", retry: false } };
    }
    if (connection.room === null) {
      connection.room = room;
      publish(`e_${room}`, { user: connection.user, ev: "join" });
    }
    return { ok: { room } };
  },
  leave(connection) {
    if (connection.room === null) return { error: { code: "never_joined", message: "Never joined a room", retry: false } };
    publish(`e_${connection.room}`, { user: connection.user, ev: "leave" });
    connection.room = null;
    return { ok: {} };
  },
  say(connection, { msg, key }) {
    const before = said.get(key);
    if (before !== undefined) return { ok: { position: before, duplicate: true } };
    if (msg.startsWith("/ban")) {
      connection.send({ banned: { room: connection.room, ttl_s: 30 } });
      return { error: { code: "banned", message: "You are banned", retry: false, ttl_s: 30 } };
    }
    if (msg.startsWith("/gap")) skip(`m_${connection.room}`, 40);
    if (msg.startsWith("/cut")) connection.cut();
    const published = publish(`m_${connection.room}`, { user: connection.user, msg });
    if (key !== undefined) said.set(key, published);
    return { ok: { position: published, duplicate: false } };
  },
};

function serve(socket) {
  const send = (frame) => {
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(frame));
  };
  const cut = () => socket.terminate();
  const connection = { send, cut, channels: new Set(), user: null, room: null };
  connections.add(connection);
  socket.on("message", (data) => {
    const { id, call, ...fields } = JSON.parse(data.toString());
    const { after = [], ...answer } = CALLS[call](connection, fields);
    send({ id, ...answer });
    for (const frame of after) send(frame);
  });
  socket.on("close", () => {
    connections.delete(connection);
    if (connection.room !== null) CALLS.leave(connection);
  });
}

async function respond(request, response) {
  const url = new URL(request.url, "http://localhost");
  const path = decodeURIComponent(url.pathname);
  const json = (status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  if (PAGES[path] !== undefined) {
    const [file, type] = PAGES[path];
    response.writeHead(200, { "content-type": type, "content-security-policy": CSP });
    return response.end(await readFile(new URL(`../dist/${file}`, import.meta.url)));
  }
  if (path.startsWith("/join/")) {
    const { subCount, pubCount } = roomStats(path.slice(6));
    return json(200, { host: `http://${request.headers.host}`, id: "fake", channel: { subCount, pubCount }, messages: [] });
  }
  if (path.startsWith("/stats/")) {
    const [limit, skip] = ["limit", "skip"].map((name) => Number(url.searchParams.get(name) ?? 0));
    const { clients, ...counts } = roomStats(path.slice(7));
    return json(200, { ...counts, limit, skip, clients: clients.slice(skip, skip + (limit || 50)) });
  }
  if (path === "/demo/token" && request.method === "GET" && DEMO) {
    return response.writeHead(204).end();
  }
  if (path === "/demo/token" && request.method === "POST" && DEMO) {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { name } = JSON.parse(body);
    return name === "" ? json(400, { error: "A name is needed" }) : json(200, { token: tokenOf(name) });
  }
  return json(404, { error: "not_found" });
}

const server = createServer((request, response) => void respond(request, response));
new WebSocketServer({ server, path: "/chatup/v1", handleProtocols: () => "chatup.v1" }).on("connection", serve);
server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}/`;
  console.log(JSON.stringify({ url, token: tokenOf("Admin"), worker: url.slice(0, -1) }));
});
