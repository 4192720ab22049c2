//! One whole shard without its sockets: fan-out, a `say` and its answer, a connection that comes
//! and goes. What is measured is all that core decides and lays out; not the kernel's part, which
//! at low rates is the larger (docs, "CPU a delivery" of the whole server).

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use chatup_core::exchange::{Answer, ChannelTail, Event, Operation, Ticket, WorkerId};
use chatup_core::http_head::Services;
use chatup_core::limits::Limits;
use chatup_core::message::UnixMillis;
use chatup_core::origins::Origins;
use chatup_core::position::{Epoch, MessageId, Offset, Position};
use chatup_core::refusal::Refusal;
use chatup_core::session::Rules;
use chatup_core::shard::{Key, Now, Outside, Shard, ShardConfig, ShardMessage, SlowSubscriberPolicy};

use super::frames::masked;
use super::{NOW, channel, publication, published, tokens, words};

const UPGRADE: &[u8] = b"GET /chatup/v1 HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://127.0.0.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101\r\n\r\n";

/// What stands for the world: a broker's queue, and numbers that are random enough.
#[derive(Default)]
struct World {
    asked: VecDeque<(Ticket, Operation)>,
    random: u128,
}

impl Outside for World {
    fn random(&mut self) -> u128 {
        self.random += 1;
        self.random
    }

    fn to_broker(&mut self, ticket: Ticket, operation: Operation) -> Result<(), Operation> {
        self.asked.push_back((ticket, operation));
        Ok(())
    }

    fn to_shard(&mut self, _: u16, message: ShardMessage) -> Result<(), ShardMessage> {
        Err(message)
    }

    fn may_publish(&mut self, _: Key, _: Option<&str>) -> bool {
        false
    }

    fn http_get(&mut self, _: Key, _: &str, _: &str, _: Option<&str>) -> Result<String, Refusal> {
        Err(Refusal::NotFound)
    }
}

/// A shard whose sockets take everything at once.
struct Rig {
    shard: Shard,
    world: World,
    now_ms: u64,
    input: Vec<u8>,
}

impl Rig {
    fn new() -> Rig {
        let shard = Shard::new(ShardConfig {
            shard: 0,
            shards: 1,
            worker: WorkerId(1),
            rules: Rules {
                verifier: Arc::new(tokens::HS256.verifier()),
                limits: Limits::default(),
                anonymous_subscribe: true,
            },
            slow_subscribers: SlowSubscriberPolicy::Tell,
            flush_interval_ms: 0,
            services: Services { origins: Origins::loopback(), ..Services::default() },
            shared_store: false,
        });
        let mut rig = Rig { shard, world: World::default(), now_ms: 0, input: Vec::new() };
        rig.set_time(0);
        rig
    }

    fn set_time(&mut self, mono_ms: u64) {
        self.now_ms = mono_ms;
        self.shard.set_time(Now { mono_ms, unix: UnixMillis(NOW.0 + mono_ms) });
    }

    fn received(&mut self, key: Key, bytes: &[u8]) {
        self.input.clear();
        self.input.extend_from_slice(bytes);
        self.shard.received(key, black_box(&mut self.input), &mut self.world);
    }

    /// The end of a turn, and its sends.
    fn turn(&mut self) {
        self.shard.end_turn(&mut self.world);
        while self.shard.has_ready() {
            while let Some(begun) = self.shard.next_send(&mut self.world) {
                black_box(begun);
            }
            self.shard.settle();
        }
    }

    fn open(&mut self) -> Key {
        let key = self.shard.accept().expect("there is room");
        self.received(key, UPGRADE);
        self.turn();
        key
    }

    fn call(&mut self, key: Key, text: &str) {
        self.received(key, &masked(text.as_bytes()));
        self.answer();
        self.turn();
    }

    /// Answers everything that the broker was asked.
    fn answer(&mut self) {
        while let Some((ticket, operation)) = self.world.asked.pop_front() {
            let answer = match operation {
                Operation::Open(channel) => {
                    let before = Position { epoch: Epoch(1), offset: Offset::START, id: MessageId::NONE };
                    Answer::Opened(ChannelTail { channel, before, messages: Vec::new() })
                }
                Operation::Join { .. } => Answer::Joined(None),
                Operation::Publish(publish) => {
                    let position = Position { epoch: Epoch(1), offset: Offset(1), id: publish.id };
                    Answer::Published { position, duplicate: false }
                }
                _ => Answer::Done,
            };
            self.shard.broker_event(Event::Answer(ticket, answer), &mut self.world);
        }
    }
}

/// One message to so many subscribers, each up to date: the broker's event taken, the frame built,
/// everybody's send begun and ended.
///
/// # Panics
/// If not everybody is sent the message.
pub fn fan_out(subscribers: u32) -> impl FnMut() {
    let mut rig = Rig::new();
    for _ in 0..subscribers {
        let key = rig.open();
        rig.call(key, &format!(r#"{{"id":1,"call":"subscribe","channels":["{}"]}}"#, channel()));
    }
    let mut message = publication(&channel(), 0, 120);
    move || {
        message.offset = message.offset.next();
        rig.shard.broker_event(published(&message), &mut rig.world);
        rig.turn();
        let expected = message.offset.0 * u64::from(subscribers);
        assert_eq!(rig.shard.counters().deliveries, expected, "deliveries");
    }
}

/// A `say` with a text of so many bytes: a client's frame to an operation for the broker, and its
/// answer to a frame for the client.
///
/// # Panics
/// If it does not reach the broker.
pub fn say(text_bytes: usize) -> impl FnMut() {
    let mut rig = Rig::new();
    let key = rig.open();
    rig.call(key, &format!(r#"{{"id":1,"call":"auth","token":"{}"}}"#, tokens::HS256.token));
    rig.call(key, r#"{"id":2,"call":"join","room":"lobby"}"#);
    let frame = masked(format!(r#"{{"id":7,"call":"say","msg":"{}"}}"#, words(text_bytes)).as_bytes());
    let mut says = 0;
    move || {
        rig.received(key, &frame);
        rig.answer();
        rig.turn();
        says += 1;
        assert_eq!(rig.shard.counters().says, says, "says");
    }
}

/// A connection that comes, becomes a WebSocket and goes; a millisecond passes.
///
/// # Panics
/// If the handshake fails.
pub fn connect() -> impl FnMut() {
    let (mut rig, mut handshakes) = (Rig::new(), 0);
    move || {
        rig.set_time(rig.now_ms + 1);
        rig.shard.tick(&mut rig.world);
        let key = rig.open();
        rig.shard.ended(key, &mut rig.world);
        while let Some(key) = rig.shard.take_dead() {
            rig.shard.release(key);
        }
        handshakes += 1;
        assert_eq!(rig.shard.counters().handshakes, handshakes, "handshakes");
    }
}
