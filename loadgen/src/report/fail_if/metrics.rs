//! What a limit can be set on: one table.

use crate::report::derived::{bytes_per_connection, cpu_us_per_delivery, refused};
use crate::report::model::{Distribution, Report};

/// What of a report a limit is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// A statistic of the latency, or of another time.
    Time {
        /// The other time's name.
        of: Option<String>,
        /// Its place in [`STATISTICS`].
        statistic: usize,
    },
    /// A row of [`TABLE`], by its place.
    Known(usize),
    /// One of a scenario's own figures, by its name.
    Figure(String),
}

/// What values a metric has, and what a share of it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Microseconds.
    Time,
    /// A count; a share is of the deliveries expected.
    Deliveries,
    /// A count; a share is of the messages due.
    Messages,
    /// A count; a share is of the clients asked for.
    Clients,
    /// From 0 to 1.
    Share,
    /// 0 or 1.
    YesOrNo,
    /// Any number.
    Number,
}

impl Kind {
    /// What a share in per cent is of.
    pub(super) fn whole(self, report: &Report) -> Option<f64> {
        match self {
            Kind::Deliveries => Some(report.deliveries.expected as f64),
            Kind::Messages => Some(report.messages.due as f64),
            Kind::Clients => Some(report.clients.asked as f64),
            Kind::Time | Kind::Share | Kind::YesOrNo | Kind::Number => None,
        }
    }
}

type Statistic = (&'static str, fn(&Distribution) -> f64);

/// Statistics of a time, in microseconds.
pub(super) const STATISTICS: &[Statistic] = &[
    ("p50", |times| times.p50_us as f64),
    ("p75", |times| times.p75_us as f64),
    ("p90", |times| times.p90_us as f64),
    ("p95", |times| times.p95_us as f64),
    ("p99", |times| times.p99_us as f64),
    ("p99.9", |times| times.p99_9_us as f64),
    ("p99.99", |times| times.p99_99_us as f64),
    ("max", |times| times.max_us as f64),
    ("mean", |times| times.mean_us),
];

type Row = (&'static str, Kind, fn(&Report) -> Option<f64>);

/// Everything else that all scenarios report.
const TABLE: &[Row] = &[
    ("lost", Kind::Deliveries, |report| Some(report.deliveries.lost as f64)),
    ("duplicated", Kind::Deliveries, |report| Some(report.deliveries.duplicated as f64)),
    ("reordered", Kind::Deliveries, |report| Some(report.deliveries.reordered as f64)),
    ("gaps_silent", Kind::Deliveries, |report| Some(report.deliveries.gaps_silent as f64)),
    ("gaps_told", Kind::Deliveries, |report| Some(report.deliveries.gaps_told as f64)),
    ("order_conflicts", Kind::Deliveries, |report| Some(report.deliveries.order_conflicts as f64)),
    ("received", Kind::Deliveries, |report| Some(report.deliveries.received as f64)),
    ("late", Kind::Messages, |report| Some(report.messages.late as f64)),
    ("unsent", Kind::Messages, |report| Some(report.messages.unsent as f64)),
    ("sent", Kind::Messages, |report| Some(report.messages.sent as f64)),
    ("refused", Kind::Messages, |report| Some(refused(report) as f64)),
    ("failed", Kind::Clients, |report| Some(report.clients.failed_tries as f64)),
    ("disconnected", Kind::Clients, |report| Some(report.clients.disconnected as f64)),
    ("connected", Kind::Clients, |report| Some(report.clients.connected as f64)),
    ("invalid", Kind::YesOrNo, |report| Some(if report.verdict.invalid { 1.0 } else { 0.0 })),
    ("cpu_us_per_delivery", Kind::Number, cpu_us_per_delivery),
    ("bytes_per_connection", Kind::Number, bytes_per_connection),
    ("busy_max", Kind::Share, |report| Some(report.generator.busy_max)),
    ("per_s", Kind::Number, |report| Some(report.deliveries.per_s)),
];

impl Metric {
    /// The metric of this name.
    pub(super) fn parse(name: &str) -> Option<Metric> {
        let statistic = |name: &str| STATISTICS.iter().position(|(known, _)| *known == name);
        if let Some(statistic) = statistic(name) {
            return Some(Metric::Time { of: None, statistic });
        }
        if let Some(row) = TABLE.iter().position(|(known, ..)| *known == name) {
            return Some(Metric::Known(row));
        }
        let word = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        if let Some((of, rest)) = name.split_once('.') {
            let statistic = statistic(rest).filter(|_| word(of))?;
            return Some(Metric::Time { of: Some(of.to_owned()), statistic });
        }
        // A figure's name ends in its unit, so it holds a `_`. Without this rule every misspelt
        // name would pass for a figure, and be found out only when the run is over.
        (name.contains('_') && word(name)).then(|| Metric::Figure(name.to_owned()))
    }

    /// What values it has.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Metric::Time { .. } => Kind::Time,
            Metric::Known(row) => TABLE[*row].1,
            Metric::Figure(_) => Kind::Number,
        }
    }

    /// Its value in this report; nothing where it was not measured.
    pub(super) fn of(&self, report: &Report) -> Option<f64> {
        match self {
            Metric::Time { of, statistic } => {
                let times = of.as_ref().map_or(Some(&report.latency), |name| report.times.get(name));
                times.filter(|times| times.count > 0).map(STATISTICS[*statistic].1)
            }
            Metric::Known(row) => TABLE[*row].2(report),
            Metric::Figure(name) => report.figures.get(name).copied(),
        }
    }
}

/// All names, for who wrote another; with what a scenario adds, where that is known.
pub(super) fn known(times: &[&str], figures: &[&str]) -> String {
    let statistics: Vec<&str> = STATISTICS.iter().map(|(name, _)| *name).collect();
    let others: Vec<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
    let (statistics, others) = (statistics.join(" "), others.join(" "));
    if times.is_empty() && figures.is_empty() {
        return format!(
            "{statistics} (of the latency; of another time as connect.p99), {others}, and what a scenario \
             reports besides under names with a _"
        );
    }
    let times: Vec<String> = times.iter().map(|name| format!("{name}.p99")).collect();
    format!(
        "{statistics} (of the latency; of another time as {}), {others} {}",
        times.join(" "),
        figures.join(" ")
    )
}
