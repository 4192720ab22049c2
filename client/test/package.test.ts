// The package as others get it: built, by its name, with its types.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatUpError, ChatUpProtocol, isRoomName, type ChatUpConfiguration, type Status } from "chatup-client";

test("the built library has what its types promise", () => {
  const conf: ChatUpConfiguration = { dispatcherURL: "http://dispatcher", room: "lobby" };
  const chat = new ChatUpProtocol(conf);
  const status: Status = chat.status;
  assert.deepEqual([status, chat.room, chat.user, chat.receiving], ["disconnected", "lobby", null, false]);
  assert.equal(isRoomName("a b"), false);
  assert.throws(() => new ChatUpProtocol({ ...conf, room: "a b" }), ChatUpError);
  // @ts-expect-error A status that there is not.
  const wrong: Status = "elsewhere";
  assert.notEqual(status, wrong);
});
