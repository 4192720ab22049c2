//! Every limit of the generator, with its unit and its reason.

use std::time::Duration;

/// Messages of one publisher that may be missing in front of one that is heard. Each of them takes
/// memory, and the number comes from the server: more is a broken text, not a loss.
pub const SKIPPED_MAX: usize = 10_000_000;
/// Descriptors of a process that are not for connections: standard streams, epoll, resolver.
pub const DESCRIPTORS_APART: u64 = 64;
/// Most connections of one process, whatever the descriptors: what one core keeps up with.
pub const CONNECTIONS_PER_PROCESS_MAX: u64 = 20_000;
/// Bytes that one read takes at most.
pub const READ_BYTES_MAX: usize = 256 * 1024;
/// Bytes that a process remembers of what its channels sounded like, over all of them.
pub const TAPES_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes remembered of one channel: about a second of a channel that is as fast as can be.
pub const TAPE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest frame that is put together, in bytes.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest line that says how large a chunk is, in bytes: 16 digits, and an extension that nobody reads.
pub const CHUNK_SIZE_LINE_BYTES_MAX: usize = 256;
/// Bytes that wait to be written to one connection before more messages wait in front of it.
pub const WRITE_BYTES_MAX: usize = 256 * 1024;
/// Largest answer of a dispatcher, in bytes: a hundred messages of history among it.
pub const JOIN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Connections of one process that are on their way at a time; more only where the scenario asks for
/// an open model of connecting. Well below the usual backlog of a listener (4,096).
pub const CONNECTING_MAX: usize = 512;
/// Connections of a run that are on their way at a time where they are made only to be closed again
/// while others stay. Not above that backlog: beyond it a SYN is lost, and what is measured is TCP's
/// wait of a second.
pub const PASSERS_MAX: u32 = 4_000;
/// Tries to make one connection.
pub const TRIES_MAX: u8 = 6;
/// Wait before the second try, doubled each time, in nanoseconds.
pub const RETRY_NS: u64 = 100_000_000;
/// Time for one try to become ready.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// Events taken from the system at a time.
pub const EVENTS_MAX: usize = 1_024;
/// Timers taken before the sockets are looked at again.
pub const TIMERS_MAX: usize = 256;
/// Events after which messages that have become due go first.
pub const EVENTS_BEFORE_PUBLISHING: usize = 32;
/// A message sent later than this after it was due is counted as late, in nanoseconds.
pub const LATE_NS: u64 = 10_000_000;
/// Time between two reports of a process to the one that leads, in nanoseconds.
pub const PROGRESS_NS: u64 = 250_000_000;
/// Time between two reads of a slow client, in nanoseconds.
pub const SLOW_READ_NS: u64 = 100_000_000;
/// Receive buffer of a slow client, in bytes: so small that the server soon feels it.
pub const SLOW_BUFFER_BYTES: usize = 4_096;
/// Stretches of a timeline: longer runs have longer ones.
pub const MOMENTS_MAX: u64 = 600;
/// Shortest stretch of a timeline, in nanoseconds.
pub const MOMENT_NS_MIN: u64 = 500_000_000;
/// Share of a core above which a process of the generator counts as the limit.
pub const BUSY_MAX: f64 = 0.95;
/// Share of the time that a process of the generator may wait for a core.
pub const RUN_QUEUE_WAIT_MAX: f64 = 0.10;
/// How much later than due the generator itself may get to a message, at the 99th percentile, in
/// microseconds.
pub const OWN_DELAY_US_MAX: u64 = 10_000;
/// Time for a process to begin or to end.
pub const PROCESS_WITHIN: Duration = Duration::from_secs(20);
/// Least length of a text: the stamp, and room for the name of a protocol's event around it.
pub const SIZE_BYTES_MIN: u64 = 64;
/// Greatest length of a text, in bytes.
pub const SIZE_BYTES_MAX: u64 = 1024 * 1024;
/// Most clients of a run: sources and processes beyond are another host's.
pub const CLIENTS_MAX: u64 = 5_000_000;
