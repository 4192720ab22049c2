//! The settings as Rust structures, one a table. Their documentation is the operators' too: the
//! template `defaults.toml` is made of these comments, and a test holds the two together.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use chatup_core::limits::Limits;
use chatup_core::token::Algorithm;
use serde::{Deserialize, Serialize};

use super::pushstream::PushStream;
use super::relay::Relay;

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The part that holds the clients' connections.
    pub worker: Worker,
    /// The part that hands each client a worker and answers HTTP requests.
    pub dispatcher: Dispatcher,
    /// Whose tokens are believed, and on what terms.
    pub auth: Auth,
    /// The Redis through which workers and dispatchers share rooms, history, bans and members.
    pub redis: Redis,
    /// The last messages of a room, as served by /messages and in the answer to /join.
    pub history: History,
    /// What clients of the Nginx PushStream module find here.
    pub pushstream: PushStream,
    /// What the publishers of the original's pages find here.
    pub socket_io: SocketIo,
    /// For those who keep an Nginx with the PushStream module for their subscribers.
    pub relay: Relay,
    /// What anyone may take of memory and time. Bytes, milliseconds and counts, as the names say.
    pub limits: Limits,
    /// What is written to standard error.
    pub log: Log,
}

/// The `[worker]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Worker {
    /// Address to listen on: an IP address of this machine, or 0.0.0.0 or :: for all of them; then
    /// announce_url must say where clients find this worker.
    pub listen: IpAddr,
    /// Port to listen on; 0 takes any free one.
    pub port: u16,
    /// Where clients find this worker, such as "https://chat1.example.org". Empty: http, the
    /// address and the port that it listens on.
    pub announce_url: String,
    /// Threads that hold connections, each on a core of its own. 0: one for each core that this
    /// process may use.
    pub shards: u16,
    /// Numbers of the cores to use, such as [2, 3]. Empty: the first ones that are allowed.
    pub cores: Vec<u16>,
    /// Web pages that may connect: "https://example.org", "http://localhost:*" for any port, or
    /// "*" for every page. Empty: the announced addresses, and localhost, 127.0.0.1 and ::1 on
    /// any port.
    pub origins: Vec<String>,
    /// Whether whoever has no token may read. Writing always takes a token.
    pub anonymous_subscribe: bool,
    /// What becomes of a subscriber that falls so far behind that messages are lost to it:
    /// "tell" tells it of the gap, "close" closes its connection, so that it comes back and resumes.
    pub slow_subscriber: SlowSubscriber,
    /// How sockets are served: "io_uring", "epoll", or "auto": io_uring where the
    /// host allows it, else epoll.
    pub io: Io,
    /// How long a room's messages are gathered before they are sent, in milliseconds, 0 to 10000: fewer
    /// and larger sends, for so much more latency (ChatUp's `msgBufferDelay`).
    pub flush_interval_ms: u32,
    /// Whether messages are compressed for clients that ask for it (permessage-deflate), browsers
    /// among them: fewer bytes, for more CPU and memory.
    pub deflate: bool,
    /// Who may read this worker's figures: "loopback" (this machine), "anyone" or "nobody".
    pub stats_from: StatsFrom,
}

impl Default for Worker {
    fn default() -> Self {
        Worker {
            listen: LOOPBACK,
            port: 42633,
            announce_url: String::new(),
            shards: 0,
            cores: Vec::new(),
            origins: Vec::new(),
            anonymous_subscribe: true,
            slow_subscriber: SlowSubscriber::Tell,
            io: Io::Auto,
            flush_interval_ms: 0,
            deflate: false,
            stats_from: StatsFrom::Loopback,
        }
    }
}

/// What becomes of a subscriber that falls out of a channel's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlowSubscriber {
    /// It is told of the gap and goes on.
    Tell,
    /// Its connection is closed; it may resume.
    Close,
}

/// How sockets are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Io {
    /// By io_uring where the host allows it, else by epoll.
    Auto,
    /// By io_uring or not at all.
    IoUring,
    /// By epoll.
    Epoll,
}

/// Who may read a worker's figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatsFrom {
    /// Whoever connects from this machine.
    Loopback,
    /// Everyone.
    Anyone,
    /// No one.
    Nobody,
}

/// The `[socket_io]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SocketIo {
    /// Whether the worker speaks Socket.IO under /socket.io/, over WebSockets and by polls:
    /// auth, join and say.
    pub enabled: bool,
}

/// The `[dispatcher]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dispatcher {
    /// Address to listen on: an IP address of this machine, or 0.0.0.0 or :: for all of them.
    pub listen: IpAddr,
    /// Port to listen on; 0 takes any free one.
    pub port: u16,
    /// Web pages that may ask: the same as for the worker.
    pub origins: Vec<String>,
    /// Whether the demo page is served at /.
    pub demo_page: bool,
}

impl Default for Dispatcher {
    fn default() -> Self {
        Dispatcher { listen: LOOPBACK, port: 8000, origins: Vec::new(), demo_page: true }
    }
}

/// The `[auth]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The key that tokens are verified with, written out here: a public key or a certificate
    /// (PEM), a key set (JWKS), or for HS256 the secret itself. At most one of key and key_file;
    /// with neither, the all-in-one makes keys for trying out, and nothing else starts.
    pub key: Secret,
    /// The same in a file. A path in a settings file is relative to that file.
    pub key_file: PathBuf,
    /// Algorithms that a token may be signed with, of HS256, RS256, ES256 and EdDSA.
    pub algorithms: Vec<TokenAlgorithm>,
    /// Whether a token without an end (exp) is refused. The original ChatUp's tokens have none.
    pub require_expiry: bool,
    /// What a user's token must name as its audience (aud). Empty: it need not name any.
    pub audience: String,
    /// What an admin's token (/post, /ban) must name as its audience.
    pub admin_audience: String,
    /// How far another machine's clock may be off, in seconds.
    pub leeway_s: u64,
    /// Whether /post and /ban take the original ChatUp's tokens too. These never end, and whoever
    /// sees one can use it again.
    pub accept_array_tokens: bool,
    /// Whether the key of the original ChatUp's README is accepted. Its private half is public:
    /// anyone can then be anyone.
    pub allow_example_key: bool,
}

impl Default for Auth {
    fn default() -> Self {
        Auth {
            key: Secret::default(),
            key_file: PathBuf::new(),
            algorithms: vec![TokenAlgorithm::Rs256],
            require_expiry: true,
            audience: String::new(),
            admin_audience: "chatup-admin".to_owned(),
            leeway_s: 5,
            accept_array_tokens: false,
            allow_example_key: false,
        }
    }
}

/// An algorithm that a token may be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256: the key is a secret that both sides share.
    #[serde(rename = "HS256")]
    Hs256,
    /// RSA PKCS#1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl From<TokenAlgorithm> for Algorithm {
    fn from(algorithm: TokenAlgorithm) -> Algorithm {
        match algorithm {
            TokenAlgorithm::Hs256 => Algorithm::HS256,
            TokenAlgorithm::Rs256 => Algorithm::RS256,
            TokenAlgorithm::Es256 => Algorithm::ES256,
            TokenAlgorithm::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// The `[redis]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// Where it is: redis://host:port/database, rediss:// for TLS, redis+unix:///path/to/socket,
    /// redis+sentinel://host:port,host:port/group or redis+cluster://host:port,host:port (with TLS:
    /// rediss+sentinel, rediss+cluster). Empty: none; then worker and dispatcher run only as one.
    pub url: String,
    /// The user of its access list. Empty: the default user.
    pub username: String,
    /// The password. Empty: none.
    pub password: Secret,
    /// The sentinels' own password. Empty: none.
    pub sentinel_password: Secret,
    /// Certificates (PEM) that the server's certificate must lead to. Empty: the system's.
    pub ca_file: PathBuf,
    /// Stands before every key, so that several systems can share one Redis.
    pub key_prefix: String,
}

impl Default for Redis {
    fn default() -> Self {
        Redis {
            url: String::new(),
            username: String::new(),
            password: Secret::default(),
            sentinel_password: Secret::default(),
            ca_file: PathBuf::new(),
            key_prefix: "chatup:".to_owned(),
        }
    }
}

/// The `[history]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Messages kept for each room, 10000 at most; 0 keeps none.
    pub size: u32,
    /// Time after a room's last message until its history is dropped, in seconds.
    pub expire_s: u64,
}

impl Default for History {
    fn default() -> Self {
        History { size: 100, expire_s: 30 * 24 * 60 * 60 }
    }
}

/// The `[log]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// What to write: error, warn, info, debug or trace, also by part, such as
    /// "info,chatup_worker=debug".
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Log { filter: "info".to_owned() }
    }
}

/// A text that may be a secret: it is never shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// What stands in its place wherever it would be seen.
    pub const REDACTED: &str = "(redacted)";

    /// The text itself: not for printing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What may be seen of it: nothing, or that there is something.
    #[must_use]
    pub fn redacted(&self) -> Secret {
        Secret(if self.is_empty() { String::new() } else { Self::REDACTED.to_owned() })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.redacted().0.fmt(f)
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
