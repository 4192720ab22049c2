//! Merges the reports of runs that several hosts made at the same time against one server.
//!
//! Counts are added and histograms merged exactly, never percentiles: a percentile of percentiles
//! is of nothing. Where no exact answer exists (a timeline holds no histograms) the worst is shown,
//! and a note says so.

mod timeline;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use self::timeline::merge_timelines;
use super::distribution::{BrokenHistogram, VALUES_MAX, new_histogram};
use super::humane::{number, time};
use super::model::{
    Clients, Deliveries, Distribution, FORMAT, Generator, Messages, Report, ServerProcess, Verdict,
};

/// Beginnings further apart than this, in seconds, are worth a note.
const APART_S_NOTED: f64 = 1.0;

/// Why reports cannot be merged. Reports are numbered from 1, in the order given.
#[derive(Debug, Error)]
pub enum MergeError {
    /// There is none.
    #[error("there is no report to merge")]
    None,
    /// One is of a version that this program does not know.
    #[error("report {report} is of format {found}, and this program merges format {FORMAT}")]
    Format {
        /// Which.
        report: usize,
        /// Its format.
        found: u32,
    },
    /// They are of different scenarios.
    #[error(
        "report {report} is of the scenario {found}, and the first of {first}: only runs of one scenario can be merged"
    )]
    Scenario {
        /// Which.
        report: usize,
        /// Its scenario.
        found: String,
        /// The first one's.
        first: String,
    },
    /// A histogram is broken.
    #[error("report {report}: the histogram of {name} is broken: {source}")]
    Histogram {
        /// Which.
        report: usize,
        /// Of which distribution.
        name: String,
        /// What is wrong with it.
        source: BrokenHistogram,
    },
    /// Together they hold more values than a histogram counts exactly.
    #[error("together the reports hold more than {VALUES_MAX} values of {name}")]
    TooMany {
        /// Of which distribution.
        name: String,
    },
}

/// One report of all these. A single one comes back as it was.
///
/// # Errors
///
/// When there is none, or they are not of one format and scenario, or a histogram is broken.
pub fn merge(reports: Vec<Report>) -> Result<Report, MergeError> {
    let first = reports.first().ok_or(MergeError::None)?;
    for (index, report) in reports.iter().enumerate() {
        if report.format != FORMAT {
            return Err(MergeError::Format { report: index + 1, found: report.format });
        }
        if report.scenario != first.scenario {
            let (found, first) = (report.scenario.clone(), first.scenario.clone());
            return Err(MergeError::Scenario { report: index + 1, found, first });
        }
    }
    let latency = merge_distributions("latency", reports.iter().map(|report| Some(&report.latency)))?;
    let times = merge_times(&reports)?;
    if reports.len() == 1 {
        // Read all the same: a broken histogram is an error of one report as of several.
        return Ok(reports.into_iter().next().expect("there is one"));
    }
    let mut notes = sentences(&reports, |report| &report.notes);
    notes.push(format!("Merged of {} reports.", reports.len()));
    let mut verdict = merge_verdicts(&reports);
    check_beginnings(&reports, &mut verdict, &mut notes);
    let mut steps: Vec<_> = reports.iter().filter(|report| !report.steps.is_empty()).collect();
    let steps = match (steps.pop(), steps.is_empty()) {
        (Some(only), true) => only.steps.clone(),
        (Some(_), false) => {
            notes.push(
                "Several runs searched for the highest rate: their steps cannot be merged and are left out."
                    .into(),
            );
            Vec::new()
        }
        (None, _) => Vec::new(),
    };
    Ok(Report {
        format: FORMAT,
        tool: joined(reports.iter().map(|report| report.tool.as_str())),
        started: earliest(&reports),
        scenario: first.scenario.clone(),
        settings: merge_settings(&reports, &mut notes),
        machines: distinct(reports.iter().flat_map(|report| report.machines.iter().cloned())),
        measured_s: reports.iter().map(|report| report.measured_s).fold(0.0, f64::max),
        verdict,
        clients: merge_clients(&reports),
        messages: merge_messages(&reports),
        deliveries: merge_deliveries(&reports),
        latency,
        times,
        timeline: merge_timelines(&reports, &mut notes),
        server: merge_servers(&reports),
        generator: merge_generators(&reports),
        steps,
        figures: merge_figures(&reports, &mut notes),
        notes,
    })
}

/// The sum over all reports; what does not fit stays at the greatest number.
fn sum(reports: &[Report], of: impl Fn(&Report) -> u64) -> u64 {
    reports.iter().fold(0, |sum, report| sum.saturating_add(of(report)))
}

/// Counts by name, added.
fn sum_by_name(reports: &[Report], of: impl Fn(&Report) -> &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::<String, u64>::new();
    for (name, times) in reports.iter().flat_map(of) {
        let sum = sums.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*times);
    }
    sums
}

/// What differs among these, each once, in the order met.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for item in all {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    distinct(texts).join(", ")
}

fn merge_distributions<'a>(
    name: &str,
    all: impl Iterator<Item = Option<&'a Distribution>>,
) -> Result<Distribution, MergeError> {
    let mut merged = new_histogram();
    let mut values = 0_u64;
    for (index, distribution) in all.enumerate() {
        let Some(distribution) = distribution else { continue };
        let broken = |source| MergeError::Histogram { report: index + 1, name: name.to_owned(), source };
        let histogram = distribution.histogram().map_err(broken)?;
        values = values.saturating_add(histogram.len());
        if values > VALUES_MAX {
            return Err(MergeError::TooMany { name: name.to_owned() });
        }
        merged.add(&histogram).expect("all have the same bounds");
    }
    Ok(Distribution::of(&merged))
}

fn merge_times(reports: &[Report]) -> Result<BTreeMap<String, Distribution>, MergeError> {
    let mut times = BTreeMap::new();
    for name in reports.iter().flat_map(|report| report.times.keys()) {
        if !times.contains_key(name) {
            let all = reports.iter().map(|report| report.times.get(name));
            times.insert(name.clone(), merge_distributions(name, all)?);
        }
    }
    Ok(times)
}

/// What all said stands once; what only some said begins with their machines' names.
fn sentences(reports: &[Report], of: impl Fn(&Report) -> &Vec<String>) -> Vec<String> {
    let host = |report: &Report| joined(report.machines.iter().map(|machine| machine.host.as_str()));
    let mut told = Vec::new();
    for sentence in distinct(reports.iter().flat_map(&of)) {
        let tellers: Vec<_> = reports.iter().filter(|report| of(report).contains(sentence)).collect();
        let hosts =
            joined(tellers.iter().map(|report| host(report)).collect::<Vec<_>>().iter().map(String::as_str));
        let all = tellers.len() == reports.len() || hosts.is_empty();
        told.push(if all { sentence.clone() } else { format!("{hosts}: {sentence}") });
    }
    told
}

fn merge_verdicts(reports: &[Report]) -> Verdict {
    Verdict {
        invalid: reports.iter().any(|report| report.verdict.invalid),
        reasons: sentences(reports, |report| &report.verdict.reasons),
        interrupted: reports.iter().any(|report| report.verdict.interrupted),
    }
}

fn begin(report: &Report) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(&report.started).ok()
}

fn earliest(reports: &[Report]) -> String {
    // What cannot be read as a time comes last, so that it is shown only where nothing else is.
    let never = SystemTime::UNIX_EPOCH + Duration::from_secs(u32::MAX.into());
    let first = reports.iter().min_by_key(|report| begin(report).unwrap_or(never));
    first.map_or_else(String::new, |report| report.started.clone())
}

/// Rates of runs that did not overlap must not be added: such a sum never happened.
fn check_beginnings(reports: &[Report], verdict: &mut Verdict, notes: &mut Vec<String>) {
    let begins: Vec<_> = reports.iter().filter_map(begin).collect();
    let (Some(first), Some(last)) = (begins.iter().min(), begins.iter().max()) else { return };
    let apart_s = last.duration_since(*first).unwrap_or_default().as_secs_f64();
    let shortest_s = reports.iter().map(|report| report.measured_s).fold(f64::INFINITY, f64::min);
    if apart_s > APART_S_NOTED {
        notes.push(format!("The runs began up to {} apart.", time(apart_s * 1e6)));
    }
    if apart_s > shortest_s {
        verdict.invalid = true;
        verdict.reasons.push("The runs were not made at the same time: their rates cannot be added.".into());
    }
}

fn merge_settings(reports: &[Report], notes: &mut Vec<String>) -> BTreeMap<String, String> {
    const NOT_GIVEN: &str = "not given";
    let mut settings = BTreeMap::new();
    let mut different = Vec::new();
    for name in distinct(reports.iter().flat_map(|report| report.settings.keys())) {
        let values = reports.iter().map(|report| report.settings.get(name).map_or(NOT_GIVEN, String::as_str));
        let values = distinct(values);
        if values.len() > 1 {
            different.push(name.as_str());
        }
        settings.insert(name.clone(), values.join(" | "));
    }
    if !different.is_empty() {
        notes.push(format!("The runs were asked for different things: {}.", different.join(", ")));
    }
    settings
}

fn merge_clients(reports: &[Report]) -> Clients {
    Clients {
        asked: sum(reports, |report| report.clients.asked),
        connected: sum(reports, |report| report.clients.connected),
        publishers: sum(reports, |report| report.clients.publishers),
        failed_tries: sum(reports, |report| report.clients.failed_tries),
        disconnected: sum(reports, |report| report.clients.disconnected),
        faults: sum_by_name(reports, |report| &report.clients.faults),
        connect_s: reports.iter().map(|report| report.clients.connect_s).fold(0.0, f64::max),
    }
}

fn merge_messages(reports: &[Report]) -> Messages {
    Messages {
        due: sum(reports, |report| report.messages.due),
        sent: sum(reports, |report| report.messages.sent),
        late: sum(reports, |report| report.messages.late),
        unsent: sum(reports, |report| report.messages.unsent),
        acknowledged: sum(reports, |report| report.messages.acknowledged),
        refused: sum_by_name(reports, |report| &report.messages.refused),
    }
}

fn merge_deliveries(reports: &[Report]) -> Deliveries {
    Deliveries {
        expected: sum(reports, |report| report.deliveries.expected),
        received: sum(reports, |report| report.deliveries.received),
        arrived: sum(reports, |report| report.deliveries.arrived),
        lost: sum(reports, |report| report.deliveries.lost),
        duplicated: sum(reports, |report| report.deliveries.duplicated),
        reordered: sum(reports, |report| report.deliveries.reordered),
        gaps_silent: sum(reports, |report| report.deliveries.gaps_silent),
        gaps_told: sum(reports, |report| report.deliveries.gaps_told),
        order_conflicts: sum(reports, |report| report.deliveries.order_conflicts),
        per_s: reports.iter().map(|report| report.deliveries.per_s).sum(),
        bytes: sum(reports, |report| report.deliveries.bytes),
    }
}

/// All processes of the server. One that two runs on the same machine both watched is one process:
/// its CPU time must not be counted twice.
fn merge_servers(reports: &[Report]) -> Vec<ServerProcess> {
    let mut all: Vec<(&Report, ServerProcess)> = Vec::new();
    for report in reports {
        for process in &report.server {
            let same = |(other, seen): &&mut (&Report, ServerProcess)| {
                other.machines == report.machines && (seen.pid, &seen.name) == (process.pid, &process.name)
            };
            let Some((_, seen)) = all.iter_mut().find(same) else {
                all.push((report, process.clone()));
                continue;
            };
            seen.cpu_s = seen.cpu_s.max(process.cpu_s);
            seen.resident_before_bytes = seen.resident_before_bytes.min(process.resident_before_bytes);
            seen.resident_connected_bytes =
                seen.resident_connected_bytes.max(process.resident_connected_bytes);
            seen.resident_end_bytes = seen.resident_end_bytes.max(process.resident_end_bytes);
        }
    }
    all.into_iter().map(|(_, process)| process).collect()
}

fn merge_generators(reports: &[Report]) -> Generator {
    let worst =
        |of: fn(&Generator) -> f64| reports.iter().map(|report| of(&report.generator)).fold(0.0, f64::max);
    Generator {
        processes: reports.iter().fold(0, |sum, report| report.generator.processes.saturating_add(sum)),
        cpu_s: reports.iter().map(|report| report.generator.cpu_s).sum(),
        busy_max: worst(|generator| generator.busy_max),
        run_queue_wait_max: worst(|generator| generator.run_queue_wait_max),
    }
}

/// A scenario's figures: totals are added; of the rest only what all agree on is sure.
fn merge_figures(reports: &[Report], notes: &mut Vec<String>) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    for name in distinct(reports.iter().flat_map(|report| report.figures.keys())) {
        let values: Vec<f64> =
            reports.iter().filter_map(|report| report.figures.get(name).copied()).collect();
        let Some(greatest) = values.iter().copied().max_by(f64::total_cmp) else { continue };
        let total = name.ends_with("_total");
        if !total && values.iter().any(|value| value.total_cmp(&greatest).is_ne()) {
            let all: Vec<_> = values.iter().map(|value| number(*value)).collect();
            notes.push(format!(
                "{name} differs between the runs ({}): the greatest is shown.",
                all.join(", ")
            ));
        }
        figures.insert(name.clone(), if total { values.iter().sum() } else { greatest });
    }
    figures
}
