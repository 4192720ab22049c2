// WebSocket clients that others have written, behind one set of calls: Node's ws, and Python's websockets in a
// process of its own. What happens to a connection is an object: {opened}, {text}, {pinged}, {ponged}, {closed}
// or {failed}.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { within } from "./world.mjs";

/** One connection, whoever holds it. */
class Connection {
  #name;
  #happened = [];
  #waiting = [];

  constructor(name) {
    this.#name = name;
  }

  happens(event) {
    const next = this.#waiting.shift();
    if (next) next(event);
    else this.#happened.push(event);
  }

  /** What happens next. */
  next(what = "something") {
    if (this.#happened.length) return Promise.resolve(this.#happened.shift());
    return within(new Promise((resolve) => this.#waiting.push(resolve)), `${this.#name}: ${what}`);
  }

  /** Holds it to what happens next. */
  async expect(...events) {
    for (const event of events) assert.deepEqual(await this.next(JSON.stringify(event)), event, this.#name);
  }
}

/** Node's ws. */
export function node() {
  const sockets = new Set();
  return {
    name: "ws of Node",
    open(url, { protocols = [], origin } = {}) {
      const connection = new Connection(`ws, ${url}`);
      const socket = new WebSocket(url, protocols, { origin });
      sockets.add(socket);
      socket.on("open", () => connection.happens({ opened: socket.protocol }));
      socket.on("message", (data, binary) => connection.happens(binary ? { binary: data } : { text: data.toString() }));
      socket.on("ping", () => connection.happens({ pinged: true }));
      socket.on("pong", (data) => connection.happens({ ponged: data.toString() }));
      let failed = false;
      socket.on("unexpected-response", (request, answer) => {
        failed = true;
        connection.happens({ failed: answer.statusCode });
        request.destroy();
      });
      socket.on("error", (error) => {
        if (!failed) connection.happens({ failed: error.message });
        failed = true;
      });
      socket.on("close", (closed, reason) => {
        if (!failed) connection.happens({ closed, reason: reason.toString() });
      });
      return Object.assign(connection, {
        say: (text) => socket.send(text),
        sayInPieces: (pieces) =>
          pieces.forEach((piece, number) => socket.send(piece, { fin: number === pieces.length - 1 })),
        sayBinary: (text) => socket.send(Buffer.from(text)),
        ping: (payload) => socket.ping(payload),
        close: (code, reason) => socket.close(code, reason),
      });
    },
    async quit() {
      for (const socket of sockets) socket.terminate();
    },
  };
}

/** Python's websockets. */
export function python() {
  const program = process.env.PYTHON || "/usr/bin/python3";
  const script = fileURLToPath(new URL("websockets_client.py", import.meta.url));
  const client = spawn(program, [script], { stdio: ["pipe", "pipe", "inherit"] });
  const connections = new Map();
  const ended = new Promise((resolve) => client.once("exit", resolve).once("error", resolve));
  void ended.then((code) => {
    for (const connection of connections.values()) connection.happens({ failed: `Python ended: ${code}` });
  });
  client.stdin.on("error", () => {});
  createInterface({ input: client.stdout }).on("line", (line) => {
    const { as, ...event } = JSON.parse(line);
    connections.get(as).happens(event);
  });
  return {
    name: "websockets of Python",
    open(url, { protocols, origin } = {}) {
      const as = `${connections.size}`;
      const connection = new Connection(`Python, ${url}`);
      connections.set(as, connection);
      const order = (what, fields) => client.stdin.write(`${JSON.stringify({ do: what, as, ...fields })}\n`);
      order("open", { url, protocols, origin });
      return Object.assign(connection, {
        say: (text) => order("say", { text }),
        sayInPieces: (pieces) => order("say in pieces", { pieces }),
        sayBinary: (text) => order("say binary", { text }),
        ping: (payload) => order("ping", { payload }),
        close: (code, reason) => order("close", { code, reason }),
      });
    },
    async quit() {
      client.kill("SIGKILL");
      await ended;
    },
  };
}
