//! A command of both revisions, run in turn: base, head, head, base, … Each pair gives a ratio a
//! metric; `statistics` says when that is enough.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::config::Paired;
use super::metric::{self, MetricError};
use super::process::ProcessError;
use super::report::{MetricResult, PairedRun};
use super::statistics::{Verdict, estimate, judge};
use super::{Side, Tell};

/// Why a paired run told nothing.
#[derive(Debug, thiserror::Error)]
pub enum PairedError {
    /// The command failed.
    #[error("{0}")]
    Process(#[from] ProcessError),
    /// Its report is not to be read.
    #[error("{who}: {run}: {}: {error}", path.display())]
    Report {
        /// Whose.
        who: String,
        /// Which run.
        run: String,
        /// The report.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The report lacks something.
    #[error("{who}: {run}: {error}")]
    Metric {
        /// Whose.
        who: String,
        /// Which run.
        run: String,
        /// What.
        error: MetricError,
    },
}

/// Runs pairs until every metric is decided, or there have been enough; or until more were thrown
/// away than counted, beyond the first few: a machine on which runs are not to be believed tells
/// nothing, and need not be kept from telling it.
///
/// # Errors
/// A command failed, or its report does not hold what it should.
pub fn run(config: &Paired, base: &Side, head: &Side, tell: &Tell) -> Result<PairedRun, PairedError> {
    let plan = config.plan();
    let mut run = PairedRun::new(config);
    let when = config.when.as_deref();
    if let Some(verdict) = missing(base.has(when), head.has(when)) {
        run.metrics.iter_mut().for_each(|metric| metric.verdict = verdict);
        return Ok(run);
    }
    while run.undecided() && run.pairs < plan.pairs_max && run.discarded <= run.pairs + plan.pairs {
        let number = run.pairs + run.discarded;
        let one = |side: &Side| measure(config, side, head, number);
        let (of_base, of_head) = if number.is_multiple_of(2) {
            let of_base = one(base)?;
            (of_base, one(head)?)
        } else {
            let of_head = one(head)?;
            (one(base)?, of_head)
        };
        let Some((of_base, of_head)) = of_base.zip(of_head) else {
            run.discarded += 1;
            tell(&format!("{}: a run is not to be believed; its pair does not count", config.name));
            continue;
        };
        run.pairs += 1;
        for ((result, metric), (base, head)) in
            run.metrics.iter_mut().zip(&config.metric).zip(of_base.into_iter().zip(of_head))
        {
            result.add(base, head, metric.ratio(base, head));
        }
        tell(&progress(&run, plan.pairs, plan.pairs_max));
        if plan.is_look(run.pairs) {
            let pairs = run.pairs;
            for result in run.metrics.iter_mut().filter(|result| result.verdict == Verdict::CannotTell) {
                result.look(pairs, estimate(&result.ratios, plan.error_of_a_look()));
            }
        }
    }
    Ok(run)
}

impl MetricResult {
    /// A look after so many pairs. One that decides is final.
    fn look(&mut self, pairs: usize, estimate: Option<super::statistics::Estimate>) {
        let Some(estimate) = estimate else { return };
        self.estimate = Some(estimate);
        self.looked_after = Some(pairs);
        self.verdict = judge(estimate, self.tolerance);
    }
}

fn missing(in_base: bool, in_head: bool) -> Option<Verdict> {
    match (in_base, in_head) {
        (true, true) => None,
        (false, _) => Some(Verdict::OnlyInHead),
        (true, false) => Some(Verdict::OnlyInBase),
    }
}

fn progress(run: &PairedRun, pairs: usize, pairs_max: usize) -> String {
    let ratios: Vec<String> = run
        .metrics
        .iter()
        .filter_map(|metric| metric.ratios.last().map(|ratio| format!("{} {ratio:.3}", metric.name)))
        .collect();
    format!("{}: pair {} of {pairs} to {pairs_max}: {}", run.name, run.pairs, ratios.join(", "))
}

/// All metrics of one run; nothing if it is not to be believed.
fn measure(
    config: &Paired,
    side: &Side,
    head: &Side,
    number: usize,
) -> Result<Option<Vec<f64>>, PairedError> {
    let log = format!("paired-{}-{number}", file_name(&config.name));
    let file = side.slot.logs.join(&log).with_added_extension("json");
    // What an earlier check left there is not of this run.
    let _ = fs::remove_file(&file);
    let places = side
        .places(&head.slot.build)
        .with("run", &number.to_string())
        .with("report", &file.to_string_lossy());
    let words = config.command.fill(&places);
    let mut command = side.command(words, Duration::from_secs(config.timeout_s), &log);
    for (name, value) in &config.env {
        command.environment.push((name.into(), places.fill(value).into()));
    }
    command.run()?;
    let path = if config.command.mentions("report") { file } else { command.output() };
    let who = || side.name();
    let report: Value = fs::read(&path)
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other))
        .map_err(|error| PairedError::Report { who: who(), run: config.name.clone(), path, error })?;
    let failed = |error| PairedError::Metric { who: who(), run: config.name.clone(), error };
    if let Some(pointer) = &config.invalid {
        let found = metric::find(&report, pointer);
        if found.is_empty() {
            return Err(failed(MetricError::Missing(pointer.clone())));
        }
        if found.contains(&&Value::Bool(true)) {
            return Ok(None);
        }
    }
    let values: Result<Vec<f64>, MetricError> =
        config.metric.iter().map(|metric| metric.read(&report)).collect();
    values.map(Some).map_err(failed)
}

/// A name as a file may have it.
#[must_use]
pub fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}
