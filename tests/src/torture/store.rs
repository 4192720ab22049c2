//! Where a system keeps everything: one Redis, or two of them watched by a sentinel.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::cluster::AOF;
use crate::Redis;

/// How long the sentinel waits before it takes a server for dead, in milliseconds.
const DOWN_AFTER_MS: u64 = 2_000;
/// The sentinel's pause between two tries, in milliseconds.
const FAILOVER_MS: u64 = 3_000;
/// How often the sentinel is asked.
const GLANCE: Duration = Duration::from_millis(20);

/// The store.
pub enum Store {
    /// One server.
    Single(Redis),
    /// Two, of which one is the primary.
    Group(Box<Group>),
}

/// A primary, a replica, and who watches them.
pub struct Group {
    servers: [Redis; 2],
    sentinel: Redis,
}

impl Store {
    /// The one server's port; none in a group.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Store::Single(redis) => Some(redis.port()),
            Store::Group(_) => None,
        }
    }

    /// For whoever reaches it without a proxy.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Store::Single(redis) => redis.url(),
            Store::Group(group) => format!("redis+sentinel://127.0.0.1:{}/main", group.sentinel.port()),
        }
    }

    /// The one server.
    ///
    /// # Panics
    /// It is a group.
    pub fn single(&mut self) -> &mut Redis {
        match self {
            Store::Single(redis) => redis,
            Store::Group(_) => panic!("a fault of one server, made in a group"),
        }
    }

    /// The group.
    ///
    /// # Panics
    /// It is one server.
    pub fn group(&mut self) -> &mut Group {
        match self {
            Store::Single(_) => panic!("a fault of a group, made of one server"),
            Store::Group(group) => group,
        }
    }
}

impl Group {
    /// Starts one; its data are below a directory.
    ///
    /// # Panics
    /// It does not come together.
    #[must_use]
    pub fn start(dir: &Path, port: impl Fn() -> u16) -> Group {
        let start = |name: &str, more: &[&str]| {
            let own = dir.join(name);
            fs::create_dir_all(&own).expect("a directory");
            // The replica may read its copy from a socket at once: no waiting for others to come.
            let all = [AOF, &["--repl-diskless-sync-delay", "0"], more].concat();
            Redis::start_at(port(), &own, &all)
        };
        let first = start("redis-0", &[]);
        let second = start("redis-1", &["--replicaof", &format!("127.0.0.1 {}", first.port())]);
        let watch = [
            &format!("down-after-milliseconds main {DOWN_AFTER_MS}")[..],
            &format!("failover-timeout main {FAILOVER_MS}"),
        ];
        let sentinel = Redis::start_sentinel(&first, &watch);
        let group = Group { servers: [first, second], sentinel };
        group.wait_until_whole();
        group
    }

    /// Which of the two the sentinel takes for the primary.
    ///
    /// # Panics
    /// Neither.
    #[must_use]
    pub fn primary(&self) -> usize {
        let told = self.sentinel.ask("SENTINEL GET-MASTER-ADDR-BY-NAME main");
        let is_told = |redis: &Redis| told.contains(&redis.port().to_string());
        self.servers.iter().position(is_told).expect("one of both is the primary")
    }

    /// One of the two.
    pub fn server(&mut self, number: usize) -> &mut Redis {
        &mut self.servers[number]
    }

    /// Waits until the sentinel has made this one the primary.
    pub fn wait_for_primary(&self, number: usize) {
        let start = std::time::Instant::now();
        while self.primary() != number {
            assert!(start.elapsed() < crate::PATIENCE, "server {number} is never made the primary");
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits until there is a primary with a replica that follows it, and the sentinel knows.
    pub fn wait_until_whole(&self) {
        let start = std::time::Instant::now();
        // Asked anew each time: on a busy machine the sentinel may change its mind meanwhile.
        while !self.is_whole() {
            assert!(start.elapsed() < 2 * crate::PATIENCE, "the two servers do not come together");
            std::thread::sleep(GLANCE);
        }
    }

    fn is_whole(&self) -> bool {
        let primary = self.primary();
        let (primary, replica) = (&self.servers[primary], &self.servers[1 - primary]);
        let (first, second) = (primary.ask("ROLE"), replica.ask("ROLE"));
        let known = self.sentinel.ask("SENTINEL REPLICAS main");
        first.contains("master")
            && second.contains("slave")
            && second.contains("connected")
            && known.contains(&replica.port().to_string())
            && !known.contains("_down")
            && !known.contains("disconnected")
    }
}
