//! PushStream's polls: what they are answered with, when, and how they come back to where they were.

use chatup_core::limits::Limits;
use chatup_core::message::{Posted, UnixMillis, posted};
use chatup_core::position::{MessageId, Offset};
use chatup_core::pushstream::{Location, Mode, Settings, Stamp};
use chatup_core::shard::{Key, SlowSubscriberPolicy};

use crate::rig::Rig;
use crate::support::rules::BEGIN;

/// Texts as they are, under the paths of the original, and a location with everything.
fn rig(change: impl FnOnce(&mut Settings)) -> Rig {
    let mut settings = Settings::chatup("~text~", 64);
    settings.locations.push(Location {
        header: "HEAD".into(),
        footer: "FOOT".into(),
        longpolling_ttl_ms: 2_000,
        connection_ttl_ms: Some(1_000),
        ..Location::new("/full/", Mode::LongPolling, "~id~:~channel~:~text~")
    });
    change(&mut settings);
    Rig::serving(Limits::default(), SlowSubscriberPolicy::Tell, (true, 0), settings)
}

/// A text is published as it is, at this time after the beginning.
fn post(rig: &mut Rig, channel: &str, offset: u64, text: &str, at_ms: u64) {
    let text = Posted { text: text.into(), ..Posted::default() };
    let payload = posted(&text, MessageId(offset.into()), UnixMillis(BEGIN.0 + at_ms));
    rig.publish(channel, offset, std::str::from_utf8(&payload).unwrap());
}

fn get_on(rig: &mut Rig, key: Key, path: &str, headers: &str) -> String {
    let answer = rig.bytes(key, format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    rig.broker_opens();
    answer + &rig.given(key)
}

fn get(rig: &mut Rig, path: &str, headers: &str) -> (Key, String) {
    let key = rig.accept();
    let answer = get_on(rig, key, path, headers);
    (key, answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("{name} in {answer}"))
}

/// What a client says of where it is, of an answer.
fn place(answer: &str) -> String {
    let (time, tag) = (header(answer, "Last-Modified"), header(answer, "Etag"));
    format!("If-Modified-Since: {time}\r\nIf-None-Match: {tag}\r\n")
}

const EPOCH_BEGIN: &str = "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

#[test]
fn a_poll_is_answered_at_once() {
    let mut rig = rig(|_| {});
    let (key, answer) = get(&mut rig, "/poll/a/b", "");
    assert!(answer.starts_with("HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n"), "{answer}");
    assert!(!answer.contains("Etag") && !answer.contains("Last-Modified"), "{answer}");
    assert!(answer.contains("Expires: Thu, 01 Jan 1970 00:00:01 GMT\r\n"), "{answer}");
    assert!(answer.contains("Cache-Control: no-cache, no-store, must-revalidate\r\n"), "{answer}");
    post(&mut rig, "a", 1, "one", 0);
    post(&mut rig, "b", 1, "three", 2_000);
    post(&mut rig, "a", 2, "two", 1_000);
    assert_eq!(rig.given(key), "", "it was answered");
    // In the order of the path, not of time; where it then is, is behind all of them.
    let answer = get_on(&mut rig, key, "/poll/a/b", EPOCH_BEGIN);
    assert_eq!(body(&answer), "onetwothree");
    let third = Stamp::of(UnixMillis(BEGIN.0 + 2_000), Offset(1), br#""b""#);
    assert_eq!(header(&answer, "Last-Modified"), third.date());
    let back = place(&answer);
    let answer = get_on(&mut rig, key, "/poll/a/b", &back);
    assert!(answer.starts_with("HTTP/1.1 304 ") && place(&answer) == back, "{answer}");
    // What comes late by another clock is there.
    post(&mut rig, "a", 3, "late", 1_500);
    assert_eq!(body(&get_on(&mut rig, key, "/poll/a/b", &back)), "late");
    // In one channel the tag is the message's own.
    let answer = get_on(&mut rig, key, "/poll/b", EPOCH_BEGIN);
    assert_eq!(header(&answer, "Etag"), format!("W/{}", third.tag));
    assert_eq!(body(&get_on(&mut rig, key, "/poll/a.b1/b.b9", "")), "latethree");
    let answer = get_on(&mut rig, key, "/poll/a.b1?callback=f.g_1%24", "");
    assert_eq!(
        (body(&answer), header(&answer, "Content-Type")),
        ("f.g_1$([late]);", "application/javascript")
    );
    let answer = get_on(&mut rig, key, "/jsonp/a.b2/b.b1?callback=f", "");
    assert_eq!(body(&answer), "f([two,late,three]);");
    assert_eq!(header(&answer, "X-Content-Type-Options"), "nosniff");
}

#[test]
fn a_long_poll_waits_for_the_next_message() {
    let mut rig = rig(|_| {});
    let (key, answer) = get(&mut rig, "/lp/a/b", "Origin: http://localhost\r\n");
    assert_eq!(answer, "");
    post(&mut rig, "b", 1, "one", 0);
    let answer = rig.given(key);
    assert_eq!(body(&answer), "one");
    assert_eq!(header(&answer, "Access-Control-Allow-Origin"), "http://localhost");
    assert_eq!(rig.shard.counters().subscriptions, 0, "no longer a subscriber");
    post(&mut rig, "a", 1, "two", 0);
    post(&mut rig, "b", 2, "three", 0);
    let back = place(&answer);
    let answer = get_on(&mut rig, key, "/lp/a/b", &back);
    assert_eq!(body(&answer), "twothree");
    // In vain: what then comes is not lost, by whatever clock it was said.
    let back = place(&answer);
    assert_eq!(get_on(&mut rig, key, "/lp/a/b", &back), "");
    rig.pass(30_500);
    let answer = rig.given(key);
    assert!(answer.starts_with("HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n"), "{answer}");
    assert!(!answer.contains("hung up"), "{answer}");
    post(&mut rig, "a", 2, "four", 20_000);
    assert_eq!(body(&get_on(&mut rig, key, "/lp/a/b", &place(&answer))), "four");
    // Whoever goes is no subscriber any more.
    get_on(&mut rig, key, "/lp/a", "");
    assert_eq!(rig.shard.counters().subscriptions, 1);
    rig.cut(key);
    assert_eq!(rig.shard.counters().subscriptions, 0);
}

#[test]
fn many_wait_for_the_same_message() {
    let mut rig = rig(|_| {});
    let waiting: Vec<Key> = (0..100).map(|_| get(&mut rig, "/lp/a", "").0).collect();
    post(&mut rig, "a", 1, "one", 0);
    for key in &waiting {
        assert_eq!(body(&rig.given(*key)), "one");
    }
    // A stopping worker answers those that wait, and hangs up.
    let (key, _) = get(&mut rig, "/lp/a", "");
    rig.shard.drain(&mut rig.world);
    rig.pass(1);
    let answer = rig.given(key);
    assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("hung up"), "{answer}");
}

#[test]
fn headers_footers_and_lives_of_a_location() {
    let mut with_body = rig(|settings| settings.timeout_with_body = true);
    let (key, _) = get(&mut with_body, "/full/a", "");
    post(&mut with_body, "a", 1, "x", 0);
    assert_eq!(body(&with_body.given(key)), "HEAD1:a:xFOOT");
    let answer = get_on(&mut with_body, key, "/full/a.b1?callback=f", "");
    assert_eq!(body(&answer), "HEADf([1:a:x]);FOOT");
    get_on(&mut with_body, key, "/full/a", "");
    with_body.pass(1_900);
    assert_eq!(with_body.given(key), "");
    with_body.pass(500);
    let answer = with_body.given(key);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(body(&answer), "HEAD-3::Timed outFOOT");
    let mut without = rig(|_| {});
    let (key, _) = get(&mut without, "/full/a", "");
    without.pass(2_500);
    assert!(without.given(key).starts_with("HTTP/1.1 304 "));
    // A stream and a WebSocket end in the same way.
    let mut rig = rig(|settings| {
        for (number, mode) in [(0, Mode::WebSocket), (2, Mode::Streaming)] {
            let prefix = settings.locations[number].prefix.clone();
            let full = settings.locations[6].clone();
            settings.locations[number] = Location { prefix, mode, ..full };
        }
    });
    let key = rig.accept();
    rig.bytes(key, crate::support::wire::UPGRADE.replace("/chatup/v1", "/ws/a").as_bytes());
    rig.broker_opens();
    post(&mut rig, "a", 1, "x", 0);
    assert_eq!(rig.given(key), "HEAD\n1:a:x");
    rig.pass(1_300);
    assert_eq!(rig.given(key), "FOOT\nclose 1000");
}

#[test]
fn a_mode_by_header_makes_polls() {
    let mode = |mode: &str| format!("X-Nginx-PushStream-Mode: {mode}\r\n");
    let table = [
        ("/sub/a", "polling", "HTTP/1.1 304 "),
        ("/sub/a", "POLLING", "HTTP/1.1 304 "),
        ("/ev/a", "polling", "HTTP/1.1 304 "),
        ("/sub/a", "long-polling", ""),
        ("/poll/a", "long-polling", ""),
        ("/poll/a", "streaming", "HTTP/1.1 304 "),
        ("/lp/a", "polling", ""),
    ];
    for (path, name, expected) in table {
        let mut rig = rig(|_| {});
        let (key, answer) = get(&mut rig, path, &mode(name));
        assert!(
            answer.starts_with(expected) && answer.is_empty() == expected.is_empty(),
            "{path} {name}: {answer}"
        );
        if expected.is_empty() {
            post(&mut rig, "a", 1, "x", 0);
            assert_eq!(body(&rig.given(key)), "x", "{path} {name}");
        }
    }
    let mut rig = rig(|_| {});
    get(&mut rig, "/poll/a", "");
    post(&mut rig, "a", 1, "x\ny", 0);
    assert_eq!(body(&get(&mut rig, "/ev/a.b1", &mode("polling")).1), ": \ndata: x\ndata: y\n\n");
}

#[test]
fn what_cannot_be_polled_says_why_and_keeps_the_connection() {
    let long = format!("/lp/{}", "x".repeat(257));
    let table = [
        ("/lp/", "400", "No channel id provided."),
        ("/lp/x/ALL", "403", "Channel id not authorized for this method."),
        ("/poll/ab*cd", "403", "Channel id not authorized for this method."),
        (&long, "400", "Channel id is too large."),
        ("/poll/a%0A", "403", "Channel id not allowed."),
        ("/jsonp/a?callback=a%3Cb", "400", "Callback not allowed."),
        ("/jsonp/a?callback=", "400", "Callback not allowed."),
        ("/poll/w_1", "403", "Subscribed too much wildcard channels."),
        ("/poll/a/w_1/w_2/w_3", "403", "Subscribed too much wildcard channels."),
        ("/poll/nx", "", ""),
        ("/only/nx", "403", "Subscriber could not create channels."),
        ("/only/has/w_1", "", ""),
        ("/poll/full", "403", "Subscribers limit per channel has been exceeded."),
    ];
    let mut rig = rig(|settings| {
        settings.wildcard_prefix = "w_".into();
        settings.wildcards_max = Some(2);
        settings.subscribers_max = 2;
        let only = Location::new("/only/", Mode::Polling, "~text~");
        settings.locations.push(Location { authorized_channels_only: true, ..only });
    });
    get(&mut rig, "/lp/has", "");
    post(&mut rig, "has", 1, "x", 0);
    let _crowd: Vec<Key> = (0..2).map(|_| get(&mut rig, "/lp/full", "").0).collect();
    let key = rig.accept();
    for (path, status, explain) in table {
        let answer = get_on(&mut rig, key, path, "");
        assert!(!answer.contains("hung up"), "{path}: {answer}");
        if explain.is_empty() {
            assert!(answer.starts_with("HTTP/1.1 304 "), "{path}: {answer}");
            continue;
        }
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert_eq!(header(&answer, "X-Nginx-PushStream-Explain"), explain, "{path}");
        assert_eq!(body(&answer), "", "{path}");
    }
    for (request, status) in
        [("OPTIONS /lp/ HTTP/1.1", "200"), ("POST /lp/a HTTP/1.1", "405"), ("HEAD /ev/a HTTP/1.1", "405")]
    {
        let key = rig.accept();
        let answer = rig.bytes(key, format!("{request}\r\nHost: x\r\n\r\n").as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert_eq!(answer.contains("\r\nAllow: GET\r\n"), status == "405", "{request}: {answer}");
    }
}

#[test]
fn what_was_said_long_ago_or_among_too_much_is_not_sent() {
    let mut rig = rig(|settings| {
        settings.stored_max = 3;
        settings.message_ttl_ms = Some(5_000);
    });
    // Somebody by whom the channel stays open.
    rig.subscribed(r#""a""#);
    for number in 1..=6 {
        post(&mut rig, "a", number, &number.to_string(), 1_000 * (number - 1));
    }
    rig.stand_still(6_500);
    assert_eq!(body(&get(&mut rig, "/poll/a.b9", "").1), "456");
    assert_eq!(body(&get(&mut rig, "/poll/a", EPOCH_BEGIN).1), "456");
    rig.stand_still(2_000);
    assert_eq!(body(&get(&mut rig, "/poll/a.b9", "").1), "56");
    rig.stand_still(9_000);
    assert!(get(&mut rig, "/poll/a.b9", "").1.starts_with("HTTP/1.1 304 "));
}

#[test]
fn a_place_in_the_middle_of_a_list_is_one() {
    let chat = |number: u64| {
        let time = UnixMillis(BEGIN.0 + 500 * number);
        let body = chatup_core::message::Body::Text("x");
        let bytes = chatup_core::message::payload(None, &body, MessageId(number.into()), time);
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let settings = Settings::chatup("~text~", 64);
    let mut rig = Rig::serving(Limits::default(), SlowSubscriberPolicy::Tell, (true, 2_000), settings);
    let (waiting, _) = get(&mut rig, "/lp/a", "");
    for number in 1..=4 {
        rig.publish("a", number, &chat(number));
    }
    rig.pass(2_200);
    assert_eq!(body(&rig.given(waiting)), format!("[{},{},{},{}]", chat(1), chat(2), chat(3), chat(4)));
    assert_eq!(body(&get(&mut rig, "/lp/a.b2", "").1), format!("[{},{}]", chat(3), chat(4)));
    let second = Stamp::of(UnixMillis(BEGIN.0 + 1_000), Offset(2), br#""a""#);
    let headers = format!("If-Modified-Since: {}\r\nIf-None-Match: W/{}\r\n", second.date(), second.tag);
    assert_eq!(body(&get(&mut rig, "/lp/a", &headers).1), format!("[{},{}]", chat(3), chat(4)));
}

#[test]
fn made_up_places_and_ids_are_nothing_worse() {
    let mut rig = rig(|_| {});
    get(&mut rig, "/lp/a", "");
    post(&mut rig, "a", 1, "x", 0);
    for id in
        ["@18446744073709551615-5", "@253402300799-18446744073709551615", "18446744073709551615-1", "7-1"]
    {
        let (_, answer) = get(&mut rig, &format!("/poll/a?eventid={id}"), "");
        assert!(answer.starts_with("HTTP/1.1 304 "), "{id}: {answer}");
    }
    let places = "9".repeat(40);
    let (_, answer) = get(&mut rig, "/poll/a", &format!("{EPOCH_BEGIN}If-None-Match: {places}\r\n"));
    assert_eq!(body(&answer), "x");
}

#[test]
fn requests_behind_a_poll_wait_for_its_answer() {
    let mut rig = rig(|_| {});
    let key = rig.accept();
    let poll = "GET /lp/a HTTP/1.1\r\nHost: x\r\n\r\n";
    let again = "GET /poll/a.b1?callback=f HTTP/1.1\r\nHost: x\r\n\r\n";
    let given = rig.bytes(key, format!("{poll}{again}{}", &again[..20]).as_bytes());
    rig.broker_opens();
    assert_eq!(given + &rig.given(key), "");
    post(&mut rig, "a", 1, "x", 0);
    let given = rig.given(key);
    let bodies: Vec<&str> =
        given.split("HTTP/1.1 200 OK\r\n").skip(1).map(|one| body(one).trim_end()).collect();
    assert_eq!(bodies, ["x", "f([x]);"]);
    assert_eq!(body(&rig.bytes(key, &again.as_bytes()[20..])), "f([x]);");
    // Not even many that nobody reads are answered before the first has been taken.
    rig.take_only(key, 10);
    rig.bytes(key, again.repeat(100).as_bytes());
    let unread = rig.shard.memory();
    assert!(unread.sessions < 64 * 1024, "{unread:?}");
    assert_eq!(rig.take_all(key).matches("f([x]);").count(), 100);
}

#[test]
fn a_large_answer_has_time_as_long_as_it_is_read() {
    for headers in ["", "Connection: close\r\n"] {
        let mut rig = rig(|_| {});
        rig.subscribed(r#""a""#);
        post(&mut rig, "a", 1, &"x".repeat(10_000), 0);
        let key = rig.accept();
        rig.take_only(key, 100);
        rig.bytes(key, format!("GET /poll/a.b1 HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
        rig.pass(20_000);
        let given = rig.take_all(key);
        assert!(body(&given).starts_with(&"x".repeat(10_000)), "{headers}: {} bytes", given.len());
        // Whoever reads nothing for too long is let go.
        let mut other = super::polls::rig(|_| {});
        other.subscribed(r#""a""#);
        post(&mut other, "a", 1, &"x".repeat(10_000), 0);
        let key = other.accept();
        other.take_only(key, 100);
        other.bytes(key, format!("GET /poll/a.b1 HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
        other.pass(31_000);
        assert_eq!(other.given(key), "hung up");
    }
}
