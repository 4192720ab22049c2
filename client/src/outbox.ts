// Messages on their way out. Each has a key and stays here until it is
// acknowledged, refused, or too old; what a cut connection left without an
// answer is said again with the same key, which the server publishes once.

import type { Connection } from "./connection.ts";
import { deferred, type Deferred, type Environment, type TimerId } from "./environment.ts";
import { asChatUpError, ChatUpError, isConnectionLost, LOCAL_CODE } from "./error.ts";
import { MESSAGE_BYTES_MAX, SAY_TIMEOUT_MS, SAYS_IN_FLIGHT_MAX, SAYS_QUEUED_MAX } from "./limits.ts";
import { byteLength } from "./names.ts";
import { parsePosition, type Position } from "./wire.ts";

/** What an acknowledgement says. */
export interface SayReceipt {
  /** The message's place in the room; null where the server named none. */
  readonly position: Position | null;
  /** The message had been published before, by an attempt whose answer was lost. */
  readonly duplicate: boolean;
}

interface OutgoingMessage {
  readonly key: string;
  readonly text: string;
  readonly receipt: Deferred<SayReceipt>;
  readonly timer: TimerId;
  inFlight: boolean;
}

export class Outbox {
  readonly #environment: Environment;
  readonly #acknowledged: () => void;
  /** In the order said; a Set keeps it and removes cheaply. */
  readonly #messages = new Set<OutgoingMessage>();
  readonly #keyPrefix = randomHex();
  #connection: Connection | null = null;
  #inFlight = 0;
  #keys = 0;

  constructor(environment: Environment, acknowledged: () => void) {
    this.#environment = environment;
    this.#acknowledged = acknowledged;
  }

  say(text: string): Promise<SayReceipt> {
    const message = wellFormed(text);
    if (message === "") {
      return refused(LOCAL_CODE.messageEmpty, "A message must not be empty");
    }
    if (byteLength(message) > MESSAGE_BYTES_MAX) {
      return refused(LOCAL_CODE.messageTooLong, `A message has at most ${MESSAGE_BYTES_MAX} bytes`);
    }
    if (this.#messages.size >= SAYS_QUEUED_MAX) {
      return refused(LOCAL_CODE.tooManyQueued, "Too many messages wait to be sent", true);
    }
    this.#keys += 1;
    const outgoing: OutgoingMessage = {
      key: `${this.#keyPrefix}-${this.#keys}`,
      text: message,
      receipt: deferred<SayReceipt>(),
      timer: this.#environment.setTimeout(() => this.#expire(outgoing), SAY_TIMEOUT_MS),
      inFlight: false,
    };
    this.#messages.add(outgoing);
    this.#flush();
    return outgoing.receipt.promise;
  }

  /** From now on messages go out by this connection, which has joined the room. */
  start(connection: Connection): void {
    this.#connection = connection;
    this.#flush();
  }

  /** No connection for the time being: messages wait. */
  pause(): void {
    this.#connection = null;
  }

  /** Gives up everything that waits. */
  rejectAll(error: ChatUpError): void {
    for (const outgoing of [...this.#messages]) this.#settle(outgoing)?.reject(error);
  }

  #flush(): void {
    for (const outgoing of this.#messages) {
      if (this.#connection === null || this.#inFlight >= SAYS_IN_FLIGHT_MAX) return;
      if (!outgoing.inFlight) void this.#send(outgoing, this.#connection);
    }
  }

  async #send(outgoing: OutgoingMessage, connection: Connection): Promise<void> {
    outgoing.inFlight = true;
    this.#inFlight += 1;
    try {
      // No time limit of its own: the message has one, the connection's pings another.
      const ok = await connection.call("say", { msg: outgoing.text, key: outgoing.key }, null);
      this.#settle(outgoing)?.resolve({
        position: parsePosition(ok["position"]),
        duplicate: ok["duplicate"] === true,
      });
    } catch (error) {
      // Without an answer it stays, and goes out again with the next connection.
      if (!isConnectionLost(error)) this.#settle(outgoing)?.reject(asChatUpError(error));
    } finally {
      outgoing.inFlight = false;
      this.#inFlight -= 1;
      this.#flushUnlessLost(connection);
    }
  }

  /** An answer makes room for the next; a lost connection does not. */
  #flushUnlessLost(connection: Connection): void {
    if (this.#connection === connection && !connection.open) this.#connection = null;
    this.#flush();
  }

  #expire(outgoing: OutgoingMessage): void {
    const seconds = SAY_TIMEOUT_MS / 1000;
    this.#settle(outgoing)?.reject(
      new ChatUpError(
        LOCAL_CODE.sayTimeout,
        `Not acknowledged within ${seconds} s; it may or may not have been published`,
        true,
      ),
    );
  }

  /** Takes a message off the list; undefined where it was settled before. */
  #settle(outgoing: OutgoingMessage): Deferred<SayReceipt> | undefined {
    if (!this.#messages.delete(outgoing)) return undefined;
    this.#environment.clearTimeout(outgoing.timer);
    return {
      promise: outgoing.receipt.promise,
      resolve: (receipt) => {
        this.#acknowledged();
        outgoing.receipt.resolve(receipt);
      },
      reject: (error) => outgoing.receipt.reject(error),
    };
  }
}

function refused(code: string, message: string, retry = false): Promise<never> {
  return Promise.reject(new ChatUpError(code, message, retry));
}

/** Half a surrogate pair is no text; it becomes U+FFFD, as everywhere on the web. */
function wellFormed(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}

/** Keys must differ between two pages of one user, so that this is real randomness. */
function randomHex(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
