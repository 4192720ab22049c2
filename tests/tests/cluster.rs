//! Several workers and dispatchers over one real Redis: what is said, who is banned and who is there is
//! one for all of them, and what dies or goes away is missed by nobody.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use chatup_tests::torture::proxy::{Proxy, Trouble};
use chatup_tests::{Client, Node, PATIENCE, Redis, http, server};
use serde_json::{Value, json};

/// Two workers and two dispatchers.
struct Cluster {
    workers: [Node; 2],
    dispatchers: [Node; 2],
    state: PathBuf,
}

impl Cluster {
    fn start(redis: &Redis, arguments: &[&str]) -> Cluster {
        let state = server::scratch("cluster");
        // Made by one before the others ask for it.
        run(&["token", "--name", "Ada", "--state-dir", &state.display().to_string()]);
        let url = redis.url();
        Cluster {
            workers: [(); 2].map(|()| Node::worker(&url, &state, arguments)),
            dispatchers: [(); 2].map(|()| Node::dispatcher(&url, &state, arguments)),
            state,
        }
    }

    fn token(&self, name: &str) -> String {
        run(&["token", "--name", name, "--state-dir", &self.state.display().to_string()])
    }

    fn enter(&self, worker: usize, name: &str, room: &str) -> Client {
        let mut client = Client::connect(&self.workers[worker].address());
        client.enter(&self.token(name), room);
        client
    }

    fn stats(&self, dispatcher: usize, room: &str) -> Value {
        http::get(&self.dispatchers[dispatcher].address(), &format!("/stats/{room}")).json()
    }

    fn wait_for_stats(&self, room: &str, what: &str, wished: impl Fn(&Value) -> bool) {
        let start = Instant::now();
        // The figures have no event to wait for.
        loop {
            let stats = [0, 1].map(|dispatcher| self.stats(dispatcher, room));
            if stats.iter().all(&wished) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "never {what}: {stats:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new(server::program()).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn ban(state: &Path, name: &str, room: &str, for_s: &str) -> String {
    let state = state.display().to_string();
    run(&["token", "admin", "--ban", name, "--room", room, "--for", for_s, "--state-dir", &state])
}

fn is_refused(client: &mut Client, code: &str) -> Value {
    let answer = client.call(json!({ "call": "say", "msg": "x" }));
    assert_eq!(answer["error"]["code"], json!(code), "{answer}");
    answer["error"].clone()
}

/// Says something until it is taken; every refusal on the way is of this code.
fn say_until_taken(client: &mut Client, text: &str, code: &str) -> Value {
    let start = Instant::now();
    loop {
        let answer = client.call(json!({ "call": "say", "msg": text, "key": text }));
        match answer.get("ok") {
            Some(ok) => return ok.clone(),
            None => assert_eq!(answer["error"]["code"], json!(code), "{answer}"),
        }
        assert!(start.elapsed() < PATIENCE, "{text} is never taken");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn rooms_history_members_and_bans_are_one_for_all() {
    let redis = Redis::start();
    let cluster = Cluster::start(&redis, &[]);
    let mut ada = cluster.enter(0, "Ada", "lobby");
    let mut bob = cluster.enter(1, "Bob", "lobby");
    let mut watcher = Client::connect(&cluster.workers[1].address());
    watcher.subscribe(&json!(["m_lobby", "e_lobby"]));
    ada.subscribe(&json!(["m_lobby"]));

    ada.ok(json!({ "call": "say", "msg": "one" }));
    bob.ok(json!({ "call": "say", "msg": "two" }));
    for client in [&mut ada, &mut watcher] {
        for (offset, text) in [(1, "one"), (2, "two")] {
            let (channel, at, messages) = client.messages();
            assert_eq!((channel.as_str(), at, &messages[0]["msg"]), ("m_lobby", offset, &json!(text)));
        }
    }
    for dispatcher in &cluster.dispatchers {
        let history = http::get(&dispatcher.address(), "/messages/lobby").json();
        assert_eq!((&history[0]["msg"], &history[1]["msg"]), (&json!("two"), &json!("one")));
        let joined = http::post(&dispatcher.address(), "/join/lobby", "application/json", "{}").json();
        assert!(
            joined["host"].as_str().is_some_and(|host| host.starts_with("http://127.0.0.1:")),
            "{joined}"
        );
        assert_eq!(joined["messages"][0]["msg"], json!("two"));
    }
    cluster.wait_for_stats("lobby", "two members and two viewers", |stats| {
        stats["pubCount"] == json!(2) && stats["subCount"] == json!(2)
    });

    // Banned through one dispatcher, he is stopped on the other worker, and told.
    let token = ban(&cluster.state, "Bob", "lobby", "60s");
    assert_eq!(http::post(&cluster.dispatchers[0].address(), "/ban", "text/plain", &token).body, "OK");
    assert_eq!(bob.pushed(), json!({ "banned": { "room": "lobby", "ttl_s": 60 } }));
    assert!((1..=60).contains(&is_refused(&mut bob, "banned")["ttl_s"].as_i64().expect("seconds")));
    let (_, offset, messages) = watcher.messages();
    assert_eq!((offset, &messages[0]["ev"], &messages[0]["data"]), (3, &json!("rmUserMsg"), &json!("Bob")));
    let read = run(&["token", "admin", "--read", "--state-dir", &cluster.state.display().to_string()]);
    let bearer = format!("Authorization: Bearer {read}");
    let other = cluster.dispatchers[1].address();
    let bans = http::get_with(&other, "/bans/lobby", &[&bearer]).json();
    assert!(bans[0]["name"] == json!("Bob") && bans[0]["until_ms"].is_u64(), "{bans}");
    let workers = http::get_with(&other, "/workers", &[&bearer]).json();
    assert_eq!(workers.as_array().map(Vec::len), Some(2), "{workers}");
    assert_eq!(http::get(&other, "/workers").status, 401);
    assert_eq!(
        http::get_with(&other, "/bans/lobby", &[&format!("Authorization: Bearer {token}")]).status,
        401
    );
    // The same order a second time, through the other one, is a replay.
    let replay = http::post(&cluster.dispatchers[1].address(), "/ban", "text/plain", &token);
    assert_eq!(replay.status, 401, "{replay:?}");
    let lift = ["token", "admin", "--unban", "Bob", "--room", "lobby", "--state-dir"];
    let lift = run(&[&lift[..], &[&cluster.state.display().to_string()]].concat());
    assert_eq!(http::post(&other, "/unban", "text/plain", &lift).body, "OK");
    bob.ok(json!({ "call": "say", "msg": "back" }));
    assert_eq!(http::get_with(&other, "/bans/lobby", &[&bearer]).json(), json!([]));
}

/// The original's sample tokens; who holds the first is called "Test 1", the second bans "test1" and
/// "test2".
const USER: &str = include_str!("../data/sample-user.jwt");
const BAN: &str = include_str!("../data/sample-ban.jwt");

#[test]
fn the_originals_sample_tokens_hold_for_all_workers() {
    let redis = Redis::start();
    let certificate = format!("{}/../core/tests/data/example-jwt-cert.pem", env!("CARGO_MANIFEST_DIR"));
    let arguments = [
        &format!("--set=auth.key_file={certificate}"),
        "--set=auth.allow_example_key=true",
        "--set=auth.require_expiry=false",
        "--set=auth.accept_array_tokens=true",
    ];
    let cluster = Cluster::start(&redis, &arguments);
    let mut speaker = Client::connect(&cluster.workers[0].address());
    speaker.enter(USER.trim(), "TestRoom");
    let mut watcher = Client::connect(&cluster.workers[1].address());
    watcher.subscribe(&json!(["m_TestRoom"]));
    speaker.ok(json!({ "call": "say", "msg": "hello" }));
    let (_, _, messages) = watcher.messages();
    assert_eq!((&messages[0]["user"]["name"], &messages[0]["msg"]), (&json!("Test 1"), &json!("hello")));
    assert_eq!(http::post(&cluster.dispatchers[1].address(), "/ban", "text/plain", BAN.trim()).body, "OK");
    let (_, offset, messages) = watcher.messages();
    assert_eq!((offset, &messages[0]["ev"], &messages[0]["data"]), (2, &json!("rmUserMsg"), &json!("test1")));
    // The one banned has another name.
    speaker.ok(json!({ "call": "say", "msg": "still here" }));
    let bans = http::get(&cluster.dispatchers[0].address(), "/messages/TestRoom2").json();
    assert_eq!(bans[0]["data"], json!("test2"));
}

#[test]
fn a_worker_that_dies_takes_its_people_with_it_and_its_clients_miss_nothing_elsewhere() {
    let redis = Redis::start();
    let mut cluster = Cluster::start(&redis, &[]);
    let mut ada = cluster.enter(0, "Ada", "lobby");
    let mut bob = cluster.enter(1, "Bob", "lobby");
    let mut events = Client::connect(&cluster.workers[0].address());
    events.subscribe(&json!(["e_lobby"]));
    let mut position = bob.subscribe(&json!(["m_lobby"]))["channels"][0]["position"].clone();
    ada.ok(json!({ "call": "say", "msg": "one" }));
    let (_, offset, messages) = bob.messages();
    (position["offset"], position["id"]) = (offset.into(), messages[0]["i"].clone());
    cluster.wait_for_stats("lobby", "two members", |stats| stats["pubCount"] == json!(2));
    cluster.workers[1].process.kill();
    ada.ok(json!({ "call": "say", "msg": "two" }));
    let mut back = Client::connect(&cluster.workers[0].address());
    let answer = back.subscribe(&json!([{ "channel": "m_lobby", "position": position }]));
    assert_eq!(answer["channels"][0]["recovered"], json!(true), "{answer}");
    let (_, offset, messages) = back.messages();
    assert_eq!((offset, &messages[0]["msg"]), (2, &json!("two")));
    // Told by whoever found out; within the expiry and a few beats.
    let (_, _, left) = events.messages();
    assert_eq!((&left[0]["ev"], &left[0]["user"]["name"]), (&json!("leave"), &json!("Bob")));
    cluster.wait_for_stats("lobby", "one member", |stats| {
        stats["pubCount"] == json!(1) && stats["subCount"] == json!(1)
    });
    let joined =
        http::post(&cluster.dispatchers[0].address(), "/join/lobby", "application/json", "{}").json();
    assert!(
        joined["host"].as_str().is_some_and(|host| host.ends_with(&cluster.workers[0].address())),
        "{joined}"
    );
}

#[test]
fn a_worker_that_stood_still_comes_back_with_its_people() {
    let redis = Redis::start();
    let cluster = Cluster::start(&redis, &[]);
    let _ada = cluster.enter(0, "Ada", "lobby");
    let mut bob = cluster.enter(1, "Bob", "lobby");
    bob.subscribe(&json!(["m_lobby"]));
    let mut late = Client::connect(&cluster.workers[1].address());
    late.ok(json!({ "call": "auth", "token": cluster.token("Eve") }));
    let counts = |members: u64| {
        cluster.wait_for_stats("lobby", "so many", |stats| {
            stats["pubCount"] == json!(members) && stats["subCount"] == json!(members.min(2) - 1)
        });
    };
    counts(2);
    cluster.workers[1].process.pause();
    counts(1);
    redis.wait_for("ZCARD chatup:{workers}:registry:dying", |dying| dying == ":0\r\n");
    // Whoever comes before the worker knows that it had been given up is there all the same, and once:
    // Redis answers late, so that the worker tells of her under its old lease.
    let join = late.begin(json!({ "call": "join", "room": "lobby" }));
    redis.process.pause();
    cluster.workers[1].process.resume();
    // What it tells Redis meanwhile, nobody hears of.
    std::thread::sleep(Duration::from_millis(500));
    redis.process.resume();
    assert!(late.answer(join)["ok"].is_object());
    counts(3);
    drop(late);
    counts(2);
    bob.ok(json!({ "call": "say", "msg": "here" }));
    assert_eq!(bob.messages().2[0]["msg"], json!("here"));
}

#[test]
fn a_worker_cut_off_for_longer_than_the_expiry_leaves_no_ghosts() {
    let redis = Redis::start();
    let proxy = Proxy::start(redis.port());
    let state = server::scratch("ghosts");
    let token = run(&["token", "--name", "Bob", "--state-dir", &state.display().to_string()]);
    let mut far = Node::worker(&format!("redis://127.0.0.1:{}", proxy.port()), &state, &[]);
    let near = Node::worker(&redis.url(), &state, &[]);
    let dispatcher = Node::dispatcher(&redis.url(), &state, &[]);
    let wait = |what: &str, members: u64, viewers: u64| {
        let start = Instant::now();
        loop {
            let stats = http::get(&dispatcher.address(), "/stats/lobby").json();
            if stats["pubCount"] == json!(members) && stats["subCount"] == json!(viewers) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "never {what}: {stats}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let enter = |worker: &Node| {
        let mut client = Client::connect(&worker.address());
        client.enter(&token, "lobby");
        client.subscribe(&json!(["m_lobby"]));
        client
    };
    let mut people = [enter(&far), enter(&far), enter(&near)];
    wait("three", 3, 3);
    proxy.trouble(Trouble::Cut);
    wait("one, after the expiry", 1, 1);
    proxy.heal();
    wait("three again, and not five", 3, 3);
    say_until_taken(&mut people[0], "here", "unavailable");
    far.process.kill();
    wait("one, after a death", 1, 1);
    // What lies in Redis of the dead is gone, too.
    let start = Instant::now();
    while redis.ask("ZCARD chatup:{workers}:registry:dying") != ":0\r\n" {
        assert!(start.elapsed() < PATIENCE, "the dead are never buried");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(redis.ask("HLEN chatup:{lobby}:viewers"), ":1\r\n");
    assert_eq!(redis.ask("ZCARD chatup:{lobby}:members"), ":1\r\n");
}

#[test]
fn many_full_rooms_are_opened_without_being_cut_off_by_redis() {
    const ROOMS: usize = 40;
    const MESSAGES: usize = 300;
    // All of their messages are six times of what Redis lets wait.
    let redis = Redis::start_with(&["--save", "", "--client-output-buffer-limit", "pubsub 1mb 1mb 1"]);
    let cluster = Cluster::start(&redis, &[]);
    let text = "x".repeat(400);
    for room in 0..ROOMS {
        let mut ada = cluster.enter(0, "Ada", &format!("room{room}"));
        for _ in 0..MESSAGES / 50 {
            let calls: Vec<u64> = (0..50).map(|_| ada.begin(json!({ "call": "say", "msg": text }))).collect();
            for call in calls {
                assert!(ada.answer(call)["ok"].is_object());
            }
        }
    }
    let channels: Vec<Value> =
        (0..ROOMS).map(|room| json!({ "channel": format!("m_room{room}"), "history": 1 })).collect();
    let mut reader = Client::connect(&cluster.workers[1].address());
    let answer = reader.subscribe(&Value::Array(channels));
    for channel in answer["channels"].as_array().expect("a list") {
        assert_eq!(channel["position"]["offset"], json!(MESSAGES), "{channel}");
    }
}

#[test]
fn without_redis_say_is_refused_connections_stay_and_all_comes_back_by_itself() {
    let mut redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let cluster = Cluster::start(&redis, &[]);
    let mut ada = cluster.enter(0, "Ada", "lobby");
    let mut bob = Client::connect(&cluster.workers[1].address());
    bob.subscribe(&json!(["m_lobby"]));
    ada.ok(json!({ "call": "say", "msg": "one" }));
    assert_eq!(bob.messages().2[0]["msg"], json!("one"));
    redis.process.kill();
    is_refused(&mut ada, "unavailable");
    let joined = http::post(&cluster.dispatchers[0].address(), "/join/lobby", "application/json", "{}");
    assert_eq!(
        (joined.status, &joined.json()["messages"]),
        (200, &json!([])),
        "the workers last known: {joined:?}"
    );
    redis.restart();
    let taken = say_until_taken(&mut ada, "two", "unavailable");
    assert_eq!(taken["position"]["offset"], json!(2), "nothing was lost, nothing was taken twice: {taken}");
    let (_, offset, messages) = bob.messages();
    assert_eq!((offset, &messages[0]["msg"]), (2, &json!("two")));
    cluster.wait_for_stats("lobby", "the same people", |stats| {
        stats["pubCount"] == json!(1) && stats["subCount"] == json!(1)
    });
}

#[test]
fn a_store_that_lost_its_tail_is_noticed_and_told() {
    let mut redis = Redis::start_with(&["--save", "", "--appendonly", "no"]);
    let cluster = Cluster::start(&redis, &[]);
    let mut ada = cluster.enter(0, "Ada", "lobby");
    let mut bob = Client::connect(&cluster.workers[1].address());
    let subscribed = bob.subscribe(&json!(["m_lobby"]));
    let epoch = subscribed["channels"][0]["position"]["epoch"].clone();
    ada.ok(json!({ "call": "say", "msg": "kept" }));
    assert!(redis.ask("SAVE").starts_with("+OK"));
    ada.ok(json!({ "call": "say", "msg": "lost" }));
    for text in ["kept", "lost"] {
        assert_eq!(bob.messages().2[0]["msg"], json!(text));
    }
    redis.process.kill();
    redis.restart();
    // Nothing need be said for it to be noticed.
    let reset = bob.pushed();
    assert_eq!(
        (&reset["reset"]["channel"], &reset["reset"]["position"]["offset"]),
        (&json!("m_lobby"), &json!(1)),
        "{reset}"
    );
    assert_ne!(reset["reset"]["position"]["epoch"], epoch);
    assert_eq!(bob.messages().2[0]["msg"], json!("kept"));
    let taken = say_until_taken(&mut ada, "new", "unavailable");
    assert_eq!(
        (&taken["position"]["offset"], &taken["position"]["epoch"]),
        (&json!(2), &reset["reset"]["position"]["epoch"])
    );
    let (_, offset, messages) = bob.messages();
    assert_eq!((offset, &messages[0]["msg"]), (2, &json!("new")));
}
