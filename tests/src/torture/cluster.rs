//! A whole system: a Redis that keeps everything, workers that each reach it through a proxy of their
//! own (or two of them watched by a sentinel, reached directly), dispatchers, and where the latter are
//! for whoever asks.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::proxy::Proxy;
use super::role::Role;
use super::signer::Signer;
use super::store::{Group, Store};
use crate::Redis;
use crate::server::scratch;

/// Messages that Redis and every worker keep of a room: more than a run says in one.
pub const WINDOW: u64 = 20_000;

/// A Redis that keeps everything.
pub const AOF: &[&str] = &["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
/// Redis's own name for where its append-only files are.
const AOF_DIR: &str = "appendonlydir";

/// Addresses that clients know: what a name service would tell them.
pub type Addresses = Arc<Mutex<Vec<String>>>;

/// A worker and its way to Redis.
pub struct Worker {
    /// The process.
    pub role: Role,
    /// The way; none where a sentinel tells where Redis is.
    pub proxy: Option<Proxy>,
    arguments: Vec<String>,
    log: PathBuf,
}

/// All processes of a system.
pub struct Cluster {
    /// The store.
    pub store: Store,
    /// Its workers.
    pub workers: Vec<Worker>,
    /// Its dispatchers.
    pub dispatchers: Vec<Role>,
    /// Where they are.
    pub addresses: Addresses,
    dispatcher_arguments: Vec<String>,
    dir: PathBuf,
}

impl Worker {
    /// Ends it with kill -9.
    pub fn kill(&mut self) {
        self.role.process.kill();
    }

    /// Starts it again, on another port.
    pub fn restart(&mut self) {
        self.role = Role::start("worker", &self.arguments, &self.log);
    }
}

impl Cluster {
    /// Starts everything over one Redis, with so many shards a worker.
    ///
    /// # Panics
    /// Something does not start.
    #[must_use]
    pub fn start(workers: usize, dispatchers: usize, shards: u16) -> Cluster {
        let dir = scratch("torture");
        let redis_dir = dir.join("redis");
        fs::create_dir_all(&redis_dir).expect("a directory");
        let store = Store::Single(Redis::start_at(quiet_port(), &redis_dir, AOF));
        Cluster::start_over(store, dir, workers, dispatchers, shards)
    }

    /// The same over a group of two that a sentinel watches.
    ///
    /// # Panics
    /// Something does not start.
    #[must_use]
    pub fn start_watched(workers: usize, dispatchers: usize, shards: u16) -> Cluster {
        let dir = scratch("watched");
        let store = Store::Group(Box::new(Group::start(&dir, quiet_port)));
        Cluster::start_over(store, dir, workers, dispatchers, shards)
    }

    fn start_over(store: Store, dir: PathBuf, workers: usize, dispatchers: usize, shards: u16) -> Cluster {
        fs::write(dir.join("key"), "torture torture torture torture torture").expect("a key");
        let common = |url: &str| -> Vec<String> {
            let key_file = dir.join("key").display().to_string();
            let mut arguments: Vec<String> =
                ["--key-file", &key_file, "--algorithm", "HS256", "--log", "info"].map(str::to_owned).into();
            let sets = [
                format!("redis.url={url}"),
                format!("limits.log_messages_max={WINDOW}"),
                format!("limits.log_bytes_max={}", 64 << 20),
            ];
            arguments.extend(sets.into_iter().flat_map(|set| ["--set".to_owned(), set]));
            arguments
        };
        let workers = (0..workers).map(|number| {
            let proxy = store.port().map(Proxy::start);
            let own_way = proxy.as_ref().map(|proxy| format!("redis://127.0.0.1:{}", proxy.port()));
            let mut arguments = common(&own_way.unwrap_or_else(|| store.url()));
            let own = ["--worker-port", "0", "--shards"].map(str::to_owned);
            arguments.extend(own.into_iter().chain([shards.to_string()]));
            let log = dir.join(format!("worker-{number}.log"));
            let role = Role::start("worker", &arguments, &log);
            Worker { role, proxy, arguments, log }
        });
        let workers = workers.collect();
        let mut dispatcher_arguments = common(&store.url());
        dispatcher_arguments.extend(["--dispatcher-port", "0"].map(str::to_owned));
        let mut cluster = Cluster {
            store,
            workers,
            dispatchers: Vec::new(),
            addresses: Addresses::default(),
            dispatcher_arguments,
            dir,
        };
        for number in 0..dispatchers {
            let role = cluster.new_dispatcher(number);
            cluster.dispatchers.push(role);
        }
        cluster.tell_addresses();
        cluster
    }

    /// Where logs and data are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts a dispatcher again, on another port.
    pub fn restart_dispatcher(&mut self, number: usize) {
        self.dispatchers[number] = self.new_dispatcher(number);
        self.tell_addresses();
    }

    /// Who makes tokens for it.
    #[must_use]
    pub fn signer(&self) -> Signer {
        Signer { key_file: self.dir.join("key") }
    }

    /// Keeps a copy of what Redis has now. It stands still meanwhile, so that the copy is of one moment.
    ///
    /// # Panics
    /// The disk fails.
    pub fn copy_data(&mut self) {
        let redis = self.store.single();
        redis.process.pause();
        copy_files(&redis.dir().join(AOF_DIR), &self.dir.join("old"));
        redis.process.resume();
    }

    /// Redis ends by kill -9, `between` happens, and it runs again over the copy kept before.
    ///
    /// # Panics
    /// There is none.
    pub fn put_back(&mut self, between: impl FnOnce()) {
        let redis = self.store.single();
        redis.process.kill();
        let data = redis.dir().join(AOF_DIR);
        fs::remove_dir_all(&data).expect("what it kept");
        copy_files(&self.dir.join("old"), &data);
        between();
        redis.restart();
    }

    /// Ends it, and forgets its logs and data: nobody has to look at them.
    pub fn forget(self) {
        let dir = self.dir.clone();
        drop(self);
        // What is left is the system's to clear.
        let _ = fs::remove_dir_all(dir);
    }

    /// Processes that have ended by themselves.
    pub fn dead(&mut self) -> Vec<String> {
        let workers = self.workers.iter_mut().map(|worker| &mut worker.role);
        let all = workers.chain(&mut self.dispatchers);
        all.filter_map(|role| (!role.process.is_alive()).then(|| role.address.clone())).collect()
    }

    fn new_dispatcher(&self, number: usize) -> Role {
        let log = self.dir.join(format!("dispatcher-{number}.log"));
        Role::start("dispatcher", &self.dispatcher_arguments, &log)
    }

    fn tell_addresses(&self) {
        let addresses = self.dispatchers.iter().map(|role| role.address.clone()).collect();
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }
}

fn copy_files(from: &Path, to: &Path) {
    // A copy of before is in the way.
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// A port that stays free while nobody listens there: outside of those that the system gives to
/// outgoing connections, which else might take it, or even connect to themselves, while Redis is away.
fn quiet_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let range = 12_000..32_000_u16;
    let mut tried = std::iter::repeat_with(|| rand::random_range(range.clone()));
    tried.find(free).expect("the tries have no end")
}
