// built from client/src and client/demo, sources sha256:2899897fdb6202980d7a9e1f06e997f3e04521744af74fdeb7b7e8c9985078d5
/** Upper bound of the first retry's wait. Short: most cuts are over at once. */
export declare const BACKOFF_FIRST_MS = 500;
/** Upper bound of any retry's wait. A live event's viewer must not wait longer. */
export declare const BACKOFF_CAP_MS = 30000;
/** A connection that held this long was good: the next cut starts from the first wait. */
export declare const STABLE_AFTER_MS = 5000;
/** Failures of one worker in a row, after which another one is asked for. */
export declare const WORKER_FAILURES_BEFORE_EXCLUSION = 2;
/** A server's hint of when to come back is believed up to this. */
export declare const RETRY_HINT_MS_MAX = 60000;
/** Waiting for the dispatcher's answer. */
export declare const DISPATCHER_TIMEOUT_MS = 10000;
/** Waiting for a WebSocket to open. The server's own limit for a handshake is the same. */
export declare const OPEN_TIMEOUT_MS = 10000;
/** Waiting for the answers that a connection cannot do without: subscribe, auth, join. */
export declare const SETUP_TIMEOUT_MS = 15000;
/** Between two measurements of the latency. Below the server's 25 s of silence. */
export declare const PING_INTERVAL_MS = 20000;
/** A ping without an answer for this long means a dead connection. */
export declare const PING_TIMEOUT_MS = 10000;
/**
 * How long a message is tried before `say` gives up. Well within the server's
 * 5 minutes in which a repeated key is recognised, so that a retry cannot
 * publish twice.
 */
export declare const SAY_TIMEOUT_MS = 30000;
/** The server's limit of messages without an answer at a time. */
export declare const SAYS_IN_FLIGHT_MAX = 64;
/** Messages that wait here for a connection; more are refused at once. */
export declare const SAYS_QUEUED_MAX = 256;
/** The server's limit of a message's text, in bytes of UTF-8. */
export declare const MESSAGE_BYTES_MAX = 4096;
/** The server's limit of one WebSocket message; above it, it closes with 1009. */
export declare const FRAME_BYTES_MAX = 16384;
/** The server's limit of channels a connection. */
export declare const CHANNELS_MAX = 64;
/** The server's limits of names, in bytes of UTF-8. */
export declare const ROOM_NAME_BYTES_MAX = 128;
export declare const CHANNEL_NAME_BYTES_MAX = 256;
/** The server's limit of `history` in a subscription. */
export declare const HISTORY_MAX = 1000;
/** What is asked for when the configuration says nothing. */
export declare const HISTORY_DEFAULT = 50;
export declare const COUNT_REFRESH_DEFAULT_MS = 20000;
export declare const USERS_LIMIT_DEFAULT = 50;
/** After a join or leave event, the counts are asked for this soon at the earliest. */
export declare const COUNT_DEBOUNCE_MS = 500;
/**
 * …and spread over this much more for each viewer of the room, for every one of
 * them has seen the same event: at most 500 requests a second a room.
 */
export declare const COUNT_SPREAD_MS_PER_VIEWER = 2;
/**
 * The dispatcher's picture of the workers may be this old, so that the counts
 * are asked for once more after it.
 */
export declare const COUNT_SETTLE_MS = 4500;
