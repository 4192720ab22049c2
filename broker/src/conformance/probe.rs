//! The client through which the cases ask, and short ways to say what they ask.

use std::time::Duration;

use chatup_core::exchange::{
    Answer, ChannelTail, Event, MemberKey, Operation, Publish, RoomStats, Ticket, WorkerId,
};
use chatup_core::message::{Publication, UnixMillis};
use chatup_core::names::{ChannelName, IdempotencyKey, RoomName, UserName};
use chatup_core::position::{MessageId, Position};
use crossbeam_channel::{Receiver, Sender, unbounded};
use serde_json::value::RawValue;

use crate::contract::{BrokerClient, BrokerHandle, Inbox};

/// Longest wait for an event that must come; only a broken broker reaches it.
const PATIENCE: Duration = Duration::from_secs(10);

struct Forward(Sender<Event>);

impl Inbox for Forward {
    fn deliver(&self, event: Event) -> bool {
        self.0.send(event).is_ok()
    }
}

/// A client that waits for its answers and keeps what comes between.
pub(super) struct Probe {
    client: BrokerClient,
    events: Receiver<Event>,
    tickets: std::cell::Cell<u128>,
    kept: std::cell::RefCell<Vec<Event>>,
}

impl Probe {
    pub(super) fn new(handle: &BrokerHandle) -> Probe {
        let (sender, events) = unbounded();
        let client = handle.connect(Box::new(Forward(sender))).expect("the broker runs");
        Probe { client, events, tickets: 1.into(), kept: Vec::new().into() }
    }

    pub(super) fn ask(&self, operation: Operation) -> Answer {
        let ticket = Ticket(self.tickets.replace(self.tickets.get() + 1));
        self.client.ask(ticket, operation).expect("there is room in the queue");
        loop {
            match self.events.recv_timeout(PATIENCE).expect("every operation is answered") {
                Event::Answer(of, answer) if of == ticket => return answer,
                Event::Answer(of, _) => panic!("{of:?} is answered, {ticket:?} was asked"),
                other => self.kept.borrow_mut().push(other),
            }
        }
    }

    /// What has come by now. Asked twice: an answer comes behind everything before it.
    pub(super) fn events(&self) -> Vec<Event> {
        self.ask(Operation::Workers);
        self.ask(Operation::Workers);
        self.kept.take()
    }

    pub(super) fn publications(&self) -> Vec<Publication> {
        let published =
            |event| if let Event::Published(publication) = event { Some(publication) } else { None };
        self.events().into_iter().filter_map(published).collect()
    }

    /// The next publication, whenever it comes.
    pub(super) fn next_publication(&self) -> Publication {
        loop {
            let kept = self.kept.borrow_mut().iter().position(|event| matches!(event, Event::Published(_)));
            let event = match kept {
                Some(place) => self.kept.borrow_mut().remove(place),
                None => self.events.recv_timeout(PATIENCE).expect("something is published"),
            };
            match event {
                Event::Published(publication) => return publication,
                other => self.kept.borrow_mut().push(other),
            }
        }
    }

    pub(super) fn publish(&self, channel: &str, text: &str) -> Position {
        match self.ask(publish(channel, None, None, text)) {
            Answer::Published { position, duplicate: false } => position,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn open(&self, name: &str) -> ChannelTail {
        match self.ask(Operation::Open(channel(name))) {
            Answer::Opened(tail) => tail,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn history(&self, name: &str, messages_max: usize) -> Vec<Publication> {
        match self.ask(Operation::History { channel: channel(name), messages_max }) {
            Answer::History(messages) => messages,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn stats(&self, skip: usize, limit: usize) -> RoomStats {
        match self.ask(Operation::Stats { room: room(), skip, limit }) {
            Answer::Stats(stats) => stats,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).expect("a channel's name")
}

pub(super) fn room() -> RoomName {
    RoomName::new("a").expect("a room's name")
}

pub(super) fn user(name: &str) -> UserName {
    UserName::new(name).expect("a user's name")
}

pub(super) fn publish(name: &str, sender: Option<&str>, key: Option<&str>, text: &str) -> Operation {
    Operation::Publish(Publish {
        channel: channel(name),
        sender: sender.map(|sender| (room(), user(sender))),
        key: key.map(|key| IdempotencyKey::new(key).expect("a key")),
        id: MessageId::from_random(text.bytes().fold(7, |id, byte| id * 257 + u128::from(byte))),
        payload: format!("\"{text}\"").into_bytes().into(),
    })
}

pub(super) fn ban(name: &str, until: Option<UnixMillis>) -> Operation {
    Operation::Ban { room: room(), name: user(name), until, id: MessageId::from_random(99) }
}

pub(super) fn join(name: &str, worker: u128, connection: u64) -> Operation {
    let public = RawValue::from_string(format!(r#"{{"name":"{name}"}}"#)).expect("JSON");
    let member = MemberKey { worker: WorkerId(worker), connection };
    Operation::Join { room: room(), member, name: user(name), public: public.into() }
}

pub(super) fn leave(worker: u128, connection: u64) -> Operation {
    Operation::Leave { room: room(), member: MemberKey { worker: WorkerId(worker), connection } }
}

pub(super) fn texts(publications: &[Publication]) -> Vec<String> {
    publications.iter().map(|one| String::from_utf8_lossy(&one.payload).into_owned()).collect()
}

pub(super) fn offsets(publications: &[Publication]) -> Vec<u64> {
    publications.iter().map(|one| one.offset.0).collect()
}

/// `name ev` of each event of a membership.
pub(super) fn memberships(publications: &[Publication]) -> Vec<String> {
    let describe = |one: &Publication| {
        let event: serde_json::Value = serde_json::from_slice(&one.payload).expect("JSON");
        assert!(
            event["i"].is_string() && event["d"].is_number(),
            "every event has an id and a time: {event}"
        );
        format!("{} {}", event["user"]["name"], event["ev"]).replace('"', "")
    };
    publications.iter().map(describe).collect()
}
