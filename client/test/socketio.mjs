// Socket.IO's own clients, of three generations, as publishers; a plain WebSocket client as PushStream's
// subscriber, with the URL of the original's page: against the real program.
//
//   CHATUP_BIN     the server's program (required)

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";

const OVERALL_MS = 60_000;
// As the original's pages may be set: by default they poll first, and change.
const TRANSPORTS = [["websocket"], ["polling", "websocket"], ["polling"]];
// Sessions at once: their requests come to every shard of the worker.
const MANY = 24;
const GENERATIONS = ["socket.io-client-1", "socket.io-client-2", "socket.io-client-4"];
const require = createRequire(import.meta.url);

if (!process.env.CHATUP_BIN) {
  console.error("set CHATUP_BIN to the server's program");
  process.exit(1);
}
setTimeout(() => {
  console.error("it takes too long");
  process.exit(1);
}, OVERALL_MS).unref();

const tmp = await mkdtemp(join(tmpdir(), "chatup-socketio-"));
const args = ["--state-dir", tmp, "--dispatcher-port", "0", "--worker-port", "0", "--print", "json", "--log", "warn"];
for (const table of ["pushstream", "socket_io"]) args.push("--set", `${table}.enabled=true`);
const server = spawn(process.env.CHATUP_BIN, args, { stdio: ["ignore", "pipe", "inherit"] });
try {
  const ready = await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`the server ended: ${code}`)));
    createInterface({ input: server.stdout }).once("line", (line) => resolve(JSON.parse(line)));
  });
  for (const name of GENERATIONS) {
    for (const transports of TRANSPORTS) await generation(name, ready, transports);
    await many(name, ready);
  }
  console.log(`ok: ${GENERATIONS.join(", ")}`);
} finally {
  server.kill("SIGKILL");
  await rm(tmp, { recursive: true, force: true });
}

/** What a subscriber hears of a room's messages, one promise for each that is asked for. */
async function subscriber(worker, room) {
  const query = "_=1&tag=0&time=Thu%2C%2001%20Jan%201970%2000%3A00%3A00%20GMT&eventid=";
  const socket = new WebSocket(`${worker.replace("http", "ws")}/ws/m_${room}/e_${room}?${query}`);
  const [heard, waiting] = [[], []];
  socket.on("message", (data) => {
    const [, , list] = data.toString().match(/^[^.]*\.([^.]*)\.(.*)$/s);
    for (const message of JSON.parse(list)) {
      const next = waiting.shift();
      if (next) next(message);
      else heard.push(message);
    }
  });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const next = () => (heard.length ? Promise.resolve(heard.shift()) : new Promise((resolve) => waiting.push(resolve)));
  return { next, close: () => socket.terminate() };
}

/** A publisher that is connected. */
async function connected(name, ready, transports) {
  const io = require(name);
  const socket = io(ready.worker, { transports, forceNew: true, reconnection: false });
  await new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", reject);
    socket.on("error", reject);
  });
  return socket;
}

/** Which transport it uses now. */
function transport(socket) {
  return socket.io.engine.transport.name;
}

/** Many sessions that poll first, all of them heard and answered, and changed to WebSockets. */
async function many(name, ready) {
  const sockets = await Promise.all(Array.from({ length: MANY }, () => connected(name, ready, undefined)));
  const call = (socket) => new Promise((resolve) => socket.emit("say", { msg: "x" }, resolve));
  for (const answer of await Promise.all(sockets.map(call))) assert.equal(answer.err, "Never joined a room");
  while (!sockets.every((socket) => transport(socket) === "websocket")) await sleep(20);
  for (const answer of await Promise.all(sockets.map(call))) assert.equal(answer.err, "Never joined a room");
  for (const socket of sockets) socket.close();
}

async function generation(name, ready, transports) {
  const room = `room-${name.replaceAll(".", "-")}-${transports.join("-")}`;
  const page = await subscriber(ready.worker, room);
  const socket = await connected(name, ready, transports);
  const call = (event, argument) => new Promise((resolve) => socket.emit(event, argument, resolve));
  const error = (err) => ({ status: "error", err });
  assert.deepEqual(await call("say", { msg: "x" }), error("Never joined a room"));
  assert.deepEqual(await call("join", { room }), error("You need to be authenticated to join a room"));
  assert.deepEqual(await call("auth", "rubbish"), error("Wrong JWT"));
  assert.deepEqual(await call("auth", { no: "token" }), error("Wrong format"));
  const answer = await fetch(`${ready.url}demo/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "Ada" }),
  });
  assert.equal(await call("auth", (await answer.json()).token), "ok");
  assert.deepEqual(await call("join", {}), error("Wrong format"));
  assert.equal(await call("join", { room }), "ok");
  assert.equal(await call("join", { room }), "ok");
  assert.deepEqual(await call("join", { room: "other" }), error("Already in another room"));
  const joined = await page.next();
  assert.deepEqual([joined.ev, joined.user.name], ["join", "Ada"]);
  // Many before the first answer; one that wants none.
  const answers = [1, 2, 3].map((number) => call("say", { msg: `text ${number}` }));
  socket.emit("say", { msg: "text 4" });
  assert.deepEqual(await Promise.all(answers), ["ok", "ok", "ok"]);
  for (const number of [1, 2, 3, 4]) {
    const message = await page.next();
    assert.deepEqual([message.msg, message.user.name], [`text ${number}`, "Ada"]);
  }
  assert.equal(await call("say", { msg: "é € 😀" }), "ok");
  assert.equal((await page.next()).msg, "é € 😀");
  if (transports.length > 1) while (transport(socket) !== "websocket") await sleep(20);
  assert.equal(transport(socket), transports.at(-1));
  assert.equal(await call("say", { msg: "at last" }), "ok");
  assert.equal((await page.next()).msg, "at last");
  socket.close();
  assert.equal((await page.next()).ev, "leave");
  page.close();
}
