//! What a worker tells of itself: each shard's figures, side by side, for `/stats` and for the
//! worker's heartbeat.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use chatup_broker::BrokerClient;
use chatup_core::exchange::{Operation, Ticket, WorkerId, WorkerRecord};
use chatup_core::names::RoomName;
use chatup_core::shard::{Counters, Memory};
use glommio::channels::local_channel::{LocalReceiver, LocalSender};
use glommio::{GlommioError, ResourceType};
use serde::Serialize;

/// One shard's figures.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ShardReport {
    pub(crate) shard: u16,
    /// The core it is pinned to.
    pub(crate) core: Option<usize>,
    pub(crate) connections: usize,
    pub(crate) channels_open: usize,
    /// Of these, the ones that this shard owns.
    pub(crate) channels_owned: usize,
    pub(crate) subscriptions: u64,
    pub(crate) handshakes: u64,
    pub(crate) calls: u64,
    pub(crate) says: u64,
    pub(crate) messages: u64,
    pub(crate) deliveries: u64,
    pub(crate) bytes_out: u64,
    pub(crate) blocked: u64,
    pub(crate) gaps: u64,
    pub(crate) slow_closed: u64,
    pub(crate) protocol_errors: u64,
    pub(crate) refused: u64,
    /// Turns of its loop, and how many of them slept.
    pub(crate) turns: u64,
    pub(crate) sleeps: u64,
    /// Bytes, by what they are for.
    pub(crate) memory: ShardMemory,
}

/// What a shard's memory is used for, in bytes: what core accounts for, and the worker's own.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ShardMemory {
    #[serde(flatten)]
    pub(crate) core: Memory,
    /// The table of sockets.
    pub(crate) sockets: usize,
    /// Receive buffers, and the ring's own queues.
    pub(crate) io: usize,
    /// The queue into the shard.
    pub(crate) queue: usize,
}

impl ShardReport {
    pub(crate) fn take(&mut self, counters: Counters) {
        self.subscriptions = counters.subscriptions;
        self.handshakes = counters.handshakes;
        self.calls = counters.calls;
        self.says = counters.says;
        self.messages = counters.messages;
        self.deliveries = counters.deliveries;
        self.bytes_out = counters.bytes_out;
        self.blocked = counters.blocked;
        self.gaps = counters.gaps;
        self.slow_closed = counters.slow_closed;
        self.protocol_errors = counters.protocol_errors;
        self.refused = counters.refused;
    }
}

/// What a shard hands its control task.
pub(crate) struct Report {
    pub(crate) figures: ShardReport,
    /// Rooms whose count of viewers has changed.
    pub(crate) viewers: Vec<(RoomName, u32)>,
}

/// Where a shard's reports go.
pub(crate) enum Reports {
    /// To the control task, which holds one at most.
    Task(LocalSender<Report>),
    /// On, at once.
    Here(PassOn),
}

impl Reports {
    /// Hands a report over; it comes back if there is no room for it.
    pub(crate) fn hand_over(&mut self, report: Report) -> Option<Report> {
        match self {
            Reports::Here(pass_on) => {
                pass_on.pass_on(report);
                None
            }
            Reports::Task(task) => match task.try_send(report) {
                // A busy executor makes it late, never more.
                Err(GlommioError::WouldBlock(ResourceType::Channel(report))) => Some(report),
                _ => None,
            },
        }
    }
}

/// Passes a shard's reports on, to the board and to the broker.
pub(crate) struct PassOn {
    board: Arc<Board>,
    broker: BrokerClient,
    unsaid: Vec<(RoomName, u32)>,
}

impl PassOn {
    pub(crate) fn new(board: Arc<Board>, broker: BrokerClient) -> PassOn {
        PassOn { board, broker, unsaid: Vec::new() }
    }

    /// The control task of a shard, until the shard's end of the channel is gone. Has a queue of its
    /// own, so that the driver comes first.
    pub(crate) async fn run(mut self, reports: LocalReceiver<Report>) {
        while let Some(report) = reports.recv().await {
            self.pass_on(report);
        }
    }

    fn pass_on(&mut self, Report { figures, viewers }: Report) {
        let (shard, worker) = (figures.shard, self.board.worker);
        self.board.post(figures);
        self.unsaid.extend(viewers);
        if !self.unsaid.is_empty() {
            let counts = std::mem::take(&mut self.unsaid);
            let operation = Operation::Viewers { worker, shard, counts };
            if let Err(Operation::Viewers { counts, .. }) = self.broker.ask(Ticket(0), operation) {
                self.unsaid = counts;
            }
        }
        if shard == 0 {
            // A beat that finds no room is made up for by the next.
            let _ = self.broker.ask(Ticket(0), Operation::Heartbeat(self.board.record()));
        }
    }
}

/// All shards' figures. Each is renewed by its shard about once a second.
pub(crate) struct Board {
    pub(crate) worker: WorkerId,
    pub(crate) host: String,
    pub(crate) draining: AtomicBool,
    /// How sockets are served.
    io: &'static str,
    shards: Vec<Mutex<ShardReport>>,
    /// What another part of the process counts, under its name.
    pub(crate) beside: OnceLock<(&'static str, Beside)>,
}

/// Figures of another part of the process, in JSON.
pub type Beside = Box<dyn Fn() -> serde_json::Value + Send + Sync>;

#[derive(Serialize)]
struct Stats<'a> {
    worker: String,
    host: &'a str,
    draining: bool,
    io: &'static str,
    connections: usize,
    shards: Vec<ShardReport>,
    #[serde(flatten)]
    beside: BTreeMap<&'static str, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    /// The shard that owns the channel asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<u16>,
}

impl Board {
    pub(crate) fn new(worker: WorkerId, host: String, io_uring: bool, shards: u16) -> Board {
        let io = if io_uring { "io_uring" } else { "epoll" };
        let shards = (0..shards).map(|shard| Mutex::new(ShardReport { shard, ..ShardReport::default() }));
        Board {
            worker,
            host,
            draining: AtomicBool::new(false),
            io,
            shards: shards.collect(),
            beside: OnceLock::new(),
        }
    }

    pub(crate) fn post(&self, report: ShardReport) {
        if let Some(place) = self.shards.get(usize::from(report.shard)) {
            *place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = report;
        }
    }

    fn reports(&self) -> Vec<ShardReport> {
        let read = |place: &Mutex<ShardReport>| {
            place.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
        };
        self.shards.iter().map(read).collect()
    }

    pub(crate) fn record(&self) -> WorkerRecord {
        let connections: usize = self.reports().iter().map(|report| report.connections).sum();
        WorkerRecord {
            id: self.worker,
            host: self.host.clone(),
            connections: u32::try_from(connections).unwrap_or(u32::MAX),
            draining: self.draining.load(Ordering::Relaxed),
        }
    }

    /// The answer to `/stats`, in JSON; with the owner of a channel if one is named.
    pub(crate) fn stats(&self, channel: Option<(&str, u16)>) -> String {
        let shards = self.reports();
        let stats = Stats {
            worker: self.worker.to_string(),
            host: &self.host,
            draining: self.draining.load(Ordering::Relaxed),
            io: self.io,
            connections: shards.iter().map(|report| report.connections).sum(),
            shards,
            beside: self.beside.get().map(|(name, figures)| (*name, figures())).into_iter().collect(),
            channel: channel.map(|(name, _)| name),
            owner: channel.map(|(_, owner)| owner),
        };
        serde_json::to_string(&stats).unwrap_or_default()
    }
}
