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
