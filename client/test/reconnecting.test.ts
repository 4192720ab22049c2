// When and where the client comes back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffDelayMs, retryHintMs, RetryPolicy } from "../src/backoff.ts";
import {
  BACKOFF_CAP_MS,
  BACKOFF_FIRST_MS,
  OPEN_TIMEOUT_MS,
  PING_INTERVAL_MS,
  PING_TIMEOUT_MS,
  RETRY_HINT_MS_MAX,
  SETUP_TIMEOUT_MS,
  STABLE_AFTER_MS,
} from "../src/limits.ts";
import { connectedChat, FakeWorld, newChat, reopened } from "./fake-world.ts";

const ALMOST_ONE = 1 - 2 ** -53;

test("back-off: full jitter under a bound that doubles up to the cap", () => {
  const bounds_ms = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
  for (const [index, bound_ms] of bounds_ms.entries()) {
    const failures = index + 1;
    assert.equal(backoffDelayMs(failures, () => 0), 0, `failure ${failures}`);
    assert.equal(backoffDelayMs(failures, () => 0.5), bound_ms / 2, `failure ${failures}`);
    assert.equal(backoffDelayMs(failures, () => ALMOST_ONE), bound_ms - 1, `failure ${failures}`);
  }
  assert.equal(backoffDelayMs(1_000_000, () => ALMOST_ONE), BACKOFF_CAP_MS - 1);
});

test("a close reason's hint", () => {
  const rows: [string, number | null][] = [
    ["shutting_down retry_after_ms=850", 850],
    ["retry_after_ms=0", 0],
    ["shutting_down retry_after_ms=999999999", RETRY_HINT_MS_MAX],
    ["shutting_down retry_after_ms=99999999999999999999", null],
    ["shutting_down", null],
    ["shutting_down retry_after_ms=-5", null],
    ["shutting_down retry_after_ms=1e9", null],
    ["xretry_after_ms=850", null],
    ["", null],
  ];
  for (const [reason, hint_ms] of rows) assert.equal(retryHintMs(reason), hint_ms, reason);
});

test("the hint of a close is kept to, neither sooner nor later", async () => {
  const { chat, world } = await connectedChat();
  world.socket.cut(1001, "shutting_down retry_after_ms=850");
  await world.settle();
  assert.equal(chat.status, "workerSwitch");
  await world.advance(849);
  assert.equal(world.sockets.length, 1);
  await world.advance(1);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.joins.at(-1)?.body, null);
});

test("when the network is back, the wait is over at once", async () => {
  const { chat, world } = await connectedChat();
  const works = world.dispatcher;
  world.dispatcher = () => {
    throw new TypeError("network down");
  };
  world.socket.cut();
  await world.advance(60_000);
  assert.equal(chat.status, "dispatcherError");
  world.dispatcher = works;
  const asked = world.joins.length;
  await world.online();
  assert.deepEqual([world.joins.length, world.sockets.length, chat.status], [asked + 1, 2, "connecting"]);
  // While connected it means nothing, and the wait that was cut short is not waited on.
  await world.open();
  await world.subscribed(() => ({ recovered: true }));
  await world.online();
  await world.advance(STABLE_AFTER_MS);
  assert.deepEqual([world.joins.length, world.sockets.length, world.left.online], [asked + 1, 2, 0]);
});

test("waits grow while it fails, and begin anew after a connection that held", async () => {
  const { world } = await connectedChat();
  world.randomValue = ALMOST_ONE;
  await world.advance(STABLE_AFTER_MS);
  const waited_ms: number[] = [];
  for (let failure = 0; failure < 8; failure += 1) {
    const before_ms = world.now_ms;
    world.socket.cut();
    while (world.joins.at(-1)!.at_ms <= before_ms) await world.advance(1);
    waited_ms.push(world.joins.at(-1)!.at_ms - before_ms + 1);
  }
  assert.deepEqual(waited_ms, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  await world.open();
  await world.subscribed(() => ({ recovered: true }));
  await world.advance(STABLE_AFTER_MS);
  const before_ms = world.now_ms;
  world.socket.cut();
  await world.advance(BACKOFF_FIRST_MS);
  assert.equal(world.joins.at(-1)!.at_ms - before_ms, BACKOFF_FIRST_MS - 1);
});

test("a worker that failed twice is left out, until another one held", async () => {
  const told = await connectedChat();
  const { chat, world, statuses } = told;
  await world.advance(STABLE_AFTER_MS);
  world.socket.cut();
  await world.advance(BACKOFF_FIRST_MS);
  assert.equal(world.joins.at(-1)?.body, null);
  world.dispatcher = () => ({ status: 200, body: { host: "https://worker-2/base/", id: "w2" } });
  world.socket.cut();
  await world.advance(2 * BACKOFF_FIRST_MS);
  assert.deepEqual(world.joins.at(-1)?.body, { type: "workerSubConnect", worker: { id: "w1" } });
  assert(statuses.includes("workerSwitch"));
  assert.equal(world.socket.url, "wss://worker-2/base/chatup/v1");
  await world.open();
  await world.subscribed(() => ({ recovered: true }));
  assert.equal(chat.status, "connected");
  await world.advance(STABLE_AFTER_MS);
  world.socket.cut();
  await world.advance(BACKOFF_FIRST_MS);
  assert.equal(world.joins.at(-1)?.body, null);
});

test("policy: two workers that fail in turn are not left out, and none for ever", () => {
  const policy = new RetryPolicy(() => 0);
  for (const worker of ["w1", "w2", "w1", "w2"]) {
    policy.workerFailed(worker);
    assert.equal(policy.excludedWorker, null);
  }
  policy.workerFailed("w2");
  assert.equal(policy.excludedWorker, "w2");
  policy.noWorker();
  assert.equal(policy.excludedWorker, null);
});

test("without a worker or a dispatcher it says so and keeps asking", async () => {
  const rows: [() => { status: number; body: unknown }, string][] = [
    [() => ({ status: 418, body: { error: "No workers available" } }), "noWorker"],
    [() => ({ status: 500, body: null }), "dispatcherError"],
    [() => ({ status: 200, body: [] }), "dispatcherError"],
    [() => ({ status: 200, body: { host: "javascript:alert(1)", id: "w1" } }), "dispatcherError"],
    [() => ({ status: 200, body: { host: "http://worker-1" } }), "dispatcherError"],
    [
      () => {
        throw new TypeError("network down");
      },
      "dispatcherError",
    ],
  ];
  for (const [dispatcher, status] of rows) {
    const { chat, world } = newChat();
    const works = world.dispatcher;
    world.dispatcher = dispatcher;
    void chat.init();
    await world.advance(0);
    assert.equal(chat.status, status);
    await world.advance(60_000);
    assert(world.joins.length > 3, status);
    world.dispatcher = works;
    await world.advance(BACKOFF_CAP_MS);
    assert(world.sockets.length > 0, status);
  }
});

test("after a close for the client's own fault it does not come back", async () => {
  for (const code of [1002, 1003, 1007, 1009, 4003]) {
    const { chat, world } = await connectedChat({ jwt: "token" });
    const saying = assert.rejects(chat.say("x"), { code: "connection_refused" });
    world.socket.cut(code, "protocol_error");
    await saying;
    await world.advance(120_000);
    assert.equal(world.sockets.length, 1, `${code}`);
    assert.equal(chat.status, "disconnected");
    assert.deepEqual(world.left, { timers: 0, online: 0, sockets: 0 });
  }
});

test("after any other close it comes back", async () => {
  for (const code of [1000, 1006, 1011, 1013, 4000, 4001, 4002]) {
    const told = await connectedChat();
    told.world.socket.cut(code);
    await reopened(told);
  }
});

test("a handshake, and an answer, that do not come in time end the attempt", async () => {
  const { chat, world } = newChat();
  void chat.init();
  await world.settle();
  await world.advance(OPEN_TIMEOUT_MS);
  assert.equal(world.sockets[0]?.closed, true);
  await world.advance(BACKOFF_FIRST_MS);
  assert.equal(world.sockets.length, 2);
  await world.open();
  await world.advance(SETUP_TIMEOUT_MS);
  assert.equal(world.sockets[1]?.closed, true);
});

test("a ping without an answer ends a dead connection; an answer is the latency", async () => {
  const { chat, world } = await connectedChat();
  assert.equal(chat.stats.latency, 0);
  await world.advance(PING_INTERVAL_MS);
  await world.advance(42);
  await world.answer("ping", { ok: {} });
  assert.equal(chat.stats.latency, 42);
  await world.advance(PING_INTERVAL_MS - 42 + PING_TIMEOUT_MS - 1);
  assert.equal(chat.status, "connected");
  await world.advance(1);
  assert.equal(chat.status, "subConnectError");
  assert.equal(world.sockets[0]?.closed, true);
});

test("a refused subscription: for now, it is tried again; for good, init says so", async () => {
  const passing = newChat();
  void passing.chat.init();
  await passing.world.settle();
  await passing.world.open();
  await passing.world.answer("subscribe", { error: { code: "overloaded", message: "", retry: true } });
  await reopened(passing);
  const lasting = newChat();
  const ready = assert.rejects(lasting.chat.init(), { code: "invalid_name" });
  await lasting.world.settle();
  await lasting.world.open();
  await lasting.world.answer("subscribe", { error: { code: "invalid_name", message: "", retry: false } });
  await ready;
  assert.equal(lasting.chat.status, "disconnected");
  await lasting.world.advance(120_000);
  assert.equal(lasting.world.sockets.length, 1);
});

test("a WebSocket that cannot even be made is a failure like others", async () => {
  const world = new FakeWorld();
  const openWebSocket = () => {
    throw new SyntaxError("not from a page of https:");
  };
  const { chat } = newChat({ environment: { ...world.environment(), openWebSocket } });
  void chat.init();
  await world.settle();
  assert.equal(chat.status, "subConnectError");
  await world.advance(BACKOFF_CAP_MS);
  assert(world.joins.length > 1);
});
