//! What was found: the shape of the JSON report, version 1.

use serde::Serialize;

use super::config::Paired;
use super::revision::Revision;
use super::statistics::{Estimate, Verdict};

/// A comparison of two revisions.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this format: 1.
    pub format: u32,
    /// The program and its version.
    pub tool: String,
    /// What was compared with.
    pub base: ReportedRevision,
    /// What was judged.
    pub head: ReportedRevision,
    /// The machine.
    pub machine: String,
    /// Whether anything is worse than is tolerated.
    pub regression: bool,
    /// Instructions of pure cases.
    pub counted: Vec<CountedCase>,
    /// Whole programs.
    pub paired: Vec<PairedRun>,
}

/// A revision.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedRevision {
    /// As it was asked for.
    pub name: String,
    /// The commit, if it is one.
    pub commit: Option<String>,
    /// Git's name for all its files.
    pub tree: String,
}

/// A pure case.
#[derive(Clone, Debug, Serialize)]
pub struct CountedCase {
    /// Its name.
    pub case: String,
    /// Instructions of an iteration at the base.
    pub base: Option<f64>,
    /// Instructions of an iteration at the head.
    pub head: Option<f64>,
    /// Head over base.
    pub ratio: Option<f64>,
    /// By how much it may be above 1.
    pub tolerance: f64,
    /// What follows.
    pub verdict: Verdict,
}

/// A command run of both in turn.
#[derive(Clone, Debug, Serialize)]
pub struct PairedRun {
    /// Its name.
    pub name: String,
    /// Pairs that counted.
    pub pairs: usize,
    /// Pairs thrown away because a run was not to be believed.
    pub discarded: usize,
    /// With which the intervals of all looks together hold the true medians.
    pub confidence: f64,
    /// What was compared.
    pub metrics: Vec<MetricResult>,
}

/// A metric of a paired run.
#[derive(Clone, Debug, Serialize)]
pub struct MetricResult {
    /// Its name.
    pub name: String,
    /// Unit of the values.
    pub unit: String,
    /// By how much the median ratio may be above 1.
    pub tolerance: f64,
    /// Values of the base, in the order of the pairs.
    pub base: Vec<f64>,
    /// Values of the head.
    pub head: Vec<f64>,
    /// How much worse the head was in each pair: above 1 is worse, whichever way is better.
    pub ratios: Vec<f64>,
    /// The median ratio and its interval, at the last look.
    pub estimate: Option<Estimate>,
    /// Pairs at that look.
    pub looked_after: Option<usize>,
    /// What follows.
    pub verdict: Verdict,
}

impl MetricResult {
    pub(super) fn add(&mut self, base: f64, head: f64, ratio: f64) {
        self.base.push(base);
        self.head.push(head);
        self.ratios.push(ratio);
    }
}

impl PairedRun {
    pub(super) fn new(config: &Paired) -> PairedRun {
        let metric = |metric: &super::metric::Metric| MetricResult {
            name: metric.name.clone(),
            unit: metric.unit.clone(),
            tolerance: metric.tolerance,
            base: Vec::new(),
            head: Vec::new(),
            ratios: Vec::new(),
            estimate: None,
            looked_after: None,
            verdict: Verdict::CannotTell,
        };
        PairedRun {
            name: config.name.clone(),
            pairs: 0,
            discarded: 0,
            confidence: config.confidence,
            metrics: config.metric.iter().map(metric).collect(),
        }
    }

    pub(super) fn undecided(&self) -> bool {
        self.metrics.iter().any(|metric| metric.verdict == Verdict::CannotTell)
    }
}

impl Report {
    pub(super) fn new(base: &Revision, head: &Revision) -> Report {
        Report {
            format: 1,
            tool: concat!("bench-check ", env!("CARGO_PKG_VERSION")).into(),
            base: ReportedRevision::of(base),
            head: ReportedRevision::of(head),
            machine: machine(),
            regression: false,
            counted: Vec::new(),
            paired: Vec::new(),
        }
    }

    pub(super) fn conclude(&mut self) {
        let worse = self.verdicts().any(|verdict| verdict == Verdict::Worse);
        self.regression = worse;
    }

    /// All that was said.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        let counted = self.counted.iter().map(|case| case.verdict);
        counted.chain(self.paired.iter().flat_map(|run| &run.metrics).map(|metric| metric.verdict))
    }
}

impl ReportedRevision {
    fn of(revision: &Revision) -> ReportedRevision {
        let Revision { name, commit, tree } = revision.clone();
        ReportedRevision { name, commit, tree }
    }
}

/// Processor and cores, as Linux tells them.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.unwrap_or("unknown processor"))
}
