//! The backlog: each channel's order, what fits a post, what is dropped, and that everything is counted.

use chatup_core::message::{Posted, posted};
use chatup_core::position::MessageId;
use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { flush_interval_ms: 100, post_bytes_max: 60, waiting_bytes_max: 4_000 };

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn message(number: u32) -> Arc<[u8]> {
    format!("{{\"i\":{number}}}").into_bytes().into()
}

fn text(text: &str, deletes: bool) -> Arc<[u8]> {
    let said = Posted {
        text: text.into(),
        event_id: Some("e1".into()),
        event_type: None,
        deletes,
        ..Posted::default()
    };
    posted(&said, MessageId::from_random(1), chatup_core::message::UnixMillis(5))
}

fn body(post: &Post) -> String {
    String::from_utf8(post.body.clone()).unwrap()
}

#[test]
fn messages_are_gathered_and_split() {
    let bounds = Bounds { post_bytes_max: 25, ..BOUNDS };
    let mut backlog = Backlog::new(bounds);
    let (a, b) = (name("a"), name("b"));
    assert!(backlog.take(&a, message(1), 0), "the first is news");
    assert!(!backlog.take(&b, message(2), 1), "due later");
    assert_eq!(backlog.due(), Some(0), "more than fits waits for nothing");

    let mut backlog = Backlog::new(BOUNDS);
    assert!(backlog.take(&a, Arc::from(*b"{}"), 0));
    // Its overhead alone fills such a post: so bounds this small gather nothing.
    assert_eq!(backlog.due(), Some(0));

    let wide = Bounds { post_bytes_max: 10_000, ..BOUNDS };
    let mut backlog = Backlog::new(wide);
    for number in 0..5 {
        backlog.take(&a, message(number), number.into());
    }
    backlog.take(&b, message(9), 7);
    assert_eq!((backlog.due(), backlog.next(99)), (Some(100), None), "still being gathered");
    let post = backlog.next(100).unwrap();
    assert_eq!(body(&post), r#"[{"i":0},{"i":1},{"i":2},{"i":3},{"i":4}]"#);
    assert_eq!((post.channel.clone(), post.deletes, post.event_id), (a.clone(), false, None));
    assert_eq!(backlog.next(100), None, "the other is due later");
    backlog.take(&a, message(5), 101);
    assert_eq!(body(&backlog.next(500).unwrap()), r#"[{"i":9}]"#);
    assert_eq!(backlog.next(500), None, "one post of a channel at a time");
    backlog.done(&a, Outcome::Delivered, 600);
    assert_eq!((backlog.due(), backlog.next(699)), (Some(700), None), "gathered again");
    assert_eq!(body(&backlog.next(700).unwrap()), r#"[{"i":5}]"#);
    backlog.done(&a, Outcome::Delivered, 700);
    backlog.done(&b, Outcome::Refused, 700);
    assert!(backlog.is_empty());
    let expected = Figures { posts: 2, posted_messages: 6, refused_messages: 1, ..Figures::default() };
    assert_eq!(backlog.figures, expected);
}

#[test]
fn a_post_is_no_longer_than_it_may_be_but_for_a_single_message() {
    let bounds = Bounds { flush_interval_ms: 0, post_bytes_max: 20, waiting_bytes_max: 100_000 };
    let mut backlog = Backlog::new(bounds);
    let a = name("a");
    for number in [1, 2, 3] {
        backlog.take(&a, message(number), 0);
    }
    backlog.take(&a, vec![b'x'; 90].into(), 0);
    let mut bodies = Vec::new();
    while let Some(post) = backlog.next(0) {
        bodies.push(body(&post));
        backlog.done(&a, Outcome::Delivered, 0);
    }
    // 20 bytes are two of them with everything around: [..,..] has 17.
    assert_eq!(
        bodies,
        [r#"[{"i":1},{"i":2}]"#.into(), r#"[{"i":3}]"#.into(), format!("[{}]", "x".repeat(90))]
    );
}

#[test]
fn texts_go_by_themselves_in_their_place() {
    let mut backlog = Backlog::new(Bounds { flush_interval_ms: 0, post_bytes_max: 9_999, ..BOUNDS });
    let a = name("a");
    for one in [message(1), text("free", false), text("gone", true), message(2), message(3)] {
        backlog.take(&a, one, 0);
    }
    let mut shown = Vec::new();
    while let Some(post) = backlog.next(0) {
        shown.push((body(&post), post.deletes, post.event_id));
        backlog.done(&a, Outcome::Delivered, 0);
    }
    let e1 = Some("e1".to_owned());
    let expected = [
        (r#"[{"i":1}]"#.to_owned(), false, None),
        ("free".to_owned(), false, e1.clone()),
        ("gone".to_owned(), true, e1),
        (r#"[{"i":2},{"i":3}]"#.to_owned(), false, None),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_failure_keeps_the_order_and_the_messages() {
    let mut backlog = Backlog::new(Bounds { flush_interval_ms: 0, post_bytes_max: 9_999, ..BOUNDS });
    let a = name("a");
    backlog.take(&a, message(1), 0);
    assert_eq!(body(&backlog.next(0).unwrap()), r#"[{"i":1}]"#);
    backlog.take(&a, message(2), 0);
    let mut now = 0;
    for pause in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
        backlog.done(&a, Outcome::Failed { taken: false }, now);
        assert!(!backlog.take(&a, message(3), now), "it waits with the others");
        assert_eq!(backlog.due(), Some(now + pause));
        now += pause;
        assert!(body(&backlog.next(now).unwrap()).starts_with(r#"[{"i":1},{"i":2},{"i":3}"#));
    }
    backlog.done(&a, Outcome::Delivered, now);
    assert!(backlog.is_empty());
    assert_eq!((backlog.figures.posted_messages, backlog.figures.failed_posts), (10, 8));
}

#[test]
fn what_nginx_stumbles_over_is_given_up_alone_and_sooner_where_others_are_taken() {
    for (taken, others) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut backlog = Backlog::new(Bounds { flush_interval_ms: 0, post_bytes_max: 9_999, ..BOUNDS });
        let (a, b) = (name("a"), name("b"));
        for number in [1, 2, 3] {
            backlog.take(&a, message(number), 0);
        }
        let (mut now, mut given_up) = (0, None);
        for attempt in 1..=ATTEMPTS_MAX + 5 {
            let post = backlog.next(now).unwrap();
            let single = taken && attempt > SINGLE_FROM_ATTEMPT;
            let first = if single { r#"[{"i":1}]"# } else { r#"[{"i":1},{"i":2},{"i":3}]"# };
            assert_eq!((post.channel.clone(), body(&post).as_str()), (a.clone(), first), "{attempt}");
            backlog.done(&a, Outcome::Failed { taken }, now);
            if backlog.figures.refused_messages > 0 {
                given_up = Some(attempt);
                break;
            }
            if others {
                backlog.take(&b, message(9), now);
                assert_eq!(backlog.next(now).unwrap().channel, b);
                backlog.done(&b, Outcome::Delivered, now);
            }
            now += RETRY_MS_MAX;
        }
        let expected = if others { ATTEMPTS_BESIDE_OTHERS_MAX } else { ATTEMPTS_MAX };
        assert_eq!(given_up, taken.then_some(expected), "an Nginx that is away is waited for");
        if taken {
            assert_eq!(body(&backlog.next(now).unwrap()), r#"[{"i":2},{"i":3}]"#, "the others go on");
        }
    }
}

#[test]
fn at_the_end_nothing_is_gathered_any_longer() {
    let mut backlog = Backlog::new(Bounds { post_bytes_max: 9_999, ..BOUNDS });
    backlog.take(&name("a"), message(1), 0);
    assert_eq!(backlog.due(), Some(100));
    backlog.hurry(5);
    assert_eq!((backlog.due(), backlog.next(5).is_some()), (Some(5), true));
    backlog.take(&name("a"), message(2), 6);
    backlog.done(&name("a"), Outcome::Delivered, 7);
    assert_eq!(backlog.due(), Some(7));
}

#[test]
fn the_oldest_of_the_largest_is_dropped_never_what_is_under_way() {
    // Each message takes 71 bytes: 56 of them fit.
    let bounds = Bounds { flush_interval_ms: 0, post_bytes_max: 1, waiting_bytes_max: 4_000 };
    let mut backlog = Backlog::new(bounds);
    let (small, large) = (name("small"), name("large"));
    backlog.take(&small, message(1), 0);
    backlog.take(&large, message(0), 0);
    let first = [backlog.next(0).unwrap(), backlog.next(0).unwrap()];
    assert_eq!(first.each_ref().map(body), [r#"[{"i":0}]"#, r#"[{"i":1}]"#]);
    for number in 1..200 {
        backlog.take(&large, message(number), 0);
    }
    backlog.done(&large, Outcome::Failed { taken: false }, 0);
    let mut posted = Vec::new();
    while let Some(post) = backlog.next(10_000) {
        posted.push(body(&post));
        backlog.done(&post.channel, Outcome::Delivered, 10_000);
    }
    assert_eq!(posted[0], r#"[{"i":0}]"#, "it was under way");
    assert_eq!(posted.last().unwrap(), r#"[{"i":199}]"#, "the newest is kept");
    let dropped = backlog.figures.dropped_messages;
    assert_eq!(dropped + posted.len() as u64, 200);
    assert!((140..155).contains(&dropped), "{dropped}");
    backlog.done(&small, Outcome::Delivered, 0);
    assert_eq!(backlog.figures.waiting_bytes, 0);
    assert!(backlog.is_empty());
}

#[test]
fn what_waits_at_the_end_is_counted() {
    let mut backlog = Backlog::new(BOUNDS);
    backlog.take(&name("a"), message(1), 0);
    backlog.give_up();
    assert_eq!((backlog.figures.dropped_messages, backlog.figures.waiting_messages), (1, 0));
    assert_eq!((backlog.is_empty(), backlog.due()), (true, None));
}

#[derive(Clone, Debug)]
enum Step {
    Take(usize, usize),
    Next,
    Done(usize, u8),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_usize, 1..200_usize).prop_map(|(channel, length)| Step::Take(channel, length)),
        3 => Just(Step::Next),
        3 => (0..4_usize, 0..8_u8).prop_map(|(channel, outcome)| Step::Done(channel, outcome)),
        1 => (0..6_000_u16).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens: within bounds, in order, and every message is posted, refused, dropped or waiting.
    #[test]
    fn nothing_is_lost_without_being_counted(
        steps in proptest::collection::vec(step(), 1..400),
        waiting_bytes_max in 300_usize..5_000,
        flush_interval_ms in 0..50_u64,
    ) {
        let bounds = Bounds { flush_interval_ms, post_bytes_max: 500, waiting_bytes_max };
        let mut backlog = Backlog::new(bounds);
        let names = ["a", "b", "c", "d"].map(name);
        let (mut now, mut taken, mut next) = (0, 0, [1_u32; 4]);
        let mut under_way: [Option<Vec<u32>>; 4] = Default::default();
        let mut delivered = [0_u32; 4];
        for step in steps {
            match step {
                Step::Take(channel, length) => {
                    let number = next[channel];
                    next[channel] += 1;
                    taken += 1;
                    let message = format!("{{\"i\":{number},\"x\":\"{}\"}}", "x".repeat(length));
                    backlog.take(&names[channel], message.into_bytes().into(), now);
                }
                Step::Next => {
                    if let Some(post) = backlog.next(now) {
                        let channel = names.iter().position(|name| *name == post.channel).unwrap();
                        let list: Vec<serde_json::Value> = serde_json::from_slice(&post.body).unwrap();
                        prop_assert!(list.len() == 1 || post.body.len() <= 500);
                        let number =
                            |one: &serde_json::Value| u32::try_from(one["i"].as_u64().unwrap()).unwrap();
                        let numbers = list.iter().map(number).collect();
                        prop_assert!(under_way[channel].replace(numbers).is_none());
                    }
                }
                Step::Done(channel, outcome) => {
                    let Some(numbers) = under_way[channel].take() else { continue };
                    let outcome = match outcome {
                        0 => Outcome::Refused,
                        1 | 2 => Outcome::Failed { taken: outcome == 1 },
                        _ => Outcome::Delivered,
                    };
                    if outcome == Outcome::Delivered {
                        prop_assert!(numbers.is_sorted() && numbers[0] > delivered[channel], "out of order");
                        delivered[channel] = *numbers.last().unwrap();
                    }
                    backlog.done(&names[channel], outcome, now);
                }
                Step::Wait(ms) => now += u64::from(ms),
            }
            let figures = &backlog.figures;
            prop_assert!(figures.waiting_bytes <= waiting_bytes_max);
            let counted = figures.posted_messages + figures.lost_messages() + figures.waiting_messages;
            prop_assert_eq!(counted, taken);
        }
        // And all of it gets out in the end.
        for round in 0..2_000 {
            for (channel, numbers) in under_way.iter_mut().enumerate() {
                if numbers.take().is_some() {
                    backlog.done(&names[channel], Outcome::Delivered, now);
                }
            }
            now += 60;
            let Some(post) = backlog.next(now) else {
                if backlog.is_empty() { break; }
                prop_assert!(backlog.due().is_some(), "round {}: something waits for nothing", round);
                now = now.max(backlog.due().unwrap());
                continue;
            };
            let channel = names.iter().position(|name| *name == post.channel).unwrap();
            under_way[channel] = Some(Vec::new());
        }
        prop_assert!(backlog.is_empty());
        prop_assert_eq!(backlog.figures.waiting_bytes, 0);
    }
}
