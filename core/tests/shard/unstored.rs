//! Messages that are not stored: who is there is sent them, who comes later is not shown them.

use chatup_core::limits::Limits;
use chatup_core::pushstream::{Settings, settings::Publisher};
use chatup_core::shard::{Key, SlowSubscriberPolicy};

use crate::rig::Rig;
use crate::support::wire;

fn rig(stored_max: u32) -> Rig {
    let mut settings = Settings { stored_max, ..Settings::chatup("~text~;", 64) };
    settings.publishers.push(Publisher { store_messages: false, ..Publisher::new("/live") });
    let mut rig = Rig::serving(Limits::default(), SlowSubscriberPolicy::Tell, (true, 0), settings);
    rig.pass(200);
    rig
}

fn get(rig: &mut Rig, path: &str) -> (Key, String) {
    let key = rig.accept();
    let request = match path.starts_with("/ws") {
        true => wire::UPGRADE.replace("/chatup/v1", path),
        false => format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
    };
    let mut given = rig.bytes(key, request.as_bytes());
    rig.broker_opens();
    given.push_str(&rig.given(key));
    let body = given.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (key, body.replace('\n', ""))
}

fn publish(rig: &mut Rig, number: u64, unstored: bool) {
    let unstored = if unstored { r#","unstored":true"# } else { "" };
    rig.publish("a", number, &format!(r#"{{"text":"{number}"{unstored},"i":"0{number}","d":784111777}}"#));
}

const ALL: &str = "?time=Thu%2C%2001%20Jan%201970%2000%3A00%3A00%20GMT&tag=0";

#[test]
fn whoever_would_be_sent_much_is_sent_all() {
    let mut rig = rig(u32::MAX);
    let (_listener, _) = get(&mut rig, "/ws/a");
    let text = "x".repeat(2_000);
    for number in 1..=40 {
        let unstored = if number == 20 { r#","unstored":true"# } else { "" };
        let message = format!(r#"{{"text":"{number}{text}"{unstored},"i":"0{number}","d":784111777}}"#);
        rig.publish("a", number, &message);
    }
    let numbers = |given: &str| {
        let texts = given.split(';').filter(|text| !text.is_empty());
        texts.map(|text| text.trim_end_matches('x').parse().unwrap()).collect::<Vec<u64>>()
    };
    let (_, few) = get(&mut rig, "/ws/a.b10");
    assert_eq!(numbers(&few), (31..=40).collect::<Vec<_>>());
    let (_, some) = get(&mut rig, "/ws/a.b22");
    assert_eq!(numbers(&some).last(), Some(&40));
    let (_, all) = get(&mut rig, &format!("/ws/a{ALL}"));
    assert_eq!(numbers(&all), (1..=40).collect::<Vec<_>>(), "none is missing");
    // A poll has no socket to fill.
    let (_, polled) = get(&mut rig, &format!("/poll/a{ALL}"));
    assert_eq!(numbers(&polled), (1..=40).filter(|number| *number != 20).collect::<Vec<_>>());
}

#[test]
fn newcomers_are_shown_the_others() {
    let mut rig = rig(u32::MAX);
    let (listener, _) = get(&mut rig, "/ws/a");
    for (number, unstored) in [(1, false), (2, true), (3, false), (4, true), (5, true)] {
        publish(&mut rig, number, unstored);
    }
    assert_eq!(rig.given(listener).replace('\n', ""), "1;2;3;4;5;");
    let all = format!("/poll/a{ALL}");
    let streamed = format!("/ws/a{ALL}");
    let called = format!("/jsonp/a{ALL}&callback=f");
    let table = [
        ("/poll/a.b1", "3;"),
        ("/poll/a.b2", "1;3;"),
        ("/poll/a.b9", "1;3;"),
        (&all, "1;3;"),
        (&streamed, "1;3;"),
        (&called, "f([1;,3;]);"),
        ("/poll/a", ""),
        ("/ws/a", ""),
        (
            "/channels-stats?id=a",
            "{\"channel\": \"a\", \"published_messages\": 5, \"stored_messages\": 2, \"subscribers\": 1}",
        ),
    ];
    for (path, expected) in table {
        let (key, given) = get(&mut rig, path);
        assert_eq!(given.trim_end(), expected, "{path}");
        if path.starts_with("/ws") {
            rig.cut(key);
        }
    }
    // Whoever has been sent the last is sent what comes.
    let (stream, given) = get(&mut rig, &streamed);
    assert_eq!(given, "1;3;");
    publish(&mut rig, 6, true);
    publish(&mut rig, 7, false);
    assert_eq!(rig.given(stream).replace('\n', ""), "6;7;");
    assert_eq!(get(&mut rig, "/poll/a.b2").1, "3;7;");
}

#[test]
fn they_are_not_counted_among_those_that_are_kept() {
    let mut rig = rig(2);
    get(&mut rig, "/ws/a");
    for number in 1..=12 {
        publish(&mut rig, number, number % 3 != 0);
    }
    assert_eq!(get(&mut rig, "/poll/a.b9").1, "9;12;");
    let told = get(&mut rig, "/channels-stats?id=a").1;
    assert!(told.contains("\"published_messages\": 12, \"stored_messages\": 2,"), "{told}");
}

#[test]
fn what_a_publisher_posts_says_so() {
    let mut rig = rig(u32::MAX);
    for (path, unstored) in [("/pub", false), ("/live", true)] {
        let key = rig.accept();
        let post = format!("POST {path}?id=b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
        rig.bytes(key, post.as_bytes());
        let mut asked = String::new();
        while !rig.world.asked.is_empty() {
            for (_, operation) in &rig.world.asked {
                if let chatup_core::exchange::Operation::Publish(publish) = operation {
                    asked.push_str(std::str::from_utf8(&publish.payload).unwrap());
                }
            }
            rig.broker_opens_one();
        }
        assert_eq!(asked.contains("\"unstored\":true"), unstored, "{asked}");
        let stored = usize::from(!unstored);
        let given = rig.given(key);
        assert!(given.contains(&format!("\"stored_messages\": {stored},")), "{path}: {given}");
    }
}
