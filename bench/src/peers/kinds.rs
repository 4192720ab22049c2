//! The kinds of run: what loadgen is asked for, which figures are read from its report, and how a table
//! shows them. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::ValueEnum;

use super::report::{Report, Step};

/// A kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// One big channel at a moderate rate
    Fanout,
    /// Many small channels
    FanoutMany,
    /// Connections that do nothing
    Idle,
    /// As fast as it goes
    Saturate,
}

/// Figures of one run, by name; units end the names.
pub type Figures = BTreeMap<String, f64>;

/// How a column shows the figures of all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Show {
    /// The median of the ratios to the yardstick within each round, and their range.
    Ratio,
    /// The median, with so many digits behind the point.
    Median(usize),
    /// The greatest of all rounds: a loss must not hide behind a median.
    Greatest,
    /// The sum of all rounds.
    Total,
}

/// A column of a table.
#[derive(Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// The figure's name.
    pub figure: &'static str,
    /// How it is shown.
    pub show: Show,
}

const fn column(title: &'static str, figure: &'static str, show: Show) -> Column {
    Column { title, figure, show }
}

const FANOUT: &[Column] = &[
    column("CPU a delivery ÷ floor", "cpu_us", Show::Ratio),
    column("CPU a delivery, µs", "cpu_us", Show::Median(2)),
    column("p50, ms", "p50_ms", Show::Median(1)),
    column("p99, ms", "p99_ms", Show::Median(1)),
    column("p99 ÷ floor", "p99_ms", Show::Ratio),
    column("lost, at most", "lost", Show::Greatest),
    column("wire bytes a delivery", "wire_bytes", Show::Median(0)),
];
const IDLE: &[Column] = &[
    column("user memory a connection ÷ floor", "memory_bytes", Show::Ratio),
    column("bytes a connection", "memory_bytes", Show::Median(0)),
    column("CPU a connect ÷ floor", "connect_cpu_us", Show::Ratio),
    column("CPU a connect, µs", "connect_cpu_us", Show::Median(1)),
    column("time to connect all, s", "connect_s", Show::Median(1)),
];
const SATURATE: &[Column] = &[
    column("deliveries/s ÷ floor", "deliveries_per_s", Show::Ratio),
    column("deliveries/s", "deliveries_per_s", Show::Median(0)),
    column("messages/s", "rate", Show::Median(0)),
    column("CPU a delivery ÷ floor", "cpu_us", Show::Ratio),
    column("CPU a delivery, µs", "cpu_us", Show::Median(2)),
    column("p99, ms", "p99_ms", Show::Median(1)),
    column("rounds in which the clients were the limit", "generator_limited", Show::Total),
];

impl Kind {
    /// All, in the order of the page.
    pub const ALL: [Self; 4] = [Self::Fanout, Self::FanoutMany, Self::Idle, Self::Saturate];

    /// Its name on the command line, in the page's markers and of its file of results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::FanoutMany => "fanout-many",
            Self::Idle => "idle",
            Self::Saturate => "saturate",
        }
    }

    /// What all its servers are measured against: the floor that does its sending in the best known way.
    ///
    /// Where messages come one by one, that is one send each; where many come in a turn, one send for all.
    #[must_use]
    pub fn yardstick(self) -> &'static str {
        match self {
            Self::Fanout | Self::FanoutMany | Self::Idle => "floor",
            Self::Saturate => "floor-batch",
        }
    }

    /// What loadgen is asked for; `quick` is a small run that shows that everything works.
    #[must_use]
    pub fn arguments(self, quick: bool) -> &'static str {
        match (self, quick) {
            (Self::Fanout, false) => "fanout --clients 10k --rate 10 --size 120 --warmup 2s --duration 10s",
            (Self::Fanout, true) => "fanout --clients 500 --rate 10 --size 120 --warmup 1s --duration 2s",
            (Self::FanoutMany, false) => {
                "fanout --clients 10k --channels 1k --rate 2k --size 120 --warmup 2s --duration 10s"
            }
            (Self::FanoutMany, true) => {
                "fanout --clients 500 --channels 50 --rate 100 --size 120 --warmup 1s --duration 2s"
            }
            (Self::Idle, false) => "idle --clients 15k --duration 5s",
            (Self::Idle, true) => "idle --clients 1k --duration 1s",
            (Self::Saturate, false) => {
                "saturate --clients 1k --publishers 16 --size 120 --rate @p99=100ms --step 3s"
            }
            (Self::Saturate, true) => {
                "saturate --clients 100 --publishers 16 --size 120 --rate @p99=100ms --step 1s"
            }
        }
    }

    /// How long one run of it may take before it is ended.
    #[must_use]
    pub fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Fanout | Self::FanoutMany | Self::Idle => 120,
            Self::Saturate => 600,
        })
    }

    /// The columns of its table.
    #[must_use]
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Fanout | Self::FanoutMany => FANOUT,
            Self::Idle => IDLE,
            Self::Saturate => SATURATE,
        }
    }

    /// What its table says, read from a report. A figure that the report does not tell is left out.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // counts and bytes of one run are far below 2⁵²
    pub fn figures(self, report: &Report) -> Figures {
        let mut figures = Figures::new();
        let mut add = |name: &str, figure: f64| {
            if figure.is_finite() {
                figures.insert(name.to_owned(), figure);
            }
        };
        let cpu_s: f64 = report.server.iter().map(|process| process.cpu_s).sum();
        match self {
            Self::Fanout | Self::FanoutMany => {
                let deliveries = &report.deliveries;
                // Bytes are of the measured time alone; an overloaded server delivers a part later.
                let read = deliveries.per_s * report.measured_s;
                if cpu_s > 0.0 {
                    add("cpu_us", cpu_s * 1e6 / deliveries.arrived as f64);
                }
                add("p50_ms", report.latency.p50_us as f64 / 1e3);
                add("p99_ms", report.latency.p99_us as f64 / 1e3);
                add("lost", deliveries.lost as f64);
                add("deliveries_per_s", deliveries.per_s);
                add("wire_bytes", deliveries.bytes as f64 / read);
            }
            Self::Idle => {
                let connected = report.clients.connected as f64;
                let grown: f64 = report
                    .server
                    .iter()
                    .map(|process| {
                        process.resident_connected_bytes as f64 - process.resident_before_bytes as f64
                    })
                    .sum();
                if !report.server.is_empty() {
                    add("memory_bytes", grown / connected);
                }
                add("connected", connected);
                add("connect_s", report.clients.connect_s);
                if let Some(each) = report.figures.get("connecting_cpu_us_per_connection") {
                    add("connect_cpu_us", *each);
                }
            }
            Self::Saturate => {
                let held = report.steps.iter().filter(|step| step.held);
                if let Some(best) = held.max_by(|one, other| one.rate.total_cmp(&other.rate)) {
                    add("rate", best.rate);
                    add("deliveries_per_s", best.deliveries_per_s);
                    if best.server_cpu_us_per_delivery > 0.0 {
                        add("cpu_us", best.server_cpu_us_per_delivery);
                    }
                    add("p50_ms", best.p50_us as f64 / 1e3);
                    add("p99_ms", best.p99_us as f64 / 1e3);
                    // Then the figure says what this machine's clients can read, not what the server can send.
                    let limited = |step: &Step| step.generator_limited && step.rate >= best.rate;
                    add("generator_limited", f64::from(u8::from(report.steps.iter().any(limited))));
                }
            }
        }
        add("generator_busy", report.generator.busy_max);
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(kind: Kind, report: &str) -> Vec<(String, f64)> {
        let report = serde_json::from_str(report).unwrap();
        kind.figures(&report).into_iter().filter(|(name, _)| name != "generator_busy").collect()
    }

    fn check(kind: Kind, report: &str, expected: &[(&str, f64)]) {
        let expected: Vec<_> = expected.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect();
        assert_eq!(figures(kind, report), expected, "{report}");
    }

    #[test]
    fn figures_of_a_fanout_are_per_delivery_and_of_all_processes() {
        let report = r#"{"latency": {"p50_us": 1500, "p99_us": 20000},
            "measured_s": 10.0, "deliveries": {"lost": 3, "per_s": 100.0, "arrived": 1000, "bytes": 122000},
            "server": [{"cpu_s": 0.004}, {"cpu_s": 0.002}], "more": true}"#;
        let expected = [
            ("cpu_us", 6.0),
            ("deliveries_per_s", 100.0),
            ("lost", 3.0),
            ("p50_ms", 1.5),
            ("p99_ms", 20.0),
            ("wire_bytes", 122.0),
        ];
        check(Kind::Fanout, report, &expected);
        check(Kind::FanoutMany, report, &expected);
    }

    #[test]
    fn what_a_report_does_not_tell_is_left_out() {
        let silent = [("deliveries_per_s", 0.0), ("lost", 0.0), ("p50_ms", 0.0), ("p99_ms", 0.0)];
        check(Kind::Fanout, "{}", &silent);
        check(Kind::Idle, "{}", &[("connect_s", 0.0), ("connected", 0.0)]);
        check(Kind::Saturate, r#"{"steps": [{"rate": 5.0, "held": false}]}"#, &[]);
    }

    #[test]
    fn memory_is_what_all_processes_grew_by() {
        let report = r#"{"clients": {"connected": 10, "connect_s": 0.5}, "server": [
            {"resident_before_bytes": 100, "resident_connected_bytes": 400},
            {"resident_before_bytes": 50, "resident_connected_bytes": 40}]}"#;
        check(Kind::Idle, report, &[("connect_s", 0.5), ("connected", 10.0), ("memory_bytes", 29.0)]);
    }

    #[test]
    fn the_highest_rate_held_counts_and_whether_the_clients_were_the_limit() {
        for (last, limited) in [("false", 0.0), ("true", 1.0)] {
            let report = format!(
                r#"{{"steps": [{{"rate": 100, "held": true, "deliveries_per_s": 10.0}},
                    {{"rate": 400, "held": false, "generator_limited": {last}}},
                    {{"rate": 200, "held": true, "deliveries_per_s": 20.0, "p50_us": 1000, "p99_us": 2000,
                      "server_cpu_us_per_delivery": 0.5}}]}}"#
            );
            check(
                Kind::Saturate,
                &report,
                &[
                    ("cpu_us", 0.5),
                    ("deliveries_per_s", 20.0),
                    ("generator_limited", limited),
                    ("p50_ms", 1.0),
                    ("p99_ms", 2.0),
                    ("rate", 200.0),
                ],
            );
        }
    }

    #[test]
    fn names_are_those_of_the_command_line_and_yardsticks_are_servers() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_possible_value().unwrap().get_name(), kind.name());
            assert!(super::super::servers::named(kind.yardstick()).is_some());
            assert!(!kind.arguments(false).is_empty() && !kind.columns().is_empty());
        }
    }
}
