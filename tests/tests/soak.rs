//! Churn: thousands of connections come, subscribe and go, in every manner, with the cores busy,
//! while a few that stay must go on getting everything. No stall, no growth.
//!
//! `CHATUP_TEST_SOAK_S=600 cargo test -p chatup-tests --test soak -- --nocapture` goes on for longer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chatup_tests::{Client, Server, http};
use rand::{RngExt, SeedableRng};
use serde_json::json;
use socket2::SockRef;

const CHURNERS: u64 = 4;
/// Few: however slowly their logs fill up, they come to less than what the allocator may keep.
const ROOMS: u32 = 12;
/// What the allocator may keep between two readings without anything being lost.
const SLACK_BYTES: u64 = 6 << 20;

#[test]
fn churn_stalls_nobody_and_leaves_nothing_behind() {
    let seconds = std::env::var("CHATUP_TEST_SOAK_S").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let seed: u64 = rand::random();
    println!("seed {seed}, {seconds} s");
    // Short logs, which are soon full: what grows then is lost.
    let short = ["--set", "limits.log_messages_max=10", "--set", "history.size=10"];
    let server = Server::start(&[&["--shards", "2"], &short[..]].concat());
    let token = server.token_for("Ada");
    let descriptors = server.descriptors();
    let (stop, churned) = (AtomicBool::new(false), AtomicU64::new(0));
    let (start, length) = (Instant::now(), Duration::from_secs(seconds));
    let mut resident = Vec::new();
    let (mut slowest, mut rounds) = (Duration::ZERO, 0_u64);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            // Busy cores: the shards have to share theirs.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        for churner in 0..CHURNERS {
            let (server, token, stop, churned) = (&server, &token, &stop, &churned);
            scope.spawn(move || {
                let mut random = rand::rngs::StdRng::seed_from_u64(seed ^ churner);
                while !stop.load(Ordering::Relaxed) {
                    come_and_go(server, token, &mut random);
                    churned.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Whatever fails here, the others must be told to stop, or the scope never ends.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut speaker = Client::connect(&server.worker);
            speaker.enter(&token, "standing");
            let mut listeners: Vec<Client> = (0..8).map(|_| Client::connect(&server.worker)).collect();
            for listener in &mut listeners {
                listener.subscribe(&json!(["m_standing"]));
            }
            while start.elapsed() < length {
                let before = Instant::now();
                speaker.ok(json!({ "call": "say", "msg": "still here" }));
                rounds += 1;
                for listener in &mut listeners {
                    let (_, offset, _) = listener.messages();
                    assert_eq!(offset, rounds);
                }
                slowest = slowest.max(before.elapsed());
                if resident.len() < 100
                    && start.elapsed() >= length * u32::try_from(resident.len()).expect("few") / 100
                {
                    resident.push(server.resident_bytes());
                }
            }
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.expect("those that stay get everything");
    });
    let stats = server.wait_for_stats("all gone", |stats| {
        let handshakes =
            stats["shards"].as_array().expect("shards").iter().map(|shard| shard["handshakes"].as_u64());
        stats["connections"] == 0 && handshakes.sum::<Option<u64>>() > Some(1_000)
    });
    server.wait_for_stats("all channels closed", |stats| {
        stats["shards"].as_array().expect("shards").iter().all(|shard| shard["channels_open"] == 0)
    });
    let (third, last) = (resident[resident.len() / 3], *resident.last().expect("readings"));
    println!(
        "{} connections came and went in {seconds} s; {rounds} messages to 8 that stayed, the slowest round {slowest:?}; \
         resident {} KiB after a third, {} KiB at the end; {stats}",
        churned.load(Ordering::Relaxed),
        third >> 10,
        last >> 10
    );
    let tenths: Vec<u64> = resident.iter().step_by(10).map(|bytes| bytes >> 10).collect();
    println!("resident KiB at each tenth of the time: {tenths:?}");
    assert!(churned.load(Ordering::Relaxed) > 1_000);
    assert!(
        last < third + SLACK_BYTES,
        "{third} bytes after a third of the time, {last} at the end: {resident:?}"
    );
    let left = server.descriptors();
    assert!(left <= descriptors + 1, "{descriptors} descriptors before, {left} after");
    let room = http::get(&server.url, "/stats/churn0").json();
    assert_eq!((&room["subCount"], &room["pubCount"]), (&json!(0), &json!(0)));
}

/// One life of a connection, of any kind: it may end before it has begun.
fn come_and_go(server: &Server, token: &str, random: &mut rand::rngs::StdRng) {
    let manner = random.random_range(0..10);
    let stream = http::connect(&server.worker);
    if random.random_bool(0.8) {
        // Gone by a reset, without TIME_WAIT: a phone that lost its network, and no lack of ports.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
    }
    if manner == 0 {
        return;
    }
    let mut client = Client::over(stream, &server.worker);
    if manner == 1 {
        return;
    }
    let room = format!("churn{}", random.random_range(0..ROOMS));
    let call = json!({ "call": "subscribe", "channels": [format!("m_{room}"), format!("e_{room}"), "all"] });
    if manner == 2 {
        client.begin(call);
        return;
    }
    client.ok(call);
    if manner >= 6 {
        client.enter(token, &room);
        client.ok(json!({ "call": "say", "msg": "just passing" }));
    }
    if manner >= 8 {
        client.ok(json!({ "call": "leave" }));
        client.ok(json!({ "call": "unsubscribe", "channels": [format!("m_{room}"), "all"] }));
    }
    if manner == 9 {
        let _ = client.socket.close(None);
        client.closed();
    }
}
