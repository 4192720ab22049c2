//! The chat as its users see it: many clients over two shards, order, completeness, coming back.

use std::collections::BTreeMap;

use chatup_core::names::ChannelName;
use chatup_tests::{Client, Server, http};
use serde_json::{Value, json};

const SHARDS: u16 = 2;

fn server() -> Server {
    Server::start(&["--shards", &SHARDS.to_string()])
}

/// Reads until `count` messages of `channel` have come, checking that none is missing or doubled.
fn read_messages(client: &mut Client, channel: &str, next: &mut u64, count: usize) -> Vec<Value> {
    let mut read = Vec::new();
    while read.len() < count {
        let (name, offset, messages) = client.messages();
        assert_eq!(name, channel);
        assert_eq!(offset, *next, "the offset after {}", *next - 1);
        *next += messages.len() as u64;
        read.extend(messages);
    }
    read
}

fn texts(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["msg"].as_str().expect("a text")).collect()
}

#[test]
fn a_hundred_clients_over_two_shards_see_every_message_in_one_order() {
    const CLIENTS: usize = 100;
    const ROOMS: usize = 5;
    const MESSAGES: usize = 40;
    let server = server();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(&server.worker)).collect();
    let room = |client: usize| format!("room{}", client % ROOMS);
    for (number, client) in clients.iter_mut().enumerate() {
        client.subscribe(&json!([format!("m_{}", room(number))]));
    }
    // The first twenty speak, four to a room, all at once and without waiting for answers.
    let speakers = ROOMS * 4;
    for (number, client) in clients.iter_mut().enumerate().take(speakers) {
        let token = server.token_for(&format!("user {number}"));
        client.enter(&token, &room(number));
    }
    for message in 0..MESSAGES {
        for (number, client) in clients.iter_mut().enumerate().take(speakers) {
            client.begin(json!({ "call": "say", "msg": format!("{number}:{message}") }));
        }
    }
    let mut orders: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (number, client) in clients.iter_mut().enumerate() {
        let channel = format!("m_{}", room(number));
        let (mut next, mut seen, mut answers) = (1, Vec::new(), 0);
        let expected_answers = if number < speakers { MESSAGES } else { 0 };
        while seen.len() < 4 * MESSAGES || answers < expected_answers {
            let mut value = client.read();
            if value.get("id").is_some() {
                assert!(value["ok"]["position"]["offset"].is_u64(), "{value}");
                answers += 1;
                continue;
            }
            assert_eq!((&value["channel"], &value["offset"]), (&json!(channel), &json!(next)));
            let Value::Array(messages) = value["messages"].take() else { panic!("no list") };
            next += messages.len() as u64;
            seen.extend(messages);
        }
        let order = orders.entry(channel).or_insert_with(|| seen.clone());
        assert_eq!(*order, seen, "client {number} sees another order");
    }
    for (channel, order) in &orders {
        for speaker in 0..speakers {
            let own = format!("{speaker}:");
            let own: Vec<&str> = texts(order).into_iter().filter(|text| text.starts_with(&own)).collect();
            if !own.is_empty() {
                let expected: Vec<String> = (0..MESSAGES).map(|n| format!("{speaker}:{n}")).collect();
                assert_eq!(own, expected, "the order of one speaker in {channel}");
            }
        }
    }
    ownership_and_spread_are_visible(&server, CLIENTS);
}

fn ownership_and_spread_are_visible(server: &Server, clients: usize) {
    let stats = server.wait_for_stats("all connected", |stats| stats["connections"] == json!(clients));
    let shards = stats["shards"].as_array().expect("shards");
    assert_eq!(shards.len(), usize::from(SHARDS));
    for shard in shards {
        assert!(
            shard["connections"].as_u64() > Some(10),
            "SO_REUSEPORT leaves one shard almost alone: {stats}"
        );
        assert!(shard["core"].is_u64(), "not pinned: {stats}");
    }
    let owned: u64 = shards.iter().map(|shard| shard["channels_owned"].as_u64().expect("a number")).sum();
    assert_eq!(owned, 5, "five channels have subscribers here, each one owner: {stats}");
    for name in ["m_room0", "m_room1", "m_room2", "m_room3", "m_room4"] {
        let owner = ChannelName::new(name).expect("a name").owner(SHARDS);
        assert_eq!(server.stats(&format!("?channel={name}"))["owner"], json!(owner), "{name}");
    }
}

#[test]
fn a_client_that_is_cut_off_resumes_by_its_position() {
    let server = server();
    let (token, mut speaker) = (server.token_for("Ada"), Client::connect(&server.worker));
    speaker.enter(&token, "lobby");
    let mut listener = Client::connect(&server.worker);
    listener.subscribe(&json!(["m_lobby"]));
    let mut say = |text: &str| speaker.ok(json!({ "call": "say", "msg": text }))["position"].clone();
    let first = say("one");
    assert_eq!(texts(&read_messages(&mut listener, "m_lobby", &mut 1, 1)), ["one"]);
    // Cut off without a word, like a phone that leaves the network.
    drop(listener);
    for text in ["two", "three", "four"] {
        say(text);
    }
    // Several come back: by chance of the port, on either shard.
    for _ in 0..8 {
        let mut back = Client::connect(&server.worker);
        let taken = back.subscribe(&json!([{ "channel": "m_lobby", "position": first }]));
        assert_eq!(
            (&taken["channels"][0]["recovered"], &taken["channels"][0]["next"]),
            (&json!(true), &json!(2))
        );
        let missed = read_messages(&mut back, "m_lobby", &mut 2, 3);
        assert_eq!(texts(&missed), ["two", "three", "four"]);
    }
    let mut forged = first.clone();
    forged["id"] = json!("00000000-0000-4000-8000-000000000001");
    let mut other_past = Client::connect(&server.worker);
    let taken = other_past.subscribe(&json!([{ "channel": "m_lobby", "position": forged, "history": 2 }]));
    assert_eq!(
        (&taken["channels"][0]["recovered"], &taken["channels"][0]["next"]),
        (&json!(false), &json!(3))
    );
    assert_eq!(texts(&read_messages(&mut other_past, "m_lobby", &mut 3, 2)), ["three", "four"]);
}

#[test]
fn the_same_key_says_a_message_once() {
    let server = server();
    let (token, mut client) = (server.token_for("Ada"), Client::connect(&server.worker));
    client.enter(&token, "lobby");
    client.subscribe(&json!(["m_lobby"]));
    let first = client.ok(json!({ "call": "say", "msg": "once", "key": "k1" }));
    let mut again = Client::connect(&server.worker);
    again.enter(&token, "lobby");
    let second = again.ok(json!({ "call": "say", "msg": "once", "key": "k1" }));
    assert_eq!((&first["duplicate"], &second["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["position"], second["position"]);
    client.ok(json!({ "call": "say", "msg": "twice", "key": "k2" }));
    assert_eq!(texts(&read_messages(&mut client, "m_lobby", &mut 1, 2)), ["once", "twice"]);
}

/// The windows end by themselves, on whichever shard a subscriber is: nothing else happens meanwhile.
#[test]
fn what_a_flush_window_holds_back_comes_without_anything_else() {
    let server = Server::start(&["--shards", &SHARDS.to_string(), "--set", "worker.flush_interval_ms=150"]);
    let mut speaker = Client::connect(&server.worker);
    speaker.enter(&server.token_for("Ada"), "lobby");
    let mut listeners: Vec<Client> = (0..8).map(|_| Client::connect(&server.worker)).collect();
    for listener in &mut listeners {
        listener.subscribe(&json!(["m_lobby"]));
    }
    for round in 0..2 {
        for word in ["one", "two", "three"] {
            speaker.ok(json!({ "call": "say", "msg": word }));
        }
        for listener in &mut listeners {
            let heard = read_messages(listener, "m_lobby", &mut (round * 3 + 1), 3);
            assert_eq!(texts(&heard), ["one", "two", "three"]);
        }
    }
}

#[test]
fn members_and_viewers_are_seen_by_the_room_and_by_the_dispatcher() {
    let server = server();
    let mut watcher = Client::connect(&server.worker);
    watcher.subscribe(&json!(["e_lobby", "m_lobby"]));
    let mut member = Client::connect(&server.worker);
    member.enter(&server.token_for("Ada"), "lobby");
    let mut next = 1;
    let joined = read_messages(&mut watcher, "e_lobby", &mut next, 1);
    assert_eq!((&joined[0]["ev"], &joined[0]["user"]["name"]), (&json!("join"), &json!("Ada")));
    assert!(joined[0]["i"].is_string(), "every event has an id");
    let stats = http::get(&server.url, "/stats/lobby").json();
    assert_eq!((&stats["pubCount"], &stats["clients"]), (&json!(1), &json!([{ "name": "Ada" }])));
    drop(member);
    let left = read_messages(&mut watcher, "e_lobby", &mut next, 1);
    assert_eq!((&left[0]["ev"], &left[0]["user"]["name"]), (&json!("leave"), &json!("Ada")));
    server.wait_for_stats("the viewer told to the dispatcher", |_| {
        http::get(&server.url, "/stats/lobby").json()["subCount"] == json!(1)
    });
    let answer = http::post(&server.url, "/join/lobby", "application/json", "").json();
    assert_eq!(answer["host"], json!(format!("http://{}", server.worker)));
}

#[test]
fn history_is_served_newest_first_and_to_subscribers_oldest_first() {
    let server = server();
    let mut client = Client::connect(&server.worker);
    client.enter(&server.token_for("Ada"), "lobby");
    for number in 1..=120 {
        client.ok(json!({ "call": "say", "msg": format!("{number}") }));
    }
    let Value::Array(history) = http::get(&server.url, "/messages/lobby").json() else { panic!("a list") };
    let expected: Vec<String> = (21..=120).rev().map(|number| number.to_string()).collect();
    assert_eq!(texts(&history), expected);
    let mut reader = Client::connect(&server.worker);
    reader.subscribe(&json!([{ "channel": "m_lobby", "history": 3 }]));
    assert_eq!(texts(&read_messages(&mut reader, "m_lobby", &mut 118, 3)), ["118", "119", "120"]);
}

#[test]
fn a_slow_subscriber_is_told_of_its_gap_and_the_others_notice_nothing() {
    // A small log, so that it soon falls out of it; the kernel's buffers take some megabytes first.
    let server = Server::start(&["--shards", "2", "--set", "limits.log_messages_max=50"]);
    let mut slow = Client::connect(&server.worker);
    slow.subscribe(&json!(["m_lobby"]));
    let mut quick = Client::connect(&server.worker);
    quick.enter(&server.token_for("Ada"), "lobby");
    quick.subscribe(&json!(["m_lobby"]));
    let text = "x".repeat(4_000);
    let mut next = 1;
    // Until the slow one's socket has been full for longer than the log is.
    let enough = |server: &Server| {
        server.stats("")["shards"].as_array().expect("shards").iter().any(|s| s["blocked"] != 0)
    };
    // Each message is read before the next is said: the log is so short that else the quick one,
    // too, might fall out of it.
    let mut say_and_read = |count: usize| {
        for _ in 0..count {
            quick.ok(json!({ "call": "say", "msg": text }));
            read_messages(&mut quick, "m_lobby", &mut next, 1);
        }
        next - 1
    };
    while say_and_read(500) < 20_000 && !enough(&server) {}
    assert!(enough(&server), "its socket is never full");
    let said = say_and_read(100);
    // The slow one reads all: consecutive messages, one gap or more, and at the end the newest.
    let (mut next, mut gaps) = (1, 0);
    while next <= said {
        let push = slow.pushed();
        if let Some(gap) = push.get("gap") {
            assert_eq!((&gap["channel"], gap["from"].as_u64()), (&json!("m_lobby"), Some(next)));
            next = gap["to"].as_u64().expect("an offset") + 1;
            gaps += 1;
        } else {
            assert_eq!(push["offset"].as_u64(), Some(next));
            next += push["messages"].as_array().expect("messages").len() as u64;
        }
    }
    assert!(gaps > 0);
}

/// While the process stands still, calls pile up in its sockets; what follows is the largest burst
/// that there can be. Whoever reads gets all of it.
#[test]
fn a_pause_of_the_process_makes_no_gap() {
    const SPEAKERS: usize = 30;
    const EACH: usize = 64;
    let server = server();
    let mut listeners: Vec<Client> = (0..16).map(|_| Client::connect(&server.worker)).collect();
    for listener in &mut listeners {
        listener.subscribe(&json!(["m_lobby"]));
    }
    let token = server.token_for("Ada");
    let mut speakers: Vec<Client> = (0..SPEAKERS).map(|_| Client::connect(&server.worker)).collect();
    for speaker in &mut speakers {
        speaker.enter(&token, "lobby");
    }
    server.process.pause();
    for speaker in &mut speakers {
        for number in 0..EACH {
            speaker.begin(json!({ "call": "say", "msg": format!("{number}") }));
        }
    }
    server.process.resume();
    for listener in &mut listeners {
        // A gap in place of messages fails here.
        read_messages(listener, "m_lobby", &mut 1, SPEAKERS * EACH);
    }
}
