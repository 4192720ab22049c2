//! A report for people: a line a comparison, what matters at the line's end.

use std::fmt::Write as _;

use super::report::{CountedCase, MetricResult, PairedRun, Report, ReportedRevision};
use super::statistics::Verdict;

/// The report as text.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut lines =
        vec![format!("base {}, head {}; {}", shown(&report.base), shown(&report.head), report.machine)];
    if !report.counted.is_empty() {
        lines.push(String::new());
        lines.push(row("instructions an iteration", ["base", "head", "ratio", "", "tolerated"], ""));
        lines.extend(report.counted.iter().map(counted));
    }
    for run in &report.paired {
        lines.push(String::new());
        lines.push(row(&title(run), ["base", "head", "ratio", "interval", "tolerated"], ""));
        lines.extend(run.metrics.iter().map(metric));
    }
    lines.push(String::new());
    lines.push(conclusion(report));
    lines.join("\n") + "\n"
}

fn shown(revision: &ReportedRevision) -> String {
    let id = revision.commit.as_ref().unwrap_or(&revision.tree);
    format!("{} ({})", revision.name, id.get(..10).unwrap_or(id))
}

fn row(name: &str, cells: [&str; 5], verdict: &str) -> String {
    let mut line = format!("{name:<42}");
    for (cell, width) in cells.iter().zip([12, 12, 8, 16, 10]) {
        // Writing to a string cannot fail.
        let _ = write!(line, " {cell:>width$}");
    }
    format!("{line}  {verdict}").trim_end().to_owned()
}

fn title(run: &PairedRun) -> String {
    let discarded = if run.discarded > 0 { format!(", {} discarded", run.discarded) } else { String::new() };
    format!("{}: {} pairs{discarded}, {}", run.name, run.pairs, percent(run.confidence))
}

fn counted(case: &CountedCase) -> String {
    let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1}"));
    let ratio = case.ratio.map_or("-".into(), |ratio| format!("{ratio:.4}"));
    let cells = [&number(case.base), &number(case.head), &ratio, "", &percent(case.tolerance)];
    row(&format!("  {}", case.case), cells, said(case.verdict))
}

fn metric(metric: &MetricResult) -> String {
    let middle = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).map_or("-".into(), |value| format!("{value:.4}"))
    };
    let (ratio, interval) = match metric.estimate {
        Some(estimate) => {
            (format!("{:.4}", estimate.median), format!("{:.4} - {:.4}", estimate.low, estimate.high))
        }
        None => ("-".into(), "-".into()),
    };
    let unit = if metric.unit.is_empty() { String::new() } else { format!(", {}", metric.unit) };
    let cells = [&middle(&metric.base), &middle(&metric.head), &ratio, &interval, &percent(metric.tolerance)];
    row(&format!("  {}{unit}", metric.name), cells.map(String::as_str), said(metric.verdict))
}

fn percent(share: f64) -> String {
    format!("{} %", (share * 1_000.0).round() / 10.0)
}

fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Worse => "WORSE",
        Verdict::Better => "better",
        Verdict::Same => "same",
        Verdict::CannotTell => "cannot tell",
        Verdict::OnlyInHead => "only in head",
        Verdict::OnlyInBase => "only in base",
    }
}

fn conclusion(report: &Report) -> String {
    const ALL: [Verdict; 6] = [
        Verdict::Worse,
        Verdict::Better,
        Verdict::Same,
        Verdict::CannotTell,
        Verdict::OnlyInHead,
        Verdict::OnlyInBase,
    ];
    let counts = ALL.iter().filter_map(|verdict| {
        let count = report.verdicts().filter(|one| one == verdict).count();
        (count > 0).then(|| format!("{count} {}", said(*verdict).to_lowercase()))
    });
    let counts: Vec<String> = counts.collect();
    let result = if report.regression { "a regression" } else { "no regression" };
    format!("{result}: {}", if counts.is_empty() { "nothing compared".into() } else { counts.join(", ") })
}
