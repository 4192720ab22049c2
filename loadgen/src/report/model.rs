//! What a run found: the shape of the JSON report, version 1.
//!
//! Times are microseconds where a name ends in `_us`, seconds where it ends in `_s`. Counts are of
//! the measured time alone, unless a field says otherwise; the checks (losses, duplicates, order)
//! also cover the warm-up.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of this format.
pub const FORMAT: u32 = 1;

/// One run, or several merged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Version of this format: 1.
    pub format: u32,
    /// The program and its version.
    pub tool: String,
    /// When it began, in UTC (RFC 3339). Of merged runs: the earliest.
    pub started: String,
    /// The scenario's name.
    pub scenario: String,
    /// What was asked for, as flags: name (without dashes) and value.
    pub settings: BTreeMap<String, String>,
    /// The machines that made the load.
    pub machines: Vec<Machine>,
    /// Length of the measured time, in seconds.
    pub measured_s: f64,
    /// Whether these figures can be believed.
    pub verdict: Verdict,
    /// How the clients got in, and whether they stayed.
    pub clients: Clients,
    /// What was published.
    pub messages: Messages,
    /// What arrived of it.
    pub deliveries: Deliveries,
    /// From the moment a message was due until a subscriber had read it.
    pub latency: Distribution,
    /// Other times, by name: `connect` (due until ready), `acknowledged` (due until the server's
    /// yes), `lateness` (due until sent), `resume` (cut until resumed), and what a scenario adds.
    pub times: BTreeMap<String, Distribution>,
    /// The course of the run.
    pub timeline: Vec<Moment>,
    /// The server's processes on this machine, where they are known.
    pub server: Vec<ServerProcess>,
    /// The generator's own processes.
    pub generator: Generator,
    /// Steps of a search for the highest rate, in the order tried.
    pub steps: Vec<Step>,
    /// A scenario's own figures, by name; units end the names.
    pub figures: BTreeMap<String, f64>,
    /// What a reader should know, in sentences.
    pub notes: Vec<String>,
}

/// A machine that made load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Model of its processor.
    pub processor: String,
    /// Cores that this program may use.
    pub cores: u32,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The kernel's version.
    pub kernel: String,
}

/// Whether a run can be believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// No: the generator was itself the limit, or the run is not what was asked for.
    pub invalid: bool,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
    /// Ended by hand before its time.
    pub interrupted: bool,
}

/// Connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Subscribers asked for.
    pub asked: u64,
    /// Subscribers that were in when the load began.
    pub connected: u64,
    /// Connections made only to publish, besides.
    pub publishers: u64,
    /// Tries that failed, over the whole run.
    pub failed_tries: u64,
    /// Connections that ended without being asked to, over the whole run.
    pub disconnected: u64,
    /// What went wrong, and how often, over the whole run.
    pub faults: BTreeMap<String, u64>,
    /// Time until all were in, in seconds.
    pub connect_s: f64,
}

/// Published messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// Due within the measured time.
    pub due: u64,
    /// Of those, sent.
    pub sent: u64,
    /// Of those, sent more than 10 ms after they were due. Their latency counts from when they were
    /// due all the same.
    pub late: u64,
    /// Due, and never sent: the publisher's connection took no more, or was gone.
    pub unsent: u64,
    /// Sent, and said yes to by the server (where the protocol has such an answer).
    pub acknowledged: u64,
    /// Said no to, by code.
    pub refused: BTreeMap<String, u64>,
}

/// Deliveries: a message read by a subscriber.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deliveries {
    /// Published × subscribers: what should have arrived.
    pub expected: u64,
    /// What arrived, each message counted once for a subscriber.
    pub received: u64,
    /// What arrived from the beginning of the measured time until the end, whenever it was due: what
    /// the server's CPU time was spent on.
    pub arrived: u64,
    /// What had not arrived when the time to drain was over.
    pub lost: u64,
    /// Arrived at a subscriber again.
    pub duplicated: u64,
    /// Arrived after a later message of the same publisher.
    pub reordered: u64,
    /// Holes that a subscriber saw and nobody told it of.
    pub gaps_silent: u64,
    /// Holes that the server told a subscriber of.
    pub gaps_told: u64,
    /// Two subscribers were shown different messages under the same number.
    pub order_conflicts: u64,
    /// Deliveries a second, over the measured time.
    pub per_s: f64,
    /// Bytes that subscribers read within the measured time.
    pub bytes: u64,
}

/// A distribution of times, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Values recorded; all else is 0 where there are none.
    pub count: u64,
    /// Least.
    pub min_us: u64,
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 75th percentile.
    pub p75_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// 99.9th percentile.
    pub p99_9_us: u64,
    /// 99.99th percentile.
    pub p99_99_us: u64,
    /// Greatest.
    pub max_us: u64,
    /// All of it: an HdrHistogram (V2, deflated) in base64, values in microseconds.
    pub histogram: String,
}

/// What happened from one moment of the timeline to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// End of this stretch, in seconds since the load began (the warm-up included).
    pub at_s: f64,
    /// Length of this stretch, in seconds.
    pub length_s: f64,
    /// Whether it belongs to the warm-up.
    pub warmup: bool,
    /// Connections that stood at its end.
    pub connected: u64,
    /// Messages sent.
    pub sent: u64,
    /// Deliveries received.
    pub received: u64,
    /// Latency of these deliveries.
    pub p50_us: u64,
    /// Latency of these deliveries.
    pub p99_us: u64,
    /// Latency of these deliveries.
    pub max_us: u64,
}

/// A process of the server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerProcess {
    /// Process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// CPU time used from the beginning of the measured time until everything had arrived, in
    /// seconds: that which the deliveries received cost.
    pub cpu_s: f64,
    /// Resident memory before the clients came, in bytes.
    pub resident_before_bytes: u64,
    /// Resident memory with all clients in, before the load, in bytes.
    pub resident_connected_bytes: u64,
    /// Resident memory at the end, in bytes.
    pub resident_end_bytes: u64,
}

/// The generator itself, over the measured time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Its processes that hold connections.
    pub processes: u32,
    /// CPU time of all, in seconds.
    pub cpu_s: f64,
    /// Share of the time for which the busiest process used a core, 0 to 1.
    pub busy_max: f64,
    /// Share of the time for which the worst-off process was ready to run and waited for a core.
    pub run_queue_wait_max: f64,
}

/// One step of a search for the highest rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Messages a second.
    pub rate: f64,
    /// Whether the goal was kept and nothing was lost.
    pub held: bool,
    /// Whether the generator was itself the limit in this step.
    pub generator_limited: bool,
    /// Latency.
    pub p50_us: u64,
    /// Latency.
    pub p99_us: u64,
    /// Latency.
    pub max_us: u64,
    /// Deliveries a second.
    pub deliveries_per_s: f64,
    /// Deliveries lost.
    pub lost: u64,
    /// CPU time of the server a delivery, in microseconds; 0 where it is not known.
    pub server_cpu_us_per_delivery: f64,
}
