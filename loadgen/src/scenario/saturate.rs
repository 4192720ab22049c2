//! `saturate`: the highest rate that keeps a goal for the latency, with nothing lost, doubled,
//! refused or unsent. The rate doubles until steps fail, then the bracket is halved.
//!
//! A server that gathers messages into one send may keep a goal at a high rate that it does not keep
//! at a lower one, where it still sends them one by one. So one failure does not end the doubling.

use std::time::Duration;

use super::{Shape, channels, even};
use crate::cli::Options;
use crate::clock::duration_ns;
use crate::control::Load;
use crate::coordinator::{Outcome, Run, RunError};
use crate::report::humane;
use crate::report::model::Step;
use crate::units::{Goal, Rate};

/// Publishers a channel if nothing else is said: one alone would be the limit.
const PUBLISHERS: u32 = 16;
/// The goal if none is given.
const GOAL: Goal = Goal { percentile: 99.0, within: Duration::from_millis(100) };
/// First rate tried, in messages a second, for each channel.
const FIRST_PER_S: f64 = 20.0;
/// Most steps.
const STEPS_MAX: usize = 40;
/// Rates in a row that must fail before the limit is sought below them.
const FAILURES: u32 = 3;
/// A step that fails is tried again so often: one bad moment of the machine is not a limit.
const TRIES: usize = 2;

pub(super) fn shape(options: &Options) -> Result<Shape, String> {
    if matches!(options.rate, Some(Rate::PerSecond(_))) {
        return Err("saturate searches the rate: give a goal, as --rate @p99=100ms".to_owned());
    }
    if options.precision <= 0.0 {
        return Err("--precision must be more than nothing".to_owned());
    }
    Ok(even(options, PUBLISHERS))
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    let goal = match &run.options.rate {
        Some(Rate::Highest(goal)) => goal.clone(),
        _ => GOAL,
    };
    run.connect()?;
    let channels = channels(run.options);
    let mut search = Search::from(FIRST_PER_S * f64::from(channels));
    let mut best: Option<Outcome> = None;
    let mut last: Option<Outcome> = None;
    while search.next > 0.0 && run.report.steps.len() < STEPS_MAX {
        let rate = search.next;
        let mut held = false;
        for _ in 0..TRIES {
            let outcome = match step(run, rate) {
                Err(RunError::Interrupted) if best.is_some() || last.is_some() => {
                    search.next = 0.0;
                    break;
                }
                other => other?,
            };
            if run.is_interrupted() {
                // Cut short: it says nothing about the rate.
                last = Some(outcome);
                search.next = 0.0;
                break;
            }
            held = record(run, &goal, rate, &outcome);
            if held {
                best = Some(outcome);
                break;
            }
            last = Some(outcome);
        }
        if search.next > 0.0 {
            search.learn(rate, held, run.options.precision);
        }
    }
    let limited =
        run.report.steps.iter().rev().find(|step| !step.held).is_some_and(|step| step.generator_limited);
    if search.held > 0.0 {
        run.report.figures.insert("highest_rate_per_s".to_owned(), search.held);
    } else {
        run.report.notes.push("no rate kept the goal; the figures are of the last one tried".to_owned());
    }
    if let Some(outcome) = best.or(last) {
        run.adopt(outcome);
    }
    if limited {
        run.doubt(vec![
            "the generator was itself the limit at the rate that failed: the server may do more".to_owned(),
        ]);
    }
    Ok(())
}

fn step(run: &mut Run<'_>, per_s: f64) -> Result<Outcome, RunError> {
    let load = Load {
        warmup_ns: duration_ns(run.options.step) / 5,
        duration_ns: duration_ns(run.options.step),
        per_s,
        ..Load::default()
    };
    run.load(&format!("{} messages/s", humane::short(per_s)), load)
}

/// Notes a step; whether it held.
fn record(run: &mut Run<'_>, goal: &Goal, rate: f64, outcome: &Outcome) -> bool {
    let (sum, counted) = (&outcome.sum, &outcome.sum.counted);
    let latency_us = sum
        .latency
        .histogram()
        .map_or(u64::MAX, |histogram| histogram.value_at_quantile(goal.percentile / 100.0));
    let held = counted.received > 0
        && latency_us <= goal.within_us()
        && counted.lost == 0
        && counted.duplicated == 0
        && counted.unsent == 0
        && counted.refused.is_empty();
    #[allow(clippy::cast_precision_loss, reason = "figures")]
    let (arrived, in_time) = (counted.arrived as f64, counted.received_in_time as f64);
    let deliveries_per_s = if outcome.measured_s > 0.0 { in_time / outcome.measured_s } else { 0.0 };
    let step = Step {
        rate,
        held,
        generator_limited: !outcome.doubts.is_empty(),
        p50_us: sum.latency.p50_us,
        p99_us: sum.latency.p99_us,
        max_us: sum.latency.max_us,
        deliveries_per_s,
        lost: counted.lost,
        server_cpu_us_per_delivery: if arrived > 0.0 { outcome.server_cpu_s * 1e6 / arrived } else { 0.0 },
    };
    #[allow(clippy::cast_precision_loss, reason = "for a person")]
    run.say(&format!(
        "{} messages/s: {} deliveries/s, p99 {}{}",
        humane::short(rate),
        humane::short(step.deliveries_per_s),
        humane::time(step.p99_us as f64),
        if held { "" } else { " (not kept)" }
    ));
    run.report.steps.push(step);
    held
}

/// A bracket around the highest rate.
#[derive(Debug)]
struct Search {
    held: f64,
    /// Lowest rate above it that failed.
    failed: f64,
    /// Highest rate tried.
    top: f64,
    /// Rates that failed in a row while doubling; from `FAILURES` on the bracket is halved.
    failures: u32,
    /// To be tried next; 0 when it is near enough.
    next: f64,
}

impl Search {
    fn from(rate: f64) -> Search {
        Search { held: 0.0, failed: f64::INFINITY, top: 0.0, failures: 0, next: rate }
    }

    fn learn(&mut self, rate: f64, held: bool, precision: f64) {
        self.top = self.top.max(rate);
        if held {
            self.held = self.held.max(rate);
            // What failed below was a hump.
            self.failed = if self.failed <= self.held { f64::INFINITY } else { self.failed };
        } else {
            self.failed = self.failed.min(rate);
        }
        if self.failures < FAILURES {
            self.failures = if held { 0 } else { self.failures + 1 };
            if self.failures < FAILURES {
                self.next = self.top * 2.0;
                return;
            }
        }
        self.next = if self.held == 0.0 {
            // Not even the first one held: downwards.
            if self.failed < 0.1 { 0.0 } else { self.failed / 4.0 }
        } else if self.failed / self.held <= 1.0 + precision {
            0.0
        } else {
            (self.held * self.failed).sqrt()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches where all rates up to `limit` hold but those between `hump` and `hump_end`.
    fn search(limit: f64, hump: f64, hump_end: f64, precision: f64) -> Search {
        let mut search = Search::from(20.0);
        let mut steps = 0;
        while search.next > 0.0 {
            let rate = search.next;
            search.learn(rate, rate <= limit && !(hump..hump_end).contains(&rate), precision);
            steps += 1;
            assert!(steps < STEPS_MAX, "{limit}: does not end");
        }
        search
    }

    #[test]
    fn the_bracket_closes_around_the_limit() {
        for (limit, precision) in
            [(1.0, 0.05), (19.0, 0.1), (20.0, 0.05), (4_321.0, 0.02), (1e6, 0.5), (0.0, 0.05)]
        {
            let search = search(limit, f64::NAN, f64::NAN, precision);
            if limit > 0.0 {
                assert!(search.held <= limit && limit < search.failed, "{limit}: {search:?}");
                assert!(search.failed / search.held <= 1.0 + precision, "{limit}: {search:?}");
            } else {
                assert_eq!(search.held, 0.0);
            }
        }
    }

    #[test]
    fn a_hump_is_no_limit() {
        for (limit, hump, hump_end) in
            [(5_000.0, 100.0, 300.0), (5_000.0, 10.0, 50.0), (1_000.0, 150.0, 200.0)]
        {
            let search = search(limit, hump, hump_end, 0.05);
            assert!(search.held > limit / 1.06 && search.held <= limit, "{limit}: {search:?}");
        }
        // One that is wider than the patience is one.
        assert!(search(1e6, 100.0, 2_000.0, 0.05).held < 100.0);
    }
}
