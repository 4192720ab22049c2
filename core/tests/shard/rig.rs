//! One shard with a client or two, a broker that answers what the test says, and a clock that the
//! test moves: raw text in, raw text out.

use std::collections::{BTreeMap, VecDeque};

use chatup_core::exchange::{Answer, ChannelTail, Event, Operation, Ticket, WorkerId};
use chatup_core::http_head::Services;
use chatup_core::limits::{Limits, TIMER_TICK_MS};
use chatup_core::message::{Publication, UnixMillis};
use chatup_core::names::ChannelName;
use chatup_core::origins::Origins;
use chatup_core::position::{Epoch, MessageId, Offset, Position};
use chatup_core::pushstream::Settings;
use chatup_core::refusal::Refusal;
use chatup_core::shard::{
    AfterSend, Begun, Key, Now, Outside, Shard, ShardConfig, ShardMessage, SlowSubscriberPolicy,
};

use crate::support::rules::{BEGIN, rules};
use crate::support::wire::{self, FromServer, ServerReader, TEXT};

const MASK: [u8; 4] = [1, 2, 3, 4];

/// What the shard has asked of the world.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) asked: VecDeque<(Ticket, Operation)>,
    /// Whether the broker's queue takes anything.
    pub(crate) full: bool,
    random: u128,
}

impl Outside for World {
    fn random(&mut self) -> u128 {
        self.random += 1;
        self.random
    }

    fn to_broker(&mut self, ticket: Ticket, operation: Operation) -> Result<(), Operation> {
        if self.full {
            return Err(operation);
        }
        self.asked.push_back((ticket, operation));
        Ok(())
    }

    fn to_shard(&mut self, _: u16, message: ShardMessage) -> Result<(), ShardMessage> {
        panic!("there is no other shard for {message:?}")
    }

    fn may_publish(&mut self, _: Key, forwarded_for: Option<&str>) -> bool {
        forwarded_for.is_none()
    }

    fn http_get(&mut self, _: Key, path: &str, query: &str, _: Option<&str>) -> Result<String, Refusal> {
        match path {
            "/stats" => Ok(format!("{{\"query\":\"{query}\"}}")),
            _ => Err(Refusal::NotFound),
        }
    }
}

/// A client's end, by the shard's key.
struct Wire {
    reader: ServerReader,
    /// Bytes that its socket takes; all without.
    room: Option<usize>,
    blocked: bool,
    /// What it was given and the test has not looked at.
    given: Vec<String>,
    hung_up: bool,
}

pub(crate) struct Rig {
    pub(crate) shard: Shard,
    pub(crate) world: World,
    wires: BTreeMap<u64, (Key, Wire)>,
    now_ms: u64,
}

impl Rig {
    pub(crate) fn new(limits: Limits) -> Rig {
        Rig::with(limits, SlowSubscriberPolicy::Tell, true)
    }

    pub(crate) fn with(limits: Limits, slow: SlowSubscriberPolicy, anonymous_subscribe: bool) -> Rig {
        Rig::of(limits, slow, anonymous_subscribe, 0)
    }

    /// One that gathers a room's messages for so many milliseconds.
    pub(crate) fn gathering(limits: Limits, flush_interval_ms: u64) -> Rig {
        Rig::of(limits, SlowSubscriberPolicy::Tell, true, flush_interval_ms)
    }

    fn of(
        limits: Limits,
        slow: SlowSubscriberPolicy,
        anonymous_subscribe: bool,
        flush_interval_ms: u64,
    ) -> Rig {
        let pushstream = Settings::chatup("~time~.~channel~.~text~", 64);
        Rig::serving(limits, slow, (anonymous_subscribe, flush_interval_ms), pushstream)
    }

    /// One that serves PushStream's clients like this.
    pub(crate) fn serving(
        limits: Limits,
        slow: SlowSubscriberPolicy,
        (anonymous_subscribe, flush_interval_ms): (bool, u64),
        pushstream: Settings,
    ) -> Rig {
        let config = ShardConfig {
            shard: 0,
            shards: 1,
            worker: WorkerId(1),
            rules: chatup_core::session::Rules { anonymous_subscribe, ..rules(limits) },
            slow_subscribers: slow,
            flush_interval_ms,
            services: Services {
                origins: Origins::loopback(),
                deflate: true,
                pushstream: pushstream.into(),
                socket_io: true,
            },
            shared_store: false,
        };
        let (shard, world) = (Shard::new(config), World::default());
        let mut rig = Rig { shard, world, wires: BTreeMap::new(), now_ms: 0 };
        rig.pass(0);
        rig
    }

    /// Lets time pass at once: the whole process stood still.
    pub(crate) fn stand_still(&mut self, milliseconds: u64) {
        self.now_ms += milliseconds;
        self.shard.set_time(Now { mono_ms: self.now_ms, unix: UnixMillis(BEGIN.0 + self.now_ms) });
        self.shard.tick(&mut self.world);
        self.turn();
    }

    /// Lets time pass, by ticks.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        let end = self.now_ms + milliseconds;
        loop {
            self.now_ms = (self.now_ms + TIMER_TICK_MS).min(end);
            self.shard.set_time(Now { mono_ms: self.now_ms, unix: UnixMillis(BEGIN.0 + self.now_ms) });
            self.shard.tick(&mut self.world);
            self.turn();
            if self.now_ms == end {
                return;
            }
        }
    }

    /// A connection that has said nothing yet.
    pub(crate) fn accept(&mut self) -> Key {
        let key = self.shard.accept().expect("there is room");
        let (reader, given) = (ServerReader::default(), Vec::new());
        let wire = Wire { reader, room: None, blocked: false, given, hung_up: false };
        self.wires.insert(key.packed(), (key, wire));
        key
    }

    /// A connection that is a WebSocket.
    pub(crate) fn open(&mut self) -> Key {
        let key = self.accept();
        let answer = self.bytes(key, wire::UPGRADE.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        key
    }

    /// The same, with compression agreed on.
    pub(crate) fn open_and_deflate(&mut self) -> Key {
        let key = self.accept();
        let answer = self.bytes(key, wire::upgrade_and_deflate().as_bytes());
        assert!(answer.contains("permessage-deflate"), "{answer}");
        key
    }

    /// How many messages came to it compressed.
    pub(crate) fn deflated(&self, key: Key) -> usize {
        self.wires.get(&key.packed()).map_or(0, |(_, wire)| wire.reader.deflated)
    }

    /// A connection that has subscribed to these channels, in JSON.
    pub(crate) fn subscribed(&mut self, channels: &str) -> Key {
        let key = self.open();
        self.text(key, &format!(r#"{{"id":1,"call":"subscribe","channels":[{channels}]}}"#));
        self.broker_opens();
        self.given(key);
        key
    }

    /// Bytes of a client, and what it is given.
    pub(crate) fn bytes(&mut self, key: Key, bytes: &[u8]) -> String {
        self.shard.received(key, &mut bytes.to_vec(), &mut self.world);
        self.turn();
        self.given(key)
    }

    /// A text frame, and what the client is given.
    pub(crate) fn text(&mut self, key: Key, text: &str) -> String {
        self.frame(key, TEXT, text.as_bytes())
    }

    /// Any frame, and what the client is given.
    pub(crate) fn frame(&mut self, key: Key, opcode: u8, payload: &[u8]) -> String {
        let mut bytes = Vec::new();
        wire::frame(opcode, payload, MASK, &mut bytes);
        self.bytes(key, &bytes)
    }

    /// Everything that the client was given since the last look, a line each.
    pub(crate) fn given(&mut self, key: Key) -> String {
        let (_, wire) = self.wires.get_mut(&key.packed()).unwrap();
        let mut given = std::mem::take(&mut wire.given);
        if std::mem::take(&mut wire.hung_up) {
            given.push("hung up".into());
        }
        given.join("\n")
    }

    /// The client's socket takes so many bytes and no more.
    pub(crate) fn take_only(&mut self, key: Key, bytes: usize) {
        self.wires.get_mut(&key.packed()).unwrap().1.room = Some(bytes);
    }

    /// The client's socket takes everything again; what it is given.
    pub(crate) fn take_all(&mut self, key: Key) -> String {
        let (_, wire) = self.wires.get_mut(&key.packed()).unwrap();
        wire.room = None;
        if std::mem::take(&mut wire.blocked) {
            self.shard.writable(key);
        }
        self.turn();
        self.given(key)
    }

    /// The other end has gone.
    pub(crate) fn cut(&mut self, key: Key) {
        self.shard.ended(key, &mut self.world);
        self.turn();
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.shard.broker_event(event, &mut self.world);
        self.turn();
    }

    /// The oldest operation that waits, answered; the operation as text.
    pub(crate) fn broker(&mut self, answer: impl FnOnce(&Operation) -> Answer) -> String {
        let (ticket, operation) = self.world.asked.pop_front().expect("an operation");
        self.event(Event::Answer(ticket, answer(&operation)));
        let text = format!("{operation:?}");
        text.split([' ', '(']).next().unwrap().into()
    }

    /// Opens what is asked for, empty, until nothing is asked.
    pub(crate) fn broker_opens(&mut self) {
        while !self.world.asked.is_empty() {
            self.broker_opens_one();
        }
    }

    /// Answers the first thing that is asked likewise.
    pub(crate) fn broker_opens_one(&mut self) {
        self.broker(|operation| match operation {
            Operation::Open(channel) => {
                let before = Position { epoch: EPOCH, offset: Offset::START, id: MessageId::NONE };
                let (channel, messages) = (channel.clone(), Vec::new());
                Answer::Opened(ChannelTail { channel, before, messages })
            }
            Operation::Join { .. } => Answer::Joined(None),
            Operation::Publish(publish) => Answer::Published {
                position: Position { epoch: EPOCH, offset: Offset(1), id: publish.id },
                duplicate: false,
            },
            _ => Answer::Done,
        });
    }

    /// A message of a channel.
    pub(crate) fn publish(&mut self, channel: &str, offset: u64, payload: &str) {
        self.event(Event::Published(publication(channel, EPOCH, offset, payload)));
    }

    fn turn(&mut self) {
        self.shard.end_turn(&mut self.world);
        while self.shard.has_ready() {
            self.shard.end_turn(&mut self.world);
            let mut begun = Vec::new();
            begun.extend(std::iter::from_fn(|| self.shard.next_send(&mut self.world)));
            for send in begun {
                self.send(&send);
            }
            self.shard.settle();
        }
        while let Some(key) = self.shard.take_dead() {
            self.shard.release(key);
            self.wires.get_mut(&key.packed()).unwrap().1.hung_up = true;
        }
    }

    fn send(&mut self, send: &Begun) {
        let (_, wire) = self.wires.get_mut(&send.key.packed()).unwrap();
        let bytes = self.shard.in_flight(send.flight, <[u8]>::to_vec).unwrap();
        let taken = wire.room.unwrap_or(usize::MAX).min(bytes.len());
        wire.room = wire.room.map(|room| room - taken);
        wire.reader.push(&bytes[..taken]);
        while let Some(found) = wire.reader.next() {
            wire.given.push(match found {
                FromServer::Head(text) | FromServer::Text(text) => text,
                FromServer::Ping => "ping".into(),
                FromServer::Pong(payload) => format!("pong {}", String::from_utf8_lossy(&payload)),
                FromServer::Close(code, reason) => format!("close {code} {reason}").trim_end().into(),
            });
        }
        if taken < bytes.len() {
            let after = self.shard.taken_short(send.flight, taken, &mut self.world);
            wire.blocked = after == AfterSend::WaitWritable;
        }
    }
}

/// The epoch of everything that [`Rig::broker_opens`] opens.
pub(crate) const EPOCH: Epoch = Epoch(0xE);

/// Message number `offset` of a channel, with its offset for an id.
pub(crate) fn publication(channel: &str, epoch: Epoch, offset: u64, payload: &str) -> Publication {
    Publication {
        channel: ChannelName::new(channel).unwrap(),
        epoch,
        offset: Offset(offset),
        id: MessageId(u128::from(offset)),
        payload: payload.as_bytes().into(),
    }
}
