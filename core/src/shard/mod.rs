//! All decisions of one shard, without its sockets: connections, channels, calls, timers.
//!
//! The caller owns the input and output: it tells the time (`set_time`) and what has happened
//! (`accept`, `received`, `writable`, `ended`, `broker_event`, `shard_message`, `tick`), ends each turn
//! with `end_turn`, and carries out what is asked of it: sends (`next_send` for each, `taken_short` for
//! those that were not taken whole, `settle` behind them all), and `take_dead`. Everything else that
//! must leave goes through [`Outside`].

mod calls;
mod channels;
mod connection;
mod deflated;
mod events;
mod fanout;
mod forms;
mod jobs;
mod lifecycle;
mod memory;
mod opening;
mod past;
mod polled;
mod polls;
mod pushstream;
mod rendered;
mod renewing;
mod requests;
mod sending;
mod slab;
mod socketio;
mod subscribing;
mod surveys;
mod syncing;
mod tickets;
mod timers;
mod unstored;
mod unused;
mod viewers;
mod wires;

use std::collections::{HashMap, VecDeque};

use crate::exchange::{Operation, Ticket, WorkerId};
use crate::http_head::Services;
use crate::limits::FANOUT_QUANTUM_SENDS;
use crate::message::UnixMillis;
use crate::names::{ChannelName, RoomName};
use crate::protocol::CallReader;
use crate::pushstream::Want;
use crate::refusal::Refusal;
use crate::room_log::LogLimits;
use crate::session::Rules;

pub use channels::{ShardMessage, beginning};
pub use events::Happened;
pub use memory::Memory;
pub use sending::{AfterSend, Begun, Outgoing};
pub use slab::Key;
pub use surveys::Survey;
pub use syncing::SyncNumber;
pub use wires::{Asking, At, FromSession, ToSession};

use channels::Channel;
use connection::{Connection, PendingChannel};
use deflated::Deflating;
use events::Events;
use fanout::Source;
use forms::Form;
use sending::{Flight, Memo};
use slab::Slab;
use timers::{Ticks, Wheel};

/// The time, as an argument.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Milliseconds since some moment before the shard began; never goes back.
    pub mono_ms: u64,
    /// The wall clock.
    pub unix: UnixMillis,
}

/// What a shard needs of the world.
pub trait Outside {
    /// 128 random bits.
    fn random(&mut self) -> u128;

    /// Hands an operation to the broker.
    ///
    /// # Errors
    /// The queue is full; the operation comes back.
    fn to_broker(&mut self, ticket: Ticket, operation: Operation) -> Result<(), Operation>;

    /// Hands a message to another shard.
    ///
    /// # Errors
    /// Its queue is full; the message comes back.
    fn to_shard(&mut self, shard: u16, message: ShardMessage) -> Result<(), ShardMessage>;

    /// Answers a question that came over HTTP, in JSON, perhaps for somebody behind a proxy.
    ///
    /// # Errors
    /// The refusal to answer with.
    fn http_get(
        &mut self,
        key: Key,
        path: &str,
        query: &str,
        forwarded_for: Option<&str>,
    ) -> Result<String, Refusal>;

    /// Whether somebody may publish over HTTP and read statistics.
    fn may_publish(&mut self, key: Key, forwarded_for: Option<&str>) -> bool;
}

/// What happens to a subscriber whose next message is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowSubscriberPolicy {
    /// It is told of the gap and goes on.
    Tell,
    /// Its connection is closed; it may resume.
    Close,
}

/// What a shard is told at its start.
#[derive(Clone)]
pub struct ShardConfig {
    /// Its number, from 0.
    pub shard: u16,
    /// How many there are.
    pub shards: u16,
    /// The worker.
    pub worker: WorkerId,
    /// What holds for every session.
    pub rules: Rules,
    /// What is served on which path, and to whose pages.
    pub services: Services,
    /// What happens to slow subscribers.
    pub slow_subscribers: SlowSubscriberPolicy,
    /// How long a room's messages are gathered before they are sent, in milliseconds.
    pub flush_interval_ms: u64,
    /// Whether other processes publish through the same broker: then it may know more than this one.
    pub shared_store: bool,
}

/// What a shard has done since its start, and how much it carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// WebSocket handshakes that succeeded.
    pub handshakes: u64,
    /// Messages of clients, calls or not.
    pub calls: u64,
    /// `say` calls handed to the broker.
    pub says: u64,
    /// Messages of channels owned here.
    pub messages: u64,
    /// Messages sent, each counted for each subscriber.
    pub deliveries: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Times that a socket was full.
    pub blocked: u64,
    /// Gaps that subscribers were told of.
    pub gaps: u64,
    /// Connections closed because they read too slowly.
    pub slow_closed: u64,
    /// Connections closed because they broke the protocol.
    pub protocol_errors: u64,
    /// Connections turned away because the shard was full.
    pub refused: u64,
    /// Subscriptions now.
    pub subscriptions: u64,
}

/// One shard's state.
pub struct Shard {
    shard: u16,
    shards: u16,
    worker: WorkerId,
    rules: Rules,
    services: Services,
    slow_subscribers: SlowSubscriberPolicy,
    log_limits: LogLimits,
    connections: Slab<Connection>,
    channels: Slab<Channel>,
    channel_index: HashMap<ChannelName, u32>,
    channels_owned: usize,
    /// Of all open here, those whose names have the prefix of wildcard channels.
    wildcards_open: usize,
    /// Of those owned here, likewise.
    wildcards_owned: usize,
    call_reader: CallReader,
    wheel: Wheel,
    /// Channels with something new since the last turn.
    dirty: Vec<u32>,
    /// Connections that may have something of their own to send.
    ready: VecDeque<u32>,
    /// `sources` has [`Source::Ready`].
    ready_listed: bool,
    /// Who has something to send; the first sends until its credit is used up.
    sources: VecDeque<Source>,
    credit: u32,
    /// The sends that are not settled, the number of their batch, and who has more to send.
    flights: Vec<Flight>,
    batch: u32,
    again: Vec<u32>,
    /// One for each form of a message on the wire.
    memos: Vec<Option<Memo>>,
    /// Where compression is on.
    deflating: Option<Box<Deflating>>,
    /// Whether some messages are not for those who come later.
    has_unstored: bool,
    /// Where there is an events channel.
    events: Option<Box<Events>>,
    /// Channels that wait for the end of their flush window, and when that is.
    flushing: VecDeque<(u64, Key)>,
    flush_interval_ms: u64,
    /// Channels whose log could lose what fast subscribers have not been sent.
    crowded: usize,
    /// Polls whose channels are open: they begin at the end of the turn.
    polls: Vec<(Key, Box<Want>, Vec<PendingChannel>)>,
    /// Socket.IO sessions by polls.
    sessions: usize,
    /// Subscribers that have been sent a channel's deletion.
    ended: Vec<(Key, u32)>,
    /// Connections of which the caller must let go.
    dead: Vec<Key>,
    /// The last question of how far a channel is.
    last_sync: SyncNumber,
    shared_store: bool,
    /// Channels that nobody uses, and when they are closed.
    lingering: VecDeque<(u64, Key)>,
    /// Channels that lack messages which the broker could not give.
    refetch: Vec<ChannelName>,
    changed_counts: Vec<u32>,
    gone_counts: Vec<(RoomName, u32)>,
    /// What must reach the broker but did not fit its queue: bounded by the connections and
    /// channels that it speaks for.
    broker_backlog: VecDeque<(Ticket, Operation)>,
    /// Likewise to each other shard: a few words a channel.
    shard_backlog: Vec<VecDeque<ShardMessage>>,
    /// Something did not fit a queue: the next turn should come soon.
    behind: bool,
    turn_is_full: bool,
    /// A subscriber that takes all it is given has not been given everything yet.
    catching_up: bool,
    draining: bool,
    member_sequence: u64,
    counters: Counters,
    walk: memory::Walk,
    now: Now,
    /// The same, coarse.
    ticks: Ticks,
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(config: ShardConfig) -> Shard {
        let limits = &config.rules.limits;
        let log_limits = LogLimits {
            messages_max: limits.log_messages_max as usize,
            bytes_max: limits.log_bytes_max as usize,
        };
        Shard {
            shard: config.shard,
            shards: config.shards,
            worker: config.worker,
            rules: config.rules,
            slow_subscribers: config.slow_subscribers,
            log_limits,
            connections: Slab::new(),
            channels: Slab::new(),
            channel_index: HashMap::new(),
            channels_owned: 0,
            wildcards_open: 0,
            wildcards_owned: 0,
            call_reader: CallReader::default(),
            wheel: Wheel::new(),
            dirty: Vec::new(),
            ready: VecDeque::new(),
            ready_listed: false,
            sources: VecDeque::new(),
            credit: FANOUT_QUANTUM_SENDS,
            flights: Vec::new(),
            batch: 1,
            again: Vec::new(),
            memos: (0..Form::count(&config.services.pushstream)).map(|_| None).collect(),
            deflating: config.services.deflate.then(Box::default),
            has_unstored: config.services.pushstream.has_unstored(),
            events: config.services.pushstream.events.clone().map(|name| Box::new(Events::new(name))),
            flushing: VecDeque::new(),
            flush_interval_ms: config.flush_interval_ms,
            crowded: 0,
            polls: Vec::new(),
            sessions: 0,
            ended: Vec::new(),
            dead: Vec::new(),
            last_sync: SyncNumber::default(),
            services: config.services,
            shared_store: config.shared_store,
            lingering: VecDeque::new(),
            refetch: Vec::new(),
            changed_counts: Vec::new(),
            gone_counts: Vec::new(),
            broker_backlog: VecDeque::new(),
            shard_backlog: (0..config.shards).map(|_| VecDeque::new()).collect(),
            behind: false,
            turn_is_full: false,
            catching_up: false,
            draining: false,
            member_sequence: 0,
            counters: Counters::default(),
            walk: memory::Walk::default(),
            now: Now::default(),
            ticks: Ticks(0),
        }
    }

    /// Tells the time: at the start of each turn, before anything that happens in it.
    pub fn set_time(&mut self, now: Now) {
        self.now = now;
        self.ticks = Ticks::at(now.mono_ms);
    }

    /// What it has done and carries.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Connections, those on their way out included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Whether something waits for room in a queue, so that the next turn should come soon.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Hands the broker something that must not be lost; keeps it if there is no room now.
    fn ask_broker(&mut self, ticket: Ticket, operation: Operation, outside: &mut impl Outside) {
        if let Err(operation) = self.try_broker(ticket, operation, outside) {
            self.broker_backlog.push_back((ticket, operation));
            self.behind = true;
        }
    }

    /// Hands the broker something that may be refused; never before what waits already.
    fn try_broker(
        &mut self,
        ticket: Ticket,
        operation: Operation,
        outside: &mut impl Outside,
    ) -> Result<(), Operation> {
        if self.broker_backlog.is_empty() { outside.to_broker(ticket, operation) } else { Err(operation) }
    }

    fn tell_shard(&mut self, shard: u16, message: ShardMessage, outside: &mut impl Outside) {
        let Some(backlog) = self.shard_backlog.get_mut(usize::from(shard)) else { return };
        let kept = if backlog.is_empty() { outside.to_shard(shard, message).err() } else { Some(message) };
        if let Some(message) = kept {
            backlog.push_back(message);
            self.behind = true;
        }
    }

    fn flush_backlogs(&mut self, outside: &mut impl Outside) {
        self.behind = false;
        while let Some((ticket, operation)) = self.broker_backlog.pop_front() {
            if let Err(operation) = outside.to_broker(ticket, operation) {
                self.broker_backlog.push_front((ticket, operation));
                self.behind = true;
                break;
            }
        }
        for (shard, backlog) in (0..).zip(&mut self.shard_backlog) {
            while let Some(message) = backlog.pop_front() {
                if let Err(message) = outside.to_shard(shard, message) {
                    backlog.push_front(message);
                    self.behind = true;
                    break;
                }
            }
        }
    }
}
