//! Clients that read too little: what is kept for them is bounded, and they are told or closed.

use chatup_core::limits::{CLOSE_PIECE_BYTES, CLOSE_PIECES_MAX, CONTROL_QUEUE_BYTES_MAX, Limits};
use chatup_core::shard::SlowSubscriberPolicy;

use crate::rig::Rig;
use crate::support::wire::{self, PING, UPGRADE};

fn message(offset: u64) -> String {
    format!(r#"{{"channel":"a","offset":{offset},"messages":[{offset}]}}"#)
}

#[test]
fn who_falls_out_of_the_log_is_told_or_closed() {
    let table = [
        (
            SlowSubscriberPolicy::Tell,
            vec![
                message(1),
                r#"{"gap":{"channel":"a","from":2,"to":6}}"#.into(),
                message(7),
                message(8),
                message(9),
            ],
        ),
        (SlowSubscriberPolicy::Close, vec![message(1), "close 4002 slow_subscriber".into()]),
    ];
    for (policy, expected) in table {
        let mut rig = Rig::with(Limits { log_messages_max: 3, ..Limits::default() }, policy, true);
        let (slow, fast) = (rig.subscribed(r#""a""#), rig.subscribed(r#""a""#));
        rig.take_only(slow, 5);
        for offset in 1..=9 {
            rig.publish("a", offset, &offset.to_string());
            assert_eq!(rig.given(fast), message(offset));
        }
        assert_eq!(rig.given(slow), "");
        assert_eq!(rig.take_all(slow), expected.join("\n"), "the frame that was cut is finished first");
    }
}

#[test]
fn a_socket_that_takes_nothing_is_closed() {
    let mut rig = Rig::new(Limits { ping_after_ms: 1_000_000, ..Limits::default() });
    let key = rig.subscribed(r#""a""#);
    rig.take_only(key, 5);
    rig.publish("a", 1, "1");
    rig.pass(29_900);
    assert_eq!(rig.shard.counters().slow_closed, 0);
    rig.pass(500);
    assert_eq!(rig.shard.counters().slow_closed, 1);
    let given = rig.take_all(key);
    assert_eq!(given, format!("{}\nclose 4002 slow_subscriber", message(1)), "if it reads after all");
    rig.pass(2_500);
    assert_eq!((rig.given(key).as_str(), rig.shard.connections()), ("hung up", 0));
}

#[test]
fn a_socket_that_takes_a_little_now_and_then_stays() {
    let mut rig = Rig::new(Limits { ping_after_ms: 1_000_000, ..Limits::default() });
    let key = rig.subscribed(r#""a""#);
    rig.take_only(key, 0);
    rig.publish("a", 1, "1");
    for _ in 0..4 {
        rig.pass(20_000);
        rig.take_all(key);
        rig.take_only(key, 1);
        rig.publish("a", rig.shard.counters().messages + 1, "1");
    }
    assert_eq!(rig.shard.counters().slow_closed, 0);
}

/// tungstenite's own writer would grow without end here.
#[test]
fn who_pings_and_never_reads_is_closed() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    rig.take_only(key, 100);
    let mut pings = 0;
    while rig.shard.counters().slow_closed == 0 {
        rig.frame(key, PING, &[b'x'; 125]);
        pings += 1;
        assert!(pings * 125 < 2 * CONTROL_QUEUE_BYTES_MAX, "bounded");
    }
    assert!(rig.take_all(key).ends_with("\nclose 4003 slow_reader"));
}

/// Only what a full socket holds up counts: the answers to one read may be many.
#[test]
fn a_burst_behind_the_upgrade_is_answered_whole() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.accept();
    let mut bytes = UPGRADE.as_bytes().to_vec();
    for _ in 0..600 {
        wire::frame(PING, &[b'x'; 125], [1, 2, 3, 4], &mut bytes);
    }
    let given = rig.bytes(key, &bytes);
    assert!(given.starts_with("HTTP/1.1 101 "));
    assert_eq!(given.matches("\npong ").count(), 600);
    assert_eq!(rig.shard.counters().slow_closed, 0);
}

/// Who has not read our close frame yet may have sent much; who goes on sending is cut off.
#[test]
fn a_flood_behind_the_close_is_cut_off() {
    for (piece, pieces_until_cut) in [
        (CLOSE_PIECE_BYTES, Some(CLOSE_PIECES_MAX)),
        (4_096, Some(CLOSE_PIECES_MAX)),
        (CLOSE_PIECE_BYTES - 1, None),
    ] {
        let mut rig = Rig::new(Limits::default());
        let key = rig.open();
        assert!(rig.bytes(key, &[0x81, 1, b'x']).starts_with("close 1002"), "an unmasked frame");
        for number in 1..=u8::MAX {
            let given = rig.bytes(key, &vec![0xff; piece]);
            let expected = if Some(number) == pieces_until_cut { "hung up" } else { "" };
            assert_eq!(given, expected, "piece {number} of {piece} bytes");
            if !given.is_empty() {
                break;
            }
        }
    }
}
