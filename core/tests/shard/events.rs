//! The events channel: what is told of channels and of who subscribes to them, to whom, and that nothing
//! waits for it.

use chatup_core::exchange::Operation;
use chatup_core::limits::{EVENTS_PER_S_MAX, GONE_TOLD_AFTER_MS, Limits};
use chatup_core::message::read_posted;
use chatup_core::names::ChannelName;
use chatup_core::pushstream::Settings;
use chatup_core::shard::{Key, SlowSubscriberPolicy};

use crate::rig::Rig;
use crate::support::wire;

fn rig(events: Option<&str>) -> Rig {
    let mut settings = Settings::chatup("~text~", 64);
    settings.events = events.map(|name| ChannelName::new(name).unwrap());
    // WebSockets may listen.
    settings.locations[0].events = true;
    let mut rig = Rig::serving(Limits::default(), SlowSubscriberPolicy::Tell, (true, 0), settings);
    rig.pass(200);
    rig
}

/// What has been told since the last look; whatever else is asked of the broker is answered.
fn told(rig: &mut Rig) -> String {
    let mut told = Vec::new();
    while let Some((_, operation)) = rig.world.asked.front() {
        if let Operation::Publish(publish) = operation
            && publish.channel.as_str() == "evs"
        {
            let posted = read_posted(&publish.payload).unwrap();
            let text: serde_json::Value = serde_json::from_str(&posted.text).unwrap();
            assert_eq!(text["type"].as_str(), posted.event_type.as_deref());
            assert!(posted.text.starts_with("{\"type\": \"") && posted.text.contains("\", \"channel\": \""));
            let kind = posted.event_type.as_deref().unwrap();
            told.push(format!(
                "{} {}",
                kind.split('_').next_back().unwrap(),
                text["channel"].as_str().unwrap()
            ));
            rig.world.asked.pop_front();
            continue;
        }
        rig.broker_opens_one();
    }
    told.join(", ")
}

fn get(rig: &mut Rig, path: &str) -> Key {
    let key = rig.accept();
    let request = match path.starts_with("/ws") {
        true => wire::UPGRADE.replace("/chatup/v1", path),
        false => format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
    };
    rig.bytes(key, request.as_bytes());
    key
}

fn ask(rig: &mut Rig, request: &str) -> String {
    let key = rig.accept();
    let answer = rig.bytes(key, request.as_bytes());
    [answer, rig.given(key)].concat()
}

#[test]
fn subscribers_come_and_go() {
    let mut rig = rig(Some("evs"));
    assert_eq!(told(&mut rig), "");
    let stream = get(&mut rig, "/ws/q/z%22");
    assert_eq!(told(&mut rig), "created q, subscribed q, created z\", subscribed z\"");
    let native = rig.open();
    rig.text(native, r#"{"id":1,"call":"subscribe","channels":[{"channel":"q"}]}"#);
    assert_eq!(told(&mut rig), "subscribed q");
    rig.cut(stream);
    assert_eq!(told(&mut rig), "unsubscribed q, unsubscribed z\"");
    rig.cut(native);
    assert_eq!(told(&mut rig), "unsubscribed q");
    rig.pass(200);
    assert_eq!(told(&mut rig), "destroyed q, destroyed z\"");
    // A poll that waits is a subscriber, one that does not is none.
    get(&mut rig, "/poll/q");
    assert_eq!(told(&mut rig), "");
    let poll = get(&mut rig, "/lp/q");
    assert_eq!(told(&mut rig), "created q, subscribed q");
    rig.publish("q", 1, r#"{"text":"x","i":"01","d":1}"#);
    assert!(rig.given(poll).ends_with('x'));
    assert_eq!(told(&mut rig), "unsubscribed q");
    // It has a message: nobody's going ends it.
    rig.pass(20_000);
    assert_eq!(told(&mut rig), "");
}

#[test]
fn publishing_and_deleting() {
    let mut rig = rig(Some("evs"));
    told(&mut rig);
    let listener = get(&mut rig, "/ws/evs");
    assert_eq!(told(&mut rig), "", "it says nothing of itself");
    rig.publish("evs", 1, r#"{"text":"event","i":"01","d":1}"#);
    assert_eq!(rig.given(listener), "event");
    let post = "POST /pub?id=p HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
    ask(&mut rig, post);
    told(&mut rig);
    rig.publish("p", 1, r#"{"text":"x","i":"01","d":1}"#);
    assert_eq!(told(&mut rig), "created p");
    rig.publish("p", 2, r#"{"text":"y","i":"02","d":1}"#);
    assert_eq!(told(&mut rig), "");
    ask(&mut rig, "DELETE /pub?id=p HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(told(&mut rig), "");
    rig.pass(GONE_TOLD_AFTER_MS + 200);
    assert_eq!(told(&mut rig), "destroyed p");
}

#[test]
fn who_may_have_it() {
    let mut rig = rig(Some("evs"));
    told(&mut rig);
    let posted =
        |method: &str| format!("{method} /pub?id=q/evs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
    let read = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let closed = "Subscription to events channel is not allowed.";
    let internal = "Only internal routines can change events channel.";
    let table = [
        (posted("POST"), "403 ", internal),
        (posted("PUT"), "403 ", internal),
        (posted("DELETE"), "403 ", internal),
        (read("/sub/evs"), "403 ", closed),
        (read("/lp/q/evs"), "403 ", closed),
        (read("/pub?id=evs"), "200 ", r#"{"channel": "evs", "published_messages": 0, "#),
        (read("/channels-stats?id=evs"), "200 ", r#"{"channel": "evs", "published_messages": 0, "#),
        (read("/channels-stats?id=ALL"), "200 ", r#"{"channel": "evs", "#),
        (read("/channels-stats"), "200 ", r#""channels": 1, "#),
    ];
    for (request, status, text) in table {
        let answer = ask(&mut rig, &request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(text),
            "{request}: {answer}"
        );
        assert_eq!(told(&mut rig), "", "{request}");
    }
    let native = rig.open();
    let answer = rig.text(native, r#"{"id":1,"call":"subscribe","channels":[{"channel":"evs"}]}"#);
    assert!(answer.contains("bad_field"), "{answer}");
}

#[test]
fn nothing_waits_for_it_and_without_it_nothing_is_told() {
    let mut off = rig(None);
    get(&mut off, "/ws/q");
    let asked: Vec<String> = off.world.asked.iter().map(|(_, operation)| format!("{operation:?}")).collect();
    assert!(asked.len() == 1 && asked[0].starts_with("Open"), "{asked:?}");
    let mut rig = rig(Some("evs"));
    told(&mut rig);
    let stream = get(&mut rig, "/ws/q");
    assert_eq!(told(&mut rig), "created q, subscribed q");
    rig.world.full = true;
    rig.cut(stream);
    assert_eq!(told(&mut rig), "");
    assert!(rig.shard.is_behind());
    rig.world.full = false;
    rig.pass(200);
    assert_eq!(told(&mut rig), "unsubscribed q, destroyed q");
    assert!(!rig.shard.is_behind());
}

#[test]
fn a_flood_of_them_leaves_room_for_messages() {
    let mut rig = rig(Some("evs"));
    told(&mut rig);
    let native = rig.open();
    let (mut seconds, mut most) = (0, 0);
    let (mut calls, mut events) = (0, 0);
    while seconds < 3 {
        let mut in_a_second = 0;
        for _ in 0..10 {
            for _ in 0..200 {
                calls += 2;
                let call = |call| format!(r#"{{"id":{calls},"call":"{call}","channels":["q"]}}"#);
                rig.text(native, &call("subscribe"));
                rig.text(native, &call("unsubscribe"));
                in_a_second += told(&mut rig).split(", ").filter(|event| !event.is_empty()).count();
            }
            rig.pass(100);
        }
        (seconds, most, events) = (seconds + 1, most.max(in_a_second), events + in_a_second);
    }
    assert!(most as u64 <= EVENTS_PER_S_MAX, "{most} in a second");
    assert!(events > 1_000, "{events} events of {calls} calls");
    // What waits is told later, and all that follows.
    let mut last = String::new();
    for _ in 0..200 {
        rig.pass(128);
        let now = told(&mut rig);
        if !now.is_empty() {
            last = now;
        }
    }
    assert!(last.ends_with("unsubscribed q, destroyed q"), "{last}");
}
