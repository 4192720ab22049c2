// Saying something: acknowledged, refused, said again with the same key, given up.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatUpError } from "../src/index.ts";
import { SAY_TIMEOUT_MS, SAYS_IN_FLIGHT_MAX, SAYS_QUEUED_MAX } from "../src/limits.ts";
import { connectedChat, EPOCH, newChat, reopened, type Chat } from "./fake-world.ts";

const POSITION = { epoch: EPOCH, offset: 1, id: "id-1" };

/** Back on a new connection, as a member. */
async function back(told: Chat): Promise<void> {
  await reopened(told);
  await told.world.subscribed(() => ({ recovered: true }));
  await told.world.member();
}

test("resolves with the receipt when acknowledged", async () => {
  const { chat, world } = await connectedChat({ jwt: "token" });
  const saying = chat.say("hello");
  const call = world.socket.calls("say")[0];
  assert.equal(call?.["msg"], "hello");
  assert.match(call?.["key"], /^[\w-]{1,64}$/);
  await world.answer("say", { ok: { position: POSITION, duplicate: false } });
  assert.deepEqual(await saying, { position: POSITION, duplicate: false });
  assert.equal(chat.stats.msgSent, 1);
});

test("rejects with the server's error object", async () => {
  const { chat, world } = await connectedChat({ jwt: "token" });
  const saying = chat.say("hello").catch((reason: unknown) => reason);
  const error = { code: "banned", message: "You are banned", retry: false, ttl_s: 30, more: [1] };
  await world.answer("say", { error });
  const caught: unknown = await saying;
  assert(caught instanceof ChatUpError);
  assert.deepEqual([caught.code, caught.message, caught.retry, caught.ttl_s], ["banned", "You are banned", false, 30]);
  assert.deepEqual(caught.details, error);
  assert.equal(chat.stats.msgSent, 0);
});

test("without an answer it is said again with the same key", async () => {
  const told = await connectedChat({ jwt: "token" });
  const { chat, world } = told;
  const saying = [chat.say("one"), chat.say("two")];
  const first = world.socket.calls("say");
  world.socket.cut();
  await back(told);
  const again = world.socket.calls("say");
  const keys = (calls: typeof first) => calls.map(({ msg, key }) => [msg, key]);
  assert.deepEqual(keys(again), keys(first));
  assert.notEqual(first[0]?.["key"], first[1]?.["key"]);
  for (const { id } of again) world.socket.push({ id, ok: { position: POSITION, duplicate: true } });
  assert.deepEqual((await Promise.all(saying)).map(({ duplicate }) => duplicate), [true, true]);
  assert.equal(chat.stats.msgSent, 2);
});

test("what was answered is not said again", async () => {
  const told = await connectedChat({ jwt: "token" });
  const saying = told.chat.say("once");
  await told.world.answer("say", { ok: { position: POSITION, duplicate: false } });
  await saying;
  told.world.socket.cut();
  await back(told);
  assert.equal(told.world.socket.calls("say").length, 0);
});

test("said while away, it goes out once the user is a member again", async () => {
  const told = await connectedChat({ jwt: "token" });
  told.world.socket.cut();
  const saying = told.chat.say("while away");
  await reopened(told);
  assert.equal(told.world.socket.calls("say").length, 0);
  await told.world.subscribed(() => ({ recovered: true }));
  await told.world.member();
  await told.world.answer("say", { ok: { position: POSITION, duplicate: false } });
  await saying;
});

test("is given up after its time, whether sent or not", async () => {
  const { chat, world } = await connectedChat({ jwt: "token" });
  let settled = "";
  chat.say("into silence").catch(({ code }) => (settled = code));
  await world.settle();
  const call = world.socket.calls("say")[0];
  const answerPing = () => world.answer("ping", { ok: {} });
  await world.advance(SAY_TIMEOUT_MS / 2);
  await world.advance(SAY_TIMEOUT_MS / 6);
  await answerPing();
  await world.advance(SAY_TIMEOUT_MS / 3 - 1);
  assert.equal(settled, "");
  await world.advance(1);
  assert.equal(settled, "say_timeout");
  // A late answer is nobody's.
  world.socket.push({ id: call?.["id"], ok: { position: POSITION, duplicate: false } });
  await world.settle();
  assert.equal(chat.stats.msgSent, 0);
});

test("is given up after its time when no connection comes", async () => {
  const { chat, world } = await connectedChat({ jwt: "token" });
  world.dispatcher = () => ({ status: 418, body: { error: "No workers available" } });
  world.socket.cut();
  const saying = assert.rejects(chat.say("hello?"), { code: "say_timeout", retry: true });
  await world.advance(SAY_TIMEOUT_MS);
  await saying;
});

test("no more without an answer than the server allows; the rest follows", async () => {
  const { chat, world } = await connectedChat({ jwt: "token" });
  const count = SAYS_IN_FLIGHT_MAX + 5;
  const saying = Array.from({ length: count }, (_, index) => chat.say(`message ${index}`));
  await world.settle();
  assert.equal(world.socket.calls("say").length, SAYS_IN_FLIGHT_MAX);
  for (let answered = 0; answered < count; answered += 1) {
    world.socket.push({ id: world.socket.calls("say")[answered]?.["id"], ok: { position: POSITION, duplicate: false } });
    await world.settle();
  }
  await Promise.all(saying);
  assert.deepEqual(
    world.socket.calls("say").map(({ msg }) => msg),
    Array.from({ length: count }, (_, index) => `message ${index}`),
  );
});

test("the queue is bounded", async () => {
  const { chat, world } = await connectedChat({ jwt: "token" });
  const waiting = Array.from({ length: SAYS_QUEUED_MAX }, () => chat.say("x").catch(({ code }) => code));
  await assert.rejects(chat.say("one too many"), { code: "too_many_queued" });
  chat.close();
  await world.settle();
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set(["closed"]));
});

test("what the server would refuse or close for is refused here", async (t) => {
  const rows: [string, string][] = [
    ["", "message_empty"],
    ["x".repeat(4097), "message_too_long"],
    ["ä".repeat(2049), "message_too_long"],
    // 4,096 bytes, but six characters each in JSON: more than a frame may hold.
    ["\u0001".repeat(4096), "message_too_long"],
  ];
  for (const [text, code] of rows) {
    await t.test(`${JSON.stringify(text.slice(0, 4))} (${text.length})`, async () => {
      const { chat, world } = await connectedChat({ jwt: "token" });
      await assert.rejects(chat.say(text), { code });
      assert.equal(world.socket.calls("say").length, 0);
    });
  }
});

test("half a surrogate pair is sent as U+FFFD, a byte-order mark as it is", async () => {
  const { chat, world } = await connectedChat({ jwt: "token" });
  void chat.say("\uFEFFa\uD800b");
  assert.equal(world.socket.calls("say")[0]?.["msg"], "\uFEFFa\uFFFDb");
});

test("without a token nothing is said", async () => {
  const { chat } = await connectedChat();
  await assert.rejects(chat.say("hello"), { code: "not_authenticated" });
  await assert.rejects(newChat().chat.say("hello"), { code: "not_authenticated" });
});
