//! A process that holds connections: one thread, one epoll, told what to do over standard input.
//!
//! It makes connections ([`connecting`]), publishes what is due and counts what arrives
//! ([`loading`], [`reading`]). It decides nothing about the run: that is the leading process's.

mod connecting;
mod connection;
mod ears;
mod loading;
mod measuring;
mod orders;
mod own;
mod polling;
mod publishing;
mod reading;
mod timers;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use chatup_core::deflate::Inflater;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use self::connection::{Class, Connection, Stage};
use self::measuring::Measuring;
use self::orders::{Orders, say};
use self::publishing::Publishing;
use self::timers::{Timers, What};
use crate::checking::Lane;
use crate::clock::{self, SECOND_NS, now_ns};
use crate::control::{Begin, Load, News, Order, Progress};
use crate::door::Door;
use crate::limits::{
    EVENTS_BEFORE_PUBLISHING, EVENTS_MAX, PROGRESS_NS, READ_BYTES_MAX, TAPE_BYTES_MAX, TAPES_BYTES,
    TIMERS_MAX,
};
use crate::tape::Tape;
use crate::websocket::Masks;

/// The event of standard input; connections have their slot and generation.
const ORDERS: u64 = u64::MAX;

/// What the process is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Holding what it has.
    Idle,
    /// Making the connections asked for.
    Connecting,
    /// Publishing.
    Loading,
    /// The time is over; what was due in it may still be sent until then.
    Flushing(u64),
    /// Said what it published; waits to hear what the others did.
    Told,
    /// Waits for what is missing until then.
    Draining(u64),
}

/// A process that holds connections.
struct Generator {
    begin: Begin,
    epoll: OwnedFd,
    orders: Orders,
    connections: Vec<Connection>,
    /// Slots below this are clients.
    clients: usize,
    /// Slots from there to this only publish; those behind it are for connections that are closed
    /// again at once.
    members: usize,
    /// The first lane that is kept apart.
    aside_from: u32,
    lanes: Vec<Lane>,
    /// What each lane sounded like.
    tapes: Vec<Tape>,
    timers: Timers,
    publishing: Publishing,
    measuring: Measuring,
    masks: Masks,
    inflater: Inflater,
    buffer: Vec<u8>,
    /// Since when events have been waiting without a break.
    busy_since_ns: u64,
    addresses: HashMap<String, SocketAddr>,
    /// Slots still to be connected: the next, the end, when the first was due, and how many a second.
    ramp: Option<Ramp>,
    /// Connections on their way.
    connecting: usize,
    /// Slots free for connections that are closed again.
    free: VecDeque<usize>,
    phase: Phase,
    load: Load,
    /// Deliveries that those who stay are still owed, while draining.
    owed: u64,
    /// Transient clients' accounts that are closed: missing, holes, told.
    closed: (u64, u64, u64),
    /// Connections made anew within a run, of all: seeds whom churn hits.
    drawn: u64,
    ready: usize,
    ready_clients: usize,
    failed: u64,
    disconnected: u64,
    faults: BTreeMap<String, u64>,
}

/// Connections to be made.
#[derive(Clone, Copy, Debug)]
struct Ramp {
    next: usize,
    end: usize,
    first: usize,
    at_ns: u64,
    per_s: f64,
}

/// Runs such a process until its standard input ends.
///
/// # Errors
/// The system refuses what it cannot do without.
pub fn run() -> io::Result<()> {
    let mut orders = Orders::default();
    let mut first = Vec::new();
    while first.is_empty() {
        first = orders.read()?;
    }
    let mut first = first.into_iter();
    let Some(Order::Begin(begin)) = first.next() else {
        return Err(io::Error::other("this is started by loadgen itself, not by hand"));
    };
    if let Some(core) = begin.core {
        core_affinity::set_for_current(core_affinity::CoreId { id: core });
    }
    let mut generator = Generator::new(*begin, orders)?;
    first.for_each(|order| generator.obey(order));
    match generator.work() {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => {
            say(&News::Failed(error.to_string()));
            Err(error)
        }
        Ok(()) => Ok(()),
    }
}

impl Generator {
    fn new(begin: Begin, orders: Orders) -> io::Result<Generator> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let plan = &begin.plan;
        let mut lanes = Vec::new();
        lanes.resize_with(plan.lanes() as usize, Lane::default);
        let tape_bytes = (TAPES_BYTES / lanes.len().max(1)).min(TAPE_BYTES_MAX);
        let mut tapes = Vec::new();
        tapes.resize_with(lanes.len(), || Tape::new(tape_bytes));
        let mut generator = Generator {
            epoll,
            orders,
            connections: Vec::new(),
            clients: 0,
            members: 0,
            aside_from: plan.lane_aside_from(),
            lanes,
            tapes,
            timers: Timers::default(),
            publishing: Publishing::new(plan),
            measuring: Measuring::new(),
            masks: Masks::new(plan.run ^ begin.process),
            inflater: Inflater::default(),
            buffer: vec![0; READ_BYTES_MAX],
            busy_since_ns: 0,
            addresses: plan.doors.iter().flat_map(Door::addresses).map(|(a, b)| (a.to_owned(), b)).collect(),
            ramp: None,
            connecting: 0,
            free: VecDeque::new(),
            phase: Phase::Idle,
            load: Load::default(),
            owed: 0,
            closed: (0, 0, 0),
            drawn: 0,
            ready: 0,
            ready_clients: 0,
            failed: 0,
            disconnected: 0,
            faults: BTreeMap::new(),
            begin,
        };
        generator.enroll().map_err(io::Error::other)?;
        generator.timers.set(now_ns() + PROGRESS_NS, What::Progress);
        epoll::add(&generator.epoll, rustix::stdio::stdin(), EventData::new_u64(ORDERS), EventFlags::IN)?;
        Ok(generator)
    }

    fn work(&mut self) -> io::Result<()> {
        let mut events = vec![Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; EVENTS_MAX];
        let mut more_waited = false;
        loop {
            let now_ns = self.do_what_is_due();
            let until_ns = self.wakes_at_ns().saturating_sub(now_ns);
            let seconds = i64::try_from(until_ns / SECOND_NS).unwrap_or(0);
            let timeout =
                Timespec { tv_sec: seconds, tv_nsec: i64::try_from(until_ns % SECOND_NS).unwrap_or(0) };
            let count = match epoll::wait(&self.epoll, &mut events[..], Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => 0,
                other => other?,
            };
            if !more_waited {
                self.busy_since_ns = clock::now_ns();
            }
            more_waited = count == EVENTS_MAX;
            for (number, event) in events[..count].iter().enumerate() {
                // Messages that have become due in the meantime do not wait for a long row of reads.
                if number % EVENTS_BEFORE_PUBLISHING == EVENTS_BEFORE_PUBLISHING - 1 {
                    self.publish_due();
                }
                let (flags, data) = (event.flags, event.data.u64());
                if data == ORDERS {
                    self.take_orders()?;
                } else {
                    self.happened(data, flags);
                }
            }
        }
    }

    /// When there is something to do even if nothing comes.
    fn wakes_at_ns(&self) -> u64 {
        let ramp_ns = self
            .ramp
            .filter(|ramp| ramp.next < ramp.end && self.may_connect())
            .map_or(u64::MAX, |ramp| ramp.due_ns());
        let phase_ns = match self.phase {
            Phase::Loading => self.load.at_ns + self.load.warmup_ns + self.load.duration_ns,
            Phase::Flushing(until_ns) | Phase::Draining(until_ns) => until_ns,
            Phase::Idle | Phase::Connecting | Phase::Told => u64::MAX,
        };
        self.publishing.next_due_ns().min(self.timers.next_ns()).min(ramp_ns).min(phase_ns)
    }

    fn do_what_is_due(&mut self) -> u64 {
        for number in 0..TIMERS_MAX {
            if number % EVENTS_BEFORE_PUBLISHING == 0 {
                self.publish_due();
            }
            let Some((due_ns, what)) = self.timers.take_due(now_ns()) else { break };
            self.due(due_ns, what);
        }
        self.ramp_up();
        let now_ns = now_ns();
        self.measuring.tick(now_ns, self.ready as u64);
        self.end_phases(now_ns);
        now_ns
    }

    fn due(&mut self, due_ns: u64, what: What) {
        match what {
            What::Connect(slot) => self.connect(slot),
            What::Deadline(slot, generation) => self.deadline(slot, generation),
            What::ReadSlowly(slot) => self.read_slowly(slot),
            What::Ask(slot, generation) => self.ask(slot, generation),
            What::Cut => self.cut_all(due_ns),
            What::Churn => self.churn(due_ns),
            What::PassBy => self.pass_by(due_ns),
            What::HoldBack => self.hold_back(),
            What::Progress => {
                self.timers.set(now_ns() + PROGRESS_NS, What::Progress);
                say(&News::Progress(self.progress()));
            }
        }
    }

    /// How it stands; told before anything else is, so that the leading process knows the latest.
    fn progress(&mut self) -> Progress {
        let impossible = self.measuring.found.impossible;
        if impossible > 0 {
            self.faults.insert("a text with an impossible number".to_owned(), impossible);
        }
        Progress {
            connected: self.ready as u64,
            clients: self.ready_clients as u64,
            failed: self.failed,
            disconnected: self.disconnected,
            sent: self.measuring.sent,
            received: self.measuring.received,
            latency_us: self.measuring.take_recent(),
            faults: self.faults.clone(),
        }
    }

    fn take_orders(&mut self) -> io::Result<()> {
        for order in self.orders.read()? {
            self.obey(order);
        }
        Ok(())
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Begin(_) => {}
            Order::Connect { publishers, at_ns, per_s } => {
                let (first, end) = if publishers { (self.clients, self.members) } else { (0, self.clients) };
                self.ramp = Some(Ramp { next: first, end, first, at_ns, per_s });
                self.phase = Phase::Connecting;
            }
            Order::Load(load) => self.begin_load(*load),
            Order::Drain { published, until_ns } => self.drain(published, until_ns),
            Order::Stop { at_ns } => self.stop_load(at_ns),
        }
    }

    fn happened(&mut self, data: u64, flags: EventFlags) {
        let slot = usize::try_from(data & u64::from(u32::MAX)).unwrap_or(usize::MAX);
        let Some(connection) = self.connections.get(slot) else { return };
        if u64::from(connection.generation) != data >> 32 || connection.stream.is_none() {
            return;
        }
        match connection.stage {
            Stage::Calling | Stage::Knocking => self.reached(slot),
            _ => {
                if flags.contains(EventFlags::OUT) {
                    self.flush(slot);
                }
                let ends = flags.intersects(EventFlags::HUP | EventFlags::ERR);
                let held_back = self.connections[slot].held_back;
                if flags.contains(EventFlags::IN) || ends {
                    self.readable(slot, held_back && ends);
                }
            }
        }
    }

    /// Something went wrong, to be told in the report.
    fn fault(&mut self, what: &str) {
        *self.faults.entry(what.to_owned()).or_default() += 1;
    }

    /// Asks for other events of a connection.
    fn watch(&mut self, slot: usize, writing: bool) {
        let connection = &mut self.connections[slot];
        connection.watches_writing = writing;
        let Some(stream) = &connection.stream else { return };
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, !connection.held_back);
        flags.set(EventFlags::OUT, writing);
        let data = EventData::new_u64(event_data(slot, connection.generation));
        if let Err(error) = epoll::modify(&self.epoll, stream, data, flags) {
            self.fault(&format!("epoll: {error}"));
        }
    }

    /// Whether it is kept apart from those whose latency is the run's.
    fn is_aside(&self, slot: usize) -> bool {
        self.connections[slot].lane >= self.aside_from
    }

    /// Whether it counts among those that are owed every message.
    fn is_owed(&self, slot: usize) -> bool {
        slot < self.clients && self.connections[slot].class == Class::Stays
    }
}

impl Ramp {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time within hours"
    )]
    fn due_ns(self) -> u64 {
        self.at_ns + ((self.next - self.first) as f64 * SECOND_NS as f64 / self.per_s) as u64
    }
}

fn event_data(slot: usize, generation: u32) -> u64 {
    u64::from(generation) << 32 | slot as u64
}
