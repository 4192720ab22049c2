//! Every limit that only the dispatcher has: its name, its unit and its reason. What all parts of
//! the product share stands in `chatup_core::limits`.

use chatup_broker::limits::HEARTBEAT_MS;

/// How long the broker may take for an answer, in milliseconds; browsers give up after about 10 s.
pub(crate) const BROKER_MS_MAX: u64 = 5_000;
/// Most questions to the broker that wait for an answer: as many as its queue holds.
pub(crate) const ASKED_MAX: usize = chatup_broker::limits::BROKER_QUEUE_MAX;
/// How long a hand-out counts while its worker reports the same number of connections, in
/// milliseconds: a beat for the client to connect in, and a beat for the worker to tell.
pub(crate) const HANDOUT_MS: u64 = 2 * HEARTBEAT_MS;
/// How long a client may take to connect to the worker that it was handed, in milliseconds: for one
/// to two times as long a hand-out counts on when its worker tells another number.
pub(crate) const CONNECTING_MS: u64 = 250;
/// For how many connections a hand-out counts until its worker has told: dispatchers hand out
/// without knowing of each other. With more of them than this, a rush may overfill a worker.
pub(crate) const HANDOUT_WEIGHT: u64 = 4;
/// How far above the mean a worker's load may be for it to be given more of a room that it serves,
/// in percent of the mean: what a room's staying together may cost in balance. More than this
/// gathers no better (`choose/simulation.rs`).
pub(crate) const LOAD_ABOVE_MEAN_PERCENT: u64 = 10;
/// The same in connections, on top: so few are nothing to a worker, and rooms gather on workers that
/// have little to do as well.
pub(crate) const LOAD_SLACK: u64 = 64;
/// From how many viewers on a worker a room may be split sooner: a further worker's copy of each
/// message is little beside what is sent to so many.
pub(crate) const ROOM_VIEWERS_MUCH: u64 = 64;

/// Most history in the answer to `/join`, in bytes of JSON, the newest first: ChatUp's library
/// sends the whole answer back when its worker has failed.
pub(crate) const JOIN_MESSAGES_BYTES_MAX: usize = 256 * 1024;
/// Largest body of `/join`, in bytes: a whole answer, which a browser may have spelt anew.
pub(crate) const JOIN_BODY_BYTES_MAX: usize = 2 * JOIN_MESSAGES_BYTES_MAX;
/// Largest body of `/demo/token`, in bytes: one name.
pub(crate) const DEMO_BODY_BYTES_MAX: usize = 4 * 1024;
/// Most memory for the bodies of all requests together, in bytes; beyond it they are refused as
/// `overloaded`.
pub(crate) const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much of a body that is too large is read and thrown away, in bytes: who is cut off while
/// still sending does not get to read why.
pub(crate) const BODY_DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// Time for a whole body, in milliseconds.
pub(crate) const BODY_MS_MAX: u64 = 10_000;

/// Members that `/stats` names when not asked for a number, as in ChatUp.
pub(crate) const STATS_LIMIT_DEFAULT: u32 = 50;
/// Most members that `/stats` names at a time: about 2 MB, each `_public` being 2 KiB at most.
pub(crate) const STATS_LIMIT_MAX: u32 = 1_000;

/// How long browsers remember what a preflight has told them, in seconds.
pub(crate) const PREFLIGHT_S: u64 = 3_600;

/// Most connections at a time; more wait in the listener's backlog. Each may cost a descriptor and
/// [`HEAD_BYTES_MAX`].
pub const CONNECTIONS_MAX: usize = 4_096;
/// With more connections than this, a new one gets one answer and is closed: in the rush at an
/// event's start nobody's idle connection keeps others out.
pub(crate) const KEPT_ALIVE_MAX: usize = CONNECTIONS_MAX / 2;
/// Time for a request's head, and for an idle connection to ask again, in milliseconds.
pub(crate) const HEAD_MS_MAX: u64 = 5_000;
/// Largest request head, in bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Longest life of a connection, in milliseconds: bounds those that never read their answers.
pub(crate) const CONNECTION_MS_MAX: u64 = 120_000;
/// Time that requests under way are given when their connection is to end, in milliseconds.
pub(crate) const DRAIN_MS_MAX: u64 = 5_000;
/// Pause after a failed accept (no descriptors left), in milliseconds.
pub(crate) const ACCEPT_PAUSE_MS: u64 = 100;
