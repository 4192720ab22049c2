//! Clients that asked for compression beside those that did not: the same messages for both.

use chatup_core::exchange::{Answer, ChannelTail, Event};
use chatup_core::limits::Limits;
use chatup_core::names::ChannelName;
use chatup_core::position::{Epoch, MessageId, Offset, Position};
use chatup_core::shard::Key;

use crate::rig::{EPOCH, Rig, publication};
use crate::support::wire;

const LONG: &str =
    r#"{"msg":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;

fn message(offset: u64) -> String {
    format!(r#"{{"channel":"a","offset":{offset},"messages":[{LONG}]}}"#)
}

fn subscribe(rig: &mut Rig, key: Key, what: &str) -> String {
    let mut given = rig.text(key, &format!(r#"{{"id":1,"call":"subscribe","channels":[{what}]}}"#));
    rig.broker_opens();
    given.push_str(&rig.given(key));
    given
}

#[test]
fn both_are_sent_the_same_messages() {
    let mut rig = Rig::new(Limits::default());
    let (plain, deflates) = (rig.subscribed(r#""a""#), rig.open_and_deflate());
    rig.publish("a", 1, LONG);
    assert_eq!(rig.given(plain), message(1));
    subscribe(&mut rig, deflates, r#"{"channel":"a","history":9}"#);
    assert_eq!(rig.deflated(deflates), 0, "what was kept already comes as it is");
    for offset in 2..=6 {
        rig.publish("a", offset, LONG);
        assert_eq!(rig.given(plain), message(offset));
        assert_eq!(rig.given(deflates), message(offset));
    }
    assert_eq!((rig.deflated(plain), rig.deflated(deflates)), (0, 5));
    rig.publish("a", 7, "7");
    assert_eq!(rig.given(deflates), r#"{"channel":"a","offset":7,"messages":[7]}"#);
    // A connection may be hung up on by the last of them, and others come later.
    rig.cut(deflates);
    rig.publish("a", 8, LONG);
    let again = rig.open_and_deflate();
    subscribe(&mut rig, again, r#""a""#);
    for (offset, deflated) in [(9, 0), (10, 1)] {
        // The first is in the log already when the compressed one is begun.
        rig.publish("a", offset, LONG);
        assert_eq!((rig.given(again), rig.deflated(again)), (message(offset), deflated));
    }
}

/// Who only listens to rooms in which nothing is said costs no copy of them.
#[test]
fn what_has_been_sent_is_not_kept_twice() {
    let mut rig = Rig::new(Limits::default());
    let plain = rig.subscribed(r#""a""#);
    for offset in 1..=500 {
        rig.publish("a", offset, LONG);
    }
    let before = rig.shard.memory();
    let before = if before.logs == 0 { rig.shard.memory() } else { before };
    let deflates = rig.open_and_deflate();
    subscribe(&mut rig, deflates, r#""a",{"channel":"b","history":5}"#);
    rig.publish("b", 1, LONG);
    rig.shard.memory();
    let after = rig.shard.memory();
    assert!(after.logs < before.logs + 8_192, "{before:?}, then {after:?}");
    assert_eq!(rig.given(deflates), message(1).replace("\"a\"", "\"b\""));
    rig.given(plain);
}

/// A subscriber that stood still while hundreds of messages came is not compressed all of them at once.
#[test]
fn who_was_far_behind_is_sent_the_rest_as_it_is() {
    let mut rig = Rig::new(Limits::default());
    let deflates = rig.open_and_deflate();
    subscribe(&mut rig, deflates, r#""a""#);
    rig.publish("a", 1, LONG);
    rig.publish("a", 2, LONG);
    assert_eq!((rig.given(deflates).lines().count(), rig.deflated(deflates)), (2, 1));
    rig.take_only(deflates, 0);
    for offset in 3..=300 {
        rig.publish("a", offset, LONG);
    }
    let given = rig.take_all(deflates);
    assert_eq!((given.lines().count(), rig.deflated(deflates)), (298, 1), "nothing is missing");
    rig.publish("a", 301, LONG);
    assert_eq!((rig.given(deflates), rig.deflated(deflates)), (message(301), 2));
}

#[test]
fn compressed_floods_leave_the_turn_to_others() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open_and_deflate();
    let call = format!(r#"{{"id":1,"call":"ping","x":"{}"}}"#, "x".repeat(16_000));
    let mut bytes = Vec::new();
    wire::deflated(call.as_bytes(), [1, 2, 3, 4], &mut bytes);
    assert!(bytes.len() < 100, "a hundred to one and more");
    let mut calls = 0;
    while !rig.shard.has_inflated_enough() {
        rig.shard.received(key, &mut bytes.clone(), &mut rig.world);
        calls += 1;
    }
    assert_eq!(calls, (1 << 20) / call.len() + 1);
    rig.shard.end_turn(&mut rig.world);
    assert!(!rig.shard.has_inflated_enough());
}

/// The compressed log keeps to the plain one's limits and epochs.
#[test]
fn who_is_slow_or_meets_another_epoch_is_told_the_same() {
    let mut rig = Rig::new(Limits { log_messages_max: 3, ..Limits::default() });
    let (plain, deflates) = (rig.subscribed(r#""a""#), rig.open_and_deflate());
    subscribe(&mut rig, deflates, r#""a""#);
    for key in [plain, deflates] {
        rig.take_only(key, 5);
    }
    for offset in 1..=9 {
        rig.publish("a", offset, LONG);
    }
    let expected =
        [message(1), r#"{"gap":{"channel":"a","from":2,"to":6}}"#.into(), message(7), message(8), message(9)];
    for key in [plain, deflates] {
        assert_eq!(rig.take_all(key), expected.join("\n"));
    }
    let epoch = Epoch(0xF);
    let before = Position { epoch, offset: Offset::START, id: MessageId::NONE };
    let tail = ChannelTail {
        channel: ChannelName::new("a").unwrap(),
        before,
        messages: vec![publication("a", epoch, 1, LONG)],
    };
    rig.event(Event::Published(publication("a", epoch, 1, LONG)));
    rig.broker(|_| Answer::Opened(tail));
    let given = rig.given(plain);
    assert!(given.contains(r#"{"reset":{"#) && given.ends_with(&message(1)), "{given}");
    assert_eq!(rig.given(deflates), given);
    assert_ne!(epoch, EPOCH);
}

#[test]
fn calls_may_be_compressed_where_that_was_agreed() {
    let mut rig = Rig::new(Limits::default());
    let mut bytes = Vec::new();
    wire::deflated(br#"{"id":1,"call":"ping"}"#, [1, 2, 3, 4], &mut bytes);
    let key = rig.open_and_deflate();
    assert_eq!(rig.bytes(key, &bytes), r#"{"id":1,"ok":{}}"#);
    let key = rig.open();
    assert_eq!(rig.bytes(key, &bytes), "close 1002 protocol_error");
    let key = rig.open_and_deflate();
    let bomb = format!(r#"{{"id":1,"call":"ping","x":"{}"}}"#, "x".repeat(16 * 1024));
    let mut bytes = Vec::new();
    wire::deflated(bomb.as_bytes(), [1, 2, 3, 4], &mut bytes);
    assert_eq!(rig.bytes(key, &bytes), "close 1009 frame_too_large");
}
