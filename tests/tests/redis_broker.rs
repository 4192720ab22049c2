//! The Redis broker against a real Redis: it passes what every broker must pass, unchanged.

use std::sync::atomic::{AtomicU32, Ordering};

use chatup_broker::redis::settings::{Credentials, RedisSettings, Server};
use chatup_broker::{BrokerHandle, conformance, redis};
use chatup_tests::Redis;

/// A broker in a name space of its own: empty.
fn broker(url: &str) -> BrokerHandle {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let settings = RedisSettings {
        server: Server::parse(url, &Credentials::default()).expect("a URL"),
        key_prefix: format!("test{}:", NEXT.fetch_add(1, Ordering::Relaxed)),
        messages_max: 1_000,
        expire_ms: 60_000,
        announced_members_max: 100,
    };
    let (handle, _thread) = redis::start(settings).expect("a thread");
    handle
}

#[test]
fn passes_the_suite_of_all_brokers() {
    let server = Redis::start();
    conformance::check(|| broker(&server.url()));
}
