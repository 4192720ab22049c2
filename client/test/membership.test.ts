// Who the user is: tokens accepted, refused, renewed, exchanged, forgotten.

import assert from "node:assert/strict";
import { test } from "node:test";
import { BACKOFF_FIRST_MS } from "../src/limits.ts";
import { connectedChat, EPOCH, frame, newChat, reopened } from "./fake-world.ts";

const EXPIRED = { code: "token_expired", message: "The token has expired", retry: false };

test("a refused token is told by the status; the room is still received", async () => {
  const { chat, world, messages } = newChat({ jwt: "old" });
  const ready = chat.init();
  await world.settle();
  await world.open();
  await world.answer("auth", { error: EXPIRED });
  await world.subscribed();
  await ready;
  assert.equal(chat.status, "authError");
  assert.equal(world.socket.calls("join").length, 0);
  world.socket.push(frame(1));
  assert.deepEqual(messages, ["message 1"]);
  await assert.rejects(chat.say("hello"), { code: "token_expired" });
  const authenticating = chat.authenticate("new");
  assert.equal(world.socket.calls("auth").at(-1)?.["token"], "new");
  await world.member("Ada");
  assert.deepEqual(await authenticating, { name: "Ada" });
  assert.equal(chat.status, "authenticated");
});

test("a join refused for good is an authError as well", async () => {
  const { chat, world } = await connectedChat();
  const authenticating = assert.rejects(chat.authenticate("token"), { code: "already_joined" });
  await world.answer("auth", { ok: { user: { name: "Ada" } } });
  await world.answer("join", { error: { code: "already_joined", message: "", retry: false } });
  await authenticating;
  assert.equal(chat.status, "authError");
});

test("where the server cannot answer now, it is asked again on the same connection", async () => {
  const { chat, world } = await connectedChat();
  const authenticating = chat.authenticate("token");
  await world.answer("auth", { error: { code: "unavailable", message: "", retry: true } });
  assert.equal(chat.status, "pubConnectError");
  await world.advance(BACKOFF_FIRST_MS);
  assert.equal(world.socket.calls("auth").length, 2);
  await world.member("Ada");
  await authenticating;
  assert.equal(chat.status, "authenticated");
});

test("authenticate outlives a cut", async () => {
  const told = await connectedChat();
  const authenticating = told.chat.authenticate("token");
  told.world.socket.cut();
  await reopened(told);
  await told.world.subscribed(() => ({ recovered: true }));
  await told.world.member("Ada");
  await authenticating;
});

test("the room is received before it is joined, so that one's own join is seen", async () => {
  const { chat, world, events } = newChat({ jwt: "token" });
  void chat.init();
  await world.settle();
  await world.open();
  await world.answer("auth", { ok: { user: { name: "Ada" }, expires: null } });
  await world.advance(1_000);
  assert.equal(world.socket.calls("join").length, 0);
  await world.subscribed();
  assert.equal(world.socket.calls("join").length, 1);
  // Its event may come before its answer.
  world.socket.push({ channel: "e_lobby", offset: 1, messages: [{ user: { name: "Ada" }, ev: "join", i: "x", d: 1 }] });
  await world.answer("join", { ok: { room: "lobby" } });
  assert.deepEqual(events, ["join"]);
  assert.equal(chat.status, "authenticated");
});

test("cut while the subscription is awaited, nothing is joined there", async () => {
  const told = newChat({ jwt: "token" });
  const { chat, world } = told;
  void chat.init();
  await world.settle();
  await world.open();
  await world.answer("auth", { ok: { user: { name: "Ada" }, expires: null } });
  const first = world.socket;
  first.cut();
  await reopened(told);
  await world.subscribed();
  await world.member("Ada");
  assert.deepEqual([first.calls("join").length, world.socket.calls("join").length], [0, 1]);
  assert.equal(chat.status, "authenticated");
});

test("a token accepted later asks again for a room that was refused", async () => {
  const { chat, world } = newChat({ jwt: "token" });
  const ready = assert.rejects(chat.init(), { code: "not_authenticated" });
  await world.settle();
  await world.open();
  await world.answer("auth", { error: { code: "unavailable", message: "", retry: true } });
  await world.answer("subscribe", { error: { code: "not_authenticated", message: "", retry: false } });
  await ready;
  await world.advance(BACKOFF_FIRST_MS);
  await world.answer("auth", { ok: { user: { name: "Ada" }, expires: null } });
  await world.subscribed();
  await world.answer("join", { ok: { room: "lobby" } });
  assert.deepEqual([world.socket.calls("subscribe").length, chat.status], [2, "authenticated"]);
});

test("a token that expires while speaking is told by the status", async () => {
  const { chat, world } = await connectedChat({ jwt: "token" });
  const saying = assert.rejects(chat.say("hello"), { code: "token_expired" });
  await world.answer("say", { error: EXPIRED });
  await saying;
  assert.equal(chat.status, "authError");
});

test("a member that renews its token stays one meanwhile", async () => {
  const { chat, world, statuses } = await connectedChat({ jwt: "token" });
  const seen = statuses.length;
  const authenticating = chat.authenticate("renewed");
  await world.member("Ada");
  await authenticating;
  assert.deepEqual(statuses.slice(seen), []);
});

test("another identity on a connection that is bound to one gets a new connection at once", async () => {
  const { chat, world } = await connectedChat({ jwt: "ada" });
  const locked = { error: { code: "identity_locked", message: "", retry: false } };
  const authenticating = chat.authenticate("bob");
  const saying = assert.rejects(chat.say("not to be said as Bob"), { code: "superseded" });
  await world.answer("auth", locked);
  await saying;
  assert.equal(world.sockets.length, 2);
  await world.open();
  assert.equal(world.socket.calls("auth")[0]?.["token"], "bob");
  await world.subscribed(() => ({ recovered: true }));
  await world.member("Bob");
  assert.deepEqual(await authenticating, { name: "Bob" });
  assert.deepEqual(chat.user, { name: "Bob" });
});

test("locked on a new connection as well, it is a refusal and no endless round", async () => {
  const { chat, world } = await connectedChat({ jwt: "ada" });
  const locked = { error: { code: "identity_locked", message: "", retry: false } };
  const authenticating = assert.rejects(chat.authenticate("bob"), { code: "identity_locked" });
  await world.answer("auth", locked);
  await world.open();
  await world.answer("auth", locked);
  await authenticating;
  assert.equal(world.sockets.length, 2);
});

test("unauthenticate leaves, forgets the token, and still receives", async () => {
  const told = await connectedChat({ jwt: "token" });
  const { chat, world, messages } = told;
  const leaving = chat.unauthenticate();
  await world.answer("leave", { ok: {} });
  await leaving;
  assert.equal(chat.status, "connected");
  assert.equal(chat.user, null);
  await assert.rejects(chat.say("hello"), { code: "not_authenticated" });
  await assert.rejects(chat.authenticate(), { code: "not_authenticated" });
  world.socket.push(frame(1));
  assert.deepEqual(messages, ["message 1"]);
  world.socket.cut();
  await reopened(told);
  assert.equal(world.socket.calls("auth").length, 0);
});

test("unauthenticate while a join is under way undoes it", async () => {
  const { chat, world } = await connectedChat();
  const authenticating = assert.rejects(chat.authenticate("token"), { code: "superseded" });
  await world.answer("auth", { ok: { user: { name: "Ada" } } });
  const leaving = chat.unauthenticate();
  await world.answer("join", { ok: { room: "lobby" } });
  await world.answer("leave", { ok: {} });
  await Promise.all([authenticating, leaving]);
  assert.equal(chat.status, "connected");
});

test("where reading needs a token, init says so, and authenticate goes on", async () => {
  const { chat, world, messages } = newChat();
  const ready = assert.rejects(chat.init(), { code: "not_authenticated" });
  await world.settle();
  await world.open();
  await world.answer("subscribe", { error: { code: "not_authenticated", message: "", retry: false } });
  await ready;
  assert.equal(chat.status, "authError");
  const authenticating = chat.authenticate("token");
  await world.answer("auth", { ok: { user: { name: "Ada" }, expires: null } });
  await world.subscribed();
  await world.answer("join", { ok: { room: "lobby" } });
  await authenticating;
  assert.equal(chat.status, "authenticated");
  world.socket.push({ ...frame(1), epoch: EPOCH });
  assert.deepEqual(messages, ["message 1"]);
});
