//! What the process that leads a run and those that hold connections say to each other: a line of
//! JSON each, over standard input and output.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::report::model::Distribution;

/// The time by which the latency of those who are kept apart is counted; a scenario gives it a name.
pub const ASIDE: &str = "aside";

/// To a process that holds connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// First of all: what it is about.
    Begin(Box<Begin>),
    /// Make connections: those that only publish, or the clients.
    Connect {
        /// Which.
        publishers: bool,
        /// When the first is due.
        at_ns: u64,
        /// So many a second in this process.
        per_s: f64,
    },
    /// A stretch of load.
    Load(Box<Load>),
    /// The load is over; so much was published in each lane since the beginning of the run. Wait for
    /// what is still missing, but not beyond a time.
    Drain {
        /// Of all processes.
        published: Published,
        /// Until when.
        until_ns: u64,
    },
    /// End the stretch of load at this time.
    Stop {
        /// When.
        at_ns: u64,
    },
}

/// The beginning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begin {
    /// The run.
    pub plan: Plan,
    /// Number of this process.
    pub process: u32,
    /// Number of processes.
    pub processes: u32,
    /// Source addresses of its connections, in turn; none: the system's choice.
    pub sources: Vec<IpAddr>,
    /// Core to stay on.
    pub core: Option<usize>,
    /// How to get publishers' tokens.
    pub tokens: Tokens,
    /// Time for one connection to become ready, in nanoseconds.
    pub connect_within_ns: u64,
}

/// How to get publishers' tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// There are none.
    None,
    /// Sign them with this secret (HS256) or private key (PEM).
    Sign(String),
    /// Take these, one a publisher, round and round.
    Given(Vec<String>),
}

/// A stretch of load.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Load {
    /// When it begins.
    pub at_ns: u64,
    /// Time from there that is not measured.
    pub warmup_ns: u64,
    /// Measured time after it.
    pub duration_ns: u64,
    /// Messages a second, of all processes.
    pub per_s: f64,
    /// And in each channel that is kept apart; none where nothing is said.
    pub aside_per_s: Vec<f64>,
    /// Clients that leave for a new one to come, a second, in this process.
    pub churn_per_s: f64,
    /// Connections made and closed again, a second, in this process if it makes any.
    pub connects_per_s: f64,
    /// Cut all clients off at this time, to come back at once.
    pub cut_at_ns: Option<u64>,
    /// They come back spread over this time.
    pub cut_spread_ns: u64,
    /// Slow clients are slow from its beginning.
    pub slow: bool,
    /// Time to go on after the end with what is due and not sent.
    pub send_grace_ns: u64,
    /// Length of a stretch of the timeline.
    pub moment_ns: u64,
}

/// From a process that holds connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// How it stands, several times a second.
    Progress(Progress),
    /// All connections asked for are made, or have failed for good.
    Connected {
        /// From when due until ready.
        connect: Distribution,
    },
    /// The time for sending is over.
    Published(Published),
    /// The stretch of load is over and counted.
    Counted(Box<Counted>),
    /// It cannot go on.
    Failed(String),
}

/// What was published in each lane, refused messages left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Since the beginning of the run.
    pub all: Vec<u64>,
    /// Of this load's measured time.
    pub measured: Vec<u64>,
    /// Refused messages: lane, publisher, number. Nobody is owed them.
    pub refused: Vec<(u32, u32, u32)>,
}

impl Published {
    /// Of a run with so many lanes.
    #[must_use]
    pub fn new(lanes: u32) -> Published {
        Published { all: vec![0; lanes as usize], measured: vec![0; lanes as usize], refused: Vec::new() }
    }

    /// Adds another process's.
    pub fn add(&mut self, other: &Published) {
        for (own, more) in [(&mut self.all, &other.all), (&mut self.measured, &other.measured)] {
            own.resize(own.len().max(more.len()), 0);
            own.iter_mut().zip(more).for_each(|(own, more)| *own += more);
        }
        self.refused.extend_from_slice(&other.refused);
    }
}

/// How it stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Connections that are ready: clients and publishers.
    pub connected: u64,
    /// Clients that are ready.
    pub clients: u64,
    /// Failed tries.
    pub failed: u64,
    /// Connections that ended by themselves.
    pub disconnected: u64,
    /// Messages sent since the beginning of the run.
    pub sent: u64,
    /// Deliveries since the beginning of the run.
    pub received: u64,
    /// Latency since the last news (where it is the run's), at the median and the 99th percentile.
    pub latency_us: (u64, u64),
    /// What went wrong, and how often.
    pub faults: BTreeMap<String, u64>,
}

/// What a stretch of load came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counted {
    /// As in the report.
    pub due: u64,
    /// As in the report.
    pub sent: u64,
    /// As in the report.
    pub late: u64,
    /// As in the report.
    pub unsent: u64,
    /// As in the report.
    pub acknowledged: u64,
    /// As in the report.
    pub refused: BTreeMap<String, u64>,
    /// Deliveries of messages due in the measured time.
    pub received: u64,
    /// Deliveries that came in the measured time.
    pub received_in_time: u64,
    /// Deliveries that came from the beginning of the measured time on.
    pub arrived: u64,
    /// Bytes that came in the measured time.
    pub bytes: u64,
    /// What should have been heard of the messages due in the measured time.
    pub expected: u64,
    /// Since the beginning of the run, as in the report.
    pub lost: u64,
    /// Since the beginning of the run, as in the report.
    pub duplicated: u64,
    /// Since the beginning of the run, as in the report.
    pub reordered: u64,
    /// Since the beginning of the run, as in the report.
    pub order_conflicts: u64,
    /// Since the beginning of the run, as in the report.
    pub gaps_silent: u64,
    /// Since the beginning of the run, as in the report.
    pub gaps_told: u64,
    /// For each lane, of what was heard in it: how many, and a sum over what had which number. Two
    /// processes that heard everything must come to the same.
    pub digests: BTreeMap<u32, (u64, u64)>,
    /// Latency; what is kept apart has one of its own among the other times.
    pub latency: Distribution,
    /// Other times by name, as in the report.
    pub times: BTreeMap<String, Distribution>,
    /// The course of it.
    pub moments: Vec<CountedMoment>,
    /// Time for which this process watched itself: the measured time, to within a tick.
    pub watched_ns: u64,
    /// CPU time that this process used in it.
    pub cpu_ns: u64,
    /// Time for which this process was ready to run and waited for a core.
    pub run_queue_wait_ns: u64,
    /// Deliveries to slow clients.
    pub slow_received: u64,
    /// Slow clients that were disconnected.
    pub slow_disconnected: u64,
    /// Other figures, added up over processes.
    pub figures: BTreeMap<String, f64>,
    /// Last moment at which a client came back after the cut, since the cut.
    pub resumed_after_ns: u64,
}

/// A stretch of the timeline.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CountedMoment {
    /// Its length.
    pub length_ns: u64,
    /// Connections ready at its end.
    pub connected: u64,
    /// Messages sent.
    pub sent: u64,
    /// Deliveries.
    pub received: u64,
    /// Latency of these.
    pub latency: Distribution,
}
