// WebSocket clients that others have written as PushStream's subscribers, and as publishers where a location
// lets them.

import assert from "node:assert/strict";
import { node, python } from "./sockets.mjs";
import { FROM_THE_BEGINNING, Heard, Texts, numbers, publish, subscribed, talk } from "./world.mjs";

const SAID = 60;
/** limits.message_bytes_max */
const MOST_BYTES = 16_384;

const clients = [];
const address = (server, path) => `${server.worker.replace("http", "ws")}${path}`;

/** The client of this name, once it is needed. */
function client(make) {
  let made;
  return () => {
    if (!made) clients.push((made = make()));
    return made;
  };
}

const makers = [
  ["ws", client(node)],
  ["python", client(python)],
];

export async function quit() {
  await Promise.all(clients.splice(0).map((one) => one.quit()));
}

export function parts(plain, configured) {
  const each = [
    ["in order, once", (open, name) => inOrder(open, name, plain)],
    ["backtrack", (open, name) => backtrack(open, name, plain)],
    ["handshakes", (open, name) => handshakes(open, name, configured)],
    ["close codes", (open, name) => closeCodes(open, name, plain, configured)],
    ["pings", (open, name) => pings(open, name, configured)],
    ["publishing", (open, name) => publishing(open, name, plain, configured)],
  ];
  return makers.flatMap(([name, make]) =>
    each.map(([what, part]) => [`${name}: ${what}`, () => part((...args) => make().open(...args), name)]),
  );
}

/** What ends the server. */
export function lastParts(configured) {
  return [["ws, python: the server stops", () => stopped(configured)]];
}

/** Those who are there from the beginning, and who comes later and asks for all, hear the same. */
async function inOrder(open, name, server) {
  const room = `order-${name}`;
  const said = await talk(server, room);
  const listeners = [];
  const listen = async (query) => {
    const connection = open(address(server, `/ws/m_${room}/aside-${name}${query}`));
    await connection.expect({ opened: "" });
    const heard = new Heard();
    const texts = new Texts();
    const asides = [];
    const reading = (async () => {
      while (heard.all.length < SAID || asides.length < 2) {
        const { text } = await connection.next(`numbers after ${heard.all.at(-1)}`);
        for (const list of texts.push(text)) {
          heard.hear(...numbers(list));
          asides.push(...list.filter((one) => typeof one === "string" && one.startsWith("aside")));
        }
      }
    })();
    reading.catch(() => {});
    listeners.push({ connection, heard, reading, asides });
  };
  await listen("");
  await publish(server, `aside-${name}`, '["aside 0"]');
  await said.until(SAID / 2);
  await listen(`?${FROM_THE_BEGINNING}`);
  await said.until(SAID);
  // In both channels at once, the last of them.
  await publish(server, `aside-${name}`, '["aside 1"]');
  for (const { connection, heard, reading, asides } of listeners) {
    await heard.exactly(SAID, name);
    await reading;
    assert.deepEqual([heard.all.length, asides], [SAID, ["aside 0", "aside 1"]]);
    connection.close(1000, "");
    await connection.expect({ closed: 1000, reason: "" });
  }
  said.close();
}

/** Each channel's own backtrack, in the order of the path; then what comes. */
async function backtrack(open, name, server) {
  const [one, two, three] = ["one", "two", "three"].map((channel) => `back-${channel}-${name}`);
  for (const number of [1, 2, 3, 4, 5]) {
    await publish(server, one, `["a${number}"]`);
    await publish(server, two, `["b${number}"]`);
    await publish(server, three, `["c${number}"]`);
  }
  const texts = new Texts();
  for (const separator of ["/", "%2F"]) {
    const connection = open(address(server, `/ws/${two}.b2${separator}${one}.b3${separator}${three}`));
    await connection.expect({ opened: "" });
    const next = async () => texts.push((await connection.next()).text).flat();
    for (const text of ["b4", "b5", "a3", "a4", "a5"]) assert.deepEqual(await next(), [text]);
    await publish(server, three, '["c6"]');
    assert.deepEqual(await next(), ["c6"]);
    connection.close(1000, "");
    await connection.expect({ closed: 1000, reason: "" });
    await publish(server, two, '["b4"]');
    await publish(server, two, '["b5"]');
  }
}

/** What is offered and refused before anything is said. */
async function handshakes(open, name, server) {
  const url = address(server, `/ws/hands-${name}`);
  // There is no subprotocol here: none is confirmed, which RFC 6455 lets a client take as it likes.
  const offering = open(url, { protocols: ["pushstream", "chat"] });
  await offering.expect(name === "ws" ? { failed: "Server sent no subprotocol" } : { opened: "" });
  // The native protocol has one.
  const native = open(address(server, "/chatup/v1"), { protocols: ["other", "chatup.v1"] });
  await native.expect({ opened: "chatup.v1" });
  native.close(1000, "");
  await native.expect({ closed: 1000, reason: "" });
  const page = open(url, { origin: "http://127.0.0.1:1" });
  await page.expect({ opened: "" });
  await open(url, { origin: "http://other.example" }).expect({ failed: 403 });
  await open(address(server, "/nothing/here")).expect({ failed: 404 });
  // What cannot be subscribed to is told of as the module does: behind the handshake.
  const all = open(address(server, "/ws/ALL"));
  const explain = "Channel id not authorized for this method.";
  await all.expect({ opened: "" }, { closed: 1008, reason: `{"http_status": 403, "explain":"${explain}"}` });
}

/** Who closes, with which code, and what the other side says to it. */
async function closeCodes(open, name, plain, configured) {
  const channel = `closing-${name}`;
  const opened = async (server, path) => {
    const connection = open(address(server, path));
    await connection.expect({ opened: "" });
    return connection;
  };
  // A code that is sent is echoed.
  for (const [code, reason] of [[1000, ""], [1000, "done"], [3001, ""], [4999, "é"]]) {
    const connection = await opened(plain, `/ws/${channel}`);
    connection.close(code, reason);
    assert.equal((await connection.next("the close")).closed, code);
  }
  const binary = await opened(plain, `/ws/${channel}`);
  binary.sayBinary("x");
  await binary.expect({ closed: 1003, reason: "binary_frame" });
  const large = await opened(plain, `/ws/${channel}`);
  large.say("x".repeat(MOST_BYTES));
  large.say("x".repeat(MOST_BYTES + 1));
  await large.expect({ closed: 1009, reason: "frame_too_large" });
  const deleted = await opened(plain, `/ws/${channel}`);
  await publish(plain, channel, '["gone"]');
  await publish(plain, channel, '["deleted"]', {}, "DELETE");
  const last = async () => new Texts().push((await deleted.next()).text).flat();
  assert.deepEqual([await last(), await last()], [["gone"], ["deleted"]]);
  await deleted.expect({ closed: 1000, reason: "" });
  const short = await opened(configured, `/short-ws/${channel}`);
  await short.expect({ closed: 1000, reason: "" });
}

/** Pings either way, and the connection stays. */
async function pings(open, name, server) {
  const channel = `pings-${name}`;
  const connection = open(address(server, `/ws/${channel}`));
  await connection.expect({ opened: "" });
  for (const payload of ["a", "x".repeat(125)]) {
    connection.ping(payload);
    await connection.expect({ ponged: payload });
  }
  // After each silence, not only after the first.
  await connection.expect({ pinged: true }, { pinged: true });
  // The default of a location's template is the text alone.
  await publish(server, channel, "still here");
  await connection.expect({ text: "still here" });
  connection.close(1000, "");
  await connection.expect({ closed: 1000, reason: "" });
}

/** What a client says is published where the location lets it. */
async function publishing(open, name, plain, configured) {
  const [one, two] = [`said-${name}`, `said-too-${name}`];
  const speaker = open(address(configured, `/say/${one}`));
  const both = open(address(configured, `/say/${one}/${two}`));
  const other = open(address(configured, `/say/${two}`));
  for (const connection of [speaker, both, other]) await connection.expect({ opened: "" });
  await subscribed(configured, one, 2);
  await subscribed(configured, two, 2);
  // Nothing is nothing; pieces are one text.
  speaker.say("");
  speaker.say("héllo 😀");
  speaker.sayInPieces(["in ", "two ", "pieces"]);
  for (const connection of [speaker, both]) {
    await connection.expect({ text: `${one}:1:héllo 😀` }, { text: `${one}:2:in two pieces` });
  }
  both.say("to both");
  await speaker.expect({ text: `${one}:3:to both` });
  await other.expect({ text: `${two}:1:to both` });
  const heard = [(await both.next()).text, (await both.next()).text].sort();
  assert.deepEqual(heard, [`${two}:1:to both`, `${one}:3:to both`].sort());
  // Many, in their order.
  for (let number = 4; number < SAID; number += 1) speaker.say(`${number}`);
  for (let number = 4; number < SAID; number += 1) await both.expect({ text: `${one}:${number}:${number}` });
  // Elsewhere it is not.
  const silent = open(address(plain, `/ws/${one}`));
  await silent.expect({ opened: "" });
  await subscribed(plain, one, 1);
  silent.say("unheard");
  silent.ping("a");
  await silent.expect({ ponged: "a" });
  await publish(plain, one, '["heard"]');
  assert.deepEqual(new Texts().push((await silent.next()).text).flat(), ["heard"]);
  for (const connection of [speaker, both, other, silent]) connection.close(1000, "");
}

/** Whoever is there when the server stops is told so, and when to come back. */
async function stopped(server) {
  const connections = makers.map(([, make]) => make().open(address(server, "/say/stopped")));
  for (const connection of connections) await connection.expect({ opened: "" });
  await subscribed(server, "stopped", connections.length);
  const stopping = server.stop("SIGTERM");
  for (const connection of connections) {
    const { closed, reason } = await connection.next("the close");
    assert.equal(closed, 1001);
    assert.match(reason, /^shutting_down retry_after_ms=\d+$/);
  }
  await stopping;
}
