//! Whose turn it is to be sent something, and when.

use chatup_core::exchange::Event;
use chatup_core::limits::{FANOUT_QUANTUM_SENDS, Limits};
use chatup_core::shard::Key;

use crate::rig::{EPOCH, Rig, publication};
use crate::support::wire::{self, TEXT};

/// Subscribers of the large room.
const LARGE: usize = 10 * FANOUT_QUANTUM_SENDS as usize;

fn message(channel: &str, offset: u64) -> String {
    format!(r#"{{"channel":"{channel}","offset":{offset},"messages":[{offset}]}}"#)
}

/// Without a turn behind it.
fn publish(rig: &mut Rig, channel: &str, offset: u64) {
    let event = Event::Published(publication(channel, EPOCH, offset, &offset.to_string()));
    rig.shard.broker_event(event, &mut rig.world);
}

/// Whose sends begin, in their order, until there are no more.
fn order(rig: &mut Rig) -> Vec<Key> {
    rig.shard.end_turn(&mut rig.world);
    let order = std::iter::from_fn(|| rig.shard.next_send(&mut rig.world)).map(|send| send.key).collect();
    rig.shard.settle();
    order
}

fn place(order: &[Key], key: Key) -> usize {
    order.iter().position(|one| *one == key).expect("it is sent something")
}

#[test]
fn nobody_waits_behind_a_room_however_large() {
    let mut rig = Rig::new(Limits::default());
    let large: Vec<Key> = (0..LARGE).map(|_| rig.subscribed(r#""large""#)).collect();
    let small = rig.subscribed(r#""small""#);
    let asks = rig.open();
    // The large room's message came first.
    publish(&mut rig, "large", 1);
    publish(&mut rig, "small", 1);
    let mut ping = Vec::new();
    wire::frame(TEXT, br#"{"id":7,"call":"ping"}"#, [1, 2, 3, 4], &mut ping);
    rig.shard.received(asks, &mut ping, &mut rig.world);
    let order = order(&mut rig);
    assert_eq!(order.len(), LARGE + 2);
    for (who, key) in [("the small room", small), ("who asks", asks)] {
        let place = place(&order, key);
        assert!(place <= 2 * FANOUT_QUANTUM_SENDS as usize, "{who} is sent its own as number {place}");
    }
    assert!(large.iter().all(|key| order.contains(key)));
}

#[test]
fn a_message_that_comes_amid_a_pass_goes_once_round() {
    let mut rig = Rig::new(Limits::default());
    let keys: Vec<Key> = (0..10).map(|_| rig.subscribed(r#""a""#)).collect();
    publish(&mut rig, "a", 1);
    rig.shard.end_turn(&mut rig.world);
    let first: Vec<Key> = (0..4).filter_map(|_| rig.shard.next_send(&mut rig.world)).map(|s| s.key).collect();
    rig.shard.settle();
    publish(&mut rig, "a", 2);
    // The six who have nothing yet get both at once; then the four get the second.
    let rest = order(&mut rig);
    let start = place(&keys, first[0]);
    let round: Vec<Key> = keys.iter().cycle().skip(start).take(keys.len()).copied().collect();
    assert_eq!(first, round[..4]);
    assert_eq!(rest, [&round[4..], &round[..4]].concat());
    assert_eq!(rig.shard.counters().deliveries, 20);
}

#[test]
fn nobody_is_passed_over_when_others_leave_amid_a_pass() {
    for leaves in 0..10 {
        let mut rig = Rig::new(Limits::default());
        let keys: Vec<Key> = (0..10).map(|_| rig.subscribed(r#""a""#)).collect();
        publish(&mut rig, "a", 1);
        rig.shard.end_turn(&mut rig.world);
        let mut sent: Vec<Key> =
            std::iter::from_fn(|| rig.shard.next_send(&mut rig.world)).take(5).map(|s| s.key).collect();
        rig.shard.settle();
        rig.shard.ended(keys[leaves], &mut rig.world);
        sent.extend(order(&mut rig));
        sent.extend(order(&mut rig));
        for key in keys.iter().filter(|key| **key != keys[leaves]) {
            assert!(sent.contains(key), "number {leaves} left: {key:?} is sent nothing");
        }
    }
}

#[test]
fn nobody_is_passed_over_when_others_come_amid_a_pass() {
    for sends_between in 1..10 {
        let mut rig = Rig::new(Limits::default());
        let keys: Vec<Key> = (0..10).map(|_| rig.subscribed(r#""a""#)).collect();
        let late = rig.open();
        let some = |rig: &mut Rig, count: usize| {
            rig.shard.end_turn(&mut rig.world);
            for _ in 0..count {
                rig.shard.next_send(&mut rig.world);
            }
            rig.shard.settle();
        };
        publish(&mut rig, "a", 1);
        some(&mut rig, 4);
        publish(&mut rig, "a", 2);
        some(&mut rig, sends_between);
        let mut call = Vec::new();
        let subscribe = br#"{"id":1,"call":"subscribe","channels":["a"]}"#;
        wire::frame(TEXT, subscribe, [1, 2, 3, 4], &mut call);
        rig.shard.received(late, &mut call, &mut rig.world);
        some(&mut rig, 100);
        some(&mut rig, 100);
        assert_eq!(rig.shard.counters().deliveries, 2 * keys.len() as u64, "{sends_between} sends between");
    }
}

#[test]
fn a_flush_window_gathers_what_comes_in_it() {
    let mut rig = Rig::gathering(Limits::default(), 300);
    let key = rig.subscribed(r#""a""#);
    assert_eq!(rig.shard.next_flush_ms(), None);
    rig.publish("a", 1, "1");
    assert_eq!(rig.shard.next_flush_ms(), Some(300));
    rig.pass(100);
    rig.publish("a", 2, "2");
    assert_eq!((rig.given(key).as_str(), rig.shard.next_flush_ms()), ("", Some(200)));
    rig.pass(199);
    assert_eq!(rig.given(key), "");
    rig.pass(1);
    assert_eq!(rig.given(key), format!("{}\n{}", message("a", 1), message("a", 2)));
    assert_eq!(rig.shard.next_flush_ms(), None);
}

/// A log of eight messages: two that wait are a quarter of it.
#[test]
fn a_flush_window_ends_before_the_log_could_lose_anything() {
    let mut rig = Rig::gathering(Limits { log_messages_max: 8, ..Limits::default() }, 10_000);
    let key = rig.subscribed(r#""a""#);
    rig.publish("a", 1, "1");
    assert_eq!(rig.given(key), "");
    rig.publish("a", 2, "2");
    assert_eq!(rig.given(key), format!("{}\n{}", message("a", 1), message("a", 2)));
}

/// What was asked for itself is not held back by a room's window.
#[test]
fn answers_do_not_wait_for_a_flush_window() {
    let mut rig = Rig::gathering(Limits::default(), 10_000);
    let key = rig.subscribed(r#""a""#);
    rig.publish("a", 1, "1");
    assert!(rig.text(key, r#"{"id":7,"call":"ping"}"#).starts_with(r#"{"id":7,"ok":{}}"#));
}
