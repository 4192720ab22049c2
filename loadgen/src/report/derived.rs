//! What follows from a report's figures: worked out once, for every form in which it is shown.

use super::humane::{counted, share, short, time};
use super::model::{Distribution, Report, Step};

/// CPU time of the server for one delivery, in microseconds, over all its processes that are
/// known. Nothing where none is known or nothing arrived.
#[must_use]
pub fn cpu_us_per_delivery(report: &Report) -> Option<f64> {
    if report.server.is_empty() || report.deliveries.arrived == 0 {
        return None;
    }
    Some(server_cpu_s(report) * 1e6 / report.deliveries.arrived as f64)
}

/// Memory of the server for one connection, in bytes: what it grew by from before the clients came
/// until all were in. Nothing where a process was not seen at both times, or nobody got in.
#[must_use]
pub fn bytes_per_connection(report: &Report) -> Option<f64> {
    let seen = |before: u64, connected: u64| before > 0 && connected > 0;
    let all_seen = report.server.iter().all(|p| seen(p.resident_before_bytes, p.resident_connected_bytes));
    if report.server.is_empty() || report.clients.connected == 0 || !all_seen {
        return None;
    }
    let grown = |before: u64, connected: u64| connected as f64 - before as f64;
    let all: f64 =
        report.server.iter().map(|p| grown(p.resident_before_bytes, p.resident_connected_bytes)).sum();
    // Publishers' connections are among what grew.
    Some(all / (report.clients.connected + report.clients.publishers) as f64)
}

/// CPU time of the server's known processes within the measured time, in seconds.
#[must_use]
pub fn server_cpu_s(report: &Report) -> f64 {
    report.server.iter().map(|process| process.cpu_s).sum()
}

/// A quantity of the measured time a second; 0 where no time was measured.
#[must_use]
pub fn a_second(report: &Report, quantity: f64) -> f64 {
    if report.measured_s > 0.0 { quantity / report.measured_s } else { 0.0 }
}

/// Messages that the server said no to, for whatever reason.
#[must_use]
pub fn refused(report: &Report) -> u64 {
    report.messages.refused.values().fold(0, |sum, times| sum.saturating_add(*times))
}

/// The highest rate of a search that the server held and the generator could make.
#[must_use]
pub fn highest_held(report: &Report) -> Option<&Step> {
    let held = report.steps.iter().filter(|step| step.held && !step.generator_limited);
    held.max_by(|one, other| one.rate.total_cmp(&other.rate))
}

/// How long was measured, in words.
#[must_use]
pub fn measured(report: &Report) -> String {
    if report.measured_s > 0.0 { time(report.measured_s * 1e6) } else { "nothing".to_owned() }
}

/// A statistic of a distribution: its name, and how it reads.
pub type Statistic = (&'static str, fn(&Distribution) -> String);

/// What a table shows of a distribution, and how.
pub const STATISTICS: [Statistic; 11] = [
    ("count", |times| short(times.count as f64)),
    ("mean", |times| time(times.mean_us)),
    ("min", |times| time(times.min_us as f64)),
    ("p50", |times| time(times.p50_us as f64)),
    ("p75", |times| time(times.p75_us as f64)),
    ("p90", |times| time(times.p90_us as f64)),
    ("p95", |times| time(times.p95_us as f64)),
    ("p99", |times| time(times.p99_us as f64)),
    ("p99.9", |times| time(times.p99_9_us as f64)),
    ("p99.99", |times| time(times.p99_99_us as f64)),
    ("max", |times| time(times.max_us as f64)),
];

/// A check of the deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, as in the report.
    pub name: &'static str,
    /// What it counts: one, and many.
    pub counts: (&'static str, &'static str),
    /// What is the matter with these.
    pub means: &'static str,
    /// What it found.
    pub found: u64,
    /// Whether this is a fault of the server. Holes that it told of are its right.
    pub fault: bool,
}

/// The checks of the deliveries, in the order in which they are shown.
#[must_use]
pub fn checks(report: &Report) -> Vec<Check> {
    const DELIVERIES: (&str, &str) = ("delivery", "deliveries");
    const HOLES: (&str, &str) = ("hole", "holes");
    const NUMBERS: (&str, &str) = ("number", "numbers");
    let all = &report.deliveries;
    let check =
        |name, counts, means, found, fault| Check { name, counts, means, found, fault: fault && found > 0 };
    vec![
        check("lost", DELIVERIES, "that never arrived", all.lost, true),
        check("duplicated", DELIVERIES, "that arrived again", all.duplicated, true),
        check("reordered", DELIVERIES, "that arrived after a later one", all.reordered, true),
        check("gaps_silent", HOLES, "that nobody told of", all.gaps_silent, true),
        check("gaps_told", HOLES, "that the server told of", all.gaps_told, false),
        check("order_conflicts", NUMBERS, "that stood for two messages", all.order_conflicts, true),
    ]
}

/// What is to be said of a run before all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its figures cannot be believed.
    Invalid,
    /// They can, and show that something went wrong.
    Findings,
    /// They can, and nothing went wrong.
    Clean,
}

impl Outcome {
    /// Of this report.
    #[must_use]
    pub fn of(report: &Report) -> Outcome {
        if report.verdict.invalid {
            Outcome::Invalid
        } else if findings(report).is_empty() {
            Outcome::Clean
        } else {
            Outcome::Findings
        }
    }

    /// In a word or two.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Invalid => "Invalid",
            Outcome::Findings => "Valid, with findings",
            Outcome::Clean => "Valid",
        }
    }
}

/// What went wrong in this run and is not the generator's doing: a phrase each.
#[must_use]
pub fn findings(report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    for check in checks(report).iter().filter(|check| check.fault) {
        let of = share(check.found, report.deliveries.expected);
        let of = of.map_or_else(String::new, |of| format!(" ({of} of those expected)"));
        found.push(format!("{} {}{of}", counted(check.found, check.counts), check.means));
    }
    let clients = &report.clients;
    let out = clients.asked.saturating_sub(clients.connected);
    let others = [
        (out, ("client", "clients"), "that did not get in"),
        (clients.disconnected, ("connection", "connections"), "that ended without being asked to"),
        (report.messages.unsent, ("message", "messages"), "that could not be sent"),
        (refused(report), ("message", "messages"), "that the server refused"),
    ];
    for (number, noun, means) in others.into_iter().filter(|(number, ..)| *number > 0) {
        found.push(format!("{} {means}", counted(number, noun)));
    }
    found
}
