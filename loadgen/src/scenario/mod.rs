//! What can be measured: a file for each scenario.
//!
//! A scenario says who is where ([`Shape`]) and what happens in which order, in steps of a
//! [`Run`]: connect, load, hold.

mod chat;
mod churn;
mod connect;
mod fairness;
mod fanout;
mod idle;
mod reconnect_storm;
mod saturate;
mod slow;

use crate::cli::Options;
use crate::clock::duration_ns;
use crate::control::Load;
use crate::coordinator::{Run, RunError};
use crate::plan::{Aside, Publishers, Sizes};
use crate::units::Rate;

/// Messages a second if nothing else is said.
const RATE_PER_S: f64 = 10.0;

/// Times that a run may report besides the latency.
pub const TIMES: &[&str] =
    &["acknowledged", "lateness", "own_delay", "own_reading", "connect", "resume", "crowd", "flood"];

/// Figures that the scenarios report.
pub const FIGURES: &[&str] = &[
    "kernel_bytes_per_connection_both_ends",
    "connecting_cpu_us_per_connection",
    "connects_due_total",
    "connects_without_a_slot_total",
    "connects_total",
    "connects_per_s",
    "server_cpu_us_per_connect",
    "churned_total",
    "churned_per_s",
    "cut_total",
    "resumed_total",
    "not_recovered_total",
    "all_resumed_after_s",
    "p99_without_slow_us",
    "p99_with_slow_us",
    "p99_ratio",
    "slow_disconnected_total",
    "slow_received_total",
    "p50_quiet_us",
    "p99_quiet_us",
    "p50_crowd_us",
    "p99_crowd_us",
    "p99_crowd_ratio",
    "p50_flood_us",
    "p99_flood_us",
    "p99_flood_ratio",
    "p50_handshakes_us",
    "p99_handshakes_us",
    "p99_handshakes_ratio",
    "crowd_deliveries_per_s",
    "flood_deliveries_per_s",
    "highest_rate_per_s",
];

/// The scenarios there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Publishers apart from the subscribers, channels of equal size
    Fanout,
    /// Rooms of very different sizes, some of the clients speak
    Chat,
    /// All connected, nothing said: memory a connection
    Idle,
    /// Connections made at a rate and closed again: handshakes
    Connect,
    /// Fan-out while clients leave and others come
    Churn,
    /// All cut off at once: how long until all are back, with nothing missed
    ReconnectStorm,
    /// Fan-out without and with slow readers: what they cost the others
    Slow,
    /// What a huge room, a flood in one and many handshakes cost all the other rooms
    Fairness,
    /// The highest rate that keeps a goal
    Saturate,
}

/// Who is where.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Clients of each channel.
    pub sizes: Sizes,
    /// Who publishes.
    pub publishers: Publishers,
    /// About how many connections publish only, before it is known how many servers there are.
    pub publishers_about: u32,
    /// What is kept apart; not yet in how many processes.
    pub aside: Aside,
    /// Clients that come and go.
    pub comers: u32,
    /// Clients that are slow.
    pub slow: u32,
    /// Clients must be able to come back where they were.
    pub resumes: bool,
}

impl Scenario {
    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Fanout => "fanout",
            Scenario::Chat => "chat",
            Scenario::Idle => "idle",
            Scenario::Connect => "connect",
            Scenario::Churn => "churn",
            Scenario::ReconnectStorm => "reconnect-storm",
            Scenario::Slow => "slow",
            Scenario::Fairness => "fairness",
            Scenario::Saturate => "saturate",
        }
    }

    /// Who is where.
    ///
    /// # Errors
    /// The options do not fit together, in words.
    pub fn shape(self, options: &Options) -> Result<Shape, String> {
        if self != Scenario::Saturate && matches!(options.rate, Some(Rate::Highest(_))) {
            return Err(format!("--rate @… searches a rate: that is loadgen saturate, not {}", self.name()));
        }
        match self {
            Scenario::Fanout => Ok(fanout::shape(options)),
            Scenario::Chat => chat::shape(options),
            Scenario::Idle => Ok(idle::shape(options)),
            Scenario::Connect => Ok(connect::shape(options)),
            Scenario::Churn => churn::shape(options),
            Scenario::ReconnectStorm => reconnect_storm::shape(options),
            Scenario::Slow => slow::shape(options),
            Scenario::Fairness => fairness::shape(options),
            Scenario::Saturate => saturate::shape(options),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// It cannot go on.
    pub fn run(self, run: &mut Run<'_>) -> Result<(), RunError> {
        match self {
            Scenario::Fanout => fanout::run(run),
            Scenario::Chat => chat::run(run),
            Scenario::Idle => idle::run(run),
            Scenario::Connect => connect::run(run),
            Scenario::Churn => churn::run(run),
            Scenario::ReconnectStorm => reconnect_storm::run(run),
            Scenario::Slow => slow::run(run),
            Scenario::Fairness => fairness::run(run),
            Scenario::Saturate => saturate::run(run),
        }
    }
}

/// Figures that count something: there even where there was nothing to count.
fn count_from_zero(run: &mut Run<'_>, names: &[&str]) {
    for name in names {
        run.report.figures.entry((*name).to_owned()).or_insert(0.0);
    }
}

/// The usual load: warm-up, measured time, a fixed rate.
fn usual(options: &Options) -> Load {
    let per_s = match &options.rate {
        Some(Rate::PerSecond(per_s)) => *per_s,
        _ => RATE_PER_S,
    };
    Load {
        warmup_ns: duration_ns(options.warmup),
        duration_ns: duration_ns(options.duration),
        per_s,
        ..Load::default()
    }
}

/// Publishers apart, channels of equal size, everybody stays.
fn even(options: &Options, publishers: u32) -> Shape {
    let channels = channels(options);
    let publishers = options.publishers.unwrap_or(publishers);
    Shape {
        sizes: Sizes::Even(channels),
        publishers: Publishers::Apart(publishers),
        publishers_about: publishers.saturating_mul(channels),
        aside: Aside::default(),
        comers: 0,
        slow: 0,
        resumes: false,
    }
}

/// Channels, none of them empty.
fn channels(options: &Options) -> u32 {
    options.channels.unwrap_or(1).min(options.clients)
}

/// So many of the clients.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to clients")]
fn part(options: &Options, share: f64) -> u32 {
    (f64::from(options.clients) * share).round() as u32
}
