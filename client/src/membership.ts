// Who this client is: keeps the token, and makes the user a member of the room
// on each connection (auth, then join once the room is received). Knows nothing of how connections come.

import { backoffDelayMs } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import { deferred, type Deferred, type Environment, type TimerId } from "./environment.ts";
import { asChatUpError, ChatUpError, isConnectionLost, LOCAL_CODE } from "./error.ts";
import { SETUP_TIMEOUT_MS } from "./limits.ts";
import { parseBanSeconds, parseUser, type User } from "./wire.ts";

export type MembershipState =
  /** No token. */
  | "anonymous"
  /** A token that was not answered yet. */
  | "pending"
  | "joined"
  /** The server refused the token or the join; trying again will not help. */
  | "refused"
  /** The server could not answer now; it is asked again. */
  | "failing";

export interface MembershipHandlers {
  changed(): void;
  /** Resolves once the room is received on this connection, so that one's own join is seen. */
  received(connection: Connection): Promise<void>;
  /** The user is a member on this connection. */
  joined(connection: Connection): void;
  banned(ttl_s: number): void;
  /** The user that was is not any more; what it has not said yet must not go out as another's. */
  left(error: ChatUpError): void;
}

export class Membership {
  readonly #environment: Environment;
  readonly #room: string;
  readonly #handlers: MembershipHandlers;
  #jwt: string | null;
  #state: MembershipState;
  #user: User | null = null;
  #error: ChatUpError | null = null;
  #connection: Connection | null = null;
  #waiting: Deferred<User> | null = null;
  #retryTimer: TimerId | null = null;
  #failures = 0;
  /** Counted up by whatever makes the answers still under way worthless. */
  #generation = 0;
  /** The generation for which a fresh connection was already asked for. */
  #renewedFor = -1;

  constructor(environment: Environment, room: string, jwt: string | null, handlers: MembershipHandlers) {
    this.#environment = environment;
    this.#room = room;
    this.#jwt = jwt;
    this.#state = jwt === null ? "anonymous" : "pending";
    this.#handlers = handlers;
  }

  get state(): MembershipState {
    return this.#state;
  }

  /** The `_public` part of the token, once the server has accepted it. */
  get user(): User | null {
    return this.#user;
  }

  /** Why nothing can be said now; null where it can, or may soon. */
  get refusal(): ChatUpError | null {
    if (this.#state === "anonymous") {
      return new ChatUpError(LOCAL_CODE.notAuthenticated, "Authenticate before speaking", false);
    }
    return this.#state === "refused" ? this.#error : null;
  }

  /** Resolves with the user once it is a member of the room, on this connection or a later one. */
  authenticate(jwt: string | undefined): Promise<User> {
    const token = jwt ?? this.#jwt;
    if (token === null || token === "") {
      return Promise.reject(new ChatUpError(LOCAL_CODE.notAuthenticated, "There is no token", false));
    }
    this.#supersede();
    this.#jwt = token;
    this.#waiting = deferred<User>();
    const { promise } = this.#waiting;
    // A member that renews its token stays one meanwhile.
    const stillWanted = this.#state === "joined" || this.#set("pending", null);
    if (stillWanted && this.#connection !== null) void this.#identify(this.#connection);
    return promise;
  }

  /** Leaves the room and forgets the token. Messages are still received. */
  async unauthenticate(): Promise<void> {
    this.#supersede();
    this.#jwt = null;
    this.#user = null;
    this.#set("anonymous", null);
    this.#handlers.left(new ChatUpError(LOCAL_CODE.superseded, "The user has left", false));
    // Sent even while a join is under way: calls take effect in their order.
    // Whoever has not joined is told so, which is no harm.
    await this.#connection?.call("leave", {}, SETUP_TIMEOUT_MS).catch(() => undefined);
  }

  /** A connection has opened. Its first call is `auth`, since reading may need it. */
  connected(connection: Connection): void {
    this.#connection = connection;
    if (this.#jwt === null) return;
    if (this.#state !== "refused") this.#state = "pending";
    void this.#identify(connection);
  }

  disconnected(): void {
    this.#connection = null;
    this.#clearRetry();
    if (this.#state === "joined" || this.#state === "failing") this.#state = "pending";
  }

  /** A call was refused because of the token. */
  refused(error: ChatUpError): void {
    this.#set("refused", error);
  }

  /** No connection will come any more. */
  finish(error: ChatUpError): void {
    this.#clearRetry();
    this.#generation += 1;
    this.#connection = null;
    this.#waiting?.promise.catch(() => undefined);
    this.#waiting?.reject(error);
    this.#waiting = null;
  }

  async #identify(connection: Connection): Promise<void> {
    const generation = this.#generation;
    const isCurrent = (): boolean =>
      generation === this.#generation && connection === this.#connection;
    try {
      const auth = await connection.call("auth", { token: this.#jwt }, SETUP_TIMEOUT_MS);
      if (!isCurrent()) return;
      const user = parseUser(auth["user"]);
      await this.#handlers.received(connection);
      if (!isCurrent()) return;
      const join = await connection.call("join", { room: this.#room }, SETUP_TIMEOUT_MS);
      if (!isCurrent()) return;
      this.#joined(connection, user);
      if (!isCurrent()) return;
      const ttl_s = parseBanSeconds(join["banned"]);
      if (ttl_s !== null) this.#handlers.banned(ttl_s);
    } catch (error) {
      // A lost connection is followed by another, which asks again.
      if (isCurrent() && !isConnectionLost(error)) this.#failed(connection, asChatUpError(error));
    }
  }

  #joined(connection: Connection, user: User): void {
    this.#failures = 0;
    this.#user = user;
    if (!this.#set("joined", null)) return;
    this.#waiting?.resolve(user);
    this.#waiting = null;
    this.#handlers.joined(connection);
  }

  #failed(connection: Connection, error: ChatUpError): void {
    if (error.code === "identity_locked" && this.#renewedFor !== this.#generation) {
      // A connection keeps the name it joined with; another name needs another one.
      this.#renewedFor = this.#generation;
      this.#handlers.left(new ChatUpError(LOCAL_CODE.superseded, "Another user has taken over", false));
      connection.renew();
      return;
    }
    if (error.retry) {
      this.#failures += 1;
      this.#clearRetry();
      if (!this.#set("failing", error)) return;
      this.#retryTimer = this.#environment.setTimeout(
        () => void this.#identify(connection),
        backoffDelayMs(this.#failures, this.#environment.random),
      );
      return;
    }
    if (!this.#set("refused", error)) return;
    this.#waiting?.reject(error);
    this.#waiting = null;
    this.#handlers.left(error);
  }

  #supersede(): void {
    this.#generation += 1;
    this.#failures = 0;
    this.#clearRetry();
    this.#waiting?.reject(new ChatUpError(LOCAL_CODE.superseded, "Another call took its place", false));
    this.#waiting = null;
  }

  #clearRetry(): void {
    if (this.#retryTimer !== null) this.#environment.clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
  }

  /** Whether it still holds after the handlers heard of it: one may close, or become somebody else. */
  #set(state: MembershipState, error: ChatUpError | null): boolean {
    const generation = this.#generation;
    this.#state = state;
    this.#error = error;
    this.#handlers.changed();
    return generation === this.#generation;
  }
}
