//! The worker's own limits: what its rings and queues hold. Core has the product's.

use std::time::Duration;

use chatup_broker::limits::HEARTBEAT_MS;

/// Submissions that a shard's ring takes before it must enter the kernel.
pub const RING_SUBMISSIONS: u32 = 1_024;
/// Completions that a shard's ring holds; the kernel keeps what is over, at a price.
pub const RING_COMPLETIONS: u32 = 8_192;
/// Receive buffers of a shard, shared by all of its connections. A power of two.
pub const RECEIVE_BUFFERS: u16 = 512;
/// Bytes of one receive buffer: most messages of clients are smaller.
pub const RECEIVE_BUFFER_BYTES: usize = 4_096;
/// Messages that wait for one shard, from other shards and from the broker. Full: another shard
/// keeps what it has and tries again (its log is the buffer), the broker waits.
pub const SHARD_QUEUE_MAX: usize = 8_192;
/// Messages that a shard takes from its queue in one turn, so that its sockets get theirs.
pub const QUEUE_BUDGET: usize = 4_096;
/// How long a shard takes no new messages for the sake of subscribers who keep up and have not been
/// sent what there is yet.
pub const CATCH_UP_MAX: Duration = Duration::from_millis(50);
/// Arrivals (connections, bytes) that a shard works off in one turn: a burst of handshakes leaves
/// room for everybody else's messages.
pub const COMPLETIONS_PER_TURN: usize = 256;
/// Events that one wait of epoll brings at most.
pub const EPOLL_EVENTS: usize = 256;
/// Connections accepted for one of them.
pub const ACCEPTS_PER_WAIT: usize = 64;
/// Sends that a shard begins in one turn, before it looks at what has come meanwhile.
pub const SENDS_PER_TURN: usize = 512;
/// Connections that wait to be accepted, as `listen` is told; the kernel's somaxconn bounds it.
pub const LISTEN_BACKLOG: i32 = 4_096;
/// How soon a shard tries again when a queue was full.
pub const BEHIND_RETRY: Duration = Duration::from_millis(1);
/// How soon a shard accepts again after accepting failed (descriptors, memory).
pub const ACCEPT_RETRY: Duration = Duration::from_millis(128);
/// How often a shard reports what it carries.
pub const REPORT_EVERY: Duration = Duration::from_millis(HEARTBEAT_MS);
/// glommio's preempt timer: so long that it never fires. With a short one glommio 0.9.0 falls
/// asleep over runnable tasks: if the timer has fired before `run_task_queues` looks at its queues
/// (the thread was descheduled for as long), that returns "nothing ran", and the executor parks.
/// Without it the executor runs tasks as long as one is runnable, which the driver always is, and
/// never looks at its own reactor: no task here may wait for glommio's timers or I/O.
pub const GLOMMIO_PREEMPT_TIMER: Duration = Duration::from_secs(3_600);
/// Memory that glommio sets aside for file buffers, in bytes; nothing here reads files.
pub const GLOMMIO_IO_MEMORY_BYTES: usize = 64 * 1024;
/// Locked memory that a shard's rings need, in bytes (glommio itself refuses to start with less).
pub const LOCKED_BYTES_PER_SHARD: u64 = 1024 * 1024;
/// Locked memory without which glommio refuses to start, in bytes, whatever the capabilities.
pub const LOCKED_BYTES_MIN: u64 = 512 * 1024;
/// Descriptors that a process needs besides its connections: rings, listeners, files.
pub const DESCRIPTORS_RESERVED: u64 = 128;
