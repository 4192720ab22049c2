//! The checker on faked records: the good ones pass, and each fault is found under its name.

use super::{Rule, check};
use crate::torture::record::{Attempt, Ban, Event, LAST_READER, Outcome, Position, Records, Subscriber};

const ROOM: &str = "m_room";

fn at(epoch: &str, offset: u64) -> Position {
    let id = if offset == 0 { String::new() } else { format!("id{offset}") };
    Position { epoch: epoch.to_owned(), offset, id }
}

fn said(key: &str, begun: u64, outcome: Outcome) -> Attempt {
    let (channel, sender) = (ROOM.to_owned(), "Ada".to_owned());
    Attempt { channel, sender, key: key.to_owned(), begun, ended: begun + 1, outcome }
}

fn acknowledged(key: &str, begun: u64, position: Position) -> Attempt {
    said(key, begun, Outcome::Acknowledged { position, duplicate: false })
}

fn message(offset: u64) -> Event {
    Event::Message { offset, id: format!("id{offset}"), text: format!("text{offset}") }
}

/// A message of another past than the usual one.
fn other(offset: u64) -> Event {
    Event::Message { offset, id: format!("other{offset}"), text: format!("other text{offset}") }
}

fn other_at(epoch: &str, offset: u64) -> Position {
    Position { epoch: epoch.to_owned(), offset, id: format!("other{offset}") }
}

fn fresh(epoch: &str, offset: u64) -> Event {
    Event::Subscribed { asked: None, recovered: false, position: at(epoch, offset), next: offset + 1 }
}

fn resumed(from: u64, to: u64) -> Event {
    let (asked, position) = (Some(at("a", from)), at("a", to));
    Event::Subscribed { asked, recovered: true, position, next: from + 1 }
}

fn lost() -> Event {
    Event::Lost("cut".to_owned())
}

/// Ticks go up by ten; a message with offset n is begun at 10 n.
fn subscriber(name: &str, events: Vec<Event>) -> Subscriber {
    let events = (0..).map(|tick| 10 * tick).zip(events).collect();
    Subscriber { name: name.to_owned(), channel: ROOM.to_owned(), events }
}

fn refused(key: &str, begun: u64, code: &str) -> Attempt {
    said(key, begun, Outcome::Refused { code: code.to_owned(), perhaps: false })
}

/// Six messages, and a ban between the last two; one who stays, one who is cut and resumes, one who leaves, and the last reader.
fn good() -> Records {
    let from = |first: u64| (first..=6).map(message);
    Records {
        attempts: (1..=6).map(|n| acknowledged(&format!("text{n}"), 10 * n, at("a", n))).collect(),
        subscribers: vec![
            subscriber("stays", [fresh("a", 0)].into_iter().chain(from(1)).collect()),
            subscriber(
                "is cut",
                [fresh("a", 1), message(2), message(3), lost(), resumed(3, 5)]
                    .into_iter()
                    .chain(from(4))
                    .collect(),
            ),
            subscriber("leaves", vec![fresh("a", 2), message(3), Event::Left]),
            subscriber(LAST_READER, [resumed(0, 6)].into_iter().chain(from(1)).collect()),
        ],
        bans: vec![Ban {
            channel: ROOM.to_owned(),
            name: "Ada".to_owned(),
            asked: 54,
            begun: 56,
            lifting: 58,
            lifted: 59,
        }],
        losses: Vec::new(),
        window: 1_000,
    }
}

/// The store is put back from six messages to three and goes on in another epoch.
fn good_loss() -> Records {
    let reset = || Event::Reset { position: other_at("b", 4), next: 5 };
    let not_recovered = || Event::Subscribed {
        asked: Some(at("a", 6)),
        recovered: false,
        position: other_at("b", 4),
        next: 5,
    };
    let mut records = good();
    // Everything of before happened before it.
    records.losses = vec![75];
    for attempt in &mut records.attempts {
        attempt.ended = 70;
    }
    records.attempts.push(acknowledged("other text4", 80, other_at("a", 4)));
    records.attempts.push(acknowledged("other text5", 90, other_at("b", 5)));
    let add = |subscriber: &mut Subscriber, events: Vec<Event>| {
        subscriber.events.extend(events.into_iter().map(|event| (100, event)));
    };
    add(&mut records.subscribers[0], vec![reset(), other(5)]);
    add(&mut records.subscribers[1], vec![lost(), not_recovered(), other(5)]);
    let start = Event::Subscribed {
        asked: Some(Position::start("b")),
        recovered: true,
        position: other_at("b", 5),
        next: 1,
    };
    let events = [start, message(1), message(2), message(3), other(4), other(5)];
    records.subscribers[3].events = events.into_iter().map(|event| (200, event)).collect();
    records
}

fn rules(records: &Records) -> Vec<Rule> {
    let mut rules: Vec<Rule> = check(records).iter().map(|violation| violation.rule).collect();
    rules.sort();
    rules.dedup();
    rules
}

type Change = fn(&mut Records);

/// Who stays: its event `n` is message `n`.
fn stays(records: &mut Records) -> &mut Vec<(u64, Event)> {
    &mut records.subscribers[0].events
}

#[test]
fn good_records_pass() {
    let changes: &[(&str, Change)] = &[
        ("nothing changed", |_| {}),
        ("a gap that is told, of what no window holds", |records| {
            records.window = 2;
            stays(records).splice(2..4, [(20, Event::Gap { from: 2, to: 3 })]);
        }),
        ("too long away, and told so", |records| {
            records.window = 3;
            let late = Event::Subscribed {
                asked: Some(at("a", 2)),
                recovered: false,
                position: at("a", 5),
                next: 6,
            };
            stays(records).splice(3..6, [(30, lost()), (31, late)]);
        }),
        ("history at the first subscription", |records| {
            stays(records)[0].1 =
                Event::Subscribed { asked: None, recovered: false, position: at("a", 4), next: 3 };
            stays(records).drain(1..3);
        }),
        ("unknown at first, then a duplicate of what was published", |records| {
            records.attempts[5].outcome = Outcome::Unknown;
            let outcome = Outcome::Acknowledged { position: at("a", 6), duplicate: true };
            records.attempts.push(said("text6", 65, outcome));
        }),
        ("refused as banned, when the ban may just have been in force", |records| {
            records.attempts.extend([refused("early", 54, "banned"), refused("late", 58, "banned")]);
        }),
        ("nobody ever knew, and it is there", |records| records.attempts[5].outcome = Outcome::Unknown),
        ("nobody knew, and it is not there", |records| {
            records.attempts.push(said("never", 65, Outcome::Unknown));
        }),
    ];
    for (what, change) in changes {
        let mut records = good();
        change(&mut records);
        assert!(check(&records).is_empty(), "{what}: {:?}", check(&records));
    }
    assert!(check(&good_loss()).is_empty(), "{:?}", check(&good_loss()));
}

#[test]
fn each_fault_is_found() {
    let changes: &[(&str, Rule, Change)] = &[
        ("a message is missing", Rule::SilentGap, |records| drop(stays(records).remove(3))),
        ("the first is missing", Rule::SilentGap, |records| drop(stays(records).remove(1))),
        ("two are swapped", Rule::Duplicate, |records| stays(records).swap(3, 4)),
        ("one comes twice", Rule::Duplicate, |records| {
            let again = stays(records)[3].clone();
            stays(records).insert(4, again);
        }),
        ("one text comes under two numbers", Rule::Duplicate, |records| {
            stays(records)[5].1 = Event::Message { offset: 5, id: "id5".into(), text: "text4".into() };
        }),
        ("what came before a cut comes again", Rule::Duplicate, |records| {
            let again = Event::Message { offset: 4, id: "id4".into(), text: "text3".into() };
            records.subscribers[1].events[5].1 = again;
        }),
        ("two orders", Rule::OneOrder, |records| {
            let (four, five) = (stays(records)[4].1.clone(), stays(records)[5].1.clone());
            let moved = |event, to| match event {
                Event::Message { id, text, .. } => Event::Message { offset: to, id, text },
                other => other,
            };
            (stays(records)[4].1, stays(records)[5].1) = (moved(five, 4), moved(four, 5));
        }),
        ("another message at the same place", Rule::OneOrder, |records| stays(records)[6].1 = other(6)),
        ("acknowledged where another message is", Rule::OneOrder, |records| {
            records.attempts[5].outcome =
                Outcome::Acknowledged { position: other_at("a", 6), duplicate: false };
        }),
        ("acknowledged and never delivered", Rule::LostMessage, |records| {
            records.attempts.push(acknowledged("text7", 70, at("a", 7)));
        }),
        ("acknowledged, and the last reader finds nothing", Rule::LostMessage, |records| {
            let nothing = Event::Subscribed { asked: None, recovered: false, position: at("a", 6), next: 7 };
            records.subscribers[3].events = vec![(100, nothing)];
        }),
        ("recovered, but from elsewhere", Rule::WrongRecovery, |records| {
            let wrong =
                Event::Subscribed { asked: Some(at("a", 3)), recovered: true, position: at("a", 5), next: 5 };
            records.subscribers[1].events.splice(4..6, [(40, wrong)]);
        }),
        ("recovered, into another epoch", Rule::WrongRecovery, |records| {
            let wrong =
                Event::Subscribed { asked: Some(at("b", 3)), recovered: true, position: at("a", 5), next: 4 };
            records.subscribers[1].events[4].1 = wrong;
        }),
        ("recovered, of another past", Rule::OnePast, |records| {
            let asked = Some(other_at("a", 3));
            records.subscribers[1].events[4].1 =
                Event::Subscribed { asked, recovered: true, position: at("a", 5), next: 4 };
        }),
        ("recovered, and the place where it was is behind it", Rule::WrongRecovery, |records| {
            let asked = Some(at("a", 3));
            records.subscribers[1].events[4].1 =
                Event::Subscribed { asked, recovered: true, position: at("a", 2), next: 4 };
        }),
        ("not recovered for no reason", Rule::NeedlessLoss, |records| {
            let asked = Some(at("a", 3));
            records.subscribers[1].events[4].1 =
                Event::Subscribed { asked, recovered: false, position: at("a", 3), next: 4 };
        }),
        ("a reset for no reason", Rule::NeedlessLoss, |records| {
            stays(records).insert(4, (40, Event::Reset { position: at("a", 3), next: 4 }));
        }),
        ("a gap for no reason", Rule::NeedlessLoss, |records| {
            stays(records).splice(2..4, [(20, Event::Gap { from: 2, to: 3 })]);
        }),
        ("a gap that names the wrong ones", Rule::Contradiction, |records| {
            records.window = 2;
            stays(records).splice(2..4, [(20, Event::Gap { from: 1, to: 3 })]);
        }),
        ("it comes back from where it has not been", Rule::Contradiction, |records| {
            records.subscribers[1].events.remove(2);
        }),
        ("the next is beyond the end", Rule::Contradiction, |records| {
            let beyond = Event::Subscribed { asked: None, recovered: false, position: at("a", 1), next: 4 };
            stays(records)[0].1 = beyond;
            stays(records).drain(1..4);
        }),
        ("after the connection's end", Rule::Unasked, |records| stays(records).insert(3, (30, lost()))),
        ("a key at two places", Rule::Key, |records| {
            records.attempts.push(acknowledged("text3", 90, at("a", 5)));
        }),
        ("a key published anew", Rule::Key, |records| {
            records.attempts.push(acknowledged("text3", 90, at("a", 3)));
        }),
        ("a duplicate of nothing", Rule::Key, |records| {
            let outcome = Outcome::Acknowledged { position: at("a", 3), duplicate: true };
            records.attempts[2].outcome = outcome;
        }),
        ("banned, and acknowledged all the same", Rule::Ban, |records| {
            (records.bans[0].lifting, records.bans[0].lifted) = (62, 63);
        }),
        ("refused before any ban", Rule::Ban, |records| {
            records.attempts.push(refused("early", 52, "banned"));
        }),
        ("refused after the ban's end", Rule::Ban, |records| {
            records.attempts.push(refused("late", 60, "banned"));
        }),
        ("refused for another's ban", Rule::Ban, |records| {
            records.bans[0].name = "Bob".to_owned();
            records.attempts.push(refused("other", 56, "banned"));
        }),
        ("begun after, and numbered before", Rule::TimeOrder, |records| {
            (records.attempts[4].begun, records.attempts[4].ended) = (1, 2);
        }),
        ("nobody said it", Rule::Invented, |records| drop(records.attempts.remove(5))),
        ("it was refused", Rule::Invented, |records| {
            records.attempts[5].outcome = Outcome::Refused { code: "banned".into(), perhaps: false };
        }),
        ("one does not get to the end", Rule::LeftBehind, |records| drop(stays(records).pop())),
        ("one does not come back", Rule::LeftBehind, |records| stays(records).push((99, lost()))),
        ("the last reader is alone", Rule::LeftBehind, |records| stays(records).clear()),
    ];
    for (what, rule, change) in changes {
        let mut records = good();
        change(&mut records);
        assert!(rules(&records).contains(rule), "{what}: {:?}", check(&records));
    }
}

#[test]
fn with_a_lost_tail_everybody_must_still_be_told() {
    let changes: &[(&str, Rule, Change)] = &[
        ("goes on in the new past without a word", Rule::OnePast, |records| {
            // Offsets fit; what is new at 4 and 5 was never seen.
            records.subscribers[0].events.splice(7.., [(100, lost())]);
            let asked = Some(at("b", 6));
            let onto = Event::Subscribed { asked, recovered: true, position: other_at("b", 7), next: 7 };
            records.subscribers[0].events.extend([(101, onto), (102, other(7))]);
            let reader = &mut records.subscribers[3].events;
            reader.extend([(201, other(6)), (202, other(7))]);
        }),
        ("stays in the old epoch", Rule::LeftBehind, |records| drop(stays(records).drain(7..))),
        ("told of a loss before there is one", Rule::NeedlessLoss, |records| records.losses = vec![500]),
        ("what was said after the loss is lost", Rule::LostMessage, |records| {
            records.attempts.push(acknowledged("gone", 95, other_at("b", 6)));
        }),
        ("more branches than losses", Rule::OneOrder, |records| {
            let third = Event::Message { offset: 4, id: "third".into(), text: "third".into() };
            records.attempts.push(said("third", 60, Outcome::Unknown));
            let events = vec![fresh("a", 3), third, Event::Left];
            records.subscribers.push(subscriber("elsewhere", events));
        }),
    ];
    for (what, rule, change) in changes {
        let mut records = good_loss();
        change(&mut records);
        assert!(rules(&records).contains(rule), "{what}: {:?}", check(&records));
    }
}

#[test]
fn a_violation_is_shown_with_what_happened_around_it() {
    let mut records = good();
    stays(&mut records).remove(3);
    let violations = check(&records);
    let shown = violations[0].shown(&records);
    for part in ["SilentGap", "m_room", "stays", "> 3 @40", "text2", "text5"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
