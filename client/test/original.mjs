// The original's own page and library, unmodified, in a real browser: over Redis, a dispatcher, and two workers,
// each behind Debian's Nginx with nginx/pushstream.conf at port 80, where the library looks for it. Only the
// dispatcher's URL on the page is another. What is checked: status, history, messages of two pages, counts of
// users, an additional channel, a ban, and a worker that is killed while somebody speaks.
//
// The original is GPL and not part of this project: bring a checkout. Root, for port 80 of 127.0.0.2 and .3.
//
//   ORIGINAL       folder with the original's index.html, script.js and chatuplib.js (its examples/client)
//   CHATUP_BIN     the server's program
//   CHROMIUM       the browser's program, default /usr/bin/chromium
//   SCREENSHOT     where to write a picture of the first page (optional)

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const OVERALL_MS = 180_000;
/** The page asks for counts each 20 s, and comes to another worker after some 10. */
const STEP_MS = 45_000;
const AGAIN_MS = 50;
const SAID_MIN = 40;
const PAUSE_MS = 25;
const { ORIGINAL, CHATUP_BIN, CHROMIUM = "/usr/bin/chromium", SCREENSHOT } = process.env;
const PORTS = { redis: 46379, dispatcher: 48000, workers: [42634, 42635] };
const ADDRESSES = ["127.0.0.2", "127.0.0.3"];
const CHANNEL = "notifications";

function giveUp(line) {
  console.error(line);
  process.exit(1);
}

if (!ORIGINAL || !CHATUP_BIN) giveUp("set ORIGINAL to the original's examples/client, and CHATUP_BIN to the server's program");
await access(join(ORIGINAL, "chatuplib.js")).catch(() => giveUp(`no chatuplib.js in ${ORIGINAL}`));

const io = createRequire(import.meta.url)("socket.io-client-1");
const tmp = await mkdtemp(join(tmpdir(), "chatup-original-"));
const children = [];
/** What was started has ended before its time, or the time is over. */
let broken;
const fault = new Promise((_, reject) => {
  broken = reject;
});

function start(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  children.push(child);
  child.on("error", (error) => broken(error));
  child.on("exit", (code) => {
    if (code) broken(new Error(`${program} ended: ${code}`));
  });
  return child;
}

/** Nobody else is there: what answers later is what was started here. */
async function free(host, port) {
  assert.ok(!(await answers(host, port)), `somebody listens at ${host}:${port} already`);
}

function answers(host, port) {
  return new Promise((resolve) => {
    const socket = connect(port, host, () => {
      socket.destroy();
      resolve(true);
    }).on("error", () => resolve(false));
  });
}

/** Until somebody listens there. */
async function listening(host, port) {
  const end = Date.now() + STEP_MS;
  for (;;) {
    if (await answers(host, port)) return;
    assert.ok(Date.now() < end, `nobody listens at ${host}:${port}`);
    await sleep(AGAIN_MS);
  }
}

function chatup(...args) {
  return execFileSync(CHATUP_BIN, args, { encoding: "utf8" }).trim();
}

const state = ["--state-dir", join(tmp, "state")];

function node(role, port, more) {
  const set = [`redis.url=redis://127.0.0.1:${PORTS.redis}`, `${role}.port=${port}`, ...more];
  return start(CHATUP_BIN, [role, "--log=warn", "--demo", ...state, ...set.map((one) => `--set=${one}`)]);
}

/** Nginx in front of a worker, at an address of its own. */
async function nginx(address, worker) {
  const folder = join(tmp, address);
  await mkdir(join(folder, "tmp"), { recursive: true });
  const site = (await readFile(new URL("../../nginx/pushstream.conf", import.meta.url), "utf8"))
    .replace("listen 80 reuseport", `listen ${address}:80 reuseport`)
    .replace(/.*listen \[::\].*\n/g, "")
    .replace("127.0.0.1:42633", `127.0.0.1:${worker}`)
    .replace("server_name chat1.example.org", "server_name _")
    .replaceAll("/var/log/nginx/", `${folder}/`);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const paths = temporary.map((kind) => `${kind}_temp_path ${folder}/tmp/${kind};`).join("\n");
  const file = join(folder, "nginx.conf");
  const head = `daemon off;\nworker_processes 1;\npid ${folder}/pid;\nerror_log ${folder}/error.log;\nevents {}\n`;
  await writeFile(file, `${head}http {\n${paths}\n${site}\n}\n`);
  start("nginx", ["-c", file]);
  await listening(address, 80);
}

/** The original's files, as they are. */
function pages() {
  const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
  const server = createServer((request, response) => {
    const name = basename(new URL(request.url, "http://x").pathname) || "index.html";
    response.setHeader("content-type", types[name.slice(name.lastIndexOf("."))] ?? "text/plain");
    createReadStream(join(ORIGINAL, name)).on("error", () => response.writeHead(404).end()).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

async function visit(browser, url) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(STEP_MS);
  const faults = [];
  page.on("pageerror", (error) => faults.push(`${error}`));
  // lodash and a style sheet from elsewhere: the library brings what it needs.
  await page.route((one) => one.hostname !== "127.0.0.1" && !ADDRESSES.includes(one.hostname), (route) => route.abort());
  await page.goto(url);
  await page.fill("#dispatcherURL", `http://127.0.0.1:${PORTS.dispatcher}`);
  const status = (text) => page.locator(".ChatUpStatusText", { hasText: text }).waitFor();
  const texts = () => page.locator(".ChatUpMessageContent").allTextContents();
  return {
    page,
    faults,
    status,
    texts,
    async join() {
      await page.click(".ChatUpTestJoin");
      await status("Connected to TestRoom");
    },
    async authenticate(token) {
      await page.fill(".ChatUpTestJWT", token);
      await page.click(".ChatUpTestAuthenticate");
      await status("Connected as a publisher to TestRoom");
    },
    async say(text) {
      await page.fill(".ChatUpInput", text);
      await page.click(".ChatUpFormButton");
    },
    async hears(text) {
      await page.locator(".ChatUpMessageContent", { hasText: text }).first().waitFor();
    },
    async worker() {
      const text = await page.locator(".ChatUpStatusText").textContent();
      return ADDRESSES.findIndex((address) => text.includes(address));
    },
  };
}

async function post(path, token) {
  const url = `http://127.0.0.1:${PORTS.dispatcher}${path}`;
  const answer = await fetch(url, { method: "POST", body: token, headers: { "content-type": "text/plain" } });
  assert.equal(await answer.text(), "OK", path);
}

/** Somebody who speaks in the room, by the library's own Socket.IO. */
async function member(url, token) {
  const socket = io(url, { transports: ["websocket"], forceNew: true });
  const call = (event, ...fields) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${event}`)), STEP_MS);
      socket.emit(event, ...fields, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
    });
  assert.equal(await call("auth", token), "ok");
  await call("join", { room: "TestRoom" });
  return {
    say: async (msg) => assert.deepEqual(await call("say", { msg }), "ok"),
    close: () => socket.disconnect(),
  };
}

/** The numbers a page shows, and these without those that it shows again. */
function numbers(texts) {
  const all = texts.filter((text) => /^n\d+$/.test(text)).map((text) => Number(text.slice(1)));
  return { all, first: [...new Set(all)] };
}

async function run() {
  for (const port of [PORTS.redis, PORTS.dispatcher, ...PORTS.workers]) await free("127.0.0.1", port);
  for (const address of ADDRESSES) await free(address, 80);
  start("redis-server", ["--port", `${PORTS.redis}`, "--bind", "127.0.0.1", "--save", "", "--dir", tmp, "--logfile", join(tmp, "redis.log")]);
  await listening("127.0.0.1", PORTS.redis);
  const served = await pages();
  const url = `http://127.0.0.1:${served.address().port}/`;
  const origins = "http://127.0.0.1:*";
  // One makes the keys for trying out, which all of them share.
  const tokens = ["Ada", "Bob", "Eve"].map((name) => chatup("token", "--name", name, ...state));
  const workers = [];
  for (const [number, port] of PORTS.workers.entries()) {
    const settings = ["pushstream.enabled=true", "socket_io.enabled=true", `worker.origins=${origins}`];
    workers.push(node("worker", port, [...settings, `worker.announce_url=http://${ADDRESSES[number]}`]));
    await listening("127.0.0.1", port);
    await nginx(ADDRESSES[number], port);
  }
  node("dispatcher", PORTS.dispatcher, [`dispatcher.origins=${origins}`]);
  await listening("127.0.0.1", PORTS.dispatcher);

  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  try {
    const ada = await visit(browser, url);
    await ada.join();
    await ada.authenticate(tokens[0]);
    for (const text of ["one", "two", "three"]) {
      await ada.say(text);
      await ada.hears(text);
    }
    // Whoever comes later is shown what was said.
    const bob = await visit(browser, url);
    await bob.join();
    for (const text of ["one", "two", "three"]) await bob.hears(text);
    await bob.authenticate(tokens[1]);
    await bob.say("hello from Bob");
    await ada.hears("hello from Bob");
    assert.deepEqual(await ada.texts(), await bob.texts(), "both see the same in one order");
    for (const { page } of [ada, bob]) await page.locator(".ChatUpConnectedCount", { hasText: /^2$/ }).waitFor();
    console.log("ok: status, history, messages, counts");

    const told = join(tmp, "post.json");
    await writeFile(told, JSON.stringify([{ channel: CHANNEL, msg: "to all who listen", user: { name: "Server" } }]));
    await post("/post", chatup("token", "admin", "--post", told, ...state));
    await ada.hears("to all who listen");
    await bob.hears("to all who listen");
    console.log("ok: an additional channel");

    await post("/ban", chatup("token", "admin", "--ban", "Bob", "--room", "TestRoom", ...state));
    await bob.say("banned, and says so");
    await bob.page.locator(".ChatUpBanText", { hasText: "You are banned from this room" }).waitFor();
    console.log("ok: a ban");

    // The dispatcher gathers a room on one worker. That one is killed while somebody speaks on the other.
    const at = await ada.worker();
    assert.equal(await bob.worker(), at);
    const eve = await member(`http://${ADDRESSES[1 - at]}`, tokens[2]);
    const moved = [ada, bob].map(async (page) => {
      while ((await page.worker()) !== 1 - at) await sleep(AGAIN_MS);
      return Date.now();
    });
    const began = Date.now();
    workers[at].kill("SIGKILL");
    let back = null;
    // Whoever does not come is told of by the time that it takes.
    void Promise.all(moved).then(
      (times) => {
        back = Math.max(...times);
      },
      () => {},
    );
    let said = 0;
    for (; back === null || said < SAID_MIN; said += 1) {
      await eve.say(`n${said}`);
      // As fast as a lively room: the page writes all of its messages anew for each.
      await sleep(PAUSE_MS);
      assert.ok(Date.now() - began < STEP_MS, "the pages come to the other worker");
    }
    const expected = Array.from({ length: said }, (_, number) => number);
    let again = 0;
    for (const page of [ada, bob]) {
      await page.hears(`n${said - 1}`);
      const { all, first } = numbers(await page.texts());
      const missing = expected.filter((number) => !all.includes(number));
      assert.deepEqual(missing, [], `missing, of ${said}`);
      assert.deepEqual(first, expected, "in order");
      again = Math.max(again, all.length - said);
    }
    eve.close();
    console.log(`ok: a worker that was killed: on the other after ${back - began} ms; of ${said} messages up to ${again} were shown again`);
    for (const { faults } of [ada, bob]) assert.deepEqual(faults, [], "nothing is thrown on the page");
    if (SCREENSHOT) await ada.page.screenshot({ path: SCREENSHOT });
  } finally {
    await browser.close();
    served.close();
  }
}

const timer = setTimeout(() => broken(new Error("it takes too long")), OVERALL_MS);
try {
  await Promise.race([run(), fault]);
} finally {
  clearTimeout(timer);
  for (const child of children) child.kill(child.spawnfile === "nginx" ? "SIGTERM" : "SIGKILL");
  await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? new Promise((end) => child.once("exit", end))));
  await rm(tmp, { recursive: true, force: true });
}
