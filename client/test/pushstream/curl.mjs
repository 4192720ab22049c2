// Subscribes with curl: a stream without end, long polls that come back by what the last answer's headers say,
// and scripts (JSONP); while a member speaks and a publisher publishes.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { BEGINNING, FROM_THE_BEGINNING, Heard, Texts, numbers, publish, talk, within } from "./world.mjs";

const MOST_S = "30";
/** Numbers that are said in bursts, many of them in one second, and after these one by one. */
const [BURST, BURSTS, SINGLES] = [15, 2, 4];

/** An answer without end: what comes is heard, and how it ends is promised. */
async function stream(url, heard) {
  // curl writes the head to its output with the first of the body only, but tells (-v) of it when it comes.
  const curl = spawn("curl", ["-N", "-v", "-sS", "--max-time", MOST_S, url], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => curl.once("close", resolve));
  const texts = new Texts();
  curl.stdout.setEncoding("utf8").on("data", (piece) => {
    heard.read(() => {
      for (const list of texts.push(piece)) {
        heard.hear(...numbers(list), ...list.filter((text) => text === "deleted"));
      }
    });
  });
  let told = "";
  const begun = new Promise((resolve, reject) => {
    curl.once("error", reject);
    curl.once("close", (code) => reject(new Error(`curl ended: ${code}: ${told}`)));
    curl.stderr.setEncoding("utf8").on("data", (piece) => {
      told += piece;
      if (/^< \r$/m.test(told)) resolve();
    });
  });
  await within(begun, () => `the head of ${url}: ${told}`);
  assert.match(told, /^< HTTP\/1\.1 200 OK\r$/m);
  assert.match(told, /^< Content-Type: text\/plain\r$/m);
  return { ended, stop: () => curl.kill() };
}

/** One answer, taken apart. */
async function once(url, headers = {}) {
  const args = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const { stdout } = await promisify(execFile)("curl", ["-i", "-sS", "--max-time", MOST_S, ...args, url]);
  const end = stdout.indexOf("\r\n\r\n");
  const [first, ...lines] = stdout.slice(0, end).split("\r\n");
  const header = Object.fromEntries(lines.map((line) => line.match(/^([^:]+): (.*)$/).slice(1)));
  return { status: Number(first.split(" ")[1]), header, body: stdout.slice(end + 4) };
}

/** Asks again and again, from where the last answer was, until the last number has come; and then once more. */
async function polls(last, heard, { server, path, channels }) {
  const ask = ({ time, tag }, path) =>
    path === "/jsonp/"
      ? once(`${server.worker}${path}${channels}?callback=callback&${new URLSearchParams({ time, tag })}`)
      : once(`${server.worker}${path}${channels}`, { "If-Modified-Since": time, "If-None-Match": tag });
  const read = path === "/jsonp/" ? called : (body) => new Texts().push(body).flat();
  let seen = { time: BEGINNING, tag: "0" };
  let answers = 0;
  while (!heard.all.includes(last)) {
    const answer = await ask(seen, path);
    assert.ok([200, 304].includes(answer.status), `${answer.status}: ${answer.body}`);
    if (answer.status === 200) heard.hear(...numbers(read(answer.body)));
    seen = { time: answer.header["Last-Modified"], tag: answer.header.Etag };
    assert.ok(seen.time && seen.tag, JSON.stringify(answer.header));
    answers += 1;
  }
  assert.ok(answers > SINGLES, `${answers} answers: it never waited`);
  const more = await ask(seen, "/poll/");
  assert.deepEqual([more.status, more.body], [304, ""], "there is more behind the last");
}

/** What a script's function is called with. */
function called(script) {
  let given;
  runInNewContext(script, { callback: (messages) => (given = messages) });
  assert.ok(given, script);
  // From another world: as this one's own.
  return JSON.parse(JSON.stringify(given)).flatMap((message) => message.text);
}

/** All ways at once in one room; then it is deleted. */
export async function everyWay(server, paths) {
  const [one, two] = ["m_curl", "m_curl/e_curl"];
  const last = BURST * BURSTS + SINGLES - 1;
  const ways = paths.flatMap((path) => [one, two].map((channels) => ({ server, path, channels, heard: new Heard() })));
  const everybody = (below) =>
    Promise.all(ways.map(({ path, channels, heard }) => heard.exactly(below, `curl, ${path}${channels}`)));
  const streaming = ways.filter(({ path }) => path === "/sub/");
  const streams = [];
  const said = await talk(server, "curl");
  try {
    for (const { path, channels, heard } of streaming) {
      streams.push(await stream(`${server.worker}${path}${channels}`, heard));
    }
    const polling = ways.filter((way) => !streaming.includes(way));
    const polled = Promise.all(polling.map((way) => polls(last, way.heard, way)));
    const speaking = async () => {
      for (let burst = 1; burst <= BURSTS; burst += 1) {
        await said.until(burst * BURST);
        await everybody(burst * BURST);
      }
      // Each of these finds the polls waiting, or on their way back.
      for (let below = BURST * BURSTS + 1; below <= last + 1; below += 1) {
        await said.until(below);
        await everybody(below);
      }
    };
    await Promise.all([speaking(), within(polled, "the last poll")]);
    await publish(server, two, '["deleted"]', {}, "DELETE");
    for (const { ended } of streams) assert.equal(await within(ended, "the stream's end"), 0, "no proper end");
    for (const { path, channels, heard } of streaming) {
      // Of each of its channels.
      const deletions = channels.split("/").map(() => "deleted");
      assert.deepEqual(heard.all.slice(last + 1), deletions, `curl, ${path}${channels}`);
    }
  } finally {
    said.close();
    for (const { stop } of streams) stop();
  }
}

/** A long poll in vain says a place to come back to, and what is said in the meantime is not lost. */
export async function inVain(configured) {
  const channel = "in-vain";
  await publish(configured, channel, '["0"]');
  const url = `${configured.worker}/short-lp/${channel}`;
  const first = await once(url, { "If-Modified-Since": BEGINNING, "If-None-Match": "0" });
  assert.deepEqual([first.status, numbers(new Texts().push(first.body).flat())], [200, [0]]);
  const place = (answer) => ({ "If-Modified-Since": answer.header["Last-Modified"], "If-None-Match": answer.header.Etag });
  const nothing = await once(url, place(first));
  assert.deepEqual([nothing.status, nothing.body], [304, ""]);
  await publish(configured, channel, '["1"]');
  await publish(configured, channel, '["2"]');
  const second = await once(url, place(nothing));
  assert.deepEqual([second.status, numbers(new Texts().push(second.body).flat())], [200, [1, 2]]);
  // As a page's script asks, whatever it asks for.
  const script = await once(`${configured.worker}/jsonp/${channel}?callback=a.b&${FROM_THE_BEGINNING}`);
  assert.equal(script.header["Content-Type"], "application/javascript");
  assert.ok(script.body.startsWith("a.b([") && script.body.endsWith("]);"), script.body);
}
