// The world that a test puts around the library: a clock that moves when told,
// WebSockets whose far end is the test, and a dispatcher. Nothing here waits.

import assert from "node:assert/strict";
import { ChatUpProtocol, type ChatUpConfiguration, type Environment, type RequestLike } from "../src/index.ts";

export type Json = Record<string, any>;

interface Timer {
  readonly due_ms: number;
  readonly run: () => void;
}

export class FakeSocket {
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly sent: Json[] = [];
  closed = false;
  readonly url: string;
  readonly subprotocol: string;

  constructor(url: string, subprotocol: string) {
    this.url = url;
    this.subprotocol = subprotocol;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.closed = true;
  }

  /** The calls of one kind that the client has sent. */
  calls(name: string): Json[] {
    return this.sent.filter((call) => call["call"] === name);
  }

  push(frame: Json | string): void {
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  cut(code = 1006, reason = ""): void {
    this.closed = true;
    this.onclose?.({ code, reason });
  }
}

export class FakeWorld {
  now_ms = 0;
  randomValue = 0.5;
  readonly sockets: FakeSocket[] = [];
  readonly requests: { url: string; request: RequestLike; at_ms: number }[] = [];
  /** What the dispatcher answers to a request; a thrown error is a failed one. */
  dispatcher: (path: string, request: RequestLike) => { status: number; body: unknown } = (path) =>
    path.startsWith("/join/")
      ? { status: 200, body: { host: "http://worker-1", id: "w1", channel: { subCount: 2, pubCount: 1 }, messages: [] } }
      : { status: 200, body: { subCount: 5, pubCount: 3, limit: 50, skip: 0, clients: [{ name: "Ada" }] } };
  readonly #timers = new Map<number, Timer>();
  readonly #online = new Set<() => void>();
  #nextTimer = 1;

  environment(): Environment {
    return {
      openWebSocket: (url, subprotocol) => {
        const socket = new FakeSocket(url, subprotocol);
        this.sockets.push(socket);
        return socket;
      },
      fetch: async (url, request) => {
        this.requests.push({ url, request, at_ms: this.now_ms });
        const { status, body } = this.dispatcher(url.replace("http://dispatcher", ""), request);
        return { ok: status >= 200 && status < 300, status, json: async () => body };
      },
      setTimeout: (run, delay_ms) => {
        this.#timers.set(this.#nextTimer, { run, due_ms: this.now_ms + delay_ms });
        return this.#nextTimer++;
      },
      clearTimeout: (id) => void this.#timers.delete(id as number),
      now_ms: () => this.now_ms,
      random: () => this.randomValue,
      onOnline: (run) => {
        this.#online.add(run);
        return () => void this.#online.delete(run);
      },
    };
  }

  /** The network is back. */
  async online(): Promise<void> {
    for (const run of [...this.#online]) run();
    await this.settle();
  }

  /** Everything that waits for something, and would do so for ever. */
  get left(): { timers: number; online: number; sockets: number } {
    const sockets = this.sockets.filter(({ closed }) => !closed).length;
    return { timers: this.#timers.size, online: this.#online.size, sockets };
  }

  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    assert(last !== undefined, "no socket was opened");
    return last;
  }

  get joins(): { body: Json | null; at_ms: number }[] {
    return this.requests
      .filter(({ url }) => url.includes("/join/"))
      .map(({ request, at_ms }) => ({ body: request.body ? JSON.parse(request.body) : null, at_ms }));
  }

  /** Lets everything that is ready to run do so. */
  async settle(): Promise<void> {
    // One turn of Node's loop runs all promises' reactions, however long the chain.
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Moves the clock, running each timer at its time. */
  async advance(delay_ms: number): Promise<void> {
    const until_ms = this.now_ms + delay_ms;
    await this.settle();
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.due_ms <= until_ms);
      due.sort(([, a], [, b]) => a.due_ms - b.due_ms);
      const first = due[0];
      if (first === undefined) break;
      this.#timers.delete(first[0]);
      this.now_ms = Math.max(this.now_ms, first[1].due_ms);
      first[1].run();
      await this.settle();
    }
    this.now_ms = until_ms;
  }

  /** Answers the last call of this kind. */
  async answer(name: string, answer: { ok: Json } | { error: Json }, socket = this.socket): Promise<void> {
    const call = socket.calls(name).at(-1);
    assert(call !== undefined, `no ${name} was sent`);
    socket.push({ id: call["id"], ...answer });
    await this.settle();
  }

  /** Opens the newest socket and answers its ping. */
  async open(): Promise<void> {
    this.socket.onopen?.(undefined as never);
    await this.answer("ping", { ok: {} });
  }

  /** Answers `subscribe`: each channel at this place. */
  async subscribed(change: (channel: string) => Json = () => ({})): Promise<void> {
    this.socket.push(this.subscribedFrame(change));
    await this.settle();
  }

  /** The answer to the last `subscribe`. */
  subscribedFrame(change: (channel: string) => Json = () => ({})): Json {
    const call = this.socket.calls("subscribe").at(-1);
    assert(call !== undefined, "no subscribe was sent");
    const channels = call["channels"].map(({ channel }: { channel: string }) => ({
      channel,
      position: { epoch: EPOCH, offset: 0, id: "" },
      next: 1,
      recovered: false,
      ...change(channel),
    }));
    return { id: call["id"], ok: { channels } };
  }

  /** Answers `auth` and `join`. */
  async member(name = "Ada"): Promise<void> {
    await this.answer("auth", { ok: { user: { name }, expires: null } });
    await this.answer("join", { ok: { room: "lobby" } });
  }
}

export const EPOCH = "9b1f6c2f00d3a7e4";

/** A message as it comes over the wire. */
export function said(offset: number, msg = `message ${offset}`): Json {
  return { user: { name: "Ada" }, msg, i: `id-${offset}`, d: 1_795_354_538 + offset };
}

export function frame(offset: number, count = 1, channel = "m_lobby"): Json {
  return { channel, offset, messages: Array.from({ length: count }, (_, index) => said(offset + index)) };
}

export interface Chat {
  readonly world: FakeWorld;
  readonly chat: ChatUpProtocol;
  readonly messages: string[];
  readonly events: string[];
  readonly statuses: string[];
  readonly gaps: Json[];
  readonly bans: Json[];
}

/** A chat in a fake world, with everything it tells written down. Not yet begun. */
export function newChat(conf: Partial<ChatUpConfiguration> = {}): Chat {
  const world = new FakeWorld();
  const chat = new ChatUpProtocol({
    dispatcherURL: "http://dispatcher/",
    room: "lobby",
    environment: world.environment(),
    ...conf,
  });
  const told: Chat = { world, chat, messages: [], events: [], statuses: [], gaps: [], bans: [] };
  chat.onMsg(({ msg }) => told.messages.push(msg));
  chat.onEv(({ ev }) => told.events.push(ev));
  chat.onStatusChange((status) => told.statuses.push(status));
  chat.onGap((gap) => told.gaps.push(gap));
  chat.onBan((ban) => told.bans.push(ban));
  return told;
}

/** A chat that receives, and is a member where it has a token. */
export async function connectedChat(conf: Partial<ChatUpConfiguration> = {}): Promise<Chat> {
  const told = newChat(conf);
  const ready = told.chat.init();
  await told.world.settle();
  await told.world.open();
  await told.world.subscribed();
  if (conf.jwt !== undefined) await told.world.member();
  await ready;
  return told;
}

/** Moves the clock until the next connection is asked for, and opens it. */
export async function reopened(told: Chat, wait_ms = 30_000): Promise<void> {
  const before = told.world.sockets.length;
  const step_ms = 100;
  for (let waited_ms = 0; told.world.sockets.length === before; waited_ms += step_ms) {
    assert(waited_ms <= wait_ms, "no new connection was opened");
    await told.world.advance(step_ms);
  }
  await told.world.open();
}
