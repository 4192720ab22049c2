// What the tests with real clients share: the program itself, members who say something and publishers, a
// proxy that can be cut, and lists of what was heard that can be waited for.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";

/** As long as anything may take: a browser comes back after three seconds. */
export const STEP_MS = 15_000;
/** How often is asked for what nothing tells of itself. */
const AGAIN_MS = 20;
/** As PushStream's own library asks for all that there is. */
export const BEGINNING = "Thu, 01 Jan 1970 00:00:00 GMT";
export const FROM_THE_BEGINNING = new URLSearchParams({ time: BEGINNING, tag: "0", eventid: "" });

/** What is promised, or an error that says what was waited for in vain. */
export async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`in vain: ${typeof what === "function" ? what() : what}`)), STEP_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What one client has heard, in the order of its coming. */
export class Heard {
  all = [];
  #waiting = new Set();
  #fault = null;

  hear(...what) {
    this.all.push(...what);
    for (const look of this.#waiting) look();
  }

  /** Hears what is read there; what cannot be read is told to whoever waits. */
  read(reading) {
    try {
      reading();
    } catch (error) {
      this.#fault ??= error;
      for (const look of this.#waiting) look();
    }
  }

  /** Until it is so. */
  async until(holds, what) {
    let look;
    const so = new Promise((resolve, reject) => {
      look = () => {
        if (this.#fault) reject(this.#fault);
        else if (holds(this.all)) resolve();
      };
      this.#waiting.add(look);
      look();
    });
    await within(so, () => `${what}; heard: ${JSON.stringify(this.all)}`).finally(() => this.#waiting.delete(look));
  }

  /** Until there are all numbers below this one; then they are exactly these, each once and in order. */
  async exactly(below, what) {
    // What comes twice makes the last one come late, never early: the last one is waited for.
    await this.until((all) => all.includes(below - 1), what);
    assert.deepEqual(this.all, Array.from({ length: below }, (_, number) => number), what);
  }
}

/** The numbers in a list of messages: what members said (`msg`) and what was published (bare texts). */
export function numbers(list) {
  const texts = list.map((message) => (typeof message === "string" ? message : message.msg));
  return texts.filter((text) => /^\d+$/.test(text ?? "")).map(Number);
}

/** Takes texts of the template `~time~.~channel~.~text~` apart that come one behind the other, in any pieces. */
export class Texts {
  #rest = "";

  /** The lists that have become whole. */
  push(piece) {
    this.#rest += piece;
    const parts = this.#rest.split(/(?=\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\.)/);
    const list = (part) => JSON.parse(part.match(/^[^.]* GMT\.[^.]+\.(\[.*\])$/s)[1]);
    this.#rest = parts.pop();
    const lists = parts.map(list);
    if (this.#rest.endsWith("]")) {
      lists.push(list(this.#rest));
      this.#rest = "";
    }
    return lists;
  }
}

/** The program, with PushStream's mode switched on. `stop` ends it as an operator does, or else at once. */
export async function startServer(folder, args) {
  await mkdir(folder);
  const state = join(folder, "state");
  const common = ["--state-dir", state, "--dispatcher-port", "0", "--worker-port", "0", "--print", "json", "--log", "error"];
  const process_ = spawn(process.env.CHATUP_BIN, [...common, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => process_.once("exit", resolve));
  const stop = async (signal = "SIGKILL") => {
    if (process_.exitCode === null && process_.signalCode === null) process_.kill(signal);
    await within(ended, "the server's end");
  };
  try {
    const line = new Promise((resolve, reject) => {
      process_.once("error", reject);
      process_.once("exit", (code) => reject(new Error(`the server ended: ${code}`)));
      createInterface({ input: process_.stdout }).once("line", resolve);
    });
    return { ...JSON.parse(await within(line, "the server's beginning")), stop };
  } catch (error) {
    process_.kill("SIGKILL");
    throw error;
  }
}

/** Publishes a body over HTTP. */
export async function publish(server, channels, body, headers = {}, method = "POST") {
  const url = `${server.worker}/pub?id=${channels}`;
  const answer = await fetch(url, { method, body, headers, signal: AbortSignal.timeout(STEP_MS) });
  assert.equal(answer.status, 200, `${method} ${url}: ${await answer.text()}`);
}

/** A member of a room, by the native protocol. */
async function member(server, room) {
  const socket = new WebSocket(`${server.worker.replace("http", "ws")}/chatup/v1`, "chatup.v1");
  const waiting = new Map();
  socket.on("message", (data) => {
    const answer = JSON.parse(data);
    waiting.get(answer.id)?.(answer);
  });
  await within(new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject)), "a member");
  assert.equal(socket.protocol, "chatup.v1");
  let id = 0;
  const call = async (fields) => {
    const mine = ++id;
    const answered = new Promise((resolve) => waiting.set(mine, resolve));
    socket.send(JSON.stringify({ id: mine, ...fields }));
    const answer = await within(answered, `an answer to ${fields.call}`);
    assert.ok(answer.ok, JSON.stringify(answer));
  };
  const token = await fetch(`${server.url}demo/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "Ada" }),
    signal: AbortSignal.timeout(STEP_MS),
  });
  await call({ call: "auth", token: (await token.json()).token });
  await call({ call: "join", room });
  return { say: (msg) => call({ call: "say", msg }), close: () => socket.terminate() };
}

/**
 * Says numbers in a room, each when the one before has been answered: the even ones as a member, the odd ones
 * over HTTP, with an event id, by which a browser comes back.
 */
export async function talk(server, room) {
  const ada = await member(server, room);
  let next = 0;
  return {
    async until(below) {
      for (; next < below; next += 1) {
        if (next % 2 === 0) await ada.say(`${next}`);
        else await publish(server, `m_${room}`, JSON.stringify([`${next}`]), { "Event-ID": `published-${next}` });
      }
    },
    close: ada.close,
  };
}

/** Until a channel has so many subscribers. */
export async function subscribed(server, channel, count) {
  const end = Date.now() + STEP_MS;
  for (;;) {
    const answer = await fetch(`${server.worker}/channels-stats?id=${channel}`, { signal: AbortSignal.timeout(STEP_MS) });
    const subscribers = answer.ok ? Number((await answer.json()).subscribers) : 0;
    if (subscribers === count) return;
    assert.ok(Date.now() < end, `${channel} has ${subscribers} subscribers, not ${count}`);
    await sleep(AGAIN_MS);
  }
}

/** Between a client and a worker, to be cut. */
export class Proxy {
  /** The head of every request, as it came. */
  requests = [];
  #sockets = new Set();
  #cut = null;
  #open = Promise.resolve();
  #server;

  static async start(server) {
    const proxy = new Proxy();
    const { hostname, port } = new URL(server.worker);
    proxy.#server = createServer((client) => void proxy.#serve(client, Number(port), hostname));
    await new Promise((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    proxy.worker = `http://127.0.0.1:${proxy.#server.address().port}`;
    return proxy;
  }

  /**
   * The connection on which this text passes ends in the midst of it, and whoever comes then waits until they
   * are let through.
   */
  cutIn(text) {
    return new Promise((cut) => {
      this.#cut = { text, cut };
    });
  }

  letThrough() {
    this.release?.();
  }

  stop() {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #serve(client, port, hostname) {
    this.#keep(client);
    await this.#open;
    const worker = connect(port, hostname);
    this.#keep(worker);
    client.on("data", (bytes) => {
      this.requests.push(bytes.toString());
      worker.write(bytes);
    });
    worker.on("data", (bytes) => {
      const at = this.#cut ? bytes.indexOf(this.#cut.text) : -1;
      if (at < 0) return void client.write(bytes);
      this.#open = new Promise((resolve) => {
        this.release = resolve;
      });
      client.end(bytes.subarray(0, at + this.#cut.text.length - 1));
      worker.destroy();
      this.#cut.cut();
      this.#cut = null;
    });
    worker.on("close", () => client.end());
    client.on("close", () => worker.destroy());
  }

  #keep(socket) {
    this.#sockets.add(socket);
    // However it ends, it ends.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
