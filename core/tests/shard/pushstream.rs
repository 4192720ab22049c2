//! WebSockets of PushStream clients: what they ask for in the URL, what they are sent, and where they
//! come back to.

use chatup_core::exchange::{Answer, ChannelTail, Event};
use chatup_core::limits::Limits;
use chatup_core::message::{Body, UnixMillis, payload};
use chatup_core::names::ChannelName;
use chatup_core::position::{Epoch, MessageId, Offset, Position};
use chatup_core::pushstream::Stamp;
use chatup_core::refusal::Refusal;
use chatup_core::shard::Key;

use crate::rig::{EPOCH, Rig, publication};
use crate::support::wire;

/// The second in which the first message is said.
const BEGIN_S: u64 = 784_111_777;
const DATE: &str = "Sun, 06 Nov 1994 08:49:";

/// Asks for a path; what came before any message.
fn ask(rig: &mut Rig, path: &str) -> (Key, String) {
    let key = rig.accept();
    let request = wire::UPGRADE.replace("/chatup/v1", path);
    let answer = rig.bytes(key, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let behind = answer.split_once("\r\n\r\n").map_or("", |(_, behind)| behind.trim_start()).to_owned();
    (key, behind)
}

/// A message of this number, said half a second after the one before.
fn message(number: u64) -> String {
    let time = UnixMillis(BEGIN_S * 1_000 + 500 * (number - 1));
    let bytes = payload(None, &Body::Text(&format!("text {number}")), MessageId(number.into()), time);
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn publish(rig: &mut Rig, channel: &str, number: u64) {
    rig.publish(channel, number, &message(number));
}

/// What a client is sent of a message: its second counts up every two messages.
fn sent(channel: &str, number: u64) -> String {
    format!("{DATE}{} GMT.{channel}.[{}]", 37 + (number - 1) / 2, message(number))
}

fn all_sent(channel: &str, numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(|number| sent(channel, number)).collect::<Vec<_>>().join("\n")
}

#[test]
fn messages_of_all_channels_in_the_path_come_by_the_template() {
    let mut rig = Rig::new(Limits::default());
    let (key, given) =
        ask(&mut rig, "/ws/m_a/e_a?_=1&tag=0&time=Thu%2C%2001%20Jan%201970%2000%3A00%3A00%20GMT&eventid=");
    assert_eq!(given, "");
    rig.broker_opens();
    assert_eq!(rig.given(key), "", "there is nothing yet");
    publish(&mut rig, "m_a", 1);
    assert_eq!(rig.given(key), sent("m_a", 1));
    publish(&mut rig, "e_a", 1);
    assert_eq!(rig.given(key), sent("e_a", 1));
    let native = rig.subscribed(r#"{"channel":"m_a","history":9}"#);
    publish(&mut rig, "m_a", 2);
    assert_eq!(rig.given(key), sent("m_a", 2));
    assert_eq!(
        rig.given(native),
        format!("{{\"channel\":\"m_a\",\"offset\":2,\"messages\":[{}]}}", message(2))
    );
    // What it says is not heard, and answered by nothing.
    assert_eq!(rig.text(key, r#"{"id":1,"call":"ping"}"#), "");
    assert_eq!(rig.frame(key, wire::PING, b"x"), "pong x");
}

#[test]
fn who_comes_back_is_sent_what_came_behind_its_place() {
    let mut rig = Rig::new(Limits::default());
    let (watcher, _) = ask(&mut rig, "/ws/m_a");
    rig.broker_opens();
    for number in 1..=6 {
        publish(&mut rig, "m_a", number);
    }
    assert_eq!(rig.given(watcher), all_sent("m_a", 1..=6));
    let third = Stamp::of(UnixMillis(BEGIN_S * 1_000 + 1_000), Offset(3), br#""m_a""#).tag;
    let nobodys = Stamp::of(UnixMillis(BEGIN_S * 1_000 + 1_200), Offset(3), br#""m_a""#).tag;
    let at = |second: u64, tag: &str| {
        format!("/ws/m_a?time={}&{tag}", format!("{DATE}{second} GMT").replace(' ', "%20"))
    };
    let table = [
        ("/ws/m_a".to_owned(), 7..7),
        ("/ws/m_a.b2".to_owned(), 5..7),
        ("/ws/m_a.b99".to_owned(), 1..7),
        ("/ws/m_a?time=Thu%2C%2001%20Jan%201970%2000%3A00%3A00%20GMT&tag=0".to_owned(), 1..7),
        // The whole second counts as seen without a tag, and as not seen with tag 0.
        (at(38, ""), 5..7),
        (at(38, "tag=0"), 3..7),
        // The very message, also of this second, or a place between two.
        (at(38, &format!("tag={third}")), 4..7),
        (at(38, &format!("tag={nobodys}")), 4..7),
        (at(39, "tag=999999999999"), 7..7),
        (at(39, ""), 7..7),
        ("/ws/m_a?eventid=unknown".to_owned(), 7..7),
    ];
    for (path, numbers) in table {
        let (key, given) = ask(&mut rig, &path);
        rig.broker_opens();
        let given = [given, rig.given(key)].join("");
        assert_eq!(given, all_sent("m_a", numbers), "{path}");
        rig.cut(key);
    }
    publish(&mut rig, "m_a", 7);
    assert_eq!(rig.given(watcher), sent("m_a", 7));
}

#[test]
fn what_is_gathered_comes_as_one_list_and_nobody_hears_it_twice() {
    let mut rig = Rig::gathering(Limits::default(), 1_000);
    let (early, _) = ask(&mut rig, "/ws/m_a");
    rig.broker_opens();
    publish(&mut rig, "m_a", 1);
    publish(&mut rig, "m_a", 2);
    assert_eq!(rig.given(early), "", "the window is open");
    // Somebody comes in the middle of the window, with all that was said.
    let (late, given) = ask(&mut rig, "/ws/m_a.b9");
    let given = [given, rig.given(late)].join("");
    let two = format!("{DATE}37 GMT.m_a.[{},{}]", message(1), message(2));
    assert_eq!(given, two);
    publish(&mut rig, "m_a", 3);
    rig.pass(1_100);
    assert_eq!(rig.given(early), format!("{two}\n{}", sent("m_a", 3)));
    assert_eq!(rig.given(late), sent("m_a", 3));
    // In the middle of a list the rest of it comes.
    let (again, given) = ask(&mut rig, "/ws/m_a.b2");
    assert_eq!([given, rig.given(again)].join(""), format!("{}\n{}", sent("m_a", 2), sent("m_a", 3)));
}

#[test]
fn a_new_past_goes_on_behind_the_same_message() {
    let mut rig = Rig::new(Limits::default());
    let (key, _) = ask(&mut rig, "/ws/m_a");
    rig.broker_opens();
    for number in 1..=3 {
        publish(&mut rig, "m_a", number);
    }
    rig.given(key);
    // The store has lost message 3, and has others.
    let name = ChannelName::new("m_a").unwrap();
    let epoch = Epoch(EPOCH.0 + 1);
    let before = Position { epoch, offset: Offset::START, id: MessageId::NONE };
    let tail = |numbers: &[u64]| ChannelTail {
        channel: name.clone(),
        before,
        messages: (1..)
            .zip(numbers)
            .map(|(offset, number)| {
                let mut one = publication("m_a", epoch, offset, &message(*number));
                one.id = MessageId((*number).into());
                one
            })
            .collect(),
    };
    rig.event(Event::Renewed(tail(&[2, 3, 4, 5])));
    assert_eq!(rig.given(key), all_sent("m_a", 4..=5), "it was behind the third");
}

#[test]
fn what_was_gathered_in_another_channel_is_not_lost_by_coming_back() {
    let mut rig = Rig::gathering(Limits::default(), 600);
    let (key, _) = ask(&mut rig, "/ws/m_a/m_b");
    rig.broker_opens();
    // In the last half second of a second one is gathered here, and another sent there in the next one.
    publish(&mut rig, "m_a", 1);
    rig.pass(300);
    rig.publish("m_b", 1, &message(2));
    publish(&mut rig, "m_a", 2);
    rig.publish("m_a", 3, &message(3));
    rig.pass(310);
    let given = rig.given(key);
    assert!(given.contains("38 GMT.m_a.[") && !given.contains("m_b"), "{given}");
    rig.cut(key);
    let back = format!("/ws/m_a/m_b?tag=0&time={}", format!("{DATE}38 GMT").replace(' ', "%20"));
    let (key, given) = ask(&mut rig, &back);
    let given = [given, rig.given(key)].join("\n");
    assert!(given.contains(&format!("m_b.[{}]", message(2))), "{given}");
}

#[test]
fn a_new_past_hides_nothing_that_was_not_sent() {
    // What was sent before, and what there is in the new past: what is sent then.
    let table: [(&[u64], &[u64], &[u64]); 4] = [
        (&[], &[1, 2], &[1, 2]),
        (&[1, 2, 3], &[2, 3, 4], &[4]),
        (&[1, 2, 3], &[1, 2, 5, 6], &[5, 6]),
        (&[1], &[4, 5], &[4, 5]),
    ];
    for (before, after, expected) in table {
        let mut rig = Rig::new(Limits::default());
        let (key, _) = ask(&mut rig, "/ws/m_a");
        rig.broker_opens();
        for (offset, number) in (1..).zip(before) {
            rig.publish("m_a", offset, &message(*number));
        }
        rig.given(key);
        let name = ChannelName::new("m_a").unwrap();
        let epoch = Epoch(EPOCH.0 + 1);
        let start = Position { epoch, offset: Offset::START, id: MessageId::NONE };
        // Other ids than before, so that only the time tells.
        let messages = (1..).zip(after).map(|(offset, number)| {
            let mut one = publication("m_a", epoch, offset, &message(*number));
            one.id = MessageId(u128::from(*number) + 100);
            one
        });
        let tail = ChannelTail { channel: name, before: start, messages: messages.collect() };
        rig.event(Event::Renewed(tail));
        assert_eq!(rig.given(key), all_sent("m_a", expected.iter().copied()), "{before:?} {after:?}");
    }
}

#[test]
fn what_cannot_be_had_ends_with_a_reason() {
    let table = [
        (
            "/ws/ALL",
            r#"close 1008 {"http_status": 403, "explain":"Channel id not authorized for this method."}"#,
        ),
        ("/ws/", r#"close 1008 {"http_status": 400, "explain":"No channel id provided."}"#),
        ("/ws/a%0A", r#"close 1008 {"http_status": 403, "explain":"Channel id not allowed."}"#),
    ];
    for (path, expected) in table {
        let mut rig = Rig::new(Limits::default());
        assert_eq!(ask(&mut rig, path).1, expected, "{path}");
    }
    let mut rig = Rig::new(Limits::default());
    let (key, _) = ask(&mut rig, "/ws/m_a");
    rig.broker(|_| Answer::Refused(Refusal::Unavailable.into()));
    let expected =
        r#"close 1008 {"http_status": 503, "explain":"The store of messages cannot be reached now."}"#;
    assert_eq!(rig.given(key), expected);
    let many: String = (0..200).map(|number| format!("/c{number}")).collect();
    assert!(
        ask(&mut rig, &format!("/ws{many}")).1.starts_with("close 1008 {\"http_status\": 403"),
        "too many"
    );
}
