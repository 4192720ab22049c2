// Viewers and members: asked for steadily, and soon after a change.

import assert from "node:assert/strict";
import { test } from "node:test";
import { COUNT_DEBOUNCE_MS, COUNT_SETTLE_MS, PING_INTERVAL_MS } from "../src/limits.ts";
import { connectedChat, type Chat, type Json } from "./fake-world.ts";

const QUIET_MS = 6_000;

function asked({ world }: Chat): number {
  return world.requests.filter(({ url }) => url.includes("/stats/")).length;
}

function event(offset: number, ev: string, channel = "e_lobby"): Json {
  return { channel, offset, messages: [{ user: { name: "Bob" }, ev, i: `e${offset}`, d: 1 }] };
}

test("the counts of /join and of /stats reach the handler", async () => {
  const told = await connectedChat();
  const seen: unknown[] = [];
  told.chat.onUserCountUpdate((counts) => seen.push(counts));
  assert.deepEqual([told.chat.stats.subCount, told.chat.stats.pubCount], [2, 1]);
  await told.world.advance(1_000);
  assert.deepEqual(seen, [{ subCount: 5, pubCount: 3, limit: 50, skip: 0, clients: [{ name: "Ada" }] }]);
  assert.deepEqual([told.chat.stats.subCount, told.chat.stats.pubCount], [5, 3]);
});

test("refreshed at the configured interval", async () => {
  const told = await connectedChat({ userCountRefreshTimeout: 5_000 });
  await told.world.advance(QUIET_MS);
  const before = asked(told);
  await told.world.advance(10_000);
  assert.equal(asked(told) - before, 2);
});

test("a burst of joins and leaves is one request soon and one when all is settled", async () => {
  const told = await connectedChat();
  await told.world.advance(QUIET_MS);
  const before = asked(told);
  for (let offset = 1; offset <= 100; offset += 1) told.world.socket.push(event(offset, offset % 2 ? "join" : "leave"));
  await told.world.advance(COUNT_DEBOUNCE_MS + 50);
  assert.equal(asked(told) - before, 1);
  await told.world.advance(COUNT_SETTLE_MS);
  assert.equal(asked(told) - before, 2);
});

test("other events, and joins of other channels, ask for nothing", async () => {
  const told = await connectedChat({ additionalChannels: ["news"] });
  await told.world.advance(QUIET_MS);
  const before = asked(told);
  told.world.socket.push(event(1, "goal"));
  told.world.socket.push(event(1, "join", "news"));
  await told.world.advance(COUNT_DEBOUNCE_MS + 50);
  assert.equal(asked(told), before);
});

test("in a big room the requests are spread", async () => {
  const told = await connectedChat();
  told.world.dispatcher = () => ({ status: 200, body: { subCount: 5_000, pubCount: 1, clients: [] } });
  await told.world.advance(QUIET_MS);
  const before = asked(told);
  told.world.randomValue = 0.4;
  told.world.socket.push(event(1, "join"));
  await told.world.advance(COUNT_DEBOUNCE_MS + 3_900);
  assert.equal(asked(told), before);
  await told.world.advance(200);
  assert.equal(asked(told), before + 1);
});

test("an answer that makes no sense changes nothing", async () => {
  const told = await connectedChat();
  for (const body of [null, [], {}, { subCount: -1, pubCount: 0 }, { subCount: "5", pubCount: 3 }]) {
    told.world.dispatcher = () => ({ status: 200, body });
    await told.world.advance(PING_INTERVAL_MS);
    await told.world.answer("ping", { ok: {} });
  }
  assert.deepEqual([told.chat.stats.subCount, told.chat.stats.pubCount], [2, 1]);
  await assert.rejects(told.chat.getUsers(), { code: "dispatcher_error" });
});

test("getUsers asks for a page", async () => {
  const { chat, world } = await connectedChat();
  const page = await chat.getUsers({ limit: 10, skip: 20 });
  assert.equal(world.requests.at(-1)?.url, "http://dispatcher/stats/lobby?limit=10&skip=20");
  assert.deepEqual(page.clients, [{ name: "Ada" }]);
});
