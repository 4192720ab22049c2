//! Which channels are opened and closed, and which messages are posted of what the broker says.

use chatup_core::position::{Epoch, MessageId, Offset};

use super::*;

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn id(number: u64) -> MessageId {
    MessageId::from_random(number.into())
}

/// The message with this number, said at that many milliseconds. The id is the number's in the first epoch.
fn publication(epoch: u64, offset: u64, identity: u64, said: u64) -> Publication {
    let payload = format!("{{\"i\":{identity},\"d\":{}}}", UnixMillis(said).seconds());
    Publication {
        channel: name("m_a"),
        epoch: Epoch(epoch),
        offset: Offset(offset),
        id: id(identity),
        payload: payload.into_bytes().into(),
    }
}

fn tail(epoch: u64, before: u64, messages: &[(u64, u64)]) -> ChannelTail {
    let number = |at: usize| before + 1 + at as u64;
    ChannelTail {
        channel: name("m_a"),
        before: Position { epoch: Epoch(epoch), offset: Offset(before), id: id(before) },
        messages: (messages.iter().enumerate())
            .map(|(at, (identity, said))| publication(epoch, number(at), *identity, *said))
            .collect(),
    }
}

fn listed(name_: &str, published: u64, subscribers: u64) -> Listed {
    Listed { channel: name(name_), published, subscribers }
}

/// The identities of what is posted of an event.
fn posted(wanted: &mut Wanted, event: Event) -> Vec<u64> {
    let mut found = Vec::new();
    wanted.event(event, 0, |_, message| {
        let message: serde_json::Value = serde_json::from_slice(&message).unwrap();
        found.push(message["i"].as_u64().unwrap());
    });
    found
}

fn opened(wanted: &mut Wanted) -> Ticket {
    match wanted.next(u64::MAX) {
        Some((ticket, Operation::Open(_))) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_posted_of_a_channel_newly_opened() {
    let messages = [(1, 11_000), (2, 12_000), (3, 13_000)];
    // How often Nginx was posted to, when it was asked the last time, and what is posted.
    let table: [(u64, u64, &[u64]); 5] = [
        (0, 19_000, &[1, 2, 3]),
        (7, 0, &[1, 2, 3]),
        (7, 12_000, &[2, 3]),
        (7, 12_001, &[3]),
        (7, 19_000, &[]),
    ];
    for (published, before, expected) in table {
        let mut wanted = Wanted::default();
        wanted.listed(&[listed("m_a", published, 1), listed("m_b", 5, 0)], UnixMillis(before), 100, 0);
        let ticket = opened(&mut wanted);
        assert_eq!(wanted.next(0).map(|(ticket, _)| ticket), None, "nobody listens to the other");
        let answer = Event::Answer(ticket, Answer::Opened(tail(1, 0, &messages)));
        assert_eq!(posted(&mut wanted, answer), expected, "{published} {before}");
        assert_eq!(posted(&mut wanted, Event::Published(publication(1, 4, 4, 4_000))), [4]);
    }
}

#[test]
fn what_was_said_and_is_no_longer_kept_is_told() {
    // Of a channel that was at 7 when these were said; and whether Nginx had been asked before.
    let messages = [(8, 1_000), (9, 2_000)];
    for (published, before, offset, gap) in
        [(0, 500, 7, true), (5, 500, 7, true), (0, 1_500, 7, false), (5, 1_500, 7, false), (0, 500, 0, false)]
    {
        let mut wanted = Wanted::default();
        wanted.listed(&[listed("m_a", published, 1)], UnixMillis(before), 100, 0);
        let ticket = opened(&mut wanted);
        posted(&mut wanted, Event::Answer(ticket, Answer::Opened(tail(1, offset, &messages))));
        assert_eq!(wanted.gaps(), u64::from(gap), "{published} {before} {offset}");
    }
}

#[test]
fn what_stands_before_a_deletion_is_not_posted() {
    let mut tail = tail(1, 0, &[(1, 11_000), (2, 12_000), (3, 13_000)]);
    tail.messages[1].payload = Arc::from(*br#"{"text":"","deletes":true,"i":2,"d":12}"#);
    // How often Nginx was posted to, when it was asked the last time, and what is posted: the deletion, too, if
    // Nginx may have what it deletes and was not told yet.
    let table: [(u64, u64, &[u64]); 4] =
        [(0, 0, &[3]), (7, 0, &[2, 3]), (7, 12_000, &[2, 3]), (7, 12_001, &[3])];
    for (published, before, expected) in table {
        let mut wanted = Wanted::default();
        wanted.listed(&[listed("m_a", published, 1)], UnixMillis(before), 100, 0);
        let ticket = opened(&mut wanted);
        let answer = Event::Answer(ticket, Answer::Opened(tail.clone()));
        assert_eq!(posted(&mut wanted, answer), expected, "{published} {before}");
    }
    // Deleted while the broker could not say so, behind what was posted.
    let mut wanted = Wanted::new(&[name("m_a")], None, UnixMillis(0));
    let ticket = opened(&mut wanted);
    let first = ChannelTail { messages: tail.messages[..1].to_vec(), ..tail.clone() };
    assert_eq!(posted(&mut wanted, Event::Answer(ticket, Answer::Opened(first))), [1]);
    assert_eq!(posted(&mut wanted, Event::Renewed(tail.clone())), [2, 3]);
    assert_eq!(posted(&mut wanted, Event::Renewed(tail)), [0; 0]);
}

#[test]
fn what_is_not_stored_is_posted_to_those_who_were_there() {
    let mut tail = tail(1, 0, &[(1, 11_000), (2, 12_000), (3, 13_000), (4, 14_000)]);
    for at in [1, 3] {
        let text = format!(r#"{{"text":"","unstored":true,"i":{},"d":{}}}"#, at + 1, at + 11);
        tail.messages[at].payload = text.into_bytes().into();
    }
    let table: [(u64, u64, &[u64]); 3] =
        [(0, 30_000, &[1, 3]), (0, 13_000, &[1, 3, 4]), (7, 0, &[1, 2, 3, 4])];
    for (published, before, expected) in table {
        let mut wanted = Wanted::default();
        wanted.listed(&[listed("m_a", published, 1)], UnixMillis(before), 100, 0);
        let ticket = opened(&mut wanted);
        let answer = Event::Answer(ticket, Answer::Opened(tail.clone()));
        assert_eq!(posted(&mut wanted, answer), expected, "{published} {before}");
    }
}

#[test]
fn what_is_kept_back_is_not_opened_however_many_listen() {
    let mut wanted = Wanted::new(&[name("evs")], Some(name("evs")), UnixMillis(0));
    wanted.listed(&[listed("evs", 0, 9), listed("m_a", 0, 1)], UnixMillis(0), 100, 0);
    let (_, operation) = wanted.next(0).unwrap();
    assert!(matches!(operation, Operation::Open(channel) if channel == name("m_a")));
    assert_eq!((wanted.next(0).map(|_| ()), wanted.len()), (None, 1));
}

#[test]
fn what_is_posted_of_a_channel_that_begins_anew() {
    // It was opened with 1 to 3 and has said 4. What the store has then, what is posted, what is missed.
    type Row = (u64, u64, &'static [(u64, u64)], &'static [u64], u64);
    let table: [Row; 6] = [
        (1, 0, &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)], &[5, 6], 0),
        (1, 5, &[(6, 6), (7, 7)], &[6, 7], 1),
        (1, 4, &[], &[], 0),
        // Another epoch: it is the id that counts, wherever it stands.
        (2, 0, &[(3, 3), (4, 4), (8, 8)], &[8], 0),
        // It lost its tail: what was said later is new, whatever its number.
        (2, 0, &[(2, 2), (3, 3), (8, 8)], &[8], 0),
        (2, 0, &[], &[], 0),
    ];
    for (epoch, before, messages, expected, missed) in table {
        let mut wanted = Wanted::default();
        wanted.listed(&[listed("m_a", 0, 1)], UnixMillis(0), 100, 0);
        let ticket = opened(&mut wanted);
        let first = tail(1, 0, &[(1, 1), (2, 2), (3, 3)]);
        assert_eq!(posted(&mut wanted, Event::Answer(ticket, Answer::Opened(first))), [1, 2, 3]);
        assert_eq!(posted(&mut wanted, Event::Published(publication(1, 4, 4, 4))), [4]);
        let again = tail(epoch, before, messages);
        assert_eq!(posted(&mut wanted, Event::Renewed(again)), expected, "{epoch} {messages:?}");
        assert_eq!(wanted.missed(), missed, "{messages:?}");
    }
}

#[test]
fn silent_channels_go_and_named_ones_stay() {
    let mut wanted = Wanted::new(&[name("m_named")], None, UnixMillis(0));
    wanted.listed(&[listed("m_a", 0, 1)], UnixMillis(0), 100, 0);
    for channel in ["m_named", "m_a"] {
        let ticket = opened(&mut wanted);
        let tail = ChannelTail { channel: name(channel), ..tail(1, 0, &[]) };
        posted(&mut wanted, Event::Answer(ticket, Answer::Opened(tail)));
    }
    assert_eq!((wanted.len(), wanted.due()), (2, None));
    wanted.listed(&[listed("m_a", 3, 1)], UnixMillis(0), 100, 60);
    wanted.listed(&[listed("m_a", 3, 0)], UnixMillis(0), 100, 160);
    assert_eq!((wanted.len(), wanted.due()), (2, None), "not yet");
    wanted.listed(&[], UnixMillis(0), 100, 161);
    assert_eq!((wanted.len(), wanted.due()), (1, Some(0)));
    // The broker's queue is full; then it is not. Somebody comes back meanwhile.
    wanted.listed(&[listed("m_a", 3, 1)], UnixMillis(0), 100, 162);
    for _ in 0..2 {
        let Some((ticket, Operation::Close(channel))) = wanted.next(162) else { panic!("closed first") };
        assert_eq!(channel, name("m_a"));
        if wanted.to_close.is_empty() && ticket == Ticket(0) && wanted.left_out == 0 {
            wanted.put_back(ticket, Operation::Close(channel), 162);
            wanted.left_out = 1;
        }
    }
    // What was still under way of the first opening is not taken for the second's.
    assert_eq!(posted(&mut wanted, Event::Published(publication(1, 9, 9, 9))), [] as [u64; 0]);
    opened(&mut wanted);
}

#[test]
fn a_refused_opening_is_asked_again_later() {
    let mut wanted = Wanted::default();
    wanted.listed(&[listed("m_a", 0, 1)], UnixMillis(0), 100, 0);
    let (ticket, operation) = wanted.next(0).unwrap();
    wanted.put_back(ticket, operation, 0);
    for now in [OPEN_AGAIN_MS, 2 * OPEN_AGAIN_MS] {
        assert_eq!(wanted.due(), Some(now));
        assert!(wanted.next(now - 1).is_none());
        let (ticket, _) = wanted.next(now).unwrap();
        let refused = chatup_core::refusal::Refused::from(chatup_core::refusal::Refusal::Unavailable);
        wanted.event(Event::Answer(ticket, Answer::Refused(refused)), now, |_, _| panic!("nothing"));
    }
}

#[test]
fn only_so_many_openings_at_once() {
    let mut wanted = Wanted::default();
    let all: Vec<Listed> = (0..OPENINGS_MAX + 3).map(|n| listed(&format!("c{n}"), 0, 1)).collect();
    wanted.listed(&all, UnixMillis(0), 100, 0);
    let mut tickets: Vec<Ticket> = std::iter::from_fn(|| wanted.next(0)).map(|(ticket, _)| ticket).collect();
    assert_eq!((tickets.len(), wanted.due()), (OPENINGS_MAX, None));
    let tail = ChannelTail { channel: name("c0"), ..tail(1, 0, &[]) };
    posted(&mut wanted, Event::Answer(tickets.remove(0), Answer::Opened(tail)));
    assert_eq!(wanted.due(), Some(0));
    assert!(wanted.next(0).is_some() && wanted.next(0).is_none());
}
