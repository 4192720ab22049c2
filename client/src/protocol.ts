// ChatUpProtocol: one room as a page sees it. Joins through the dispatcher,
// keeps one connection to a worker, comes back after a cut with the position of
// each channel, and tells its handlers what happens.

import { RetryPolicy, retryHintMs } from "./backoff.ts";
import { checkConfiguration, type ChatUpConfiguration, type CheckedConfiguration } from "./configuration.ts";
import { Connection, isForGood, type ConnectionEnd, type Push } from "./connection.ts";
import { CountRefresher } from "./counts.ts";
import type { Gap, Received } from "./cursor.ts";
import { Dispatcher, type UsersPage, type Worker } from "./dispatcher.ts";
import { deferred, type TimerId } from "./environment.ts";
import { asChatUpError, ChatUpError, LOCAL_CODE } from "./error.ts";
import { STABLE_AFTER_MS, USERS_LIMIT_DEFAULT } from "./limits.ts";
import { Listeners, type Unsubscribe } from "./listeners.ts";
import { Membership } from "./membership.ts";
import { eventsChannel, messagesChannel } from "./names.ts";
import { Outbox, type SayReceipt } from "./outbox.ts";
import type { Ban, Source, Stats, Status, UserCounts } from "./status.ts";
import { Subscription } from "./subscription.ts";
import type { ChatEvent, Message, User } from "./wire.ts";

export class ChatUpProtocol {
  readonly stats: Stats = { msgSent: 0, msgReceived: 0, latency: null, pubCount: 0, subCount: 0 };

  readonly #conf: CheckedConfiguration;
  readonly #dispatcher: Dispatcher;
  readonly #retry: RetryPolicy;
  readonly #subscription: Subscription;
  readonly #membership: Membership;
  readonly #outbox: Outbox;
  readonly #counts: CountRefresher;
  readonly #ready = deferred<void>();
  readonly #onMessage = new Listeners<[Message, Source]>();
  readonly #onEvent = new Listeners<[ChatEvent, Source]>();
  readonly #onUserCount = new Listeners<[UserCounts]>();
  readonly #onStatus = new Listeners<[Status]>();
  readonly #onBan = new Listeners<[Ban]>();
  readonly #onGap = new Listeners<[Gap]>();
  #status: Status = "disconnected";
  #connection: Connection | null = null;
  #started = false;
  /** Why nothing happens any more. */
  #finished: ChatUpError | null = null;
  #stableTimer: TimerId | null = null;
  #wake: (() => void) | null = null;

  /** Throws a ChatUpError where the configuration is wrong. Nothing is sent before `init`. */
  constructor(conf: ChatUpConfiguration) {
    this.#conf = checkConfiguration(conf);
    const { environment, dispatcher, room, channels, history, countRefresh_ms, jwt } = this.#conf;
    this.#subscription = new Subscription(
      channels,
      { channel: messagesChannel(room), count: history },
      {
        receiving: () => this.#receiving(),
        refused: (connection, error) => this.#subscribeRefused(connection, error),
        missing: (gap) => this.#onGap.emit(gap),
        received: (channel, received) => this.#deliver(channel, received),
      },
    );
    this.#dispatcher = new Dispatcher(environment, dispatcher, room);
    this.#retry = new RetryPolicy(environment.random);
    this.#outbox = new Outbox(environment, () => {
      this.stats.msgSent += 1;
    });
    this.#counts = new CountRefresher(environment, this.#dispatcher, countRefresh_ms, (page) =>
      this.#counted(page),
    );
    this.#membership = new Membership(environment, room, jwt, {
      changed: () => this.#showMembership(),
      received: (connection) => this.#subscription.settled(connection),
      joined: (connection) => this.#outbox.start(connection),
      banned: (ttl_s) => this.#onBan.emit({ room, ttl_s }),
      left: (error) => {
        this.#outbox.pause();
        this.#outbox.rejectAll(error);
      },
    });
    // Whoever does not wait for `init` hears of a failure by the status.
    this.#ready.promise.catch(() => undefined);
  }

  get status(): Status {
    return this.#status;
  }

  /** Whether the room's messages arrive now. */
  get receiving(): boolean {
    return this.#subscription.receiving;
  }

  get room(): string {
    return this.#conf.room;
  }

  /** The public part of the user's token, once the server has accepted it. */
  get user(): User | null {
    return this.#membership.user;
  }

  /**
   * Connects. Resolves once the room is received; rejects where the server
   * refuses that (after `authenticate` it may still come) or `close` is called.
   */
  init(): Promise<void> {
    if (!this.#started && this.#finished === null) {
      this.#started = true;
      void this.#run();
    }
    return this.#ready.promise;
  }

  /** With a token or the configured one. Resolves with the user once it is a member of the room. */
  authenticate(jwt?: string): Promise<User> {
    if (this.#finished !== null) return Promise.reject(this.#finished);
    return this.#membership.authenticate(jwt);
  }

  /** Leaves the room and forgets the token; the room is still received. */
  unauthenticate(): Promise<void> {
    return this.#membership.unauthenticate();
  }

  /**
   * Says something. Resolves when the server has acknowledged it; rejects with
   * the server's error, or `say_timeout` where no answer came in time.
   */
  async say(text: string): Promise<SayReceipt> {
    const refusal = this.#finished ?? this.#membership.refusal;
    if (refusal !== null) throw refusal;
    try {
      return await this.#outbox.say(text);
    } catch (error) {
      const failure = asChatUpError(error);
      if (failure.code === "token_expired") this.#membership.refused(failure);
      throw failure;
    }
  }

  /** Every `on…` answers with a function that takes the handler off again. */
  onMsg(handler: (message: Message, source: Source) => void): Unsubscribe {
    return this.#onMessage.add(handler);
  }

  onEv(handler: (event: ChatEvent, source: Source) => void): Unsubscribe {
    return this.#onEvent.add(handler);
  }

  onUserCountUpdate(handler: (counts: UserCounts) => void): Unsubscribe {
    return this.#onUserCount.add(handler);
  }

  onStatusChange(handler: (status: Status) => void): Unsubscribe {
    return this.#onStatus.add(handler);
  }

  onBan(handler: (ban: Ban) => void): Unsubscribe {
    return this.#onBan.add(handler);
  }

  /** Messages are missing, and why. */
  onGap(handler: (gap: Gap) => void): Unsubscribe {
    return this.#onGap.add(handler);
  }

  /** A page of the room's members. */
  getUsers({ limit = USERS_LIMIT_DEFAULT, skip = 0 } = {}): Promise<UsersPage> {
    return this.#dispatcher.users(limit, skip);
  }

  /** Ends everything, for good. What was said and not acknowledged is rejected. */
  close(): void {
    this.#finish(new ChatUpError(LOCAL_CODE.closed, "The chat was closed", false));
  }

  // Handlers may call anything, `close` included: after whatever tells them
  // something, look again whether it is all over.

  get #over(): boolean {
    return this.#finished !== null;
  }

  /** One connection after another, until there is an end for good. */
  async #run(): Promise<void> {
    let leaving = false;
    while (!this.#over) {
      const excluded = this.#retry.excludedWorker;
      this.#setStatus(excluded !== null || leaving ? "workerSwitch" : "gettingWorker");
      if (this.#over) return;
      const worker = await this.#findWorker(excluded);
      if (this.#over) return;
      const end = worker === null ? null : await this.#serve(worker);
      if (this.#over) return;
      if (end?.renew === true) continue;
      if (end !== null && isForGood(end)) return this.#finish(connectionRefused(end));
      // With 1001 the worker goes away as planned; the dispatcher knows of it.
      leaving = end?.code === 1001;
      if (end !== null) this.#setStatus(leaving ? "workerSwitch" : "subConnectError");
      await this.#sleep(this.#retry.delayMs(end === null ? null : retryHintMs(end.reason)));
    }
  }

  async #findWorker(excluded: string | null): Promise<Worker | null> {
    try {
      const worker = await this.#dispatcher.join(excluded);
      if (worker.counts !== null && !this.#over) this.#counted(worker.counts);
      return worker;
    } catch (error) {
      const none = asChatUpError(error).code === LOCAL_CODE.noWorker;
      if (none) this.#retry.noWorker();
      else this.#retry.dispatcherFailed();
      this.#setStatus(none ? "noWorker" : "dispatcherError");
      return null;
    }
  }

  /** Holds one connection until it ends; null where none was begun. */
  async #serve(worker: Worker): Promise<ConnectionEnd | null> {
    this.#setStatus("connecting");
    if (this.#over) return null;
    const connection = new Connection(this.#conf.environment, worker.url, {
      opened: () => {
        this.#membership.connected(connection);
        this.#subscription.begin(connection);
      },
      pushed: (push) => this.#pushed(push),
      latency: (latency_ms) => {
        this.stats.latency = latency_ms;
      },
    });
    this.#connection = connection;
    const end = await connection.ended;
    this.#connection = null;
    this.#subscription.end();
    this.#clearStable();
    this.#counts.stop();
    this.#outbox.pause();
    this.#membership.disconnected();
    if (end.code === 1001) this.#retry.workerLeft();
    else if (!end.renew) this.#retry.workerFailed(worker.id);
    return end;
  }

  #receiving(): void {
    this.#clearStable();
    this.#stableTimer = this.#conf.environment.setTimeout(() => this.#retry.stable(), STABLE_AFTER_MS);
    this.#counts.start();
    this.#showMembership();
    this.#ready.resolve();
  }

  #subscribeRefused(connection: Connection, error: ChatUpError): void {
    if (error.retry) return connection.drop(`subscribe: ${error.code}`);
    if (error.code === "not_authenticated" || error.code.startsWith("token_")) {
      // Reading needs a token here. The connection stays; `authenticate` goes on with it.
      this.#setStatus("authError");
      this.#ready.reject(error);
      return;
    }
    this.#finish(error);
  }

  #pushed(push: Push): void {
    if (push.kind === "banned") this.#onBan.emit({ room: push.room, ttl_s: push.ttl_s });
    else this.#subscription.pushed(push);
  }

  #deliver(channel: string, { offset, entry }: Received): void {
    if (entry.kind === "message") {
      this.stats.msgReceived += 1;
      this.#onMessage.emit(entry.message, { channel, offset });
      return;
    }
    const { ev } = entry.event;
    if (channel === eventsChannel(this.room) && (ev === "join" || ev === "leave")) this.#counts.changed();
    this.#onEvent.emit(entry.event, { channel, offset });
  }

  #counted(counts: UserCounts): void {
    this.stats.subCount = counts.subCount;
    this.stats.pubCount = counts.pubCount;
    this.#counts.heard(counts.subCount);
    this.#onUserCount.emit(counts);
  }

  /** The status while connected follows from who this client is. */
  #showMembership(): void {
    if (!this.receiving) return;
    const statuses = {
      anonymous: "connected",
      pending: "connected",
      joined: "authenticated",
      refused: "authError",
      failing: "pubConnectError",
    } as const;
    this.#setStatus(statuses[this.#membership.state]);
  }

  #setStatus(status: Status): void {
    // After the end, nothing that was still under way has a say.
    if (status === this.#status || this.#over) return;
    this.#status = status;
    this.#onStatus.emit(status);
  }

  /** Until the time is up, the network has come back, or it is all over. */
  #sleep(delay_ms: number): Promise<void> {
    if (this.#over) return Promise.resolve();
    const { environment } = this.#conf;
    return new Promise((resolve) => {
      const wake = (): void => {
        environment.clearTimeout(timer);
        forget();
        this.#wake = null;
        resolve();
      };
      const timer = environment.setTimeout(wake, delay_ms);
      const forget = environment.onOnline(wake);
      this.#wake = wake;
    });
  }

  #clearStable(): void {
    if (this.#stableTimer !== null) this.#conf.environment.clearTimeout(this.#stableTimer);
    this.#stableTimer = null;
  }

  #finish(error: ChatUpError): void {
    if (this.#over) return;
    this.#finished = error;
    this.#clearStable();
    this.#counts.stop();
    this.#membership.finish(error);
    this.#subscription.end();
    this.#outbox.pause();
    this.#outbox.rejectAll(error);
    this.#connection?.close();
    this.#dispatcher.abandon();
    this.#wake?.();
    this.#ready.reject(error);
    if (this.#status === "disconnected") return;
    this.#status = "disconnected";
    this.#onStatus.emit(this.#status);
  }
}

function connectionRefused(end: ConnectionEnd): ChatUpError {
  const { code, reason } = end;
  const message = `The server closed the connection for good: ${code} ${reason}`;
  return new ChatUpError(LOCAL_CODE.connectionRefused, message, false, { close: code, reason });
}
