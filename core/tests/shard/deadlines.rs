//! What happens when nothing does: handshakes, pings, idleness, closes without an answer.

use chatup_core::limits::Limits;
use chatup_core::pushstream::Settings;
use chatup_core::shard::SlowSubscriberPolicy;

use crate::rig::Rig;
use crate::support::rules::token;
use crate::support::wire::PONG;

/// The most by which a deadline may come late: two ticks.
const GRAIN_MS: u64 = 256;

#[test]
fn a_handshake_has_its_time() {
    let mut rig = Rig::new(Limits::default());
    let (silent, halfway) = (rig.accept(), rig.accept());
    rig.pass(5_000);
    assert_eq!(rig.bytes(halfway, b"GET / HTTP/1.1\r\n"), "");
    rig.pass(4_999);
    assert_eq!((rig.given(silent), rig.given(halfway)), (String::new(), String::new()));
    rig.pass(GRAIN_MS + 1);
    for key in [silent, halfway] {
        let given = rig.given(key);
        assert!(given.starts_with("HTTP/1.1 408 ") && given.ends_with("hung up"), "{given}");
    }
    assert_eq!(rig.shard.connections(), 0);
}

#[test]
fn silence_is_asked_about_and_then_ends() {
    let mut rig = Rig::new(Limits { idle_ms_max: 1_000_000, ..Limits::default() });
    let (dead, alive, busy) = (rig.open(), rig.open(), rig.open());
    rig.pass(20_000);
    // Any byte counts, be it half a frame.
    assert_eq!(rig.bytes(busy, b"\x81"), "");
    rig.pass(4_999);
    assert_eq!(rig.given(dead), "");
    rig.pass(GRAIN_MS + 1);
    assert_eq!([dead, alive, busy].map(|key| rig.given(key)), ["ping", "ping", ""]);
    assert_eq!(rig.frame(alive, PONG, b""), "");
    rig.pass(19_500);
    assert_eq!([dead, alive, busy].map(|key| rig.given(key)), ["", "", ""]);
    rig.pass(500 + GRAIN_MS);
    let given = [dead, alive, busy].map(|key| rig.given(key));
    assert_eq!(given, ["close 4001 ping_timeout", "", "ping"]);
    // Nothing comes from it: it is given up all the same.
    rig.pass(2_000 + GRAIN_MS);
    assert_eq!(rig.given(dead), "hung up");
    rig.pass(5_000);
    assert_eq!(rig.given(alive), "ping", "the next silence");
}

#[test]
fn who_answers_is_pinged_after_each_silence_however_long_an_answer_may_take() {
    let limits = Limits { ping_after_ms: 2_000, pong_within_ms: 20_000, ..Limits::default() };
    let mut rig = Rig::new(Limits { idle_ms_max: 1_000_000, ..limits });
    let (dead, alive) = (rig.open(), rig.open());
    for round in 0..6 {
        rig.pass(2_000 - GRAIN_MS);
        assert_eq!(rig.given(alive), "", "{round}");
        // Its answer may have come in the middle of a tick, and this may end in one.
        rig.pass(3 * GRAIN_MS);
        assert_eq!(rig.given(alive), "ping", "{round}");
        assert_eq!(rig.given(dead), if round == 0 { "ping" } else { "" }, "once is enough");
        assert_eq!(rig.frame(alive, PONG, b""), "");
    }
    rig.pass(22_000 + 3 * GRAIN_MS - 6 * (2_000 + 2 * GRAIN_MS));
    assert_eq!(rig.given(dead), "close 4001 ping_timeout");
}

#[test]
fn neither_subscribed_nor_a_member_is_idle() {
    let mut rig = Rig::new(Limits { ping_after_ms: 1_000_000, ..Limits::default() });
    let keys = [rig.open(), rig.open(), rig.open(), rig.open()];
    let [_, subscribed, member, talker] = keys;
    rig.text(subscribed, r#"{"id":1,"call":"subscribe","channels":["a"]}"#);
    let auth = format!(r#"{{"id":1,"call":"auth","token":"{}"}}"#, token("bob", 1_000));
    rig.text(member, &auth);
    rig.text(member, r#"{"id":2,"call":"join","room":"a"}"#);
    rig.broker_opens();
    keys.iter().for_each(|key| drop(rig.given(*key)));
    rig.pass(59_000);
    assert_eq!(rig.text(talker, r#"{"id":1,"call":"ping"}"#), r#"{"id":1,"ok":{}}"#);
    rig.pass(1_000 + GRAIN_MS);
    let given = keys.map(|key| rig.given(key));
    assert_eq!(given, ["close 4000 idle", "", "", "close 4000 idle"], "pinging is no use of a connection");

    rig.pass(30_000);
    rig.text(subscribed, r#"{"id":3,"call":"unsubscribe","channels":["a"]}"#);
    rig.text(member, r#"{"id":3,"call":"leave"}"#);
    rig.pass(59_000);
    assert_eq!([subscribed, member].map(|key| rig.given(key)), ["", ""], "its time begins anew");
    rig.pass(1_000 + GRAIN_MS);
    let given = [subscribed, member].map(|key| rig.given(key));
    assert_eq!(given, ["close 4000 idle", "close 4000 idle"]);
}

#[test]
fn a_channel_outlives_its_last_subscriber_a_little() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    let subscribe = r#"{"id":1,"call":"subscribe","channels":["m_a"]}"#;
    rig.text(key, subscribe);
    rig.broker_opens();
    assert_eq!(rig.shard.take_viewer_counts().len(), 1);
    rig.publish("m_a", 1, "1");
    rig.cut(key);
    rig.pass(4_900);
    assert_eq!(rig.shard.channel_counts(), (1, 1));
    let key = rig.open();
    assert!(rig.text(key, subscribe).starts_with(r#"{"id":1,"ok":"#), "without asking the broker");
    rig.pass(5_000);
    assert_eq!((rig.shard.channel_counts(), rig.world.asked.len()), ((1, 1), 0));
    rig.cut(key);
    rig.pass(5_000 + GRAIN_MS);
    assert_eq!((rig.shard.channel_counts(), rig.world.asked.len()), ((0, 0), 1));
    let counts: Vec<_> = rig.shard.take_viewer_counts().into_iter().map(|(_, count)| count).collect();
    assert_eq!(counts, [0]);
}

/// Whoever names channels at random takes no place for longer than a turn.
#[test]
fn a_channel_without_a_message_goes_with_its_last_subscriber() {
    let mut rig = Rig::new(Limits::default());
    let key = rig.open();
    rig.text(key, r#"{"id":1,"call":"subscribe","channels":["a"]}"#);
    rig.broker_opens();
    rig.text(key, r#"{"id":2,"call":"unsubscribe","channels":["a"]}"#);
    rig.pass(0);
    assert_eq!(rig.shard.channel_counts(), (0, 0));
}

/// Nobody could be heard meanwhile: the time to answer the ping begins when it is sent.
#[test]
fn after_a_pause_of_the_process_everybody_has_the_whole_time_to_answer() {
    let limits = Limits { idle_ms_max: 1_000_000, ..Limits::default() };
    let mut rig = Rig::new(limits.clone());
    let key = rig.open();
    rig.stand_still(10 * (limits.ping_after_ms + limits.pong_within_ms));
    assert_eq!(rig.given(key), "ping", "and no close");
    rig.pass(limits.pong_within_ms - 1_000);
    assert_eq!(rig.given(key), "", "not before its time");
    rig.pass(1_000 + 3 * GRAIN_MS);
    assert_eq!(rig.given(key), "close 4001 ping_timeout");
}

/// And one that was used meanwhile stays for as long again. An empty one goes within a tick.
#[test]
fn a_channel_that_nobody_uses_stays_for_as_long_as_was_said() {
    for (inactivity_ms, stays_ms) in [(None, 5_000), (Some(9_000), 9_000)] {
        let settings = Settings { inactivity_ms, ..Settings::chatup("~text~;", 64) };
        let mut rig = Rig::serving(Limits::default(), SlowSubscriberPolicy::Tell, (true, 0), settings);
        rig.pass(200);
        let key = rig.open();
        let use_it = |rig: &mut Rig, message: bool| {
            rig.text(key, r#"{"id":1,"call":"subscribe","channels":["a"]}"#);
            rig.broker_opens();
            if message {
                rig.publish("a", 1, "1");
            }
            rig.text(key, r#"{"id":2,"call":"unsubscribe","channels":["a"]}"#);
        };
        use_it(&mut rig, false);
        rig.pass(GRAIN_MS);
        assert_eq!(rig.shard.channel_counts().0, 0, "it was empty");
        use_it(&mut rig, true);
        for round in 0..3 {
            rig.pass(stays_ms - GRAIN_MS);
            assert_eq!(rig.shard.channel_counts().0, 1, "{inactivity_ms:?} {round}");
            use_it(&mut rig, false);
        }
        rig.pass(stays_ms + 2 * GRAIN_MS);
        assert_eq!(rig.shard.channel_counts().0, 0, "{inactivity_ms:?}");
    }
}
