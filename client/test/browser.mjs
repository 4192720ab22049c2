// The demo page in a real browser against a real server: two people talk, one is
// banned, and the server is killed and comes back.
//
//   CHATUP_BIN     the server's program (required)
//   CHATUP_ARGS    its arguments, split at spaces; {tmp} is a new folder,
//                  {dispatcher} and {worker} are ports, 0 at the first start
//   CHATUP_SHORT   set it to leave out the ban and the killing
//   CHROMIUM       the browser's program, default /usr/bin/chromium
//   SCREENSHOT     where to write a picture of the first page (optional)

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

const OVERALL_MS = 180_000;
const STEP_MS = 40_000;
const READY_MS = 90_000;
const STOP_MS = 10_000;
/** A killed program's sockets may outlive it for a while; then it is the client's ping that tells, in 30 s. */
const NOTICED_MS = 45_000;
const CHROMIUM = process.env.CHROMIUM || "/usr/bin/chromium";
const ARGS =
  process.env.CHATUP_ARGS || "--state-dir {tmp} --dispatcher-port {dispatcher} --worker-port {worker} --print json";
const BAN_S = 30;
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic",
  "--no-first-run", "--disable-component-update", "--disable-sync",
];

function giveUp(line) {
  console.error(line);
  process.exit(1);
}

if (!process.env.CHATUP_BIN) giveUp("set CHATUP_BIN to the server's program");
await access(CHROMIUM).catch(() => giveUp(`no browser at ${CHROMIUM}: apt-get install chromium`));

/** Starts the server; `ready` resolves with what it prints when it is. */
function startServer(tmp, ports = { dispatcher: "0", worker: "0" }) {
  const values = { tmp, ...ports };
  const filledIn = ARGS.replace(/\{(tmp|dispatcher|worker)\}/g, (_, name) => values[name]);
  const server = spawn(process.env.CHATUP_BIN, filledIn.split(/\s+/).filter(Boolean), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ready = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the server was not ready in time")), READY_MS);
    server.once("error", reject);
    server.once("exit", (code, signal) => reject(new Error(`the server ended early: ${code ?? signal}`)));
    createInterface({ input: server.stdout }).on("line", (line) => {
      // Whatever else it prints, the one line of JSON with a url is the sign.
      try {
        const told = JSON.parse(line);
        if (typeof told?.url !== "string") return;
        clearTimeout(timer);
        resolve(told);
      } catch {
        // Not that line.
      }
    });
  });
  return { server, ready };
}

async function stopServer(server, signal = "SIGTERM") {
  if (server.exitCode !== null || server.signalCode !== null || server.pid === undefined) return;
  const ended = new Promise((resolve) => server.once("exit", resolve));
  const timer = setTimeout(() => server.kill("SIGKILL"), STOP_MS);
  server.kill(signal);
  await ended;
  clearTimeout(timer);
}

/** A visitor's page in the lobby, with its room's parts at hand, and what it complained of. */
async function visit(browser, url, faults) {
  // A context of its own: another visitor, not another tab of the same.
  const context = await browser.newContext({ viewport: { width: 1000, height: 720 } });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS);
  page.on("pageerror", (error) => faults.push(`uncaught: ${error}`));
  page.on("dialog", (dialog) => {
    faults.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("console", (message) => {
    if (/content security policy/i.test(message.text())) faults.push(message.text());
  });
  await page.goto(`${url}?room=lobby`);
  const room = page.getByTestId("room-lobby");
  return {
    page,
    room,
    status: (status) => room.locator(`[data-testid=status][data-status=${status}]`).waitFor(),
    message: (text) => room.getByTestId("messages").locator(".message").filter({ hasText: text }),
    async say(text) {
      await room.getByTestId("compose").fill(text);
      await room.getByTestId("send").click();
    },
  };
}

async function talking(first, second, told) {
  await first.status("connected");
  await second.status("connected");

  // The first pastes the printed token and speaks; both see it, one as own.
  await first.page.getByTestId("token-input").fill(told.token);
  await first.page.getByTestId("token-submit").click();
  await first.status("authenticated");
  await first.say("hello from the first");
  await first.message("hello from the first").and(first.page.locator(".own")).waitFor();
  await second.message("hello from the first").and(second.page.locator(":not(.own)")).waitFor();

  // The second takes a name and answers.
  await second.page.getByTestId("name-input").fill("Grace");
  await second.page.getByTestId("name-submit").click();
  await second.page.getByTestId("whoami").filter({ hasText: "Grace" }).waitFor();
  await second.status("authenticated");
  await second.say("and an answer from Grace");
  await first.message("and an answer from Grace").waitFor();
  await second.message("and an answer from Grace").and(second.page.locator(".own")).waitFor();
  await first.room.getByTestId("messages").locator(".line", { hasText: "Grace joined" }).waitFor();
  await first.room.getByTestId("people").locator(".person", { hasText: "Grace" }).waitFor();
  await first.room.getByTestId("members").filter({ hasText: /^2$/ }).waitFor();
  await first.room.getByTestId("viewers").filter({ hasText: /^2$/ }).waitFor();

  // Markup is text.
  const markup = '<img src=x onerror="alert(1)"><b>bold</b>';
  await second.say(markup);
  await first.message(markup).waitFor();
  const text = first.message(markup).locator(".text");
  assert.equal(await text.textContent(), markup);
  assert.equal(await first.room.locator(".messages img, .messages b").count(), 0);

  // Whoever comes back sees what was said, and is still who they were.
  await second.page.reload();
  await second.status("authenticated");
  await second.message("hello from the first").waitFor();
  await second.message("and an answer from Grace").and(second.page.locator(".own")).waitFor();
}

/** Whoever is banned is told so, and what they said is taken away. */
async function banned(first, second, told) {
  const args = ["token", "admin", "--ban", "Grace", "--room", "lobby", "--for", `${BAN_S}s`, "--state-dir", tmp];
  const { stdout } = await promisify(execFile)(process.env.CHATUP_BIN, args, { timeout: STEP_MS });
  const response = await fetch(new URL("ban", told.url), {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: stdout.trim(),
    signal: AbortSignal.timeout(STEP_MS),
  });
  assert.equal(response.ok, true, `the ban was answered with ${response.status}`);
  await second.room.locator("[data-testid=notice][data-kind=ban]").filter({ hasText: "You are banned" }).waitFor();
  for (const visitor of [first, second]) {
    await visitor.message("and an answer from Grace").waitFor({ state: "detached" });
    await visitor.message("hello from the first").waitFor();
    assert.equal(await visitor.room.locator(".message[data-author=Grace]").count(), 0);
  }
}

/** The server is killed; its next life, at the same address, finds everybody again. */
async function killed(first, second, told) {
  await stopServer(running, "SIGKILL");
  for (const { room } of [first, second]) await room.and(room.page().locator("[data-live=false]")).waitFor({ timeout: NOTICED_MS });
  const ports = { dispatcher: new URL(told.url).port, worker: new URL(told.worker).port };
  const again = startServer(tmp, ports);
  running = again.server;
  await again.ready;
  await first.status("authenticated");
  await second.status("authenticated");
  await first.say("still here");
  await first.message("still here").and(first.page.locator(".own")).waitFor();
  await second.message("still here").waitFor();
  for (const { room } of [first, second]) {
    await room.and(room.page().locator("[data-live=true]")).waitFor();
    // Once a room, however many channels lost their past.
    assert.equal(await room.locator(".line.gap").count(), 1);
    await room.getByTestId("viewers").filter({ hasText: /^2$/ }).waitFor();
    await room.getByTestId("members").filter({ hasText: /^2$/ }).waitFor();
  }
}

async function scenario(browser, told) {
  const faults = [];
  const first = await visit(browser, told.url, faults);
  const second = await visit(browser, told.url, faults);
  await talking(first, second, told);
  if (!process.env.CHATUP_SHORT) {
    await banned(first, second, told);
    await killed(first, second, told);
  }

  // Signed out, one watches.
  await second.page.getByTestId("sign-out").click();
  await second.status("connected");
  await first.room.getByTestId("messages").locator(".line", { hasText: "Grace left" }).first().waitFor();
  assert.equal(await second.room.getByTestId("compose").isDisabled(), true);

  if (process.env.SCREENSHOT) await first.page.screenshot({ path: process.env.SCREENSHOT });
  assert.deepEqual(faults, []);
}

const tmp = await mkdtemp(join(tmpdir(), "chatup-browser-"));
const started = startServer(tmp);
/** The server that runs now. */
let running = started.server;
let browser;
const overall = setTimeout(() => {
  running.kill("SIGKILL");
  giveUp(`not done within ${OVERALL_MS / 1000} s`);
}, OVERALL_MS);
try {
  const told = await started.ready;
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS, timeout: READY_MS });
  await scenario(browser, told);
  console.log("browser test: ok");
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser?.close();
  await stopServer(running);
  await rm(tmp, { recursive: true, force: true });
  clearTimeout(overall);
}
