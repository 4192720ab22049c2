//! Every call, what it is answered and why it is refused.

use chatup_core::exchange::{Answer, ChannelTail, Event, Operation};
use chatup_core::limits::Limits;
use chatup_core::names::{RoomName, UserName};
use chatup_core::position::{Epoch, MessageId, Offset, Position};
use chatup_core::refusal::{BanTtl, Refusal, Refused};
use chatup_core::shard::{Key, SlowSubscriberPolicy};

use crate::rig::{EPOCH, Rig, publication};
use crate::support::rules::token;

/// Calls in their order, each with what the client is given for it once the broker has done all
/// that was asked. `…` stands for anything.
fn check(rig: &mut Rig, key: Key, table: &[(&str, &str)]) {
    for (call, expected) in table {
        let mut given = rig.text(key, call);
        rig.broker_opens();
        given.push_str(&rig.given(key));
        let fits = match expected.split_once('…') {
            Some((head, tail)) => given.starts_with(head) && given.ends_with(tail),
            None => given == *expected,
        };
        assert!(fits, "{call}\n   given: {given}\nexpected: {expected}");
    }
}

fn auth(id: u64, name: &str) -> String {
    format!(r#"{{"id":{id},"call":"auth","token":"{}"}}"#, token(name, 100))
}

#[test]
fn a_session_from_end_to_end() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    let bob = auth(2, "bob");
    check(
        &mut rig,
        key,
        &[
            (r#"{"id":1,"call":"ping"}"#, r#"{"id":1,"ok":{}}"#),
            (&bob, r#"{"id":2,"ok":{"user":{"name":"bob"},"expires":1800000100}}"#),
            (
                r#"{"id":3,"call":"subscribe","channels":["m_a",{"channel":"x","history":5}]}"#,
                r#"{"id":3,"ok":{"channels":[{"channel":"m_a","position":{"epoch":"000000000000000e","offset":0,"id":""},"next":1,"recovered":false},{"channel":"x","position":{"epoch":"000000000000000e","offset":0,"id":""},"next":1,"recovered":false}]}}"#,
            ),
            (r#"{"id":4,"call":"join","room":"a"}"#, r#"{"id":4,"ok":{"room":"a"}}"#),
            (r#"{"id":5,"call":"join","room":"a"}"#, r#"{"id":5,"ok":{"room":"a"}}"#),
            (
                r#"{"id":6,"call":"say","msg":"hi","key":"k"}"#,
                r#"{"id":6,"ok":{"position":{"epoch":"000000000000000e","offset":1,"id":"…"},"duplicate":false}}"#,
            ),
            (r#"{"id":7,"call":"unsubscribe","channels":["x"]}"#, r#"{"id":7,"ok":{}}"#),
            (r#"{"id":8,"call":"leave"}"#, r#"{"id":8,"ok":{}}"#),
        ],
    );
    rig.publish("m_a", 1, r#"{"msg":"hi"}"#);
    rig.publish("x", 1, r#"{"msg":"not any more"}"#);
    assert_eq!(rig.given(key), r#"{"channel":"m_a","offset":1,"messages":[{"msg":"hi"}]}"#);
}

#[test]
fn what_is_refused_and_how() {
    let limits = Limits { channels_per_connection_max: 4, channels_per_shard_max: 4, ..Limits::default() };
    let mut rig = Rig::new(limits);
    let (key, other) = (rig.open(), rig.open());
    check(&mut rig, other, &[(r#"{"id":1,"call":"subscribe","channels":["p","q"]}"#, r#"{"id":1,"ok":…"#)]);
    let (bob, eve, expired) = (auth(10, "bob"), auth(20, "eve"), token("bob", 0));
    let expired = format!(r#"{{"id":21,"call":"auth","token":"{expired}"}}"#);
    check(
        &mut rig,
        key,
        &[
            (
                r#"{"id":1,"call":"say","msg":"x"}"#,
                r#"{"id":1,"error":{"code":"never_joined","message":"Never joined a room.","retry":false}}"#,
            ),
            (
                r#"{"id":2,"call":"join","room":"a"}"#,
                r#"{"id":2,"error":{"code":"not_authenticated","message":"You need to be authenticated for this.","retry":false}}"#,
            ),
            (r#"{"id":3,"call":"leave"}"#, r#"{"id":3,"error":{"code":"never_joined",…"#),
            (
                r#"{"id":4,"call":"unsubscribe","channels":["a"]}"#,
                r#"{"id":4,"error":{"code":"not_subscribed","message":"This connection is not subscribed to that channel.","retry":false}}"#,
            ),
            ("nonsense", r#"{"id":null,"error":{"code":"bad_json",…"#),
            (r#"{"call":"ping"}"#, r#"{"id":null,"error":{"code":"missing_id",…"#),
            (r#"{"id":5,"call":"dance"}"#, r#"{"id":5,"error":{"code":"unknown_call",…"#),
            (r#"{"id":5,"call":"join"}"#, r#"{"id":5,"error":{"code":"bad_field",…,"field":"room"}}"#),
            (r#"{"id":5,"call":"join","room":"*"}"#, r#"{"id":5,"error":{"code":"invalid_name",…"#),
            (r#"{"id":6,"call":"auth","token":"a.b.c"}"#, r#"{"id":6,"error":{"code":"token_malformed",…"#),
            (&expired, r#"{"id":21,"error":{"code":"token_expired",…"#),
            (r#"{"id":7,"call":"subscribe","channels":[]}"#, r#"{"id":7,"error":{"code":"bad_field",…"#),
            (
                r#"{"id":7,"call":"subscribe","channels":["a","a"]}"#,
                r#"{"id":7,"error":{"code":"already_subscribed",…"#,
            ),
            (
                r#"{"id":7,"call":"subscribe","channels":["a","b","c","d","e"]}"#,
                r#"{"id":7,"error":{"code":"too_many_channels",…"#,
            ),
            (
                r#"{"id":7,"call":"subscribe","channels":["a","b","c"]}"#,
                r#"{"id":7,"error":{"code":"channels_full",…,"retry":true}}"#,
            ),
            (r#"{"id":8,"call":"subscribe","channels":["a","p"]}"#, r#"{"id":8,"ok":…"#),
            (
                r#"{"id":9,"call":"subscribe","channels":["b","p"]}"#,
                r#"{"id":9,"error":{"code":"already_subscribed",…"#,
            ),
            (&bob, r#"{"id":10,"ok":…"#),
            (&eve, r#"{"id":20,"ok":…"#),
            (&bob, r#"{"id":10,"ok":…"#),
            (r#"{"id":11,"call":"join","room":"a"}"#, r#"{"id":11,"ok":{"room":"a"}}"#),
            (&eve, r#"{"id":20,"error":{"code":"identity_locked",…"#),
            (&bob, r#"{"id":10,"ok":…"#),
            (r#"{"id":12,"call":"join","room":"b"}"#, r#"{"id":12,"error":{"code":"already_joined",…"#),
            (r#"{"id":13,"call":"say","msg":""}"#, r#"{"id":13,"error":{"code":"message_empty",…"#),
            (r#"{"id":14,"call":"say","msg":"x","key":""}"#, r#"{"id":14,"error":{"code":"bad_field",…"#),
        ],
    );
    let long = format!(r#"{{"id":15,"call":"say","msg":"{}"}}"#, "x".repeat(4_097));
    check(&mut rig, key, &[(&long, r#"{"id":15,"error":{"code":"message_too_long",…"#)]);
}

#[test]
fn reading_may_need_a_token() {
    let mut rig = Rig::with(Limits::default(), SlowSubscriberPolicy::Tell, false);
    let key = rig.open();
    let subscribe = r#"{"id":1,"call":"subscribe","channels":["a"]}"#;
    let bob = auth(2, "bob");
    check(&mut rig, key, &[(subscribe, r#"{"id":1,"error":{"code":"not_authenticated",…"#)]);
    check(&mut rig, key, &[(&bob, r#"{"id":2,"ok":…"#), (subscribe, r#"{"id":1,"ok":…"#)]);
}

#[test]
fn a_token_that_runs_out_ends_speaking_but_not_the_membership() {
    let mut rig = Rig::new(Limits { ping_after_ms: 1_000_000, ..Limits::default() });
    let key = rig.open();
    let (bob, say) = (auth(1, "bob"), r#"{"id":3,"call":"say","msg":"x"}"#);
    check(&mut rig, key, &[(&bob, "{…"), (r#"{"id":2,"call":"join","room":"a"}"#, r#"{"id":2,"ok":…"#)]);
    rig.pass(99_999);
    rig.given(key);
    check(&mut rig, key, &[(say, r#"{"id":3,"ok":…"#)]);
    rig.pass(1);
    check(&mut rig, key, &[(say, r#"{"id":3,"error":{"code":"token_expired",…"#)]);
    let renewed = format!(r#"{{"id":4,"call":"auth","token":"{}"}}"#, token("bob", 200));
    check(&mut rig, key, &[(&renewed, r#"{"id":4,"ok":…"#), (say, r#"{"id":3,"ok":…"#)]);
}

#[test]
fn what_the_broker_says_to_a_say_and_a_join() {
    let position = Position { epoch: EPOCH, offset: Offset(7), id: MessageId::from_random(1) };
    let table = [
        (
            Answer::Published { position, duplicate: true },
            r#"{"id":9,"ok":{"position":{"epoch":"000000000000000e","offset":7,"id":"00000000-0000-4000-8000-000000000001"},"duplicate":true}}"#,
        ),
        (
            Answer::Refused(Refused::banned(BanTtl::left(30_000, 0))),
            r#"{"id":9,"error":{"code":"banned","message":"You are banned from this room.","retry":true,"ttl_s":30}}"#,
        ),
        (
            Answer::Refused(Refusal::Unavailable.into()),
            r#"{"id":9,"error":{"code":"unavailable","message":"The store of messages cannot be reached now.","retry":true}}"#,
        ),
    ];
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    let bob = auth(1, "bob");
    check(&mut rig, key, &[(&bob, "{…"), (r#"{"id":2,"call":"join","room":"a"}"#, r#"{"id":2,"ok":…"#)]);
    for (answer, expected) in table {
        assert_eq!(rig.text(key, r#"{"id":9,"call":"say","msg":"x"}"#), "", "not before the broker");
        assert_eq!(rig.broker(|_| answer), "Publish");
        assert_eq!(rig.given(key), expected);
    }
    rig.world.full = true;
    let given = rig.text(key, r#"{"id":9,"call":"say","msg":"x"}"#);
    assert!(given.starts_with(r#"{"id":9,"error":{"code":"overloaded","#), "{given}");
    rig.world.full = false;
    rig.text(key, r#"{"id":3,"call":"leave"}"#);
    rig.broker_opens();
    rig.given(key);
    rig.text(key, r#"{"id":4,"call":"join","room":"a"}"#);
    rig.broker(|_| Answer::Joined(Some(BanTtl::FOREVER)));
    assert_eq!(rig.given(key), r#"{"id":4,"ok":{"room":"a","banned":{"ttl_s":-1}}}"#);
}

/// One may leave and join another room before the first answer: each answer is for its own call,
/// and a refusal of the first takes nobody out of the second.
#[test]
fn joins_that_overtake_their_answers() {
    for refused in [false, true] {
        let mut rig = Rig::new(Limits::default());
        let key = rig.open();
        rig.text(key, &auth(1, "bob"));
        for call in [r#""join","room":"a""#, r#""leave""#, r#""join","room":"b""#] {
            rig.text(key, &format!(r#"{{"id":2,"call":{call}}}"#));
        }
        rig.given(key);
        let (answer, expected) = match refused {
            true => {
                (Answer::Refused(Refusal::Unavailable.into()), r#"{"id":2,"error":{"code":"unavailable","#)
            }
            false => (Answer::Joined(None), r#"{"id":2,"ok":{"room":"a"}}"#),
        };
        assert_eq!(rig.broker(|_| answer), "Join");
        assert!(rig.given(key).starts_with(expected));
        assert_eq!(rig.broker(|_| Answer::Done), "Leave");
        assert_eq!(rig.broker(|_| Answer::Joined(None)), "Join");
        assert_eq!(rig.given(key), r#"{"id":2,"ok":{"room":"b"}}"#);
        rig.cut(key);
        assert_eq!(rig.broker(|_| Answer::Done), "Leave", "of the room that it is a member of");
    }
}

#[test]
fn more_calls_in_flight_than_allowed() {
    let mut rig = Rig::new(Limits { calls_in_flight_max: 2, ..Limits::default() });
    let key = rig.open();
    let bob = auth(1, "bob");
    check(&mut rig, key, &[(&bob, "{…"), (r#"{"id":2,"call":"join","room":"a"}"#, r#"{"id":2,"ok":…"#)]);
    let say = r#"{"id":3,"call":"say","msg":"x"}"#;
    assert_eq!((rig.text(key, say), rig.text(key, say)), (String::new(), String::new()));
    assert_eq!(
        rig.text(key, say),
        r#"{"id":3,"error":{"code":"too_many_in_flight","message":"Too many calls wait for an answer.","retry":true}}"#
    );
    rig.broker_opens();
    rig.given(key);
    assert_eq!(rig.text(key, say), "", "there is room again");
}

#[test]
fn a_ban_is_told_to_whom_it_is_for() {
    let mut rig = Rig::new(Limits::default());
    let (bob, eve, elsewhere) = (rig.open(), rig.open(), rig.open());
    for (key, name, room) in [(bob, "bob", "a"), (eve, "eve", "a"), (elsewhere, "bob", "b")] {
        rig.text(key, &auth(1, name));
        rig.text(key, &format!(r#"{{"id":2,"call":"join","room":"{room}"}}"#));
        rig.broker_opens();
        rig.given(key);
    }
    let (room, name) = (RoomName::new("a").unwrap(), UserName::new("bob").unwrap());
    rig.event(Event::Banned { room, name, ttl: BanTtl::left(30_000, 0) });
    assert_eq!(rig.given(bob), r#"{"banned":{"room":"a","ttl_s":30}}"#);
    assert_eq!((rig.given(eve), rig.given(elsewhere)), (String::new(), String::new()));
}

#[test]
fn an_open_that_fails_refuses_the_whole_call_and_leaves_nothing() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    rig.text(key, r#"{"id":1,"call":"subscribe","channels":["a","b"]}"#);
    // The first opens and nobody else wants it: it waits for the second, however long that takes.
    rig.broker(|_| empty_tail("a", EPOCH));
    rig.pass(20_000);
    assert_eq!(rig.broker(|_| Answer::Refused(Refusal::Unavailable.into())), "Open");
    let given = rig.given(key);
    assert!(given.starts_with(r#"{"id":1,"error":{"code":"unavailable","#), "{given}");
    rig.pass(20_000);
    assert_eq!(rig.broker(|_| Answer::Done), "Close");
    assert_eq!((rig.shard.channel_counts(), rig.world.asked.len()), ((0, 0), 0));
}

#[test]
fn a_channel_that_opens_first_waits_for_the_others_of_its_call() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    rig.text(key, r#"{"id":1,"call":"subscribe","channels":["a","b"]}"#);
    rig.broker(|_| empty_tail("a", EPOCH));
    rig.pass(20_000);
    rig.broker(|_| empty_tail("b", EPOCH));
    let given = rig.given(key);
    assert!(given.contains(r#"{"channel":"a","#) && given.contains(r#"{"channel":"b","#), "{given}");
    rig.publish("a", 1, "1");
    assert_eq!(rig.given(key), r#"{"channel":"a","offset":1,"messages":[1]}"#);
}

fn empty_tail(channel: &str, epoch: Epoch) -> Answer {
    tail(channel, epoch, 0, 0)
}

/// The messages behind `before` up to `head`, each with its offset for a payload.
fn tail(channel: &str, epoch: Epoch, before: u64, head: u64) -> Answer {
    let messages: Vec<_> =
        (before + 1..=head).map(|offset| publication(channel, epoch, offset, &offset.to_string())).collect();
    let channel = publication(channel, epoch, 1, "").channel;
    let before = Position { epoch, offset: Offset(before), id: MessageId(u128::from(before)) };
    Answer::Opened(ChannelTail { channel, before, messages })
}

#[test]
fn who_comes_back_is_given_what_is_missing_or_told_that_it_cannot_be() {
    let position = |epoch: u64, offset: u64, id: u64| {
        let id = if id == 0 { String::new() } else { format!("00000000-0000-0000-0000-{id:012x}") };
        format!(r#""position":{{"epoch":"{epoch:016x}","offset":{offset},"id":"{id}"}}"#)
    };
    // The channel is at 9 and its log begins behind 4.
    let table = [
        (position(0xE, 7, 7), true, 8),
        (position(0xE, 9, 9), true, 10),
        (position(0xE, 4, 4), true, 5),
        (position(0xE, 3, 3), false, 10),
        (position(0xE, 10, 10), false, 10),
        (position(0xE, 7, 8), false, 10),
        (position(0xF, 7, 7), false, 10),
        (position(0xE, 3, 3) + r#","history":2"#, false, 8),
        (r#""history":100"#.into(), false, 5),
    ];
    for (fields, recovered, next) in table {
        let mut rig = Rig::new(Limits::default());
        let key = rig.open();
        rig.text(key, &format!(r#"{{"id":1,"call":"subscribe","channels":[{{"channel":"a",{fields}}}]}}"#));
        rig.broker(|_| tail("a", EPOCH, 4, 9));
        assert!(rig.world.asked.is_empty(), "the owner's log is the truth: {fields}");
        let given = rig.given(key);
        let mut lines = given.lines();
        let ends = format!(r#""next":{next},"recovered":{recovered}}}]}}}}"#);
        assert!(lines.next().unwrap().ends_with(&ends), "{fields}: {given}");
        let messages: Vec<String> = lines.map(str::to_owned).collect();
        let expected: Vec<String> = (next..=9)
            .map(|offset| format!(r#"{{"channel":"a","offset":{offset},"messages":[{offset}]}}"#))
            .collect();
        assert_eq!(messages, expected, "{fields}");
    }
}

#[test]
fn missing_messages_are_fetched_once_and_again_if_that_fails() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    check(&mut rig, key, &[(r#"{"id":1,"call":"subscribe","channels":["a"]}"#, r#"{"id":1,"ok":…"#)]);
    rig.publish("a", 1, "1");
    rig.publish("a", 1, "1");
    assert_eq!(rig.given(key), r#"{"channel":"a","offset":1,"messages":[1]}"#, "once");
    rig.publish("a", 3, "3");
    rig.publish("a", 4, "4");
    assert_eq!((rig.given(key).as_str(), rig.world.asked.len()), ("", 1), "asked for once");
    rig.broker(|_| Answer::Refused(Refusal::Unavailable.into()));
    rig.pass(200);
    assert_eq!(rig.broker(|_| tail("a", EPOCH, 0, 4)), "Open", "without another message");
    let expected = [2, 3, 4].map(|n| format!(r#"{{"channel":"a","offset":{n},"messages":[{n}]}}"#));
    assert_eq!(rig.given(key), expected.join("\n"));
}

#[test]
fn a_channel_that_loses_its_past_is_reset() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    check(&mut rig, key, &[(r#"{"id":1,"call":"subscribe","channels":["a"]}"#, r#"{"id":1,"ok":…"#)]);
    rig.publish("a", 1, "1");
    rig.given(key);
    rig.event(Event::Published(publication("a", Epoch(0xF), 2, "2")));
    rig.broker(|_| tail("a", Epoch(0xF), 1, 2));
    let expected = "{\"reset\":{\"channel\":\"a\",\"position\":{\"epoch\":\"000000000000000f\",\"offset\":2,\
        \"id\":\"00000000-0000-0000-0000-000000000002\"},\"next\":2}}\n\
        {\"channel\":\"a\",\"offset\":2,\"messages\":[2]}";
    assert_eq!(rig.given(key), expected);
}

#[test]
fn the_end_of_a_connection_is_a_leave_and_a_leave_is_not_lost_in_a_full_queue() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    let bob = auth(1, "bob");
    check(&mut rig, key, &[(&bob, "{…"), (r#"{"id":2,"call":"join","room":"a"}"#, r#"{"id":2,"ok":…"#)]);
    rig.world.full = true;
    rig.cut(key);
    assert!(rig.shard.is_behind());
    rig.world.full = false;
    rig.pass(1);
    assert!(matches!(rig.world.asked.pop_front(), Some((_, Operation::Leave { .. }))));
    assert_eq!((rig.shard.connections(), rig.shard.is_behind()), (0, false));
}
