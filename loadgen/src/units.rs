//! Numbers as the command line takes them: `100k`, `2.5m`, `10/s`, `@p99=100ms`.

use std::time::Duration;

/// Largest count that is taken.
const COUNT_MAX: f64 = 1e12;

/// A whole count, with `k` (thousand) or `m` (million) behind it if wished.
///
/// # Errors
/// What is wrong, in words.
pub fn count(text: &str) -> Result<u64, String> {
    let value = scaled(text)?;
    if value.fract() != 0.0 {
        return Err("must be a whole number, such as 500, 100k or 2m".to_owned());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to COUNT_MAX, whole")]
    Ok(value as u64)
}

/// Messages or connections a second: a number above 0, `k` or `m` behind it, `/s` if wished.
///
/// # Errors
/// What is wrong, in words.
pub fn per_second(text: &str) -> Result<f64, String> {
    match scaled(text.strip_suffix("/s").unwrap_or(text)) {
        Ok(value) if value > 0.0 => Ok(value),
        _ => Err("must be a number above 0, such as 10, 2k or 0.5".to_owned()),
    }
}

fn scaled(text: &str) -> Result<f64, String> {
    let wrong = || "must be a number, such as 500, 100k or 2m".to_owned();
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1e3),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(wrong());
    }
    let value = digits.parse::<f64>().map_err(|_| wrong())? * factor;
    if value > COUNT_MAX { Err(wrong()) } else { Ok(value) }
}

/// A time: `250ms`, `10s`, `1m 30s`.
///
/// # Errors
/// What is wrong, in words.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "must be a time with its unit, such as 250ms, 10s or 2m".to_owned())
}

/// A part of a whole: `10%`, `0.1`.
///
/// # Errors
/// What is wrong, in words.
pub fn share(text: &str) -> Result<f64, String> {
    let wrong = "must be a share, such as 10% or 0.1, at most 100%";
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse::<f64>(),
    };
    value.ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| wrong.to_owned())
}

/// How fast to publish.
#[derive(Clone, Debug, PartialEq)]
pub enum Rate {
    /// So many messages a second, all channels together.
    PerSecond(f64),
    /// The highest rate at which this percentile of the latency stays within a limit.
    Highest(Goal),
}

/// A goal for the latency.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// 0 to 100.
    pub percentile: f64,
    /// Longest latency at that percentile.
    pub within: Duration,
}

impl Goal {
    /// The limit in microseconds.
    #[must_use]
    pub fn within_us(&self) -> u64 {
        u64::try_from(self.within.as_micros()).unwrap_or(u64::MAX)
    }
}

/// `10`, `2k/s`, `@p99=100ms`.
///
/// # Errors
/// What is wrong, in words.
pub fn rate(text: &str) -> Result<Rate, String> {
    let Some(goal) = text.strip_prefix('@') else { return per_second(text).map(Rate::PerSecond) };
    let wrong = || "a goal is written @p99=100ms".to_owned();
    let (percentile, within) = goal.split_once('=').ok_or_else(wrong)?;
    let percentile = percentile.strip_prefix('p').ok_or_else(wrong)?.parse::<f64>().map_err(|_| wrong())?;
    if !(0.0..=100.0).contains(&percentile) {
        return Err("a percentile lies between p0 and p100".to_owned());
    }
    Ok(Rate::Highest(Goal { percentile, within: duration(within)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (text, expected) in [
            ("0", Some(0)),
            ("500", Some(500)),
            ("100k", Some(100_000)),
            ("2.5k", Some(2_500)),
            ("1m", Some(1_000_000)),
            ("1M", Some(1_000_000)),
            ("0.5", None),
            ("1.5", None),
            ("", None),
            ("k", None),
            ("-1", None),
            ("1e3", None),
            ("nan", None),
            ("10 k", None),
            ("9999999m", None),
        ] {
            assert_eq!(count(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn rates() {
        let goal = |percentile, ms| Rate::Highest(Goal { percentile, within: Duration::from_millis(ms) });
        for (text, expected) in [
            ("10", Some(Rate::PerSecond(10.0))),
            ("2k/s", Some(Rate::PerSecond(2_000.0))),
            ("0.5", Some(Rate::PerSecond(0.5))),
            ("@p99=100ms", Some(goal(99.0, 100))),
            ("@p99.9=1s", Some(goal(99.9, 1_000))),
            ("0", None),
            ("@p99", None),
            ("@p101=1s", None),
            ("@99=1s", None),
            ("@p99=100", None),
            ("fast", None),
        ] {
            assert_eq!(rate(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn shares_and_times() {
        for (text, expected) in [
            ("10%", Some(0.1)),
            ("0.5", Some(0.5)),
            ("100%", Some(1.0)),
            ("101%", None),
            ("-1%", None),
            ("x", None),
        ] {
            assert_eq!(share(text).ok(), expected, "{text}");
        }
        for (text, expected) in
            [("250ms", Some(250)), ("1m 30s", Some(90_000)), ("2m", Some(120_000)), ("10", None)]
        {
            assert_eq!(duration(text).ok(), expected.map(Duration::from_millis), "{text}");
        }
    }
}
