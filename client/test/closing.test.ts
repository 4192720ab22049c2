// Closing: whenever it is done, nothing is left behind and nothing comes after it.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Status } from "../src/index.ts";
import { connectedChat, newChat, reopened, type Chat, type FakeWorld } from "./fake-world.ts";

const NOTHING = { timers: 0, online: 0, sockets: 0 };

test("close ends everything and leaves no timer behind", async () => {
  const { chat, world, statuses } = await connectedChat({ jwt: "token" });
  const saying = assert.rejects(chat.say("never answered"), { code: "closed" });
  chat.close();
  await saying;
  await world.settle();
  assert.deepEqual(world.left, NOTHING);
  assert.equal(world.socket.closed, true);
  assert.equal(statuses.at(-1), "disconnected");
  await assert.rejects(chat.say("more"), { code: "closed" });
  await world.advance(120_000);
  assert.equal(world.sockets.length, 1);
});

test("close while waiting to come back leaves no timer behind", async () => {
  const { chat, world } = await connectedChat();
  world.socket.cut();
  await world.settle();
  chat.close();
  await world.settle();
  assert.deepEqual(world.left, NOTHING);
});

test("close before init was done rejects it", async () => {
  const { chat, world } = newChat();
  const ready = assert.rejects(chat.init(), { code: "closed" });
  chat.close();
  await ready;
  await world.settle();
  assert.equal(world.sockets.length, 0);
});

test("close in the handler of each status ends everything there and then", async (t) => {
  const noWorker = { status: 418, body: { error: "No workers available" } };
  const nothing = async (): Promise<void> => undefined;
  const subscribe = async ({ world }: Chat): Promise<void> => {
    await world.open();
    await world.subscribed();
  };
  const rows: { status: Status; dispatcher?: FakeWorld["dispatcher"]; go: (told: Chat) => Promise<void> }[] = [
    { status: "gettingWorker", go: nothing },
    { status: "noWorker", dispatcher: () => noWorker, go: nothing },
    { status: "dispatcherError", dispatcher: () => ({ status: 500, body: null }), go: nothing },
    { status: "connecting", go: nothing },
    { status: "connected", go: subscribe },
    { status: "subConnectError", go: async ({ world }) => world.socket.cut() },
    { status: "workerSwitch", go: async ({ world }) => world.socket.cut(1001, "shutting_down retry_after_ms=500") },
    {
      status: "authError",
      go: async ({ world }) => {
        await world.open();
        await world.answer("subscribe", { error: { code: "not_authenticated", message: "", retry: false } });
      },
    },
  ];
  for (const { status, dispatcher, go } of rows) {
    await t.test(status, async () => {
      const told = newChat();
      const { chat, world, statuses } = told;
      if (dispatcher !== undefined) world.dispatcher = dispatcher;
      chat.onStatusChange((now) => {
        if (now === status) chat.close();
      });
      const ready = assert.rejects(chat.init(), { code: "closed" });
      await world.settle();
      await go(told);
      await ready;
      await world.settle();
      assert.deepEqual(world.left, NOTHING);
      assert.deepEqual(statuses.slice(-2), [status, "disconnected"]);
      const { length } = world.requests;
      await world.advance(120_000);
      await world.online();
      assert.deepEqual([world.requests.length, world.left], [length, NOTHING]);
    });
  }
});

test("close in the handler of a member's statuses, too", async (t) => {
  const rows: { status: Status; go: (told: Chat) => Promise<void> }[] = [
    { status: "authenticated", go: ({ world }) => world.member() },
    {
      status: "authError",
      go: ({ world }) => world.answer("auth", { error: { code: "token_expired", message: "", retry: false } }),
    },
    {
      status: "pubConnectError",
      go: ({ world }) => world.answer("auth", { error: { code: "unavailable", message: "", retry: true } }),
    },
  ];
  for (const { status, go } of rows) {
    await t.test(status, async () => {
      const told = await connectedChat();
      const { chat, world, statuses } = told;
      chat.onStatusChange((now) => {
        if (now === status) chat.close();
      });
      const authenticating = assert.rejects(chat.authenticate("token"), { code: "closed" });
      await go(told);
      await authenticating;
      await world.settle();
      assert.deepEqual(world.left, NOTHING);
      assert.deepEqual(statuses.slice(-2), [status, "disconnected"]);
    });
  }
});

test("close on the way back, in the second worker's status", async () => {
  const told = await connectedChat();
  const { chat, world } = told;
  world.socket.cut();
  await reopened(told);
  chat.onStatusChange((now) => {
    if (now === "workerSwitch") chat.close();
  });
  world.socket.cut();
  await world.advance(60_000);
  assert.deepEqual([chat.status, world.left], ["disconnected", NOTHING]);
});

test("close in the handler of a message stops the rest of its frame", async () => {
  const { chat, world, messages } = await connectedChat();
  chat.onMsg(() => chat.close());
  const entry = { user: { name: "Ada" }, msg: "last", i: "x", d: 1 };
  world.socket.push({ channel: "m_lobby", offset: 1, messages: [entry, { ...entry, msg: "too late", i: "y" }] });
  assert.deepEqual(messages, ["last"]);
});

test("close while the dispatcher is silent gives the request up", async () => {
  const told = newChat();
  const { world } = told;
  const signals: (AbortSignal | undefined)[] = [];
  const hanging = newChat({
    environment: {
      ...world.environment(),
      fetch: (_url, { signal }) =>
        new Promise((_, reject) => {
          signals.push(signal);
          signal?.addEventListener("abort", () => reject(new Error("aborted")));
        }),
    },
  });
  const ready = assert.rejects(hanging.chat.init(), { code: "closed" });
  await world.settle();
  hanging.chat.close();
  await ready;
  await world.settle();
  assert.deepEqual(signals.map((signal) => signal?.aborted), [true]);
  assert.deepEqual(world.left, NOTHING);
  assert.equal(hanging.chat.status, "disconnected");
});
