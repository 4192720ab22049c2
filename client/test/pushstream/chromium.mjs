// A real browser as PushStream's subscriber: a page of the dispatcher's origin, and the worker on another port.
// EventSource, and how the browser itself comes back; fetch, scripts (JSONP) and WebSockets.

import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { chromium } from "playwright-core";
import { BEGINNING, Heard, Proxy, Texts, numbers, publish, subscribed, talk } from "./world.mjs";

const CHROMIUM = process.env.CHROMIUM || "/usr/bin/chromium";
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
  "--disable-component-update", "--disable-sync",
];
const READY_MS = 20_000;
/** What is said while all is well. */
const SAID = 40;
/** What the connections are cut in: a text that was published, and one that a member said. */
const CUT = [25, 26];
/** What has been said when they are let through again, and at last. */
const [MISSED, ALL] = [45, 60];

let browser;

export async function quit() {
  await browser?.close();
}

export function parts(plain, configured) {
  return [
    ["chromium: event sources come back", () => comingBack(plain, configured)],
    ["chromium: in order, once", () => inOrder(plain, configured)],
    ["chromium: event types", () => eventTypes(plain)],
    ["chromium: pages of other origins", () => origins(configured)],
  ];
}

/** A page, and what is told there under each name. */
async function visit(url) {
  await access(CHROMIUM).catch(() => assert.fail(`no browser at ${CHROMIUM}: apt-get install chromium`));
  browser ??= await chromium.launch({ executablePath: CHROMIUM, args: FLAGS, timeout: READY_MS });
  const page = await browser.newPage();
  page.setDefaultTimeout(READY_MS);
  const ears = new Map();
  const ear = (name) => {
    if (!ears.has(name)) ears.set(name, { events: new Heard(), numbers: new Heard(), texts: new Texts() });
    return ears.get(name);
  };
  await page.exposeFunction("tell", (name, event) => {
    const { events, numbers: heard, texts } = ear(name);
    heard.read(() => {
      const list = event.list ?? (event.data === undefined ? [] : texts.push(event.data).flat());
      heard.hear(...numbers(list));
    });
    events.hear(event);
  });
  // Without a policy of its own for scripts, unlike the demo page.
  await page.goto(url);
  return {
    page,
    heard: (name) => ear(name).numbers,
    events: (name) => ear(name).events.all,
    /** Until this has happened, so many times. */
    happened: (name, what, times = 1) =>
      ear(name).events.until((all) => all.filter(({ is }) => is === what).length >= times, `${name} ${what}`),
  };
}

/** In the page: an event source that tells all that happens to it. */
function eventSource([name, url, types = []]) {
  const source = new EventSource(url);
  const told = ({ type, data, lastEventId }) => tell(name, { is: type, data, lastEventId });
  source.onopen = () => tell(name, { is: "open" });
  source.onerror = () => tell(name, { is: source.readyState === EventSource.CLOSED ? "closed" : "error" });
  source.onmessage = told;
  for (const type of types) source.addEventListener(type, told);
}

/** In the page: an answer without end. */
async function fetchStream([name, url]) {
  try {
    const answer = await fetch(url);
    tell(name, { is: "open", status: answer.status });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      tell(name, { is: "data", data: piece.value });
    }
    tell(name, { is: "closed" });
  } catch (error) {
    tell(name, { is: "error", error: `${error}` });
  }
}

/** In the page: polls, each from where the last one was, which its headers say; one that finds a deletion is the last. */
async function fetchPolls([name, url, beginning]) {
  let [time, tag] = [beginning, "0"];
  try {
    for (let data = ""; !data.includes("deleted"); ) {
      const answer = await fetch(url, { headers: { "If-Modified-Since": time, "If-None-Match": tag } });
      data = await answer.text();
      if (answer.status === 200) tell(name, { is: "data", data });
      [time, tag] = [answer.headers.get("Last-Modified"), answer.headers.get("Etag")];
      if (!time || !tag) throw new Error("no place to come back to");
    }
    tell(name, { is: "closed" });
  } catch (error) {
    tell(name, { is: "error", error: `${error}` });
  }
}

/** In the page: scripts, one after the other, each from where the last message was, as PushStream's library does it. */
function scripts([name, url, beginning]) {
  let [time, tag] = [beginning, "0"];
  window.onPoll = (messages) => {
    for (const message of messages) {
      tell(name, { is: "data", list: message.text });
      ({ time, tag } = message);
    }
  };
  const next = () => {
    const script = document.createElement("script");
    script.src = `${url}?callback=onPoll&${new URLSearchParams({ time, tag })}`;
    script.onload = () => {
      script.remove();
      next();
    };
    script.onerror = () => tell(name, { is: "error" });
    document.documentElement.append(script);
  };
  next();
}

/** In the page: a WebSocket. */
function webSocket([name, url, protocols = []]) {
  const socket = new WebSocket(url, protocols);
  socket.onopen = () => tell(name, { is: "open" });
  socket.onmessage = ({ data }) => tell(name, { is: "data", data });
  socket.onclose = ({ code, reason }) => tell(name, { is: "closed", code, reason });
}

const socketUrl = (server, path) => `${server.worker.replace("http", "ws")}${path}`;

/** However a connection ends, the browser comes back by itself, misses nothing and hears nothing twice. */
async function comingBack(plain, configured) {
  const visitor = await visit(`${plain.url}health`);
  await Promise.all([cut(plain, visitor), ended(configured, visitor)]);
  await visitor.page.close();
}

/** It is cut in the midst of a message, and more is said before the browser is back. */
async function cut(server, visitor) {
  const room = "cut";
  const proxies = [];
  const said = await talk(server, room);
  try {
    for (const number of CUT) {
      const proxy = await Proxy.start(server);
      proxies.push(proxy);
      await visitor.page.evaluate(eventSource, [`cut in ${number}`, `${proxy.worker}/ev/m_${room}`]);
      await visitor.happened(`cut in ${number}`, "open");
    }
    const everybody = (below) =>
      Promise.all(CUT.map((number) => visitor.heard(`cut in ${number}`).exactly(below, `event source cut in ${number}`)));
    await said.until(CUT[0]);
    await everybody(CUT[0]);
    const cuts = CUT.map((number, which) => proxies[which].cutIn(`"${number}"`));
    await said.until(CUT[1] + 1);
    await Promise.all(cuts);
    for (const number of CUT) await visitor.happened(`cut in ${number}`, "error");
    await said.until(MISSED);
    for (const [which, number] of CUT.entries()) {
      assert.equal(visitor.heard(`cut in ${number}`).all.at(-1), number - 1, "what was cut is no message");
      proxies[which].letThrough();
    }
    await everybody(MISSED);
    await said.until(ALL);
    await everybody(ALL);
    // It was the browser that said where it was: what a member has said has a name by the server.
    const [first, second] = proxies.map(({ requests }) => requests);
    assert.deepEqual([first.length, second.length], [2, 2]);
    assert.doesNotMatch(first[0], /last-event-id/i);
    assert.match(first[1], /^Last-Event-ID: @\d+-\d+\r$/m);
    assert.match(second[1], /^Last-Event-ID: published-25\r$/m);
  } finally {
    said.close();
    for (const proxy of proxies) proxy.stop();
  }
}

/** The server ends it, properly, once a second. */
async function ended(server, visitor) {
  const name = "ended";
  const said = await talk(server, name);
  await visitor.page.evaluate(eventSource, [name, `${server.worker}/short/m_${name}`]);
  await visitor.happened(name, "open");
  await said.until(5);
  await visitor.heard(name).exactly(5, "event source that is ended");
  await visitor.happened(name, "error");
  await said.until(10);
  await visitor.happened(name, "open", 2);
  await said.until(15);
  await visitor.heard(name).exactly(15, "event source that is ended");
  said.close();
}

/** All ways at once. */
async function inOrder(plain, configured) {
  const visitor = await visit(`${plain.url}health`);
  const { page, happened, heard, events } = visitor;
  const channels = "m_all/e_all";
  const speakers = [await talk(plain, "all"), await talk(configured, "all")];
  await page.evaluate(eventSource, ["source", `${plain.worker}/ev/${channels}`]);
  await page.evaluate(webSocket, ["socket", socketUrl(plain, `/ws/${channels}`)]);
  const work = [
    page.evaluate(fetchStream, ["stream", `${plain.worker}/sub/${channels}`]),
    page.evaluate(fetchPolls, ["polls", `${plain.worker}/lp/m_all`, BEGINNING]),
  ];
  for (const one of work) one.catch(() => {});
  // Of one channel: of several, the last message of an answer need not be the newest.
  await page.evaluate(scripts, ["scripts", `${configured.worker}/jsonp/m_all`, BEGINNING]);
  for (const name of ["source", "socket", "stream"]) await happened(name, "open");
  const everybody = async (below) => {
    for (const name of ["source", "socket", "stream", "polls", "scripts"]) await heard(name).exactly(below, name);
  };
  for (const below of [1, 2, 3, SAID / 2, SAID]) {
    for (const said of speakers) await said.until(below);
    await everybody(below);
  }
  for (const said of speakers) said.close();
  // Only who is there is told of a deletion: the polls, too, are waiting again.
  await subscribed(plain, "m_all", 4);
  await publish(plain, channels, '["deleted"]', {}, "DELETE");
  // The proper end of each, and nothing before it.
  for (const name of ["socket", "stream", "polls"]) await happened(name, "closed");
  await Promise.all(work);
  assert.deepEqual(events("socket").at(-1), { is: "closed", code: 1000, reason: "" });
  await everybody(SAID);
  await page.close();
}

/** A kind of event is heard by those who listen to it, and by nobody else. */
async function eventTypes(server) {
  const { page, happened, events } = await visit(`${server.url}health`);
  await page.evaluate(eventSource, ["source", `${server.worker}/ev/types`, ["vote", "goal"]]);
  await happened("source", "open");
  const published = [
    { "Event-Type": "goal", "Event-ID": "first" },
    { "Event-Type": "vote" },
    { "Event-ID": "third" },
    { "Event-Type": "unknown", "Event-ID": "fourth" },
    {},
  ];
  for (const [number, headers] of published.entries()) await publish(server, "types", `["${number}"]`, headers);
  await happened("source", "message", 2);
  // An id stays until there is another, also that of an event that nobody listened to.
  const expected = [["goal", 0, "first"], ["vote", 1, "first"], ["message", 2, "third"], ["message", 4, "fourth"]];
  const heard = events("source").filter(({ data }) => data !== undefined);
  const text = ({ data }) => numbers(new Texts().push(data).flat())[0];
  assert.deepEqual(heard.map((event) => [event.is, text(event), event.lastEventId]), expected);
  await page.close();
}

/** Pages that are let in, and one that is not; and what a WebSocket is told in its close. */
async function origins(server) {
  const begin = async ({ page }) => {
    await page.evaluate(eventSource, ["source", `${server.worker}/ev/pages`]);
    await page.evaluate(webSocket, ["socket", socketUrl(server, "/ws/pages")]);
    const polls = page.evaluate(fetchPolls, ["polls", `${server.worker}/lp/pages`, BEGINNING]);
    polls.catch(() => {});
    return { polls };
  };
  await publish(server, "pages", '["0"]');
  const friend = await visit(`${server.url}health`);
  const { polls } = await begin(friend);
  for (const name of ["source", "socket"]) await friend.happened(name, "open");
  await friend.heard("polls").exactly(1, "polls");
  await subscribed(server, "pages", 3);

  const stranger = await visit(`${server.url.replace("127.0.0.1", "localhost")}health`);
  await begin(stranger);
  for (const name of ["source", "socket"]) await stranger.happened(name, "closed");
  await stranger.happened("polls", "error");
  const opened = ["source", "socket", "polls"].flatMap((name) => stranger.events(name));
  assert.ok(opened.every(({ is }) => is === "closed" || is === "error"), JSON.stringify(opened));
  await subscribed(server, "pages", 3);
  await publish(server, "pages", '["deleted"]', {}, "DELETE");
  await polls;

  await friend.page.evaluate(webSocket, ["refused", socketUrl(server, "/ws/ALL")]);
  await friend.happened("refused", "closed");
  const reason = '{"http_status": 403, "explain":"Channel id not authorized for this method."}';
  assert.deepEqual(friend.events("refused"), [{ is: "open" }, { is: "closed", code: 1008, reason }]);
  // As for any server that confirms none: so says HTML.
  await friend.page.evaluate(webSocket, ["offering", socketUrl(server, "/ws/pages"), ["pushstream"]]);
  await friend.happened("offering", "closed");
  assert.deepEqual(friend.events("offering"), [{ is: "closed", code: 1006, reason: "" }]);
  await friend.page.close();
  await stranger.page.close();
}
