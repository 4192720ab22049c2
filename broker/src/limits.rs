//! The broker's own limits: its queue, its workers' beats, and what the memory broker keeps. Core has
//! the product's.

/// Operations that wait for the broker, of all clients together. Full: `say` is refused as
/// `overloaded`, everything else waits at its client.
pub const BROKER_QUEUE_MAX: usize = 16_384;
/// Operations that a client's thread carries out for everybody when it has asked for one.
pub const COMMANDS_PER_DRIVE: usize = 256;
/// How often it looks again for more, at most, before the broker's own thread takes over.
pub const ROUNDS_PER_DRIVE: usize = 4;
/// A worker not heard of for so long is gone, in milliseconds (ChatUp's `expireDelay` is 2,000;
/// this leaves room for a missed beat).
pub const WORKER_EXPIRY_MS: u64 = 5_000;
/// How often a worker should be heard of, in milliseconds.
pub const HEARTBEAT_MS: u64 = 1_000;

/// Bytes of messages that one channel keeps at most.
pub const CHANNEL_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of messages that all channels together keep at most.
pub const STORE_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Channels that nobody has open and that are remembered all the same, at most: anybody with a token
/// can make them. Open ones are bounded by the shards that have them open.
pub const CHANNELS_MAX: usize = 100_000;

/// Questions to Redis that go in one batch, at most.
pub const BATCH_COMMANDS_MAX: usize = 512;
/// Batches under way to one Redis server, at most; what comes meanwhile goes with the next.
pub const BATCHES_IN_FLIGHT_MAX: usize = 16;
/// Longest wait for an answer of Redis, in milliseconds: beyond it the connection counts as dead, and
/// whoever waits is told that the store cannot be reached.
pub const REDIS_ANSWER_MS_MAX: u64 = 2_000;
/// How long what is asked waits for Redis to be back, in milliseconds, before it is refused. Once Redis
/// has been away for so long, everything is refused at once.
pub const REDIS_HOLD_MS: u64 = 500;
/// Longest time to connect to Redis, log in and load the scripts, in milliseconds.
pub const REDIS_CONNECT_MS_MAX: u64 = 3_000;
/// Pause before the first attempt to connect again, in milliseconds; doubled up to the longest.
pub const REDIS_RETRY_MS_MIN: u64 = 50;
/// Longest pause between two attempts, in milliseconds.
pub const REDIS_RETRY_MS_MAX: u64 = 1_000;
/// How often the Redis thread looks after what time brings, in milliseconds: the grain of the above.
pub const REDIS_TICK_MS: u64 = 100;
/// Messages of one channel held while Redis is asked about it, at most; more are fetched again.
pub const HELD_MESSAGES_MAX: usize = 4_096;
/// Questions about channels under way at once, at most: after a cut there are as many as channels.
pub const FETCHES_MAX: usize = 512;
/// Channels of which messages are read at once, at most: each may come to some MiB.
pub const READERS_MAX: usize = 8;
/// Questions to one server of Redis without an answer, sent or to be sent, over which clients are told
/// that it is too busy. What must be told, as heartbeats and leaves, is not held by it.
pub const REDIS_QUESTIONS_MAX: usize = 16_384;
/// Messages of a channel that are read from Redis in one piece: well under a millisecond of its time, and
/// with the longest messages about 2 MiB on the connection, of which Redis cuts off one that subscribes
/// when 32 MiB wait for it.
pub const FETCHED_AT_ONCE: usize = 128;
/// Bytes of messages of one channel that are read, at most: as many as a shard keeps.
pub const FETCH_BYTES_MAX: usize = 1024 * 1024;
/// Pause before what Redis refused is asked again, in milliseconds.
pub const ASK_AGAIN_MS: u64 = 1_000;
/// Life of a channel in Redis in which nothing has been said, in milliseconds: anybody can open one.
/// Whoever has it open asks for it again before that.
pub const EMPTY_CHANNEL_MS: u64 = 60 * 60 * 1_000;
/// How often each open channel is held against Redis, in milliseconds, although nothing was amiss.
pub const CHANNEL_CHECK_MS: u64 = 30_000;
/// Channels that a worker checks so in one second, at most.
pub const CHANNEL_CHECKS_PER_S_MAX: usize = 100;
/// How often the comings and goings of a large room are told, in milliseconds.
pub const CHANGES_MS: u64 = 1_000;
/// Members of a dead worker that are removed in one go.
pub const REMOVED_AT_ONCE: usize = 200;
/// How long removing a dead worker's people may pause before another worker goes on with it, in
/// milliseconds.
pub const UNDERTAKER_MS: u64 = 10_000;
/// Longest time for which a claimed id is remembered, in milliseconds (a hundred years).
pub const CLAIM_MS_MAX: u64 = 100 * 365 * 24 * 60 * 60 * 1_000;
/// How often a cluster is asked which server has which slots, in milliseconds; ten times as often while
/// that is in doubt.
pub const SLOTS_REFRESH_MS: u64 = 10_000;
/// Pause before a worker's people are told once more where some could not be, in milliseconds.
pub const RECONCILE_AGAIN_MS: u64 = 2_000;
/// For how long what Redis said of the workers is handed out without asking again, in milliseconds: each
/// client that comes asks who is alive.
pub const ROSTER_FRESH_MS: u64 = 250;
/// Output of Redis for one subscribing connection under which it is warned of at the start, in bytes.
pub const REDIS_OUTPUT_BYTES_MIN: u64 = 32 * 1024 * 1024;
/// Pause between two lines of log on what Redis refuses, in milliseconds.
pub const COMPLAINT_MS: u64 = 1_000;
