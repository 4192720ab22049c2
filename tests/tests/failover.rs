//! Redis in its larger forms, with a server of it dying: a group watched by sentinels, and a cluster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chatup_tests::{Client, Node, PATIENCE, Redis, http, server};
use serde_json::{Value, json};

/// A member of a room, on a worker of its own.
fn enter(worker: &Node, state: &std::path::Path, room: &str) -> Client {
    let state = state.display().to_string();
    let token = std::process::Command::new(server::program())
        .args(["token", "--name", "Ada", "--state-dir", &state])
        .output()
        .expect("it runs");
    let mut client = Client::connect(&worker.address());
    client.enter(String::from_utf8(token.stdout).expect("text").trim(), room);
    client
}

/// Says something until it is taken: its place.
fn say_until_taken(client: &mut Client, text: &str) -> Value {
    let start = Instant::now();
    loop {
        let answer = client.call(json!({ "call": "say", "msg": text, "key": text }));
        match answer.get("ok") {
            Some(ok) => return ok["position"].clone(),
            None => assert_eq!(answer["error"]["code"], json!("unavailable"), "{answer}"),
        }
        assert!(start.elapsed() < 2 * PATIENCE, "{text} is never taken");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_fail_over_loses_nothing_that_the_replica_had() {
    let mut primary = Redis::start();
    let replica = Redis::start_with(&["--save", "", "--replicaof", &format!("127.0.0.1 {}", primary.port())]);
    let quick = ["down-after-milliseconds main 1000", "failover-timeout main 5000"];
    let sentinel = Redis::start_sentinel(&primary, &quick);
    // It learns of the replica by itself.
    sentinel.wait_for("SENTINEL REPLICAS main", |known| known.contains(&format!("{}", replica.port())));
    let (state, url) =
        (server::scratch("failover"), format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port()));
    let worker = Node::worker(&url, &state, &[]);
    let mut ada = enter(&worker, &state, "lobby");
    ada.subscribe(&json!(["m_lobby"]));
    let first = say_until_taken(&mut ada, "one");
    assert_eq!(ada.messages().2[0]["msg"], json!("one"));
    // On the replica, too.
    primary.wait_for("WAIT 1 100", |replicas| replicas.starts_with(":1"));
    primary.process.kill();
    let second = say_until_taken(&mut ada, "two");
    assert_eq!((&second["epoch"], &second["offset"]), (&first["epoch"], &json!(2)));
    let (_, offset, messages) = ada.messages();
    assert_eq!((offset, &messages[0]["msg"]), (2, &json!("two")));
    assert!(replica.ask("ROLE").contains("master"));
}

#[test]
fn a_lost_server_of_a_cluster_takes_only_its_own_rooms_with_it() {
    let mut nodes = Redis::cluster(3, &["--appendonly", "yes", "--cluster-require-full-coverage", "no"]);
    let url = format!("redis+cluster://127.0.0.1:{}", nodes[0].port());
    let state = server::scratch("lost");
    let worker = Node::worker(&url, &state, &[]);
    // A room on each server, by the slots that the servers have.
    let slot = |room: &str| -> u16 {
        let answer = nodes[0].ask(&format!("CLUSTER KEYSLOT {{{room}}}"));
        answer.trim_start_matches(':').trim().parse().expect("a slot")
    };
    let share = 16_384 / 3;
    let room_at = |server: u16| {
        let on = |room: &String| (slot(room) / share).min(2) == server;
        (0..1_000).map(|number| format!("room{number}")).find(on).expect("a room there")
    };
    // The registry's own server must live: it is another matter when that dies.
    let registry = (slot("workers") / share).min(2);
    let (dying, living) = ((registry + 1) % 3, (registry + 2) % 3);
    let (lost_room, kept_room) = (room_at(dying), room_at(living));
    let mut lost = enter(&worker, &state, &lost_room);
    let mut kept = enter(&worker, &state, &kept_room);
    lost.subscribe(&json!([format!("m_{lost_room}")]));
    let goes = enter(&worker, &state, &lost_room);
    let dispatcher = Node::dispatcher(&url, &state, &[]);
    let counts = |members: u64, viewers: u64| {
        let start = Instant::now();
        loop {
            let stats = http::get(&dispatcher.address(), &format!("/stats/{lost_room}")).body;
            let told: Value = serde_json::from_str(&stats).unwrap_or_default();
            if told["pubCount"] == json!(members) && told["subCount"] == json!(viewers) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "never {members} members, {viewers} viewers: {stats}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    counts(2, 1);
    kept.subscribe(&json!([format!("m_{kept_room}")]));
    say_until_taken(&mut lost, "before");
    say_until_taken(&mut kept, "before");
    assert_eq!(lost.messages().2[0]["msg"], json!("before"));
    assert_eq!(kept.messages().2[0]["msg"], json!("before"));
    // A worker whose list of the rooms in which it has people is on the server that dies.
    let leases = || -> BTreeSet<String> {
        let answer = nodes[usize::from(registry)].ask("ZRANGE chatup:{workers}:registry:beats 0 -1");
        answer.split("\r\n").filter(|line| line.len() == 16).map(str::to_owned).collect()
    };
    let (mut known, mut others) = (leases(), Vec::new());
    let (mut other, lease) = loop {
        let worker = Node::worker(&url, &state, &[]);
        let beats = format!(":{}\r\n", known.len() + 1);
        nodes[usize::from(registry)]
            .wait_for("ZCARD chatup:{workers}:registry:beats", |count| count == beats);
        let lease = leases().difference(&known).next().expect("a new lease").clone();
        known.insert(lease.clone());
        let answer = nodes[0].ask(&format!("CLUSTER KEYSLOT chatup:rooms:{lease}"));
        let slot: u16 = answer.trim_start_matches(':').trim().parse().expect("a slot");
        if (slot / share).min(2) == dying {
            break (worker, lease);
        }
        others.push(worker);
        assert!(known.len() < 40, "no lease comes there");
    };
    nodes[usize::from(dying)].process.kill();
    // He comes all the same.
    let comes = enter(&other, &state, &kept_room);
    let refused = lost.call(json!({ "call": "say", "msg": "x" }));
    assert_eq!(refused["error"]["code"], json!("unavailable"), "{refused}");
    say_until_taken(&mut kept, "meanwhile");
    assert_eq!(kept.messages().2[0]["msg"], json!("meanwhile"));
    // Nobody can be told that he goes.
    drop(goes);
    say_until_taken(&mut kept, "gone");
    nodes[usize::from(dying)].restart();
    let after = say_until_taken(&mut lost, "after");
    assert_eq!(after["offset"], json!(2), "nothing of it was lost: {after}");
    assert_eq!(lost.messages().2[0]["msg"], json!("after"));
    counts(1, 1);
    // And is found when his worker dies.
    let members = |count: u64| {
        let key = format!("ZCARD chatup:{{{kept_room}}}:members");
        nodes[usize::from(living)].wait_for(&key, |members| members == format!(":{count}\r\n"));
    };
    members(2);
    let listed = format!("SISMEMBER chatup:rooms:{lease} {kept_room}");
    nodes[usize::from(dying)].wait_for(&listed, |listed| listed == ":1\r\n");
    other.process.kill();
    members(1);
    drop(comes);
}
