//! Every limit of the product, in one place: its name, its unit and its reason.
//!
//! What an operator may change is a field of [`Limits`] (the configuration's `[limits]` table);
//! what would make no sense to change is a constant. Nothing elsewhere may invent a number.

use serde::{Deserialize, Serialize};

/// Longest room name, in bytes of UTF-8. Names travel in every message and in URLs.
pub const ROOM_NAME_BYTES_MAX: usize = 128;
/// Longest channel name, in bytes: a room name with its prefix `m_` or `e_` fits.
pub const CHANNEL_NAME_BYTES_MAX: usize = 256;
/// Longest user name (`_public.name`), in bytes of UTF-8.
pub const USER_NAME_BYTES_MAX: usize = 64;
/// Longest idempotency key, in bytes: a UUID or a hash fits.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 64;
/// How long an idempotency key is remembered, in milliseconds: longer than a client goes on trying.
pub const IDEMPOTENCY_TTL_MS: u64 = 5 * 60 * 1_000;
/// Most idempotency keys kept for one channel; beyond it the oldest are forgotten early.
pub const IDEMPOTENCY_KEYS_PER_CHANNEL_MAX: usize = 100_000;
/// Longest event name (`ev`), in bytes.
pub const EVENT_NAME_BYTES_MAX: usize = 64;
/// Largest call id: the largest integer that JavaScript holds exactly (2^53 - 1).
pub const CALL_ID_MAX: u64 = (1 << 53) - 1;
/// How far clocks of servers may be apart, in seconds: a PushStream client's place in time is looked for
/// among so much older messages, too.
pub const CLOCK_SKEW_S: u64 = 5;
/// Messages that are looked at in one piece for a place in time.
pub const LOOKED_AT_ONCE: u64 = 64;
/// Bytes of the messages of one list to PushStream clients, about: a slow one keeps the rest of one.
pub const LIST_BYTES_MAX: usize = 16 * 1024;
/// How long a client of engine.io 3 waits for the answer to its ping, in milliseconds, as the original says.
pub const ENGINE_IO_3_PONG_MS: u64 = 60_000;

/// How long a long poll is held where nothing else is said, in milliseconds: shorter than what stands between
/// here and the client waits.
pub const LONGPOLLING_TTL_MS: u64 = 30_000;
/// Longest name of a function that a poll's answer calls, in bytes.
pub const CALLBACK_BYTES_MAX: usize = 64;
/// What an answer or a message is padded to for some browsers, in bytes, at most.
pub const PADDING_BYTES_MAX: usize = 64 * 1024;
/// What has happened on one shard and waits to be told in the events channel, at most: more is not told.
pub const EVENTS_WAITING_MAX: usize = 16 * 1024;
/// Events that one shard publishes in a second, at most: the broker's queue is for clients.
pub const EVENTS_PER_S_MAX: u64 = 2_000;
/// The time in which its part of them may be published at once, in milliseconds.
pub const EVENTS_WINDOW_MS: u64 = 100;
/// When a channel's deletion is told in the events channel, in milliseconds behind it: whoever subscribed to it
/// has been told and counted as gone by then.
pub const GONE_TOLD_AFTER_MS: u64 = 1_000;
/// Longest line between a body's chunks, or behind them, in bytes.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// All that stands between a body's chunks and behind them, in bytes, at most: it is read anew whenever more
/// of the body comes.
pub const CHUNK_OVERHEAD_BYTES_MAX: usize = 8 * 1024;
/// Channels that one shard tells of in one answer about all of them.
pub const SURVEY_CHANNELS_MAX: usize = 10_000;
/// Of the connections that a shard may have, such a part may be Socket.IO sessions by polls: one request makes one.
pub const POLLED_PART: usize = 4;
/// Packets of a Socket.IO client in the body of one poll, at most.
pub const PACKETS_PER_POST_MAX: usize = 256;
/// What clients say on one shard that waits for a full queue of another, in messages, before they are cut off.
pub const FORWARDED_MAX: usize = 1_024;
/// How long a request waits for its answer from elsewhere, in milliseconds: longer than any poll is held.
pub const ASKED_MS_MAX: u64 = 10 * 60 * 1_000;

/// Largest token, in bytes, looked at before anything is decoded: 8 MiB would cost 80 ms.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Largest `_public` object, in bytes of JSON: it is repeated in every message of its user.
pub const PUBLIC_BYTES_MAX: usize = 2 * 1024;
/// Largest token handed to `/post` and `/ban`, in bytes (ChatUp's body limit, 100 kB).
pub const ADMIN_TOKEN_BYTES_MAX: usize = 100 * 1_000;
/// Most entries of one `/post` or `/ban` token.
pub const ADMIN_ENTRIES_MAX: usize = 1_000;
/// Longest time to live of an admin token, in seconds: its `jti` is remembered that long.
pub const ADMIN_TOKEN_LIFETIME_S_MAX: u64 = 24 * 60 * 60;
/// Longest `jti`, in bytes.
pub const TOKEN_ID_BYTES_MAX: usize = 128;
/// Wrong tokens that one connection may show: each costs a signature's check.
pub const WRONG_TOKENS_MAX: u8 = 8;
/// Most keys of a key set: each unknown `kid` costs a look through it.
pub const VERIFICATION_KEYS_MAX: usize = 64;
/// Longest ban with an end, in seconds (a hundred years); longer is as good as without an end.
pub const BAN_S_MAX: u64 = 100 * 365 * 24 * 60 * 60;

/// Most headers of an HTTP request head.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Largest payload of a WebSocket control frame, in bytes (RFC 6455, 5.5).
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;
/// How hard messages are compressed where that is on, 1 to 9. Beyond it a chat's messages, of a few
/// hundred bytes each and compressed by themselves, hardly become shorter.
pub const DEFLATE_LEVEL: u32 = 3;
/// Messages of a channel that are compressed in one go, at most: about a millisecond's work. Where more
/// are missing, they go as they are.
pub const DEFLATED_AT_ONCE_MAX: u64 = 64;
/// Bytes that clients' compressed messages may become in one turn of a shard before it turns to its
/// other work: few bytes in can be many out.
pub const INFLATED_BYTES_PER_TURN: usize = 1024 * 1024;
/// Largest piece of a channel log's wire bytes, in bytes: one send is at most this long, and a
/// subscriber in the middle of a send keeps at most this much memory alive.
pub const LOG_SEGMENT_BYTES_MAX: usize = 64 * 1024;
/// Smallest piece of a channel log's wire bytes, in bytes; pieces double up to the largest.
pub const LOG_SEGMENT_BYTES_MIN: usize = 1_024;
/// Most answers, pongs and notices that wait for one full socket, in bytes. A client that asks
/// and never reads is closed beyond it.
pub const CONTROL_QUEUE_BYTES_MAX: usize = 64 * 1024;
/// So many of them, in bytes, are dropped with their connection at once, without a close frame.
pub const CONTROL_QUEUE_BYTES_DROP: usize = 4 * CONTROL_QUEUE_BYTES_MAX;
/// Most messages of history that one subscription may ask for.
pub const SUBSCRIBE_HISTORY_MAX: u32 = 1_000;
/// How often a shard looks at its timers at the least, in milliseconds: the grain of all deadlines.
pub const TIMER_TICK_MS: u64 = 128;
/// Slots of a shard's timer wheel: with the tick, a turn of the wheel is about 65 s.
pub const TIMER_WHEEL_SLOTS: usize = 512;
/// Bytes that are written for one newcomer alone, of a channel, at most: where some of its messages are not
/// stored. A stream that would be sent more is sent what all are sent, those included.
pub const OWN_BEGINNING_BYTES_MAX: usize = 64 * 1024;
/// How long a shard keeps a channel that has lost its last subscriber, in milliseconds, so that a
/// reconnect does not fetch the log anew.
pub const CHANNEL_LINGER_MS: u64 = 5_000;
/// Messages from one shard's owner log to another shard in one hand-over, at most; never more than
/// a quarter of what the log keeps.
pub const HANDOVER_MESSAGES_MAX: usize = 256;
/// Entries of its tables that a shard looks at, each time that it is asked for its memory: well
/// under a millisecond's worth. A shard of 100,000 connections has looked at all of them in seven seconds.
pub const MEMORY_WALK_ENTRIES: u32 = 16_384;
/// Sends of one channel, or of connections with something of their own, before others have their
/// turn. What a small room waits behind large ones is so many sends for each of them.
pub const FANOUT_QUANTUM_SENDS: u32 = 64;
/// How long a connection that has been sent its close frame is given to answer, in milliseconds.
pub const CLOSE_LINGER_MS: u64 = 2_000;
/// Pieces of at least [`CLOSE_PIECE_BYTES`] that may still come after the close frame, from somebody
/// who has not read it yet: about a full socket's worth. Whoever goes on is cut off.
pub const CLOSE_PIECES_MAX: u8 = 250;
/// Smallest piece that counts there, in bytes: a flood comes in full receive buffers.
pub const CLOSE_PIECE_BYTES: usize = 1_024;

/// Limits that an operator may change: the `[limits]` table of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most connections of one shard; more are answered with 503. Descriptors bound it too.
    pub connections_per_shard_max: u32,
    /// Most channels that one connection subscribes to.
    pub channels_per_connection_max: u32,
    /// Most channels that one shard keeps open.
    pub channels_per_shard_max: u32,
    /// Largest message from a client, in bytes, all its fragments together.
    pub message_bytes_max: u32,
    /// Longest text of a `say`, in bytes of UTF-8.
    pub text_bytes_max: u32,
    /// Most `say` and `join` calls of one connection that wait for an answer.
    pub calls_in_flight_max: u32,
    /// Largest request head, in bytes.
    pub handshake_bytes_max: u32,
    /// Time for a whole handshake, in milliseconds.
    pub handshake_ms_max: u64,
    /// Silence after which a connection is pinged, in milliseconds.
    pub ping_after_ms: u64,
    /// Silence after the ping, in milliseconds, after which the connection is closed.
    pub pong_within_ms: u64,
    /// Time for which a connection may neither subscribe to anything nor be a member of a room,
    /// in milliseconds.
    pub idle_ms_max: u64,
    /// Time for which a connection may take nothing of what waits for it, in milliseconds.
    pub write_stall_ms_max: u64,
    /// Messages kept in a channel's log, for slow subscribers and for coming back.
    pub log_messages_max: u32,
    /// Bytes kept in a channel's log on a shard.
    pub log_bytes_max: u32,
    /// Members of a room up to which each coming and going is told by an event of its own (`join`,
    /// `leave`); in larger rooms how many came and went is told once a second (`members`).
    pub announced_members_max: u32,
    /// Time that a stopping worker gives its connections, in milliseconds.
    pub shutdown_ms_max: u64,
    /// Spread of the hint of when to come back after a shutdown, in milliseconds.
    pub retry_spread_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_per_shard_max: 100_000,
            channels_per_connection_max: 64,
            channels_per_shard_max: 200_000,
            message_bytes_max: 16 * 1024,
            text_bytes_max: 4 * 1024,
            calls_in_flight_max: 64,
            handshake_bytes_max: 8 * 1024,
            handshake_ms_max: 10_000,
            ping_after_ms: 25_000,
            pong_within_ms: 20_000,
            idle_ms_max: 60_000,
            write_stall_ms_max: 30_000,
            log_messages_max: 1_000,
            log_bytes_max: 1024 * 1024,
            announced_members_max: 500,
            shutdown_ms_max: 5_000,
            retry_spread_ms: 5_000,
        }
    }
}

/// A limit that cannot be obeyed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("limits.{name} = {value}: must be {rule}")]
pub struct LimitError {
    /// Name of the field.
    pub name: &'static str,
    /// What it was set to.
    pub value: u64,
    /// What it must be.
    pub rule: &'static str,
}

impl Limits {
    /// Checks that the limits can be obeyed together.
    ///
    /// # Errors
    /// The first limit that cannot.
    pub fn check(&self) -> Result<(), LimitError> {
        let rules: [(&'static str, u64, bool, &'static str); 11] = [
            (
                "connections_per_shard_max",
                self.connections_per_shard_max.into(),
                (1..=1 << 24).contains(&self.connections_per_shard_max),
                "1 to 16777216",
            ),
            (
                "channels_per_connection_max",
                self.channels_per_connection_max.into(),
                (1..=1_024).contains(&self.channels_per_connection_max),
                "1 to 1024",
            ),
            (
                "channels_per_shard_max",
                self.channels_per_shard_max.into(),
                self.channels_per_shard_max >= 1,
                "at least 1",
            ),
            (
                "message_bytes_max",
                self.message_bytes_max.into(),
                (512..=1 << 20).contains(&self.message_bytes_max),
                "512 to 1048576",
            ),
            (
                "text_bytes_max",
                self.text_bytes_max.into(),
                self.text_bytes_max >= 1 && self.text_bytes_max <= self.message_bytes_max,
                "1 to message_bytes_max",
            ),
            (
                "calls_in_flight_max",
                self.calls_in_flight_max.into(),
                (1..=10_000).contains(&self.calls_in_flight_max),
                "1 to 10000",
            ),
            (
                "handshake_bytes_max",
                self.handshake_bytes_max.into(),
                (512..=65_536).contains(&self.handshake_bytes_max),
                "512 to 65536",
            ),
            ("ping_after_ms", self.ping_after_ms, self.ping_after_ms >= 1_000, "at least 1000"),
            ("pong_within_ms", self.pong_within_ms, self.pong_within_ms >= 1_000, "at least 1000"),
            (
                "log_messages_max",
                self.log_messages_max.into(),
                (1..=1_000_000).contains(&self.log_messages_max),
                "1 to 1000000",
            ),
            (
                "log_bytes_max",
                self.log_bytes_max.into(),
                self.log_bytes_max >= 2 * self.message_bytes_max,
                "at least twice message_bytes_max",
            ),
        ];
        for (name, value, holds, rule) in rules {
            if !holds {
                return Err(LimitError { name, value, rule });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_obeyed_and_a_bad_one_is_named() {
        assert_eq!(Limits::default().check(), Ok(()));
        let bad = Limits { text_bytes_max: 1 << 30, ..Limits::default() };
        let error = bad.check().unwrap_err();
        assert_eq!(error.to_string(), "limits.text_bytes_max = 1073741824: must be 1 to message_bytes_max");
    }
}
