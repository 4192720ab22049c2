//! What an operator tells a worker.

use std::net::IpAddr;
use std::sync::Arc;

use chatup_core::http_head::Services;
use chatup_core::limits::Limits;
use chatup_core::shard::SlowSubscriberPolicy;
use chatup_core::token::Verifier;

/// Who may read `/stats` of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsFrom {
    /// Programs on the same host.
    Loopback,
    /// Whoever reaches it.
    Anyone,
    /// Nobody.
    Nobody,
}

/// How sockets are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoChoice {
    /// By io_uring where the host allows it, else by epoll.
    Auto,
    /// By io_uring or not at all.
    IoUring,
    /// By epoll.
    Epoll,
}

/// A worker's settings.
#[derive(Clone)]
pub struct Settings {
    /// The address to listen on.
    pub listen: IpAddr,
    /// The port; 0 for any free one.
    pub port: u16,
    /// The URL under which clients reach it; without, `http://` and the address listened on.
    pub announce_url: Option<String>,
    /// How sockets are served.
    pub io: IoChoice,
    /// How many shards; 0 for one a core.
    pub shards: u16,
    /// Which cores; empty for the first that this process may use.
    pub cores: Vec<u16>,
    /// What is served on which path, and to whose pages.
    pub services: Services,
    /// Who says who a client is.
    pub verifier: Arc<Verifier>,
    /// The product's limits.
    pub limits: Limits,
    /// Whether one may read without a token.
    pub anonymous_subscribe: bool,
    /// What happens to slow subscribers.
    pub slow_subscribers: SlowSubscriberPolicy,
    /// How long a room's messages are gathered before they are sent, in milliseconds.
    pub flush_interval_ms: u64,
    /// Who may read `/stats`.
    pub stats_from: StatsFrom,
    /// Who may publish over HTTP, and read the statistics that PushStream's clients know.
    pub publish_from: StatsFrom,
    /// Descriptors that the rest of the process needs.
    pub descriptors_reserved: u64,
}
