// Where this client is in one channel: drops what it has seen, notices what is
// missing, and knows what to ask for when it comes back.

import { parseEntry, type Entry, type Position, type Subscribed } from "./wire.ts";
import { isRecord } from "./error.ts";

/** Why messages are missing. */
export type GapReason =
  /** This client read too slowly; `from` and `to` say what was left out. */
  | "slow"
  /** After a reconnect the server could not promise to have everything. */
  | "not_recovered"
  /** The channel lost its past and began anew. */
  | "reset"
  /** Offsets were left out without a word. */
  | "hole";

export interface Gap {
  readonly channel: string;
  readonly reason: GapReason;
  /** The first and the last offset missing, where known. */
  readonly from?: number;
  readonly to?: number;
}

/** What to ask for when subscribing. */
export interface SubscribeRequest {
  readonly channel: string;
  readonly position?: Position;
  readonly history?: number;
}

export interface Received {
  readonly offset: number;
  readonly entry: Entry;
}

export class Cursor {
  readonly channel: string;
  readonly #history: number;
  #epoch = "";
  /** The offset of the next message not seen yet. */
  #next = 1;
  /** Of the last message seen; null before the first where the server's words do not name one. */
  #position: Position | null = null;
  /** The ids of the last messages seen, oldest first: as many as a history may repeat. */
  readonly #seen = new Set<string>();
  /** Up to this offset messages may be ones seen before, under other numbers. */
  #repeatedTo = 0;

  /**
   * `history`: how many of the last messages to ask for, at first and where the
   * server cannot go on from the position; 0 for none.
   */
  constructor(channel: string, history: number) {
    this.channel = channel;
    this.#history = history;
  }

  get position(): Position | null {
    return this.#position;
  }

  request(): SubscribeRequest {
    return {
      channel: this.channel,
      ...(this.#position === null ? {} : { position: this.#position }),
      ...(this.#history === 0 ? {} : { history: this.#history }),
    };
  }

  /** Takes a subscription's answer. */
  subscribed(answer: Subscribed): Gap | null {
    const before = this.#position;
    const continues =
      before !== null && answer.recovered && answer.position.epoch === before.epoch;
    if (continues) {
      this.#next = before.offset + 1;
      if (answer.next <= this.#next) return null;
      // A promise that was not kept: as good as none.
      return this.#skipTo(answer.next, "hole");
    }
    this.#begin(answer.position, answer.next);
    return before === null ? null : { channel: this.channel, reason: "not_recovered" };
  }

  /** Takes messages, the first of which has this offset; gives those not seen before. */
  received(offset: number, messages: readonly unknown[]): { gap: Gap | null; received: Received[] } {
    const gap = offset > this.#next ? this.#skipTo(offset, "hole") : null;
    const received: Received[] = [];
    for (const [index, value] of messages.entries()) {
      const current = offset + index;
      if (current < this.#next) continue;
      this.#next = current + 1;
      if (this.#remember(current, value)) continue;
      const entry = parseEntry(value);
      if (entry !== null) received.push({ offset: current, entry });
    }
    return { gap, received };
  }

  /**
   * The server left messages out. The position stays that of the last message
   * seen: whoever comes back with it may yet get them.
   */
  skipped(from: number, to: number): Gap | null {
    if (to < this.#next) return null;
    this.#next = to + 1;
    return { channel: this.channel, reason: "slow", from, to };
  }

  /** The channel began a new epoch. */
  reset(position: Position, next: number): Gap {
    this.#begin(position, next);
    return { channel: this.channel, reason: "reset" };
  }

  #begin(position: Position, next: number): void {
    this.#epoch = position.epoch;
    this.#next = next;
    this.#repeatedTo = position.offset;
    // With history the first message lies before `position`, and the id of the
    // one before it is not known.
    this.#position = next === position.offset + 1 ? position : null;
  }

  /** Whether the message was seen before, under another number. */
  #remember(offset: number, value: unknown): boolean {
    const id = isRecord(value) ? value["i"] : undefined;
    // Without an id it is no position; the one before is still good.
    if (typeof id !== "string" || id === "") return false;
    this.#position = { epoch: this.#epoch, offset, id };
    const known = this.#seen.delete(id);
    this.#seen.add(id);
    if (this.#seen.size > this.#history) this.#seen.delete(this.#seen.values().next().value!);
    return known && offset <= this.#repeatedTo;
  }

  #skipTo(offset: number, reason: GapReason): Gap {
    const from = this.#next;
    this.#next = offset;
    return { channel: this.channel, reason, from, to: offset - 1 };
  }
}
