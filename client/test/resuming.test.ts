// Coming back with positions: nothing shown twice, nothing missing without a word.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connectedChat, EPOCH, frame, reopened, said } from "./fake-world.ts";

const OTHER_EPOCH = "0000000000000001";

test("after a cut, each channel goes on from its last message", async () => {
  const told = await connectedChat({ additionalChannels: ["news"] });
  const { world, messages, gaps } = told;
  world.socket.push(frame(1, 3));
  world.socket.push(frame(1, 1, "news"));
  world.socket.cut();
  await reopened(told);
  assert.deepEqual(world.socket.calls("subscribe")[0]?.["channels"], [
    { channel: "m_lobby", position: { epoch: EPOCH, offset: 3, id: "id-3" }, history: 50 },
    { channel: "e_lobby", position: { epoch: EPOCH, offset: 0, id: "" } },
    { channel: "news", position: { epoch: EPOCH, offset: 1, id: "id-1" } },
  ]);
  const next: Record<string, number> = { m_lobby: 4, e_lobby: 1, news: 2 };
  await world.subscribed((channel) => ({ next: next[channel], recovered: true }));
  world.socket.push(frame(4, 2));
  assert.deepEqual(messages, ["message 1", "message 2", "message 3", "message 1", "message 4", "message 5"]);
  assert.deepEqual(gaps, []);
});

test("duplicates are dropped by their offset", async () => {
  const { world, messages, gaps } = await connectedChat();
  world.socket.push(frame(1, 3));
  world.socket.push(frame(2, 1));
  world.socket.push(frame(2, 4));
  assert.deepEqual(messages, [1, 2, 3, 4, 5].map((offset) => `message ${offset}`));
  assert.deepEqual(gaps, []);
});

test("history is asked for with every position, for where the server cannot go on from it", async () => {
  const told = await connectedChat({ history: 10 });
  const { world } = told;
  world.socket.cut();
  await reopened(told);
  // The room was empty, and its beginning is a position.
  assert.deepEqual(world.socket.calls("subscribe")[0]?.["channels"][0], {
    channel: "m_lobby",
    position: { epoch: EPOCH, offset: 0, id: "" },
    history: 10,
  });
});

test("what could not be recovered is begun with its history", async () => {
  const told = await connectedChat({ history: 10 });
  const { world, messages, gaps } = told;
  world.socket.push(frame(1, 2));
  world.socket.cut();
  await reopened(told);
  // The server was restarted, and somebody was back sooner.
  const position = { epoch: OTHER_EPOCH, offset: 3, id: "new-3" };
  await world.subscribed((channel) => (channel === "m_lobby" ? { position, next: 1 } : { recovered: true }));
  const news = ["one", "two", "three"].map((msg, index) => ({ ...said(index + 1, msg), i: `new-${index + 1}` }));
  world.socket.push({ channel: "m_lobby", offset: 1, messages: news });
  assert.deepEqual(messages, ["message 1", "message 2", "one", "two", "three"]);
  assert.deepEqual(gaps, [{ channel: "m_lobby", reason: "not_recovered" }]);
  world.socket.cut();
  await reopened(told);
  assert.deepEqual(world.socket.calls("subscribe")[0]?.["channels"][0]?.position, position);
});

test("of a history after a loss, what was seen before is not shown again", async () => {
  const told = await connectedChat({ history: 10 });
  const { world, messages, chat } = told;
  world.socket.push(frame(1, 100));
  world.socket.cut();
  await reopened(told);
  // The same messages under other numbers, as a new epoch may have them: ids 95 to 104.
  const position = { epoch: OTHER_EPOCH, offset: 24, id: "id-104" };
  await world.subscribed((channel) => (channel === "m_lobby" ? { position, next: 15 } : { recovered: true }));
  const again = Array.from({ length: 10 }, (_, index) => said(95 + index));
  world.socket.push({ channel: "m_lobby", offset: 15, messages: again.slice(0, 4) });
  world.socket.push({ channel: "m_lobby", offset: 19, messages: again.slice(4) });
  assert.equal(new Set(messages).size, messages.length);
  assert.deepEqual(messages.slice(-5), [100, 101, 102, 103, 104].map((id) => `message ${id}`));
  assert.equal(chat.stats.msgReceived, 104);
  world.socket.cut();
  await reopened(told);
  assert.deepEqual(world.socket.calls("subscribe")[0]?.["channels"][0]?.position, position);
});

test("cut between a subscription's answer and its history, the history is asked for again", async () => {
  const told = await connectedChat({ history: 10 });
  const { world, messages } = told;
  world.socket.cut();
  await reopened(told);
  // The server began a new epoch, of which it will send the messages 11 to 20.
  const position = { epoch: OTHER_EPOCH, offset: 20, id: "id-20" };
  await world.subscribed((channel) => (channel === "m_lobby" ? { position, next: 11 } : { recovered: true }));
  world.socket.cut();
  await reopened(told);
  assert.deepEqual(world.socket.calls("subscribe")[0]?.["channels"][0], { channel: "m_lobby", history: 10 });
  await world.subscribed((channel) => (channel === "m_lobby" ? { position, next: 11 } : { recovered: true }));
  world.socket.push(frame(11, 10));
  assert.equal(messages.length, 10);
});

test("what could not be recovered is told, and the new place is taken", async () => {
  const told = await connectedChat();
  const { world, messages, gaps } = told;
  world.socket.push(frame(1, 3));
  world.socket.cut();
  await reopened(told);
  const position = { epoch: OTHER_EPOCH, offset: 1, id: "new-1" };
  await world.subscribed((channel) => (channel === "m_lobby" ? { position, next: 2 } : { recovered: true }));
  assert.deepEqual(gaps, [{ channel: "m_lobby", reason: "not_recovered" }]);
  world.socket.push({ channel: "m_lobby", offset: 2, messages: [said(2, "of the new epoch")] });
  assert.equal(messages.at(-1), "of the new epoch");
  world.socket.cut();
  await reopened(told);
  assert.deepEqual(world.socket.calls("subscribe")[0]?.["channels"][0]?.position, {
    epoch: OTHER_EPOCH,
    offset: 2,
    id: "id-2",
  });
});

test("a promise of recovery that is not kept is a hole", async () => {
  const told = await connectedChat();
  told.world.socket.push(frame(1, 3));
  told.world.socket.cut();
  await reopened(told);
  await told.world.subscribed((channel) => ({ next: channel === "m_lobby" ? 6 : 1, recovered: true }));
  assert.deepEqual(told.gaps, [{ channel: "m_lobby", reason: "hole", from: 4, to: 5 }]);
});

test("a gap is told, and the messages after it are taken", async () => {
  const told = await connectedChat();
  const { world, messages, gaps } = told;
  world.socket.push(frame(1));
  world.socket.push({ gap: { channel: "m_lobby", from: 2, to: 80 } });
  world.socket.push(frame(81));
  assert.deepEqual(gaps, [{ channel: "m_lobby", reason: "slow", from: 2, to: 80 }]);
  assert.deepEqual(messages, ["message 1", "message 81"]);
});

test("cut after a gap, the last message seen is what counts", async () => {
  const told = await connectedChat();
  told.world.socket.push(frame(1));
  told.world.socket.push({ gap: { channel: "m_lobby", from: 2, to: 80 } });
  told.world.socket.cut();
  await reopened(told);
  assert.equal(told.world.socket.calls("subscribe")[0]?.["channels"][0]?.position.offset, 1);
  await told.world.subscribed((channel) => ({ next: channel === "m_lobby" ? 2 : 1, recovered: true }));
  told.world.socket.push(frame(2));
  assert.deepEqual(told.messages, ["message 1", "message 2"]);
});

test("offsets left out without a word are told as a hole", async () => {
  const { world, messages, gaps } = await connectedChat();
  world.socket.push(frame(1));
  world.socket.push(frame(5));
  assert.deepEqual(gaps, [{ channel: "m_lobby", reason: "hole", from: 2, to: 4 }]);
  assert.deepEqual(messages, ["message 1", "message 5"]);
});

test("a reset begins anew, even at offsets seen before", async () => {
  const told = await connectedChat();
  const { world, messages, gaps } = told;
  world.socket.push(frame(1, 5));
  world.socket.push({ reset: { channel: "m_lobby", position: { epoch: OTHER_EPOCH, offset: 0, id: "" }, next: 1 } });
  world.socket.push({ channel: "m_lobby", offset: 1, messages: [said(1, "first again")] });
  assert.deepEqual(gaps, [{ channel: "m_lobby", reason: "reset" }]);
  assert.equal(messages.at(-1), "first again");
  world.socket.cut();
  await reopened(told);
  assert.equal(world.socket.calls("subscribe")[0]?.["channels"][0]?.position.epoch, OTHER_EPOCH);
});
