// Joining, subscribing, and what comes of it; and that nothing the network
// sends can do harm.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { ChatUpError, ChatUpProtocol } from "../src/index.ts";
import { connectedChat, EPOCH, frame, newChat, said } from "./fake-world.ts";

test("joins through the dispatcher and subscribes to the room's channels", async () => {
  const { chat, world, statuses } = newChat({ additionalChannels: ["news"], history: 20, room: "café" });
  const ready = chat.init();
  await world.settle();
  assert.equal(world.requests[0]?.url, "http://dispatcher/join/caf%C3%A9");
  assert.equal(world.requests[0]?.request.method, "POST");
  assert.equal(world.requests[0]?.request.body, undefined);
  assert.equal(world.socket.url, "ws://worker-1/chatup/v1");
  assert.equal(world.socket.subprotocol, "chatup.v1");
  await world.open();
  assert.deepEqual(world.socket.calls("subscribe")[0]?.["channels"], [
    { channel: "m_café", history: 20 },
    { channel: "e_café" },
    { channel: "news" },
  ]);
  assert.equal(world.socket.calls("auth").length, 0);
  await world.subscribed();
  await ready;
  assert.deepEqual(statuses, ["gettingWorker", "connecting", "connected"]);
});

test("a token is used before subscribing, for reading may need it", async () => {
  const { world, statuses } = await connectedChat({ jwt: "token" });
  assert.deepEqual(
    world.socket.sent.map(({ call }) => call).filter((call) => call !== "ping"),
    ["auth", "subscribe", "join"],
  );
  assert.equal(world.socket.calls("auth")[0]?.["token"], "token");
  assert.equal(world.socket.calls("join")[0]?.["room"], "lobby");
  assert.deepEqual(statuses, ["gettingWorker", "connecting", "connected", "authenticated"]);
});

test("messages and events reach their handlers, each once and in order", async () => {
  const { chat, world, messages, events } = await connectedChat();
  world.socket.push(frame(1, 3));
  world.socket.push({ channel: "e_lobby", offset: 1, messages: [{ user: { name: "Bob" }, ev: "join", i: "x", d: 1 }] });
  world.socket.push({ channel: "m_lobby", offset: 4, messages: [{ ev: "rmUserMsg", data: "Bob", i: "y", d: 1 }] });
  assert.deepEqual(messages, ["message 1", "message 2", "message 3"]);
  assert.deepEqual(events, ["join", "rmUserMsg"]);
  assert.equal(chat.stats.msgReceived, 3);
});

test("frames that arrive together with the subscription's answer are not lost", async () => {
  const { chat, world, messages, events } = newChat();
  void chat.init();
  await world.settle();
  await world.open();
  // One tick: no promise's reaction runs between.
  world.socket.push(world.subscribedFrame());
  world.socket.push(frame(1, 2));
  world.socket.push({ channel: "e_lobby", offset: 1, messages: [{ user: { name: "Bob" }, ev: "join", i: "x", d: 1 }] });
  assert.deepEqual([messages, events], [["message 1", "message 2"], ["join"]]);
});

test("what is pushed before the subscription's answer is left out", async () => {
  const { chat, world, messages } = newChat();
  void chat.init();
  await world.settle();
  await world.open();
  world.socket.push(frame(1));
  await world.subscribed();
  world.socket.push(frame(1));
  assert.deepEqual(messages, ["message 1"]);
});

test("a handler gets the source, and can be taken off", async () => {
  const { chat, world } = await connectedChat();
  const seen: unknown[] = [];
  const off = chat.onMsg((message, source) => seen.push([message, source]));
  world.socket.push(frame(1));
  off();
  world.socket.push(frame(2));
  assert.deepEqual(seen, [[said(1), { channel: "m_lobby", offset: 1 }]]);
});

test("a handler that throws is reported and stops nobody", async () => {
  const report = mock.method(console, "error", () => undefined);
  try {
    const { chat, world } = await connectedChat();
    const seen: string[] = [];
    chat.onMsg(() => {
      throw new Error("a fault of the page");
    });
    chat.onMsg(({ msg }) => seen.push(msg));
    world.socket.push(frame(1));
    assert.deepEqual(seen, ["message 1"]);
    assert.equal(report.mock.callCount(), 1);
  } finally {
    report.mock.restore();
  }
});

test("whatever the network sends, nothing is thrown and the rest still arrives", async (t) => {
  const rows: unknown[] = [
    "", "null", "[]", "7", '"text"', "{", '{"id":null}', '{"id":null,"error":{"code":"not_json"}}',
    '{"id":-1,"ok":{}}', '{"id":999,"ok":{}}', '{"id":1}', '{"id":2,"ok":7}', '{"unheard_of":{}}',
    '{"channel":7}', '{"channel":"m_lobby"}', '{"channel":"m_lobby","offset":"1","messages":[]}',
    '{"channel":"m_lobby","offset":0,"messages":[{"msg":"x"}]}', '{"channel":"m_lobby","offset":1.5,"messages":[]}',
    '{"channel":"m_lobby","offset":1,"messages":{}}', '{"channel":"__proto__","offset":1,"messages":[{"msg":"x"}]}',
    '{"channel":"constructor","offset":1,"messages":[{"msg":"x"}]}', '{"channel":"m_other","offset":1,"messages":[{"msg":"x"}]}',
    '{"gap":null}', '{"gap":{}}', '{"gap":{"channel":"m_lobby","from":9,"to":1}}', '{"gap":{"channel":"m_lobby","from":-5,"to":-1}}',
    '{"reset":{}}', '{"reset":{"channel":"m_lobby","position":null,"next":1}}', '{"reset":{"channel":"m_lobby","position":{"epoch":"a","offset":0,"id":""},"next":0}}',
    '{"banned":{}}', '{"banned":{"room":"lobby","ttl_s":"30"}}', '{"banned":7}', "\u0000", new Uint8Array([1, 2, 3]), undefined,
  ];
  for (const row of rows) {
    await t.test(JSON.stringify(row) ?? "undefined", async () => {
      const { world, messages, gaps, bans } = await connectedChat();
      world.socket.onmessage?.({ data: row });
      await world.settle();
      world.socket.push(frame(1));
      assert.deepEqual(messages, ["message 1"]);
      assert.deepEqual([gaps, bans], [[], []]);
    });
  }
});

test("entries that are neither message nor event are left out, the others counted on", async () => {
  const { world, messages } = await connectedChat();
  const odd = [null, 7, [], {}, { msg: 7 }, { ev: {} }, { msg: "no user", user: "x" }, { msg: "odd name", user: { name: 7 } }];
  world.socket.push({ channel: "m_lobby", offset: 1, messages: odd });
  world.socket.push(frame(odd.length + 1));
  assert.deepEqual(messages, ["no user", "odd name", "message 9"]);
});

test("a subscription's answer that makes no sense drops the connection", async (t) => {
  const one = { channel: "m_lobby", position: { epoch: EPOCH, offset: 0, id: "" }, next: 1, recovered: false };
  const rows: unknown[] = [
    {}, { channels: null }, { channels: [] }, { channels: [one] }, { channels: [one, { ...one, channel: "m_x" }] },
    { channels: [one, { ...one, channel: "e_lobby", next: 0 }] }, { channels: [one, { ...one, channel: "e_lobby", position: {} }] },
  ];
  for (const row of rows) {
    await t.test(JSON.stringify(row), async () => {
      const { chat, world } = newChat();
      void chat.init();
      await world.settle();
      await world.open();
      await world.answer("subscribe", { ok: row as object });
      assert.equal(chat.status, "subConnectError");
      assert.equal(world.socket.closed, true);
    });
  }
});

test("a wrong configuration is refused at once", () => {
  const environment = {};
  const rows: [object, string][] = [
    [{ dispatcherURL: "nonsense", room: "lobby" }, "invalid_configuration"],
    [{ dispatcherURL: "ftp://host", room: "lobby" }, "invalid_configuration"],
    [{ dispatcherURL: "http://host", room: "" }, "invalid_name"],
    [{ dispatcherURL: "http://host", room: "ALL" }, "invalid_name"],
    [{ dispatcherURL: "http://host", room: "a/b" }, "invalid_name"],
    [{ dispatcherURL: "http://host", room: "ä".repeat(65) }, "invalid_name"],
    [{ dispatcherURL: "http://host", room: "lobby", additionalChannels: ["a/b"] }, "invalid_name"],
    [{ dispatcherURL: "http://host", room: "lobby", history: 1001 }, "invalid_configuration"],
    [{ dispatcherURL: "http://host", room: "lobby", userCountRefreshTimeout: 0 }, "invalid_configuration"],
    [
      { dispatcherURL: "http://host", room: "lobby", additionalChannels: Array.from({ length: 63 }, (_, i) => `c${i}`) },
      "invalid_configuration",
    ],
  ];
  for (const [conf, code] of rows) {
    assert.throws(
      () => new ChatUpProtocol({ ...conf, environment } as never),
      (error) => error instanceof ChatUpError && error.code === code,
      JSON.stringify(conf),
    );
  }
});

test("a ban is told, of this connection and of the join", async () => {
  const { world, bans } = await connectedChat({ jwt: "token" });
  world.socket.push({ banned: { room: "lobby", ttl_s: 30 } });
  assert.deepEqual(bans, [{ room: "lobby", ttl_s: 30 }]);
  const second = newChat({ jwt: "token" });
  void second.chat.init();
  await second.world.settle();
  await second.world.open();
  await second.world.subscribed();
  await second.world.answer("auth", { ok: { user: { name: "Ada" } } });
  await second.world.answer("join", { ok: { room: "lobby", banned: { ttl_s: -1 } } });
  assert.deepEqual(second.bans, [{ room: "lobby", ttl_s: -1 }]);
  assert.equal(second.chat.status, "authenticated");
});
