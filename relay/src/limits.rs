//! The relay's own limits: its requests, its pauses, what it reads. Core has the product's.

/// Posts under way at once, of as many channels, at most; while Nginx fails, one.
pub const POSTS_MAX: usize = 16;
/// Longest wait for the answer to a post or to the question for statistics, in milliseconds. What was being
/// said then may have arrived: it is posted again.
pub const ANSWER_MS_MAX: u64 = 5_000;
/// Longest wait for a connection to Nginx, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 2_000;
/// Pause after a first failure, in milliseconds; doubled up to the longest, less up to a half by chance.
pub const RETRY_MS_MIN: u64 = 100;
/// Longest pause between two attempts, in milliseconds.
pub const RETRY_MS_MAX: u64 = 5_000;
/// How often Nginx is asked which channels have subscribers, in milliseconds.
pub const ROUND_MS: u64 = 1_000;
/// An answer to that takes this part of the time until the next, at most: one in so many.
pub const ROUND_SHARE: u32 = 20;
/// Longest pause between two such questions, in milliseconds.
pub const ROUND_MS_MAX: u64 = 5_000;
/// Longest wait for the rest of an answer to a post, in milliseconds: its status has said it.
pub const REST_MS_MAX: u64 = 500;
/// Longest answer with statistics, in bytes: some 100 for each channel.
pub const STATISTICS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest other answer that is read, in bytes; what is longer costs the connection.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Channels that are relayed at most: anybody who reaches Nginx makes them.
pub const CHANNELS_MAX: usize = 100_000;
/// Channels that the broker is asked to open at once, at most: each answer has a channel's last messages.
pub const OPENINGS_MAX: usize = 32;
/// Pause before a channel that the broker refused is asked for again, in milliseconds.
pub const OPEN_AGAIN_MS: u64 = 1_000;
/// Subscribers of one channel that an Nginx can have, at most: a line of statistics with more is nothing that it
/// has written.
pub const SUBSCRIBERS_MAX: u64 = 10_000_000;
/// Counts of viewers that are told to the broker in one go, at most.
pub const COUNTS_PER_TELLING: usize = 1_000;
/// Nginx not heard of for so long has no subscribers, in milliseconds; longer where it is asked seldom.
pub const SILENT_MS: u64 = 5_000;
/// Pause between two lines of log on what goes on failing, in milliseconds.
pub const REMINDER_MS: u64 = 60_000;
/// Pause between two lines of log on what is lost, in milliseconds.
pub const COMPLAINT_MS: u64 = 5_000;
/// After so many failures of a channel's post, its messages are posted one by one.
pub const SINGLE_FROM_ATTEMPT: u32 = 3;
/// How often a single message may fail while Nginx takes others, before it counts as refused.
pub const ATTEMPTS_BESIDE_OTHERS_MAX: u32 = 10;
/// The same while Nginx takes nothing although it is there: some five minutes.
pub const ATTEMPTS_MAX: u32 = 60;
/// How long what waits may take to be posted when the worker stops, in milliseconds.
pub const DRAIN_MS_MAX: u64 = 2_000;
/// What a message takes besides its text while it waits, in bytes, about.
pub const MESSAGE_OVERHEAD_BYTES: usize = 64;
