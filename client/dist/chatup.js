// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5

// src/limits.ts
var BACKOFF_FIRST_MS = 500;
var BACKOFF_CAP_MS = 3e4;
var STABLE_AFTER_MS = 5e3;
var WORKER_FAILURES_BEFORE_EXCLUSION = 2;
var RETRY_HINT_MS_MAX = 6e4;
var DISPATCHER_TIMEOUT_MS = 1e4;
var OPEN_TIMEOUT_MS = 1e4;
var SETUP_TIMEOUT_MS = 15e3;
var PING_INTERVAL_MS = 2e4;
var PING_TIMEOUT_MS = 1e4;
var SAY_TIMEOUT_MS = 3e4;
var SAYS_IN_FLIGHT_MAX = 64;
var SAYS_QUEUED_MAX = 256;
var MESSAGE_BYTES_MAX = 4096;
var FRAME_BYTES_MAX = 16384;
var CHANNELS_MAX = 64;
var ROOM_NAME_BYTES_MAX = 128;
var CHANNEL_NAME_BYTES_MAX = 256;
var HISTORY_MAX = 1e3;
var HISTORY_DEFAULT = 50;
var COUNT_REFRESH_DEFAULT_MS = 2e4;
var USERS_LIMIT_DEFAULT = 50;
var COUNT_DEBOUNCE_MS = 500;
var COUNT_SPREAD_MS_PER_VIEWER = 2;
var COUNT_SETTLE_MS = 4500;

// src/backoff.ts
function backoffDelayMs(failures, random) {
  const exponent = Math.min(Math.max(failures - 1, 0), 30);
  return Math.floor(random() * Math.min(BACKOFF_CAP_MS, BACKOFF_FIRST_MS * 2 ** exponent));
}
function retryHintMs(closeReason) {
  const match = /(?:^|\s)retry_after_ms=(\d{1,9})(?:\s|$)/.exec(closeReason);
  return match === null ? null : Math.min(Number(match[1]), RETRY_HINT_MS_MAX);
}
var RetryPolicy = class {
  #random;
  #failures = 0;
  #worker = null;
  #workerFailures = 0;
  #excluded = null;
  constructor(random) {
    this.#random = random;
  }
  /** The worker to leave out of the next /join, if any. */
  get excludedWorker() {
    return this.#excluded;
  }
  /** The dispatcher did not answer, or not as agreed. */
  dispatcherFailed() {
    this.#failures += 1;
  }
  /**
   * No worker could be had. The one left out is allowed again: it may be the
   * only one, and back by then.
   */
  noWorker() {
    this.#failures += 1;
    this.#forgetWorker();
  }
  /** A connection to this worker could not be made, or broke. */
  workerFailed(worker) {
    this.#failures += 1;
    this.#workerFailures = worker === this.#worker ? this.#workerFailures + 1 : 1;
    this.#worker = worker;
    if (this.#workerFailures >= WORKER_FAILURES_BEFORE_EXCLUSION) this.#excluded = worker;
  }
  /** A worker went away as planned. It is not at fault, but a second time is not the first any more. */
  workerLeft() {
    this.#failures += 1;
  }
  /** A connection has held for a while. */
  stable() {
    this.#failures = 0;
    this.#forgetWorker();
  }
  /** The wait before the next attempt. A hint is already spread by the server, and is taken as it is. */
  delayMs(hint_ms) {
    return hint_ms ?? backoffDelayMs(this.#failures, this.#random);
  }
  #forgetWorker() {
    this.#worker = null;
    this.#workerFailures = 0;
    this.#excluded = null;
  }
};

// src/environment.ts
function browserEnvironment() {
  return {
    openWebSocket: (url, subprotocol) => new WebSocket(url, subprotocol),
    fetch: (url, request) => fetch(url, { ...request, cache: "no-store", credentials: "omit" }),
    setTimeout: (run, delay_ms) => setTimeout(run, delay_ms),
    clearTimeout: (id) => clearTimeout(id),
    now_ms: () => performance.now(),
    random: () => Math.random(),
    onOnline: (run) => {
      if (typeof globalThis.addEventListener !== "function") return () => void 0;
      addEventListener("online", run);
      return () => removeEventListener("online", run);
    }
  };
}
function deferred() {
  let resolve;
  let reject;
  const promise = new Promise((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

// src/error.ts
var LOCAL_CODE = {
  /** `close()` was called. */
  closed: "closed",
  /** `say` without a token, or before one was accepted. */
  notAuthenticated: "not_authenticated",
  /** The message was not acknowledged in time; it may or may not have been published. */
  sayTimeout: "say_timeout",
  /** Too many messages wait for a connection. */
  tooManyQueued: "too_many_queued",
  messageEmpty: "message_empty",
  messageTooLong: "message_too_long",
  invalidName: "invalid_name",
  invalidConfiguration: "invalid_configuration",
  /** A later call of `authenticate` or `unauthenticate` took this one's place. */
  superseded: "superseded",
  /** The connection ended before the answer. Never leaves the library's own code paths. */
  connectionLost: "connection_lost",
  /** The dispatcher has no worker to offer. */
  noWorker: "no_worker",
  /** The dispatcher did not answer, or not as agreed. */
  dispatcherError: "dispatcher_error",
  /** The server closed for a fault that trying again will not mend. */
  connectionRefused: "connection_refused"
};
var ChatUpError = class _ChatUpError extends Error {
  name = "ChatUpError";
  /** The refusal's code, as in the protocol's table of refusals. */
  code;
  /** Whether the same call may succeed later without a change. */
  retry;
  /** Every field of the server's error object, e.g. `ttl_s` of a ban. */
  details;
  constructor(code, message, retry, details = {}) {
    super(message);
    this.code = code;
    this.retry = retry;
    this.details = details;
  }
  /** Seconds that a ban still lasts (-1: for ever), where the server said so. */
  get ttl_s() {
    const value = this.details["ttl_s"];
    return typeof value === "number" ? value : void 0;
  }
  /** From an answer's `error`, whatever it holds. */
  static fromServer(value) {
    const details = isRecord(value) ? value : {};
    const code = typeof details["code"] === "string" ? details["code"] : "unknown";
    const message = typeof details["message"] === "string" ? details["message"] : code;
    return new _ChatUpError(code, message, details["retry"] === true, details);
  }
};
function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
function connectionLost() {
  return new ChatUpError(LOCAL_CODE.connectionLost, "The connection ended before the answer", true);
}
function isConnectionLost(error) {
  return error instanceof ChatUpError && error.code === LOCAL_CODE.connectionLost;
}
function asChatUpError(error) {
  if (error instanceof ChatUpError) return error;
  return new ChatUpError("unknown", error instanceof Error ? error.message : String(error), false);
}

// src/names.ts
var ROOM_NAME = /^[\p{Alphabetic}\p{N}_\-~!@$:+,;=]+$/u;
var CHANNEL_NAME = /^[^\p{Cc}/*{}]+$/u;
var encoder = new TextEncoder();
function byteLength(text) {
  return encoder.encode(text).length;
}
function isRoomName(name) {
  return isName(name, ROOM_NAME, ROOM_NAME_BYTES_MAX);
}
function isChannelName(name) {
  return isName(name, CHANNEL_NAME, CHANNEL_NAME_BYTES_MAX);
}
function isName(name, pattern, bytes_max) {
  return pattern.test(name) && name !== "ALL" && byteLength(name) <= bytes_max;
}
function messagesChannel(room) {
  return `m_${room}`;
}
function eventsChannel(room) {
  return `e_${room}`;
}
function baseUrl(address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  return (url.origin + url.pathname).replace(/\/+$/, "");
}
function webSocketUrl(host) {
  const base = baseUrl(host);
  return base === null ? null : `${base.replace(/^http/, "ws")}/chatup/v1`;
}

// src/configuration.ts
function checkConfiguration(conf) {
  const dispatcher = baseUrl(conf.dispatcherURL);
  if (dispatcher === null) throw invalid("dispatcherURL must be an http: or https: address");
  if (!isRoomName(conf.room)) throw invalidName(conf.room);
  const channels = [messagesChannel(conf.room), eventsChannel(conf.room)];
  for (const channel of conf.additionalChannels ?? []) {
    if (!isChannelName(channel)) throw invalidName(channel);
    if (!channels.includes(channel)) channels.push(channel);
  }
  if (channels.length > CHANNELS_MAX) throw invalid(`At most ${CHANNELS_MAX} channels`);
  const history = conf.history ?? HISTORY_DEFAULT;
  if (!Number.isInteger(history) || history < 0 || history > HISTORY_MAX) {
    throw invalid(`history must be a whole number from 0 to ${HISTORY_MAX}`);
  }
  const countRefresh_ms = conf.userCountRefreshTimeout ?? COUNT_REFRESH_DEFAULT_MS;
  if (!(countRefresh_ms >= 1e3)) throw invalid("userCountRefreshTimeout must be 1000 ms or more");
  return {
    dispatcher,
    room: conf.room,
    jwt: conf.jwt === void 0 || conf.jwt === "" ? null : conf.jwt,
    channels,
    history,
    countRefresh_ms,
    environment: { ...browserEnvironment(), ...conf.environment }
  };
}
function invalid(message) {
  return new ChatUpError(LOCAL_CODE.invalidConfiguration, message, false);
}
function invalidName(name) {
  return new ChatUpError(LOCAL_CODE.invalidName, `Not a valid name: ${JSON.stringify(name)}`, false);
}

// src/wire.ts
var UNKNOWN = { kind: "unknown" };
function parseFrame(data) {
  if (typeof data !== "string") return UNKNOWN;
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    return UNKNOWN;
  }
  if (!isRecord(value)) return UNKNOWN;
  if (isCount(value["id"])) return parseAnswer(value["id"], value);
  if (typeof value["channel"] === "string") return parseMessages(value["channel"], value);
  if (isRecord(value["gap"])) return parseGap(value["gap"]);
  if (isRecord(value["reset"])) return parseReset(value["reset"]);
  if (isRecord(value["banned"])) return parseBanned(value["banned"]);
  return UNKNOWN;
}
function parseAnswer(id, value) {
  if (isRecord(value["ok"])) return { kind: "answer", id, ok: value["ok"] };
  return { kind: "refusal", id, error: value["error"] };
}
function parseMessages(channel, value) {
  const { offset, messages } = value;
  if (!isCount(offset) || offset < 1 || !Array.isArray(messages)) return UNKNOWN;
  return { kind: "messages", channel, offset, messages };
}
function parseGap(gap) {
  const { channel, from, to } = gap;
  if (typeof channel !== "string" || !isCount(from) || !isCount(to) || to < from) return UNKNOWN;
  return { kind: "gap", channel, from, to };
}
function parseReset(reset) {
  const { channel, next } = reset;
  const position = parsePosition(reset["position"]);
  if (typeof channel !== "string" || position === null || !isCount(next) || next < 1) return UNKNOWN;
  return { kind: "reset", channel, position, next };
}
function parseBanned(banned) {
  const { room } = banned;
  const ttl_s = parseBanSeconds(banned);
  if (typeof room !== "string" || ttl_s === null) return UNKNOWN;
  return { kind: "banned", room, ttl_s };
}
function parseBanSeconds(value) {
  if (!isRecord(value)) return null;
  const ttl_s = value["ttl_s"];
  return typeof ttl_s === "number" && Number.isFinite(ttl_s) ? ttl_s : null;
}
function parsePosition(value) {
  if (!isRecord(value)) return null;
  const { epoch, offset, id } = value;
  if (typeof epoch !== "string" || !isCount(offset) || typeof id !== "string") return null;
  return { epoch, offset, id };
}
function parseSubscribed(ok, asked) {
  const list = ok["channels"];
  if (!Array.isArray(list) || list.length !== asked.length) return null;
  const answers = [];
  for (const [index, channel] of asked.entries()) {
    const value = list[index];
    if (!isRecord(value) || value["channel"] !== channel) return null;
    const position = parsePosition(value["position"]);
    const next = value["next"];
    if (position === null || !isCount(next) || next < 1) return null;
    answers.push({ channel, position, next, recovered: value["recovered"] === true });
  }
  return answers;
}
function parseEntry(value) {
  if (!isRecord(value)) return null;
  const user = parseUser(value["user"]);
  const i = typeof value["i"] === "string" ? value["i"] : "";
  const d = typeof value["d"] === "number" && Number.isFinite(value["d"]) ? value["d"] : 0;
  if (typeof value["msg"] === "string") {
    return { kind: "message", message: { user, msg: value["msg"], i, d } };
  }
  if (typeof value["ev"] === "string") {
    const data = "data" in value ? { data: value["data"] } : {};
    return { kind: "event", event: { user, ev: value["ev"], ...data, i, d } };
  }
  return null;
}
function parseUser(value) {
  if (!isRecord(value)) return {};
  if (value["name"] === void 0 || typeof value["name"] === "string") return value;
  const { name: _name, ...rest } = value;
  return rest;
}
function isCount(value) {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

// src/connection.ts
var SUBPROTOCOL = "chatup.v1";
var CLOSES_FOR_GOOD = /* @__PURE__ */ new Set([1002, 1003, 1007, 1009, 4003]);
function isForGood(end) {
  return CLOSES_FOR_GOOD.has(end.code);
}
var Connection = class {
  /** Resolves once, when the connection is over, for whatever reason; never rejects. */
  ended;
  #environment;
  #handlers;
  #end = deferred();
  #calls = /* @__PURE__ */ new Map();
  #openTimer;
  #socket = null;
  #pingTimer = null;
  #opened = false;
  #over = false;
  #nextCall = 1;
  constructor(environment, url, handlers) {
    this.#environment = environment;
    this.#handlers = handlers;
    this.ended = this.#end.promise;
    this.#openTimer = environment.setTimeout(
      () => this.drop("no handshake in time"),
      OPEN_TIMEOUT_MS
    );
    try {
      const socket = environment.openWebSocket(url, SUBPROTOCOL);
      this.#socket = socket;
      socket.onopen = () => this.#onOpen();
      socket.onmessage = (event) => this.#onFrame(event.data);
      socket.onclose = (event) => this.#finish(event.code, event.reason, false);
      socket.onerror = () => void 0;
    } catch (error) {
      this.#finish(1006, error instanceof Error ? error.message : String(error), false);
    }
  }
  get open() {
    return this.#opened && !this.#over;
  }
  /**
   * Sends a call; the promise has its `ok`, or rejects with the server's error,
   * or with `connection_lost`. A call that is given a limit and outlives it
   * drops the connection, for it then is of no use.
   */
  call(name, fields, timeout_ms) {
    const answer = deferred();
    this.request(name, fields, timeout_ms, answer);
    return answer.promise;
  }
  /**
   * A call whose answer is handled before the next frame is: a promise's
   * reaction may come only after several frames that arrived together.
   */
  request(name, fields, timeout_ms, answer) {
    if (!this.open || this.#socket === null) return answer.reject(connectionLost());
    const id = this.#nextCall++;
    const text = JSON.stringify({ id, call: name, ...fields });
    if (byteLength(text) > FRAME_BYTES_MAX) {
      return answer.reject(
        new ChatUpError(LOCAL_CODE.messageTooLong, "Too long to be sent", false)
      );
    }
    const timer = timeout_ms === null ? null : this.#environment.setTimeout(() => this.drop(`no answer to ${name}`), timeout_ms);
    this.#calls.set(id, { answer, timer });
    try {
      this.#socket.send(text);
    } catch {
      this.drop("could not send");
    }
  }
  /** Ends it properly, for good. */
  close() {
    this.#finish(1e3, "closed", false);
  }
  /** Ends it on purpose, to come back at once. */
  renew() {
    this.#finish(1e3, "renewed", true);
  }
  /** Gives it up as dead or of no use. */
  drop(reason) {
    this.#finish(1006, reason, false);
  }
  #onOpen() {
    if (this.#over) return;
    this.#opened = true;
    this.#environment.clearTimeout(this.#openTimer);
    this.#handlers.opened();
    this.#ping();
  }
  #onFrame(data) {
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
  #take(id) {
    const pending = this.#calls.get(id);
    if (pending === void 0) return void 0;
    this.#calls.delete(id);
    if (pending.timer !== null) this.#environment.clearTimeout(pending.timer);
    return pending;
  }
  /** Measures the latency, and by its time limit notices a connection that is dead without a close. */
  #ping() {
    const sent_ms = this.#environment.now_ms();
    this.call("ping", {}, PING_TIMEOUT_MS).then(
      () => this.#handlers.latency(this.#environment.now_ms() - sent_ms),
      // A refusal is a sign of life, too; a lost connection is told by `ended`.
      () => void 0
    );
    if (this.#over) return;
    this.#pingTimer = this.#environment.setTimeout(() => this.#ping(), PING_INTERVAL_MS);
  }
  #finish(code, reason, renew) {
    if (this.#over) return;
    this.#over = true;
    this.#environment.clearTimeout(this.#openTimer);
    if (this.#pingTimer !== null) this.#environment.clearTimeout(this.#pingTimer);
    this.#detachSocket();
    for (const id of [...this.#calls.keys()]) this.#take(id)?.answer.reject(connectionLost());
    this.#end.resolve({ code, reason, opened: this.#opened, renew });
  }
  /** A dead peer may keep a browser's socket closing for long; nothing of it is heard any more. */
  #detachSocket() {
    const socket = this.#socket;
    if (socket === null) return;
    this.#socket = null;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.onerror = null;
    try {
      socket.close(1e3);
    } catch {
    }
  }
};

// src/counts.ts
var CountRefresher = class {
  #environment;
  #dispatcher;
  #interval_ms;
  #refreshed;
  /** The viewers last heard of; they decide how far requests are spread. */
  #viewers = 0;
  #running = false;
  #steadyTimer = null;
  #soonTimer = null;
  #settleTimer = null;
  #asking = false;
  constructor(environment, dispatcher, interval_ms, refreshed) {
    this.#environment = environment;
    this.#dispatcher = dispatcher;
    this.#interval_ms = interval_ms;
    this.#refreshed = refreshed;
  }
  /** Begins with one request soon. Again without a stop between does nothing. */
  start() {
    if (this.#running) return;
    this.#running = true;
    this.changed();
    this.#schedule();
  }
  stop() {
    this.#running = false;
    for (const timer of [this.#steadyTimer, this.#soonTimer, this.#settleTimer]) {
      if (timer !== null) this.#environment.clearTimeout(timer);
    }
    this.#steadyTimer = this.#soonTimer = this.#settleTimer = null;
  }
  /** How many viewers the room has, from wherever it was heard. */
  heard(viewers) {
    this.#viewers = viewers;
  }
  /** Somebody joined or left. A request already planned serves for this, too. */
  changed() {
    if (!this.#running) return;
    const spread_ms = Math.min(this.#interval_ms, this.#viewers * COUNT_SPREAD_MS_PER_VIEWER);
    const soon_ms = COUNT_DEBOUNCE_MS + this.#environment.random() * spread_ms;
    this.#soonTimer ??= this.#environment.setTimeout(() => {
      this.#soonTimer = null;
      void this.#refresh();
    }, soon_ms);
    if (this.#settleTimer !== null) this.#environment.clearTimeout(this.#settleTimer);
    this.#settleTimer = this.#environment.setTimeout(() => {
      this.#settleTimer = null;
      void this.#refresh();
    }, soon_ms + COUNT_SETTLE_MS);
  }
  #schedule() {
    const wait_ms = this.#interval_ms * (0.8 + 0.4 * this.#environment.random());
    this.#steadyTimer = this.#environment.setTimeout(() => {
      this.#schedule();
      void this.#refresh();
    }, wait_ms);
  }
  async #refresh() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const page = await this.#dispatcher.users(USERS_LIMIT_DEFAULT, 0);
      this.#viewers = page.subCount;
      if (this.#running) this.#refreshed(page);
    } catch {
    } finally {
      this.#asking = false;
    }
  }
};

// src/dispatcher.ts
var Dispatcher = class {
  #environment;
  #base;
  #room;
  /** Gives up each request that is under way. */
  #underWay = /* @__PURE__ */ new Set();
  /** `base` without a slash at its end. */
  constructor(environment, base, room) {
    this.#environment = environment;
    this.#base = base;
    this.#room = room;
  }
  /** Asks for a worker other than the failed one. Rejects with `no_worker` or `dispatcher_error`. */
  async join(failedWorker) {
    const request = { method: "POST" };
    if (failedWorker !== null) {
      request.headers = { "content-type": "application/json" };
      request.body = JSON.stringify({ type: "workerSubConnect", worker: { id: failedWorker } });
    }
    const answer = await this.#ask(`/join/${encodeURIComponent(this.#room)}`, request);
    const { host, id } = answer;
    const url = typeof host === "string" ? webSocketUrl(host) : null;
    if (url === null || typeof id !== "string") throw malformed();
    return { id, url, counts: parseCounts(answer["channel"]) };
  }
  /** The room's counts and a page of its members. */
  async users(limit, skip) {
    const query = `limit=${limit}&skip=${skip}`;
    const answer = await this.#ask(`/stats/${encodeURIComponent(this.#room)}?${query}`, { method: "GET" });
    const counts = parseCounts(answer);
    if (counts === null) throw malformed();
    const clients = Array.isArray(answer["clients"]) ? answer["clients"] : [];
    return { ...counts, limit, skip, clients: clients.map(parseUser) };
  }
  /** Gives up every request that is under way; nobody waits for it any more. */
  abandon() {
    for (const giveUp of [...this.#underWay]) giveUp();
  }
  /** One request with its time limit, which covers the body, too. */
  async #ask(path, request) {
    const abort = new AbortController();
    const timer = this.#environment.setTimeout(() => abort.abort(), DISPATCHER_TIMEOUT_MS);
    const giveUp = () => {
      this.#environment.clearTimeout(timer);
      abort.abort();
    };
    this.#underWay.add(giveUp);
    let response;
    let body = null;
    try {
      response = await this.#environment.fetch(this.#base + path, { ...request, signal: abort.signal });
      if (response.ok) body = await response.json();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new ChatUpError(LOCAL_CODE.dispatcherError, `The dispatcher did not answer: ${why}`, true);
    } finally {
      this.#environment.clearTimeout(timer);
      this.#underWay.delete(giveUp);
    }
    if (response.status === 418) {
      throw new ChatUpError(LOCAL_CODE.noWorker, "No workers available", true);
    }
    if (!response.ok) {
      const status = response.status;
      throw new ChatUpError(LOCAL_CODE.dispatcherError, `The dispatcher answered ${status}`, true, { status });
    }
    if (!isRecord(body)) throw malformed();
    return body;
  }
};
function parseCounts(value) {
  if (!isRecord(value)) return null;
  const { subCount, pubCount } = value;
  return isCount(subCount) && isCount(pubCount) ? { subCount, pubCount } : null;
}
function malformed() {
  return new ChatUpError(LOCAL_CODE.dispatcherError, "The dispatcher's answer makes no sense", true);
}

// src/listeners.ts
var Listeners = class {
  #handlers = /* @__PURE__ */ new Set();
  /** The handler's return value is ignored. Answers with a function that takes it off again. */
  add(handler) {
    const entry = (...args) => handler(...args);
    this.#handlers.add(entry);
    return () => {
      this.#handlers.delete(entry);
    };
  }
  emit(...args) {
    for (const handler of [...this.#handlers]) {
      try {
        handler(...args);
      } catch (error) {
        console.error("chatup: a handler threw", error);
      }
    }
  }
};

// src/membership.ts
var Membership = class {
  #environment;
  #room;
  #handlers;
  #jwt;
  #state;
  #user = null;
  #error = null;
  #connection = null;
  #waiting = null;
  #retryTimer = null;
  #failures = 0;
  /** Counted up by whatever makes the answers still under way worthless. */
  #generation = 0;
  /** The generation for which a fresh connection was already asked for. */
  #renewedFor = -1;
  constructor(environment, room, jwt, handlers) {
    this.#environment = environment;
    this.#room = room;
    this.#jwt = jwt;
    this.#state = jwt === null ? "anonymous" : "pending";
    this.#handlers = handlers;
  }
  get state() {
    return this.#state;
  }
  /** The `_public` part of the token, once the server has accepted it. */
  get user() {
    return this.#user;
  }
  /** Why nothing can be said now; null where it can, or may soon. */
  get refusal() {
    if (this.#state === "anonymous") {
      return new ChatUpError(LOCAL_CODE.notAuthenticated, "Authenticate before speaking", false);
    }
    return this.#state === "refused" ? this.#error : null;
  }
  /** Resolves with the user once it is a member of the room, on this connection or a later one. */
  authenticate(jwt) {
    const token = jwt ?? this.#jwt;
    if (token === null || token === "") {
      return Promise.reject(new ChatUpError(LOCAL_CODE.notAuthenticated, "There is no token", false));
    }
    this.#supersede();
    this.#jwt = token;
    this.#waiting = deferred();
    const { promise } = this.#waiting;
    const stillWanted = this.#state === "joined" || this.#set("pending", null);
    if (stillWanted && this.#connection !== null) void this.#identify(this.#connection);
    return promise;
  }
  /** Leaves the room and forgets the token. Messages are still received. */
  async unauthenticate() {
    this.#supersede();
    this.#jwt = null;
    this.#user = null;
    this.#set("anonymous", null);
    this.#handlers.left(new ChatUpError(LOCAL_CODE.superseded, "The user has left", false));
    await this.#connection?.call("leave", {}, SETUP_TIMEOUT_MS).catch(() => void 0);
  }
  /** A connection has opened. Its first call is `auth`, since reading may need it. */
  connected(connection) {
    this.#connection = connection;
    if (this.#jwt === null) return;
    if (this.#state !== "refused") this.#state = "pending";
    void this.#identify(connection);
  }
  disconnected() {
    this.#connection = null;
    this.#clearRetry();
    if (this.#state === "joined" || this.#state === "failing") this.#state = "pending";
  }
  /** A call was refused because of the token. */
  refused(error) {
    this.#set("refused", error);
  }
  /** No connection will come any more. */
  finish(error) {
    this.#clearRetry();
    this.#generation += 1;
    this.#connection = null;
    this.#waiting?.promise.catch(() => void 0);
    this.#waiting?.reject(error);
    this.#waiting = null;
  }
  async #identify(connection) {
    const generation = this.#generation;
    const isCurrent = () => generation === this.#generation && connection === this.#connection;
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
      if (isCurrent() && !isConnectionLost(error)) this.#failed(connection, asChatUpError(error));
    }
  }
  #joined(connection, user) {
    this.#failures = 0;
    this.#user = user;
    if (!this.#set("joined", null)) return;
    this.#waiting?.resolve(user);
    this.#waiting = null;
    this.#handlers.joined(connection);
  }
  #failed(connection, error) {
    if (error.code === "identity_locked" && this.#renewedFor !== this.#generation) {
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
        backoffDelayMs(this.#failures, this.#environment.random)
      );
      return;
    }
    if (!this.#set("refused", error)) return;
    this.#waiting?.reject(error);
    this.#waiting = null;
    this.#handlers.left(error);
  }
  #supersede() {
    this.#generation += 1;
    this.#failures = 0;
    this.#clearRetry();
    this.#waiting?.reject(new ChatUpError(LOCAL_CODE.superseded, "Another call took its place", false));
    this.#waiting = null;
  }
  #clearRetry() {
    if (this.#retryTimer !== null) this.#environment.clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
  }
  /** Whether it still holds after the handlers heard of it: one may close, or become somebody else. */
  #set(state, error) {
    const generation = this.#generation;
    this.#state = state;
    this.#error = error;
    this.#handlers.changed();
    return generation === this.#generation;
  }
};

// src/outbox.ts
var Outbox = class {
  #environment;
  #acknowledged;
  /** In the order said; a Set keeps it and removes cheaply. */
  #messages = /* @__PURE__ */ new Set();
  #keyPrefix = randomHex();
  #connection = null;
  #inFlight = 0;
  #keys = 0;
  constructor(environment, acknowledged) {
    this.#environment = environment;
    this.#acknowledged = acknowledged;
  }
  say(text) {
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
    const outgoing = {
      key: `${this.#keyPrefix}-${this.#keys}`,
      text: message,
      receipt: deferred(),
      timer: this.#environment.setTimeout(() => this.#expire(outgoing), SAY_TIMEOUT_MS),
      inFlight: false
    };
    this.#messages.add(outgoing);
    this.#flush();
    return outgoing.receipt.promise;
  }
  /** From now on messages go out by this connection, which has joined the room. */
  start(connection) {
    this.#connection = connection;
    this.#flush();
  }
  /** No connection for the time being: messages wait. */
  pause() {
    this.#connection = null;
  }
  /** Gives up everything that waits. */
  rejectAll(error) {
    for (const outgoing of [...this.#messages]) this.#settle(outgoing)?.reject(error);
  }
  #flush() {
    for (const outgoing of this.#messages) {
      if (this.#connection === null || this.#inFlight >= SAYS_IN_FLIGHT_MAX) return;
      if (!outgoing.inFlight) void this.#send(outgoing, this.#connection);
    }
  }
  async #send(outgoing, connection) {
    outgoing.inFlight = true;
    this.#inFlight += 1;
    try {
      const ok = await connection.call("say", { msg: outgoing.text, key: outgoing.key }, null);
      this.#settle(outgoing)?.resolve({
        position: parsePosition(ok["position"]),
        duplicate: ok["duplicate"] === true
      });
    } catch (error) {
      if (!isConnectionLost(error)) this.#settle(outgoing)?.reject(asChatUpError(error));
    } finally {
      outgoing.inFlight = false;
      this.#inFlight -= 1;
      this.#flushUnlessLost(connection);
    }
  }
  /** An answer makes room for the next; a lost connection does not. */
  #flushUnlessLost(connection) {
    if (this.#connection === connection && !connection.open) this.#connection = null;
    this.#flush();
  }
  #expire(outgoing) {
    const seconds = SAY_TIMEOUT_MS / 1e3;
    this.#settle(outgoing)?.reject(
      new ChatUpError(
        LOCAL_CODE.sayTimeout,
        `Not acknowledged within ${seconds} s; it may or may not have been published`,
        true
      )
    );
  }
  /** Takes a message off the list; undefined where it was settled before. */
  #settle(outgoing) {
    if (!this.#messages.delete(outgoing)) return void 0;
    this.#environment.clearTimeout(outgoing.timer);
    return {
      promise: outgoing.receipt.promise,
      resolve: (receipt) => {
        this.#acknowledged();
        outgoing.receipt.resolve(receipt);
      },
      reject: (error) => outgoing.receipt.reject(error)
    };
  }
};
function refused(code, message, retry = false) {
  return Promise.reject(new ChatUpError(code, message, retry));
}
function wellFormed(text) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}
function randomHex() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// src/cursor.ts
var Cursor = class {
  channel;
  #history;
  #epoch = "";
  /** The offset of the next message not seen yet. */
  #next = 1;
  /** Of the last message seen; null before the first where the server's words do not name one. */
  #position = null;
  /** The ids of the last messages seen, oldest first: as many as a history may repeat. */
  #seen = /* @__PURE__ */ new Set();
  /** Up to this offset messages may be ones seen before, under other numbers. */
  #repeatedTo = 0;
  /**
   * `history`: how many of the last messages to ask for, at first and where the
   * server cannot go on from the position; 0 for none.
   */
  constructor(channel, history) {
    this.channel = channel;
    this.#history = history;
  }
  get position() {
    return this.#position;
  }
  request() {
    return {
      channel: this.channel,
      ...this.#position === null ? {} : { position: this.#position },
      ...this.#history === 0 ? {} : { history: this.#history }
    };
  }
  /** Takes a subscription's answer. */
  subscribed(answer) {
    const before = this.#position;
    const continues = before !== null && answer.recovered && answer.position.epoch === before.epoch;
    if (continues) {
      this.#next = before.offset + 1;
      if (answer.next <= this.#next) return null;
      return this.#skipTo(answer.next, "hole");
    }
    this.#begin(answer.position, answer.next);
    return before === null ? null : { channel: this.channel, reason: "not_recovered" };
  }
  /** Takes messages, the first of which has this offset; gives those not seen before. */
  received(offset, messages) {
    const gap = offset > this.#next ? this.#skipTo(offset, "hole") : null;
    const received = [];
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
  skipped(from, to) {
    if (to < this.#next) return null;
    this.#next = to + 1;
    return { channel: this.channel, reason: "slow", from, to };
  }
  /** The channel began a new epoch. */
  reset(position, next) {
    this.#begin(position, next);
    return { channel: this.channel, reason: "reset" };
  }
  #begin(position, next) {
    this.#epoch = position.epoch;
    this.#next = next;
    this.#repeatedTo = position.offset;
    this.#position = next === position.offset + 1 ? position : null;
  }
  /** Whether the message was seen before, under another number. */
  #remember(offset, value) {
    const id = isRecord(value) ? value["i"] : void 0;
    if (typeof id !== "string" || id === "") return false;
    this.#position = { epoch: this.#epoch, offset, id };
    const known = this.#seen.delete(id);
    this.#seen.add(id);
    if (this.#seen.size > this.#history) this.#seen.delete(this.#seen.values().next().value);
    return known && offset <= this.#repeatedTo;
  }
  #skipTo(offset, reason) {
    const from = this.#next;
    this.#next = offset;
    return { channel: this.channel, reason, from, to: offset - 1 };
  }
};

// src/subscription.ts
var Subscription = class {
  #cursors = /* @__PURE__ */ new Map();
  #handlers;
  /** The connection that was asked; null while there is none. */
  #connection = null;
  #state = "asked";
  #waiting = [];
  /** `history`: how many messages to begin with in this one of the channels. */
  constructor(channels, history, handlers) {
    for (const channel of channels) {
      this.#cursors.set(channel, new Cursor(channel, channel === history.channel ? history.count : 0));
    }
    this.#handlers = handlers;
  }
  get receiving() {
    return this.#connection !== null && this.#state === "receiving";
  }
  /** On a connection that has just opened. */
  begin(connection) {
    this.#connection = connection;
    this.#state = "asked";
    const requests = [...this.#cursors.values()].map((cursor) => cursor.request());
    connection.request("subscribe", { channels: requests }, SETUP_TIMEOUT_MS, {
      resolve: (ok) => this.#answered(connection, requests, ok),
      reject: (error) => {
        if (isConnectionLost(error) || connection !== this.#connection) return;
        this.#state = "refused";
        this.#goOn();
        this.#handlers.refused(connection, error);
      }
    });
  }
  /** The connection is over. */
  end() {
    this.#connection = null;
    this.#goOn();
  }
  /**
   * Resolves once this connection has answered, for whoever is to be heard by
   * itself. What it refused before is asked for again: by now one may be known.
   */
  settled(connection) {
    if (connection !== this.#connection || this.#state === "receiving") return Promise.resolve();
    const settled = new Promise((resolve) => this.#waiting.push(resolve));
    if (this.#state === "refused") this.begin(connection);
    return settled;
  }
  pushed(push) {
    const cursor = this.#cursors.get(push.channel);
    if (cursor === void 0 || !this.receiving) return;
    switch (push.kind) {
      case "messages": {
        const { gap, received } = cursor.received(push.offset, push.messages);
        this.#tell(gap);
        for (const one of received) if (this.receiving) this.#handlers.received(push.channel, one);
        return;
      }
      case "gap":
        return this.#tell(cursor.skipped(push.from, push.to));
      case "reset":
        return this.#tell(cursor.reset(push.position, push.next));
    }
  }
  #answered(connection, requests, ok) {
    if (connection !== this.#connection) return;
    const answers = parseSubscribed(ok, requests.map((request) => request.channel));
    if (answers === null) return connection.drop("a subscription's answer makes no sense");
    const gaps = answers.map((answer) => this.#cursors.get(answer.channel)?.subscribed(answer) ?? null);
    this.#state = "receiving";
    this.#goOn();
    this.#handlers.receiving();
    for (const gap of gaps) this.#tell(gap);
  }
  #tell(gap) {
    if (gap !== null && this.receiving) this.#handlers.missing(gap);
  }
  #goOn() {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
};

// src/protocol.ts
var ChatUpProtocol = class {
  stats = { msgSent: 0, msgReceived: 0, latency: null, pubCount: 0, subCount: 0 };
  #conf;
  #dispatcher;
  #retry;
  #subscription;
  #membership;
  #outbox;
  #counts;
  #ready = deferred();
  #onMessage = new Listeners();
  #onEvent = new Listeners();
  #onUserCount = new Listeners();
  #onStatus = new Listeners();
  #onBan = new Listeners();
  #onGap = new Listeners();
  #status = "disconnected";
  #connection = null;
  #started = false;
  /** Why nothing happens any more. */
  #finished = null;
  #stableTimer = null;
  #wake = null;
  /** Throws a ChatUpError where the configuration is wrong. Nothing is sent before `init`. */
  constructor(conf) {
    this.#conf = checkConfiguration(conf);
    const { environment, dispatcher, room, channels, history, countRefresh_ms, jwt } = this.#conf;
    this.#subscription = new Subscription(
      channels,
      { channel: messagesChannel(room), count: history },
      {
        receiving: () => this.#receiving(),
        refused: (connection, error) => this.#subscribeRefused(connection, error),
        missing: (gap) => this.#onGap.emit(gap),
        received: (channel, received) => this.#deliver(channel, received)
      }
    );
    this.#dispatcher = new Dispatcher(environment, dispatcher, room);
    this.#retry = new RetryPolicy(environment.random);
    this.#outbox = new Outbox(environment, () => {
      this.stats.msgSent += 1;
    });
    this.#counts = new CountRefresher(
      environment,
      this.#dispatcher,
      countRefresh_ms,
      (page) => this.#counted(page)
    );
    this.#membership = new Membership(environment, room, jwt, {
      changed: () => this.#showMembership(),
      received: (connection) => this.#subscription.settled(connection),
      joined: (connection) => this.#outbox.start(connection),
      banned: (ttl_s) => this.#onBan.emit({ room, ttl_s }),
      left: (error) => {
        this.#outbox.pause();
        this.#outbox.rejectAll(error);
      }
    });
    this.#ready.promise.catch(() => void 0);
  }
  get status() {
    return this.#status;
  }
  /** Whether the room's messages arrive now. */
  get receiving() {
    return this.#subscription.receiving;
  }
  get room() {
    return this.#conf.room;
  }
  /** The public part of the user's token, once the server has accepted it. */
  get user() {
    return this.#membership.user;
  }
  /**
   * Connects. Resolves once the room is received; rejects where the server
   * refuses that (after `authenticate` it may still come) or `close` is called.
   */
  init() {
    if (!this.#started && this.#finished === null) {
      this.#started = true;
      void this.#run();
    }
    return this.#ready.promise;
  }
  /** With a token or the configured one. Resolves with the user once it is a member of the room. */
  authenticate(jwt) {
    if (this.#finished !== null) return Promise.reject(this.#finished);
    return this.#membership.authenticate(jwt);
  }
  /** Leaves the room and forgets the token; the room is still received. */
  unauthenticate() {
    return this.#membership.unauthenticate();
  }
  /**
   * Says something. Resolves when the server has acknowledged it; rejects with
   * the server's error, or `say_timeout` where no answer came in time.
   */
  async say(text) {
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
  onMsg(handler) {
    return this.#onMessage.add(handler);
  }
  onEv(handler) {
    return this.#onEvent.add(handler);
  }
  onUserCountUpdate(handler) {
    return this.#onUserCount.add(handler);
  }
  onStatusChange(handler) {
    return this.#onStatus.add(handler);
  }
  onBan(handler) {
    return this.#onBan.add(handler);
  }
  /** Messages are missing, and why. */
  onGap(handler) {
    return this.#onGap.add(handler);
  }
  /** A page of the room's members. */
  getUsers({ limit = USERS_LIMIT_DEFAULT, skip = 0 } = {}) {
    return this.#dispatcher.users(limit, skip);
  }
  /** Ends everything, for good. What was said and not acknowledged is rejected. */
  close() {
    this.#finish(new ChatUpError(LOCAL_CODE.closed, "The chat was closed", false));
  }
  // Handlers may call anything, `close` included: after whatever tells them
  // something, look again whether it is all over.
  get #over() {
    return this.#finished !== null;
  }
  /** One connection after another, until there is an end for good. */
  async #run() {
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
      leaving = end?.code === 1001;
      if (end !== null) this.#setStatus(leaving ? "workerSwitch" : "subConnectError");
      await this.#sleep(this.#retry.delayMs(end === null ? null : retryHintMs(end.reason)));
    }
  }
  async #findWorker(excluded) {
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
  async #serve(worker) {
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
      }
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
  #receiving() {
    this.#clearStable();
    this.#stableTimer = this.#conf.environment.setTimeout(() => this.#retry.stable(), STABLE_AFTER_MS);
    this.#counts.start();
    this.#showMembership();
    this.#ready.resolve();
  }
  #subscribeRefused(connection, error) {
    if (error.retry) return connection.drop(`subscribe: ${error.code}`);
    if (error.code === "not_authenticated" || error.code.startsWith("token_")) {
      this.#setStatus("authError");
      this.#ready.reject(error);
      return;
    }
    this.#finish(error);
  }
  #pushed(push) {
    if (push.kind === "banned") this.#onBan.emit({ room: push.room, ttl_s: push.ttl_s });
    else this.#subscription.pushed(push);
  }
  #deliver(channel, { offset, entry }) {
    if (entry.kind === "message") {
      this.stats.msgReceived += 1;
      this.#onMessage.emit(entry.message, { channel, offset });
      return;
    }
    const { ev } = entry.event;
    if (channel === eventsChannel(this.room) && (ev === "join" || ev === "leave")) this.#counts.changed();
    this.#onEvent.emit(entry.event, { channel, offset });
  }
  #counted(counts) {
    this.stats.subCount = counts.subCount;
    this.stats.pubCount = counts.pubCount;
    this.#counts.heard(counts.subCount);
    this.#onUserCount.emit(counts);
  }
  /** The status while connected follows from who this client is. */
  #showMembership() {
    if (!this.receiving) return;
    const statuses = {
      anonymous: "connected",
      pending: "connected",
      joined: "authenticated",
      refused: "authError",
      failing: "pubConnectError"
    };
    this.#setStatus(statuses[this.#membership.state]);
  }
  #setStatus(status) {
    if (status === this.#status || this.#over) return;
    this.#status = status;
    this.#onStatus.emit(status);
  }
  /** Until the time is up, the network has come back, or it is all over. */
  #sleep(delay_ms) {
    if (this.#over) return Promise.resolve();
    const { environment } = this.#conf;
    return new Promise((resolve) => {
      const wake = () => {
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
  #clearStable() {
    if (this.#stableTimer !== null) this.#conf.environment.clearTimeout(this.#stableTimer);
    this.#stableTimer = null;
  }
  #finish(error) {
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
};
function connectionRefused(end) {
  const { code, reason } = end;
  const message = `The server closed the connection for good: ${code} ${reason}`;
  return new ChatUpError(LOCAL_CODE.connectionRefused, message, false, { close: code, reason });
}
export {
  ChatUpError,
  ChatUpProtocol,
  isChannelName,
  isRoomName
};
