//! The part of loadgen's JSON report that is read here. Whatever else it holds is let pass, so that the
//! two programs may grow apart a little without harm; its whole form is loadgen's own (`loadgen schema`).

use std::collections::BTreeMap;

use serde::Deserialize;

/// One run of loadgen.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Report {
    /// When it began, in UTC.
    pub started: String,
    /// The machine.
    pub machines: Vec<Machine>,
    /// Length of the measured time, in seconds.
    pub measured_s: f64,
    /// Whether the figures can be believed.
    pub verdict: Verdict,
    /// Connections.
    pub clients: Clients,
    /// Deliveries.
    pub deliveries: Deliveries,
    /// From due until read.
    pub latency: Latency,
    /// The server's processes.
    pub server: Vec<Process>,
    /// The generator.
    pub generator: Generator,
    /// Steps of a search for the highest rate.
    pub steps: Vec<Step>,
    /// Figures of the scenario's own.
    pub figures: BTreeMap<String, f64>,
}

/// The machine.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Model of its processor.
    pub processor: String,
    /// Cores.
    pub cores: u32,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The kernel's version.
    pub kernel: String,
}

/// Whether the figures can be believed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// They cannot.
    pub invalid: bool,
    /// Why.
    pub reasons: Vec<String>,
}

/// Connections.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Clients {
    /// Subscribers asked for.
    pub asked: u64,
    /// Subscribers that were in.
    pub connected: u64,
    /// Time until all were in.
    pub connect_s: f64,
}

/// Deliveries.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Deliveries {
    /// Of those that should have arrived, how many had not when the clients stopped waiting.
    pub lost: u64,
    /// Read from the beginning of the measured time on: what the CPU time was spent on.
    pub arrived: u64,
    /// Read within the measured time, a second.
    pub per_s: f64,
    /// Bytes read within the measured time.
    pub bytes: u64,
}

/// From due until read, in microseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Median.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
}

/// A process of the server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Process {
    /// CPU time within the measured time, in seconds.
    pub cpu_s: f64,
    /// Resident memory before the clients came.
    pub resident_before_bytes: u64,
    /// Resident memory with all clients in.
    pub resident_connected_bytes: u64,
}

/// The generator.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Generator {
    /// Share of the time for which its busiest process used a core.
    pub busy_max: f64,
}

/// A step of a search for the highest rate.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    /// Messages a second.
    pub rate: f64,
    /// The goal was kept and nothing was lost.
    pub held: bool,
    /// The generator was itself the limit.
    pub generator_limited: bool,
    /// Median.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Deliveries a second.
    pub deliveries_per_s: f64,
    /// Of the server, in microseconds; 0 where it is not known.
    pub server_cpu_us_per_delivery: f64,
}
