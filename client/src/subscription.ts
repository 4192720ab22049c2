// The room's channels, on one connection after another: asks for them from where
// this client is, and hands on what comes, each message once.

import type { Connection, Push } from "./connection.ts";
import { Cursor, type Gap, type Received, type SubscribeRequest } from "./cursor.ts";
import { type ChatUpError, isConnectionLost } from "./error.ts";
import { SETUP_TIMEOUT_MS } from "./limits.ts";
import { parseSubscribed } from "./wire.ts";

/** What the server sends by itself about a channel. */
export type ChannelPush = Exclude<Push, { kind: "banned" }>;

export interface SubscriptionHandlers {
  /** Everything asked for is received from now on. */
  receiving(): void;
  refused(connection: Connection, error: ChatUpError): void;
  missing(gap: Gap): void;
  received(channel: string, received: Received): void;
}

export class Subscription {
  readonly #cursors = new Map<string, Cursor>();
  readonly #handlers: SubscriptionHandlers;
  /** The connection that was asked; null while there is none. */
  #connection: Connection | null = null;
  #state: "asked" | "receiving" | "refused" = "asked";
  #waiting: (() => void)[] = [];

  /** `history`: how many messages to begin with in this one of the channels. */
  constructor(
    channels: readonly string[],
    history: { readonly channel: string; readonly count: number },
    handlers: SubscriptionHandlers,
  ) {
    for (const channel of channels) {
      this.#cursors.set(channel, new Cursor(channel, channel === history.channel ? history.count : 0));
    }
    this.#handlers = handlers;
  }

  get receiving(): boolean {
    return this.#connection !== null && this.#state === "receiving";
  }

  /** On a connection that has just opened. */
  begin(connection: Connection): void {
    this.#connection = connection;
    this.#state = "asked";
    const requests = [...this.#cursors.values()].map((cursor) => cursor.request());
    connection.request("subscribe", { channels: requests }, SETUP_TIMEOUT_MS, {
      resolve: (ok) => this.#answered(connection, requests, ok),
      reject: (error) => {
        // A lost connection is followed by another, which is asked again.
        if (isConnectionLost(error) || connection !== this.#connection) return;
        this.#state = "refused";
        this.#goOn();
        this.#handlers.refused(connection, error);
      },
    });
  }

  /** The connection is over. */
  end(): void {
    this.#connection = null;
    this.#goOn();
  }

  /**
   * Resolves once this connection has answered, for whoever is to be heard by
   * itself. What it refused before is asked for again: by now one may be known.
   */
  settled(connection: Connection): Promise<void> {
    if (connection !== this.#connection || this.#state === "receiving") return Promise.resolve();
    const settled = new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#state === "refused") this.begin(connection);
    return settled;
  }

  pushed(push: ChannelPush): void {
    const cursor = this.#cursors.get(push.channel);
    if (cursor === undefined || !this.receiving) return;
    switch (push.kind) {
      case "messages": {
        const { gap, received } = cursor.received(push.offset, push.messages);
        this.#tell(gap);
        // A handler may end it all between two of them.
        for (const one of received) if (this.receiving) this.#handlers.received(push.channel, one);
        return;
      }
      case "gap":
        return this.#tell(cursor.skipped(push.from, push.to));
      case "reset":
        return this.#tell(cursor.reset(push.position, push.next));
    }
  }

  #answered(connection: Connection, requests: readonly SubscribeRequest[], ok: Record<string, unknown>): void {
    if (connection !== this.#connection) return;
    const answers = parseSubscribed(ok, requests.map((request) => request.channel));
    if (answers === null) return connection.drop("a subscription's answer makes no sense");
    // Of each answer first, so that no handler sees half of a subscription.
    const gaps = answers.map((answer) => this.#cursors.get(answer.channel)?.subscribed(answer) ?? null);
    this.#state = "receiving";
    this.#goOn();
    this.#handlers.receiving();
    for (const gap of gaps) this.#tell(gap);
  }

  #tell(gap: Gap | null): void {
    if (gap !== null && this.receiving) this.#handlers.missing(gap);
  }

  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
