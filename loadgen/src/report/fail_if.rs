//! Limits that make a run fail: `--fail-if 'p99>200ms,lost>0'`.
//!
//! All that can be wrong with them is said before a run begins. What a limit asks of and the report
//! does not have counts as crossed: a run that measured nothing has proved nothing.

mod metrics;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use self::metrics::{Kind, Metric};
use super::humane;
use super::model::Report;

/// A list of limits.
#[derive(Clone, Debug, PartialEq)]
pub struct FailIf {
    limits: Vec<Limit>,
}

/// Why a list of limits cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FailIfError {
    /// There is nothing between two commas, or nothing at all.
    #[error("there is an empty limit in {0:?}: write e.g. p99>200ms,lost>0")]
    Empty(String),
    /// No metric of this name.
    #[error("{limit:?}: there is no metric {name:?}. There are: {known}")]
    Metric {
        /// The limit, as written.
        limit: String,
        /// The name in it.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// No operator, or an unknown one.
    #[error("{0:?}: between a metric and its value stands one of > >= < <= == !=")]
    Operator(String),
    /// No value that this metric can have.
    #[error("{limit:?}: {what}")]
    Value {
        /// The limit, as written.
        limit: String,
        /// What a value looks like here.
        what: String,
    },
}

/// A limit that a run crossed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossed {
    /// The limit, as written.
    pub limit: String,
    /// What the report says; nothing where that was not measured.
    pub seen: Option<String>,
}

impl fmt::Display for Crossed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.seen {
            Some(seen) => write!(f, "{}: it was {seen}", self.limit),
            None => write!(f, "{}: not measured", self.limit),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Limit {
    written: String,
    metric: Metric,
    operator: Operator,
    /// In microseconds, per cent of the whole, or as it is.
    value: f64,
    /// The value is a share of the metric's whole.
    of_whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    Unequal,
}

impl Operator {
    /// Those of two characters first: `>=` begins with `>`.
    const ALL: [(&'static str, Operator); 6] = [
        (">=", Operator::AtLeast),
        ("<=", Operator::AtMost),
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        (">", Operator::Above),
        ("<", Operator::Below),
    ];

    fn holds(self, one: f64, other: f64) -> bool {
        match self {
            Operator::Above => one > other,
            Operator::AtLeast => one >= other,
            Operator::Below => one < other,
            Operator::AtMost => one <= other,
            Operator::Equal => one.total_cmp(&other).is_eq(),
            Operator::Unequal => one.total_cmp(&other).is_ne(),
        }
    }
}

impl FailIf {
    /// Understands a list of limits, separated by commas.
    ///
    /// # Errors
    ///
    /// When one of them is not understood; the message says what would be.
    pub fn parse(text: &str) -> Result<FailIf, FailIfError> {
        let limits = text.split(',').map(|limit| match limit.trim() {
            "" => Err(FailIfError::Empty(text.to_owned())),
            limit => Limit::parse(limit),
        });
        Ok(FailIf { limits: limits.collect::<Result<_, _>>()? })
    }

    /// Holds the names in the limits to the times and figures that a scenario is known to report: a
    /// typing error in one of these is otherwise found only after the run, as "not measured".
    ///
    /// # Errors
    ///
    /// When a limit names another.
    pub fn check_names(&self, times: &[&str], figures: &[&str]) -> Result<(), FailIfError> {
        for limit in &self.limits {
            let (name, known) = match &limit.metric {
                Metric::Time { of: Some(name), .. } => (name, times),
                Metric::Figure(name) => (name, figures),
                _ => continue,
            };
            if !known.contains(&name.as_str()) {
                let known = metrics::known(times, figures);
                return Err(FailIfError::Metric { limit: limit.written.clone(), name: name.clone(), known });
            }
        }
        Ok(())
    }

    /// The limits that this report crosses, in the order given.
    #[must_use]
    pub fn crossed(&self, report: &Report) -> Vec<Crossed> {
        self.limits.iter().filter_map(|limit| limit.crossed(report)).collect()
    }
}

impl FromStr for FailIf {
    type Err = FailIfError;

    fn from_str(text: &str) -> Result<FailIf, FailIfError> {
        FailIf::parse(text)
    }
}

impl Limit {
    fn parse(written: &str) -> Result<Limit, FailIfError> {
        let end = written.find(['>', '<', '=', '!']).unwrap_or(written.len());
        let (name, rest) = (written[..end].trim(), &written[end..]);
        let metric = Metric::parse(name).ok_or_else(|| FailIfError::Metric {
            limit: written.to_owned(),
            name: name.to_owned(),
            known: metrics::known(&[], &[]),
        })?;
        if rest.is_empty() && metric.kind() == Kind::YesOrNo {
            let written = written.to_owned();
            return Ok(Limit { written, metric, operator: Operator::Above, value: 0.0, of_whole: false });
        }
        let operator =
            Operator::ALL.iter().find_map(|(sign, operator)| Some((*operator, rest.strip_prefix(sign)?)));
        let (operator, value) = operator.ok_or_else(|| FailIfError::Operator(written.to_owned()))?;
        let wrong =
            || FailIfError::Value { limit: written.to_owned(), what: what_values(metric.kind()).to_owned() };
        let (value, of_whole) = parse_value(value.trim(), metric.kind()).ok_or_else(wrong)?;
        Ok(Limit { written: written.to_owned(), metric, operator, value, of_whole })
    }

    fn crossed(&self, report: &Report) -> Option<Crossed> {
        let crossed = |seen| Some(Crossed { limit: self.written.clone(), seen });
        let Some(seen) = self.metric.of(report).filter(|seen| seen.is_finite()) else { return crossed(None) };
        let kind = self.metric.kind();
        if !self.of_whole {
            return if self.operator.holds(seen, self.value) {
                crossed(Some(shown(seen, kind)))
            } else {
                None
            };
        }
        let Some(whole) = kind.whole(report).filter(|whole| *whole > 0.0) else { return crossed(None) };
        let share = 100.0 * seen / whole;
        let seen = format!("{} % ({} of {})", humane::number(share), shown(seen, kind), shown(whole, kind));
        if self.operator.holds(share, self.value) { crossed(Some(seen)) } else { None }
    }
}

/// What a value looks like, for who wrote another.
fn what_values(kind: Kind) -> &'static str {
    match kind {
        Kind::Time => "this is a time: it needs a number and one of the units us, ms and s, as in 200ms",
        Kind::Deliveries => {
            "this is a count: it takes a number, with k or m for thousands or millions, or a share of the \
             deliveries expected, as in 0.1%"
        }
        Kind::Messages => {
            "this is a count: it takes a number, with k or m for thousands or millions, or a share of the \
             messages due, as in 0.1%"
        }
        Kind::Clients => {
            "this is a count: it takes a number, with k or m for thousands or millions, or a share of the \
             clients asked for, as in 0.1%"
        }
        Kind::Share => "this is a share: it takes a number from 0 to 1, or per cent, as in 90%",
        Kind::YesOrNo => "this is 0 or 1",
        Kind::Number => "this takes a number without a unit, or with k or m for thousands or millions",
    }
}

/// A value and whether it is a share of the metric's whole; nothing where it does not fit.
fn parse_value(text: &str, kind: Kind) -> Option<(f64, bool)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let (number, unit) = (text[..end].parse::<f64>().ok()?, text[end..].trim_start());
    let negative_fits = kind == Kind::Number;
    if number < 0.0 && !negative_fits {
        return None;
    }
    let times = |factor: f64| Some((number * factor, false));
    match (kind, unit) {
        (Kind::Time, "us" | "µs") => times(1.0),
        (Kind::Time, "ms") => times(1e3),
        (Kind::Time, "s") => times(1e6),
        (Kind::Time, _) => None,
        (Kind::YesOrNo, "") => (number <= 1.0 && number.fract() <= 0.0).then_some((number, false)),
        (Kind::YesOrNo, _) => None,
        (Kind::Share, "%") => times(0.01),
        (Kind::Share, "") => times(1.0),
        (Kind::Share, _) => None,
        (_, "") => times(1.0),
        (_, "k" | "K") => times(1e3),
        (_, "m" | "M") => times(1e6),
        (Kind::Deliveries | Kind::Messages | Kind::Clients, "%") => Some((number, true)),
        _ => None,
    }
}

fn shown(value: f64, kind: Kind) -> String {
    match kind {
        Kind::Time => humane::time_exact(value),
        Kind::Share => humane::percent(value),
        // Counts stand whole: 1,000,001 is more than a million.
        Kind::Deliveries | Kind::Messages | Kind::Clients | Kind::YesOrNo => humane::whole(value),
        Kind::Number => humane::number(value),
    }
}

#[cfg(test)]
mod tests {
    use super::metrics::STATISTICS;
    use super::*;

    #[test]
    fn what_is_understood() {
        let good = [
            "p50>1us",
            "p75>=1us",
            "p90<1us",
            "p95<=1µs",
            "p99==1.5ms",
            "p99.9!=2s",
            "p99.99>1s",
            "max>1s",
            "mean>1s",
            "connect.p99>1s",
            "resume.p99.9 > 100 ms",
            "lost>0",
            "duplicated>1k",
            "reordered>0.1%",
            "gaps_silent>0",
            "gaps_told>5M",
            "order_conflicts>0",
            "late>1%",
            "unsent>0",
            "sent<100",
            "refused>0",
            "received<99.9%",
            "failed>0",
            "disconnected>0",
            "connected<100%",
            "invalid",
            "invalid>0",
            "invalid==1",
            "cpu_us_per_delivery>1.5",
            "bytes_per_connection>20k",
            "busy_max>90%",
            "busy_max>0.9",
            "per_s<1m",
            "sessions_total<10",
            "drift_s<-1",
            " p99 > 200 ms , lost > 0 ",
        ];
        for text in good {
            assert!(FailIf::parse(text).is_ok(), "{text}: {:?}", FailIf::parse(text));
        }
    }

    #[test]
    fn what_is_not_understood_and_why() {
        let rows = [
            ("", "empty limit"),
            ("p99>1s,", "empty limit"),
            ("p99>1s,,lost>0", "empty limit"),
            (">5", "no metric \"\""),
            ("p999>1s", "There are: p50"),
            ("p98>1s", "no metric \"p98\""),
            ("connect.p98>1s", "no metric \"connect.p98\""),
            (".p99>1s", "no metric"),
            ("P99>1s", "no metric"),
            ("loss>0", "lost"),
            ("p99", "> >= < <= == !="),
            ("lost", "> >= < <= == !="),
            ("p99=1s", "> >= < <= == !="),
            ("p99=>1s", "> >= < <= == !="),
            ("p99!1s", "> >= < <= == !="),
            ("p99>>1s", "us, ms and s"),
            ("p99>", "us, ms and s"),
            ("p99>200", "us, ms and s"),
            ("p99>200m", "us, ms and s"),
            ("p99>200k", "us, ms and s"),
            ("p99>200%", "us, ms and s"),
            ("p99>-1ms", "us, ms and s"),
            ("p99>1e3ms", "us, ms and s"),
            ("p99>infms", "us, ms and s"),
            ("lost>5ms", "this is a count"),
            ("lost>5s", "this is a count"),
            ("lost>x", "this is a count"),
            ("lost>1.2.3", "this is a count"),
            ("lost>-1", "this is a count"),
            ("late>1ms", "messages due"),
            ("connected<1ms", "clients asked for"),
            ("invalid>2", "0 or 1"),
            ("invalid>0.5", "0 or 1"),
            ("busy_max>1k", "from 0 to 1"),
            ("per_s>1%", "without a unit"),
            ("per_s>NaN", "without a unit"),
            ("sessions_total>1ms", "without a unit"),
        ];
        for (text, part) in rows {
            let error = FailIf::parse(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error:?} does not say {part:?}");
        }
    }

    #[test]
    fn names_that_a_scenario_does_not_report_are_told_at_once() {
        let check =
            |text: &str| FailIf::parse(text).expect(text).check_names(&["connect"], &["sessions_total"]);
        for good in ["p99>1s", "connect.p99>1s", "sessions_total<5", "lost>0"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["conect.p99>1s", "session_total<5", "gap_silent>0"] {
            let error = check(bad).expect_err(bad).to_string();
            assert!(error.contains("sessions_total") && error.contains("connect."), "{bad}: {error}");
        }
    }

    #[test]
    fn every_statistic_is_one_of_another_time_too() {
        for (name, _) in STATISTICS {
            assert!(FailIf::parse(&format!("x.{name}>1s")).is_ok(), "{name}");
        }
    }
}
