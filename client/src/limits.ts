// Every number that bounds the client, with its unit and its reason. Nothing
// else in src/ holds a literal time, size or count that somebody may want to
// change.

/** Upper bound of the first retry's wait. Short: most cuts are over at once. */
export const BACKOFF_FIRST_MS = 500;

/** Upper bound of any retry's wait. A live event's viewer must not wait longer. */
export const BACKOFF_CAP_MS = 30_000;

/** A connection that held this long was good: the next cut starts from the first wait. */
export const STABLE_AFTER_MS = 5_000;

/** Failures of one worker in a row, after which another one is asked for. */
export const WORKER_FAILURES_BEFORE_EXCLUSION = 2;

/** A server's hint of when to come back is believed up to this. */
export const RETRY_HINT_MS_MAX = 60_000;

/** Waiting for the dispatcher's answer. */
export const DISPATCHER_TIMEOUT_MS = 10_000;

/** Waiting for a WebSocket to open. The server's own limit for a handshake is the same. */
export const OPEN_TIMEOUT_MS = 10_000;

/** Waiting for the answers that a connection cannot do without: subscribe, auth, join. */
export const SETUP_TIMEOUT_MS = 15_000;

/** Between two measurements of the latency. Below the server's 25 s of silence. */
export const PING_INTERVAL_MS = 20_000;

/** A ping without an answer for this long means a dead connection. */
export const PING_TIMEOUT_MS = 10_000;

/**
 * How long a message is tried before `say` gives up. Well within the server's
 * 5 minutes in which a repeated key is recognised, so that a retry cannot
 * publish twice.
 */
export const SAY_TIMEOUT_MS = 30_000;

/** The server's limit of messages without an answer at a time. */
export const SAYS_IN_FLIGHT_MAX = 64;

/** Messages that wait here for a connection; more are refused at once. */
export const SAYS_QUEUED_MAX = 256;

/** The server's limit of a message's text, in bytes of UTF-8. */
export const MESSAGE_BYTES_MAX = 4_096;

/** The server's limit of one WebSocket message; above it, it closes with 1009. */
export const FRAME_BYTES_MAX = 16_384;

/** The server's limit of channels a connection. */
export const CHANNELS_MAX = 64;

/** The server's limits of names, in bytes of UTF-8. */
export const ROOM_NAME_BYTES_MAX = 128;
export const CHANNEL_NAME_BYTES_MAX = 256;

/** The server's limit of `history` in a subscription. */
export const HISTORY_MAX = 1_000;

/** What is asked for when the configuration says nothing. */
export const HISTORY_DEFAULT = 50;
export const COUNT_REFRESH_DEFAULT_MS = 20_000;
export const USERS_LIMIT_DEFAULT = 50;

/** After a join or leave event, the counts are asked for this soon at the earliest. */
export const COUNT_DEBOUNCE_MS = 500;

/**
 * …and spread over this much more for each viewer of the room, for every one of
 * them has seen the same event: at most 500 requests a second a room.
 */
export const COUNT_SPREAD_MS_PER_VIEWER = 2;

/**
 * The dispatcher's picture of the workers may be this old, so that the counts
 * are asked for once more after it.
 */
export const COUNT_SETTLE_MS = 4_500;
