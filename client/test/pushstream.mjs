// PushStream's subscribers as they are outside of this house: a real browser's EventSource, fetch, scripts and
// WebSockets, curl, Python's websockets and Node's ws, against the real program.
//
//   CHATUP_BIN     the server's program (required)
//   CHROMIUM       the browser's program, default /usr/bin/chromium
//   PYTHON         a Python that has websockets, default /usr/bin/python3
//   ONLY           run only the parts whose names hold this (optional)

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as chromium from "./pushstream/chromium.mjs";
import * as curl from "./pushstream/curl.mjs";
import * as websockets from "./pushstream/websockets.mjs";
import { startServer } from "./pushstream/world.mjs";

const OVERALL_MS = 60_000;
// What the default has not: paths as an operator writes them.
const CONFIGURATION = `
[worker]
origins = ["http://127.0.0.1:*"]

[pushstream]
enabled = true

[[pushstream.locations]]
path = "/pub"
mode = "publisher-admin"

[[pushstream.locations]]
path = "/channels-stats"
mode = "statistics"

[[pushstream.locations]]
path = "/ev/"
mode = "eventsource"
message_template = "~time~.~channel~.~text~"

[[pushstream.locations]]
path = "/short/"
mode = "eventsource"
message_template = "~time~.~channel~.~text~"
subscriber_connection_ttl_s = 1

[[pushstream.locations]]
path = "/lp/"
mode = "long-polling"
message_template = "~time~.~channel~.~text~"

[[pushstream.locations]]
path = "/short-lp/"
mode = "long-polling"
message_template = "~time~.~channel~.~text~"
longpolling_connection_ttl_s = 1

[[pushstream.locations]]
path = "/poll/"
mode = "polling"

[[pushstream.locations]]
path = "/jsonp/"
mode = "long-polling"
message_template = '{"channel": "~channel~", "time": "~time~", "tag": "~tag~", "text": ~text~}'

[[pushstream.locations]]
path = "/ws/"
mode = "websocket"
ping_message_interval_s = 1

[[pushstream.locations]]
path = "/short-ws/"
mode = "websocket"
subscriber_connection_ttl_s = 1

[[pushstream.locations]]
path = "/say/"
mode = "websocket"
message_template = "~channel~:~id~:~text~"
websocket_allow_publish = true
`;

if (!process.env.CHATUP_BIN) {
  console.error("set CHATUP_BIN to the server's program");
  process.exit(1);
}
const tmp = await mkdtemp(join(tmpdir(), "chatup-pushstream-"));
const servers = [];
const overall = setTimeout(() => {
  console.error(`not done within ${OVERALL_MS / 1000} s`);
  void end().finally(() => process.exit(1));
}, OVERALL_MS);

// Nothing that was started stays behind, whatever goes wrong.
for (const fault of ["uncaughtException", "unhandledRejection"]) {
  process.once(fault, (error) => {
    console.error(error);
    void end().finally(() => process.exit(1));
  });
}

async function end() {
  await chromium.quit();
  await websockets.quit();
  await Promise.all(servers.map((server) => server.stop()));
  await rm(tmp, { recursive: true, force: true });
}

try {
  const plain = await startServer(join(tmp, "plain"), ["--set", "pushstream.enabled=true"]);
  servers.push(plain);
  const file = join(tmp, "chatup.toml");
  await writeFile(file, CONFIGURATION);
  const configured = await startServer(join(tmp, "configured"), ["--config", file]);
  servers.push(configured);
  const parts = [
    ["curl: streams and long polls", () => curl.everyWay(plain, ["/sub/", "/lp/"])],
    // Only there are messages written so that a script can hold them.
    ["curl: scripts", () => curl.everyWay(configured, ["/lp/", "/jsonp/"])],
    ["curl: polls in vain", () => curl.inVain(configured)],
    ...websockets.parts(plain, configured),
    ...chromium.parts(plain, configured),
    // The last: the server ends.
    ...websockets.lastParts(configured),
  ];
  for (const [name, part] of parts.filter(([name]) => name.includes(process.env.ONLY ?? ""))) {
    const start = Date.now();
    await part().catch((error) => {
      console.error(`failed: ${name}`);
      throw error;
    });
    console.log(`ok: ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  }
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await end();
  clearTimeout(overall);
}
