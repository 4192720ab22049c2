//! A Redis that can be reached and refuses: takes no writes, or lets nobody publish.

use std::time::{Duration, Instant};

use chatup_tests::{Client, Node, PATIENCE, Redis, http, server};
use serde_json::{Value, json};

/// Longer than a worker may be silent.
const LONGER_THAN_THE_EXPIRY: Duration = Duration::from_secs(7);

struct System {
    worker: Node,
    dispatcher: Node,
    token: String,
}

impl System {
    fn start(url: &str, arguments: &[&str]) -> System {
        let state = server::scratch("refusals");
        let output = std::process::Command::new(server::program())
            .args(["token", "--name", "Ada", "--state-dir", &state.display().to_string()])
            .output()
            .expect("it runs");
        let token = String::from_utf8(output.stdout).expect("text").trim().to_owned();
        let (worker, dispatcher) =
            (Node::worker(url, &state, arguments), Node::dispatcher(url, &state, arguments));
        System { worker, dispatcher, token }
    }

    fn enter(&self) -> Client {
        let mut client = Client::connect(&self.worker.address());
        client.enter(&self.token, "lobby");
        client
    }

    fn joined(&self) -> u16 {
        http::post(&self.dispatcher.address(), "/join/lobby", "application/json", "{}").status
    }

    fn wait_for_members(&self, members: u64) {
        let start = Instant::now();
        loop {
            let stats = http::get(&self.dispatcher.address(), "/stats/lobby").body;
            let told: Value = serde_json::from_str(&stats).unwrap_or_default();
            if told["pubCount"] == json!(members) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "never {members} members: {stats}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn while_redis_takes_no_writes_nobody_is_given_up() {
    // It has not the replicas that it wants, or not the memory.
    for (setting, value) in [("min-replicas-to-write", "1"), ("maxmemory", "1")] {
        let redis = Redis::start();
        let system = System::start(&redis.url(), &[]);
        let mut ada = system.enter();
        ada.ok(json!({ "call": "say", "msg": "before" }));
        let goes = system.enter();
        system.wait_for_members(2);
        let mut events = Client::connect(&system.worker.address());
        events.subscribe(&json!(["e_lobby"]));
        assert!(redis.ask(&format!("CONFIG SET {setting} {value}")).starts_with("+OK"));
        let refused = ada.call(json!({ "call": "say", "msg": "one" }));
        assert_eq!(refused["error"]["code"], json!("unavailable"), "{setting}: {refused}");
        // Nobody can be told that she goes.
        drop(goes);
        let start = Instant::now();
        while start.elapsed() < LONGER_THAN_THE_EXPIRY {
            assert_eq!(system.joined(), 200, "{setting}: after {:?}", start.elapsed());
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(redis.ask(&format!("CONFIG SET {setting} 0")).starts_with("+OK"));
        system.wait_for_members(1);
        let (_, _, told) = events.messages();
        assert_eq!(
            (told.len(), &told[0]["ev"]),
            (1, &json!("leave")),
            "{setting}: only one has gone: {told:?}"
        );
        ada.ok(json!({ "call": "say", "msg": "two" }));
        ada.subscribe(&json!([{ "channel": "m_lobby", "history": 10 }]));
        let mut said = Vec::new();
        while said.last() != Some(&json!("two")) {
            let (_, _, messages) = ada.messages();
            said.extend(messages.iter().map(|message| message["msg"].clone()));
        }
        assert_eq!(said, [json!("before"), json!("two")], "{setting}: what was refused is nowhere");
        assert_eq!(redis.ask("XLEN chatup:{lobby}:e:log"), ":3\r\n", "two came, one went");
        assert_eq!(redis.ask("ZCARD chatup:{workers}:registry:dying"), ":0\r\n");
    }
}

#[test]
fn a_user_of_redis_who_may_not_publish_still_keeps_each_message_once() {
    let redis = Redis::start();
    assert!(redis.ask("ACL SETUSER app on >secret ~* resetchannels +@all").starts_with("+OK"));
    let system = System::start(&redis.url(), &["--set=redis.username=app", "--set=redis.password=secret"]);
    let mut ada = system.enter();
    let first = ada.ok(json!({ "call": "say", "msg": "one", "key": "k" }));
    let again = ada.ok(json!({ "call": "say", "msg": "one", "key": "k" }));
    assert_eq!((&first["duplicate"], &again["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["position"], again["position"]);
    assert_eq!(redis.ask("XLEN chatup:{lobby}:m:log"), ":1\r\n");
}

#[test]
fn nobody_is_in_a_room_where_whoever_buries_the_worker_would_not_look() {
    let redis = Redis::start();
    // Redis takes everything but the list of the rooms in which a worker has people.
    let keys =
        |some: &str| assert!(redis.ask(&format!("ACL SETUSER app resetkeys {some}")).starts_with("+OK"));
    assert!(redis.ask("ACL SETUSER app on >secret ~* &* +@all").starts_with("+OK"));
    let settings = ["--set=redis.username=app", "--set=redis.password=secret"];
    let mut system = System::start(&redis.url(), &settings);
    keys("~chatup:{*");
    let mut ada = Client::connect(&system.worker.address());
    ada.ok(json!({ "call": "auth", "token": system.token }));
    let join = json!({ "call": "join", "room": "lobby" });
    // One waits for the list behind the other.
    let mut behind = Client::connect(&system.worker.address());
    behind.ok(json!({ "call": "auth", "token": system.token }));
    let waits = behind.begin(join.clone());
    for _ in 0..3 {
        let refused = ada.call(join.clone());
        assert_eq!(refused["error"]["code"], json!("unavailable"), "{refused}");
    }
    assert_eq!(behind.answer(waits)["error"]["code"], json!("unavailable"));
    assert_eq!(redis.ask("ZCARD chatup:{lobby}:members"), ":0\r\n");
    assert_eq!(redis.ask("HLEN chatup:{lobby}:viewers"), ":0\r\n");
    keys("~*");
    ada.ok(join.clone());
    ada.ok(json!({ "call": "leave" }));
    ada.ok(join);
    system.wait_for_members(1);
    let lists = redis.ask("KEYS chatup:rooms:*");
    assert!(lists.starts_with("*1\r\n"), "{lists}");
    // Killed at once, it leaves nobody behind.
    system.worker.process.kill();
    system.wait_for_members(0);
    redis.wait_for("KEYS chatup:rooms:*", |lists| lists == "*0\r\n");
}
