// One WebSocket to a worker: calls and their answers, what the server sends by
// itself, the latency, and the end. It knows nothing of rooms and does not come
// back by itself; whoever owns it opens the next one.

import type { Environment, TimerId, WebSocketLike } from "./environment.ts";
import { deferred } from "./environment.ts";
import { ChatUpError, connectionLost, LOCAL_CODE } from "./error.ts";
import {
  FRAME_BYTES_MAX,
  OPEN_TIMEOUT_MS,
  PING_INTERVAL_MS,
  PING_TIMEOUT_MS,
} from "./limits.ts";
import { byteLength } from "./names.ts";
import { parseFrame, type Frame } from "./wire.ts";

export const SUBPROTOCOL = "chatup.v1";

/** How a connection ended. */
export interface ConnectionEnd {
  /** The WebSocket close code; 1006 where there was none, and for ends decided here. */
  readonly code: number;
  readonly reason: string;
  /** Whether the connection had opened before. */
  readonly opened: boolean;
  /** Whether this side ended it on purpose, to come back at once. */
  readonly renew: boolean;
}

/** What the server sends by itself. */
export type Push = Exclude<Frame, { kind: "answer" | "refusal" | "unknown" }>;

export interface ConnectionHandlers {
  opened(): void;
  pushed(push: Push): void;
  latency(latency_ms: number): void;
}

/** After these closes the client has a fault that trying again will not mend. */
const CLOSES_FOR_GOOD: ReadonlySet<number> = new Set([1002, 1003, 1007, 1009, 4003]);

export function isForGood(end: ConnectionEnd): boolean {
  return CLOSES_FOR_GOOD.has(end.code);
}

/** What becomes of a call: exactly one of the two is called, once. */
export interface AnswerHandlers {
  resolve(ok: Record<string, unknown>): void;
  reject(error: ChatUpError): void;
}

interface PendingCall {
  readonly answer: AnswerHandlers;
  readonly timer: TimerId | null;
}

export class Connection {
  /** Resolves once, when the connection is over, for whatever reason; never rejects. */
  readonly ended: Promise<ConnectionEnd>;

  readonly #environment: Environment;
  readonly #handlers: ConnectionHandlers;
  readonly #end = deferred<ConnectionEnd>();
  readonly #calls = new Map<number, PendingCall>();
  readonly #openTimer: TimerId;
  #socket: WebSocketLike | null = null;
  #pingTimer: TimerId | null = null;
  #opened = false;
  #over = false;
  #nextCall = 1;

  constructor(environment: Environment, url: string, handlers: ConnectionHandlers) {
    this.#environment = environment;
    this.#handlers = handlers;
    this.ended = this.#end.promise;
    this.#openTimer = environment.setTimeout(
      () => this.drop("no handshake in time"),
      OPEN_TIMEOUT_MS,
    );
    try {
      const socket = environment.openWebSocket(url, SUBPROTOCOL);
      this.#socket = socket;
      socket.onopen = () => this.#onOpen();
      socket.onmessage = (event) => this.#onFrame(event.data);
      socket.onclose = (event) => this.#finish(event.code, event.reason, false);
      // A close event follows every error event, and says more.
      socket.onerror = () => undefined;
    } catch (error) {
      // A browser refuses some addresses at once, e.g. ws: from an https: page.
      this.#finish(1006, error instanceof Error ? error.message : String(error), false);
    }
  }

  get open(): boolean {
    return this.#opened && !this.#over;
  }

  /**
   * Sends a call; the promise has its `ok`, or rejects with the server's error,
   * or with `connection_lost`. A call that is given a limit and outlives it
   * drops the connection, for it then is of no use.
   */
  call(
    name: string,
    fields: Record<string, unknown>,
    timeout_ms: number | null,
  ): Promise<Record<string, unknown>> {
    const answer = deferred<Record<string, unknown>>();
    this.request(name, fields, timeout_ms, answer);
    return answer.promise;
  }

  /**
   * A call whose answer is handled before the next frame is: a promise's
   * reaction may come only after several frames that arrived together.
   */
  request(
    name: string,
    fields: Record<string, unknown>,
    timeout_ms: number | null,
    answer: AnswerHandlers,
  ): void {
    if (!this.open || this.#socket === null) return answer.reject(connectionLost());
    const id = this.#nextCall++;
    const text = JSON.stringify({ id, call: name, ...fields });
    if (byteLength(text) > FRAME_BYTES_MAX) {
      // Sent, it would end the connection.
      return answer.reject(
        new ChatUpError(LOCAL_CODE.messageTooLong, "Too long to be sent", false),
      );
    }
    const timer =
      timeout_ms === null
        ? null
        : this.#environment.setTimeout(() => this.drop(`no answer to ${name}`), timeout_ms);
    this.#calls.set(id, { answer, timer });
    try {
      this.#socket.send(text);
    } catch {
      this.drop("could not send");
    }
  }

  /** Ends it properly, for good. */
  close(): void {
    this.#finish(1000, "closed", false);
  }

  /** Ends it on purpose, to come back at once. */
  renew(): void {
    this.#finish(1000, "renewed", true);
  }

  /** Gives it up as dead or of no use. */
  drop(reason: string): void {
    this.#finish(1006, reason, false);
  }

  #onOpen(): void {
    if (this.#over) return;
    this.#opened = true;
    this.#environment.clearTimeout(this.#openTimer);
    this.#handlers.opened();
    this.#ping();
  }

  #onFrame(data: unknown): void {
    if (this.#over) return;
    const frame = parseFrame(data);
    switch (frame.kind) {
      case "unknown":
        return;
      case "answer":
        this.#take(frame.id)?.answer.resolve(frame.ok);
        return;
      case "refusal":
        this.#take(frame.id)?.answer.reject(ChatUpError.fromServer(frame.error));
        return;
      default:
        this.#handlers.pushed(frame);
    }
  }

  #take(id: number): PendingCall | undefined {
    const pending = this.#calls.get(id);
    if (pending === undefined) return undefined;
    this.#calls.delete(id);
    if (pending.timer !== null) this.#environment.clearTimeout(pending.timer);
    return pending;
  }

  /** Measures the latency, and by its time limit notices a connection that is dead without a close. */
  #ping(): void {
    const sent_ms = this.#environment.now_ms();
    this.call("ping", {}, PING_TIMEOUT_MS).then(
      () => this.#handlers.latency(this.#environment.now_ms() - sent_ms),
      // A refusal is a sign of life, too; a lost connection is told by `ended`.
      () => undefined,
    );
    if (this.#over) return;
    this.#pingTimer = this.#environment.setTimeout(() => this.#ping(), PING_INTERVAL_MS);
  }

  #finish(code: number, reason: string, renew: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#environment.clearTimeout(this.#openTimer);
    if (this.#pingTimer !== null) this.#environment.clearTimeout(this.#pingTimer);
    this.#detachSocket();
    for (const id of [...this.#calls.keys()]) this.#take(id)?.answer.reject(connectionLost());
    this.#end.resolve({ code, reason, opened: this.#opened, renew });
  }

  /** A dead peer may keep a browser's socket closing for long; nothing of it is heard any more. */
  #detachSocket(): void {
    const socket = this.#socket;
    if (socket === null) return;
    this.#socket = null;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.onerror = null;
    try {
      socket.close(1000);
    } catch {
      // Already closed.
    }
  }
}
