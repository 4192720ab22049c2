//! Adds up what several processes counted.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::clock::seconds;
use crate::control::{Counted, Published};
use crate::report::distribution::new_histogram;
use crate::report::model::{Distribution, Moment};

/// A stretch of load, of all processes.
#[derive(Debug, Default)]
pub struct Sum {
    /// Counts added; of this one the distributions and moments are not used.
    pub counted: Counted,
    /// Latency of all.
    pub latency: Distribution,
    /// Other times of all.
    pub times: BTreeMap<String, Distribution>,
    /// The course of it, without times yet.
    pub moments: Vec<Moment>,
    /// Greatest share of a core that one process used.
    pub busy_max: f64,
    /// Greatest share of the time that one waited for a core.
    pub run_queue_wait_max: f64,
}

impl Sum {
    /// Adds a later stretch of load: all counts and times together, the course of it behind the course
    /// of this one.
    ///
    /// # Errors
    /// A histogram that is none.
    pub(super) fn append(&mut self, later: Sum) -> Result<(), String> {
        add_counts(&mut self.counted, &later.counted);
        self.latency = both(&self.latency, &later.latency)?;
        for (name, times) in later.times {
            let own = self.times.remove(&name);
            let all = own.map_or_else(|| Ok(times.clone()), |own| both(&own, &times))?;
            self.times.insert(name, all);
        }
        let ended_s = self.moments.last().map_or(0.0, |last| last.at_s);
        let behind = |moment: Moment| Moment { at_s: moment.at_s + ended_s, ..moment };
        self.moments.extend(later.moments.into_iter().map(behind));
        self.busy_max = self.busy_max.max(later.busy_max);
        self.run_queue_wait_max = self.run_queue_wait_max.max(later.run_queue_wait_max);
        Ok(())
    }
}

fn both(one: &Distribution, other: &Distribution) -> Result<Distribution, String> {
    let mut adder = Adder::default();
    adder.add(one)?;
    adder.add(other)?;
    Ok(adder.sum())
}

/// Adds histograms.
#[derive(Debug, Default)]
struct Adder(Option<Histogram<u64>>);

impl Adder {
    fn add(&mut self, distribution: &Distribution) -> Result<(), String> {
        let more = distribution.histogram().map_err(|error| error.to_string())?;
        self.0.get_or_insert_with(new_histogram).add(more).map_err(|error| error.to_string())
    }

    fn sum(&self) -> Distribution {
        self.0.as_ref().map(Distribution::of).unwrap_or_default()
    }
}

/// Adds up.
///
/// # Errors
/// A histogram that is none.
pub(super) fn add(all: &[Counted], published: &Published) -> Result<Sum, String> {
    let mut sum = Sum::default();
    let mut latency = Adder::default();
    let mut times: BTreeMap<String, Adder> = BTreeMap::new();
    for one in all {
        latency.add(&one.latency)?;
        for (name, distribution) in &one.times {
            times.entry(name.clone()).or_default().add(distribution)?;
        }
        add_counts(&mut sum.counted, one);
        if one.watched_ns > 0 {
            sum.busy_max = sum.busy_max.max(share(one.cpu_ns, one.watched_ns));
            sum.run_queue_wait_max = sum.run_queue_wait_max.max(share(one.run_queue_wait_ns, one.watched_ns));
        }
    }
    sum.latency = latency.sum();
    sum.times = times.iter().map(|(name, adder)| (name.clone(), adder.sum())).collect();
    sum.moments = moments(all)?;
    sum.counted.order_conflicts += disagreements(all, published);
    Ok(sum)
}

fn add_counts(sum: &mut Counted, one: &Counted) {
    for (own, more) in [
        (&mut sum.due, one.due),
        (&mut sum.sent, one.sent),
        (&mut sum.late, one.late),
        (&mut sum.unsent, one.unsent),
        (&mut sum.acknowledged, one.acknowledged),
        (&mut sum.received, one.received),
        (&mut sum.received_in_time, one.received_in_time),
        (&mut sum.arrived, one.arrived),
        (&mut sum.bytes, one.bytes),
        (&mut sum.expected, one.expected),
        (&mut sum.lost, one.lost),
        (&mut sum.duplicated, one.duplicated),
        (&mut sum.reordered, one.reordered),
        (&mut sum.order_conflicts, one.order_conflicts),
        (&mut sum.gaps_silent, one.gaps_silent),
        (&mut sum.gaps_told, one.gaps_told),
        (&mut sum.cpu_ns, one.cpu_ns),
        (&mut sum.slow_received, one.slow_received),
        (&mut sum.slow_disconnected, one.slow_disconnected),
    ] {
        *own += more;
    }
    sum.resumed_after_ns = sum.resumed_after_ns.max(one.resumed_after_ns);
    for (code, count) in &one.refused {
        *sum.refused.entry(code.clone()).or_default() += count;
    }
    for (name, figure) in &one.figures {
        *sum.figures.entry(name.clone()).or_default() += figure;
    }
}

fn moments(all: &[Counted]) -> Result<Vec<Moment>, String> {
    let length = all.iter().map(|one| one.moments.len()).max().unwrap_or(0);
    let mut moments = Vec::new();
    for number in 0..length {
        let mut moment = Moment::default();
        let mut latency = Adder::default();
        for one in all {
            // One that had nothing more to tell still has its connections.
            let Some(own) = one.moments.get(number) else {
                moment.connected += one.moments.last().map_or(0, |last| last.connected);
                continue;
            };
            moment.length_s = moment.length_s.max(seconds(own.length_ns));
            moment.connected += own.connected;
            moment.sent += own.sent;
            moment.received += own.received;
            latency.add(&own.latency)?;
        }
        let latency = latency.sum();
        (moment.p50_us, moment.p99_us, moment.max_us) = (latency.p50_us, latency.p99_us, latency.max_us);
        moments.push(moment);
    }
    Ok(moments)
}

/// Lanes of which two processes heard everything and still not the same.
fn disagreements(all: &[Counted], published: &Published) -> u64 {
    let mut digests: BTreeMap<u32, u64> = BTreeMap::new();
    let mut conflicts = 0;
    for (lane, (heard, digest)) in all.iter().flat_map(|one| &one.digests) {
        if published.all.get(*lane as usize) == Some(heard) {
            let first = *digests.entry(*lane).or_insert(*digest);
            conflicts += u64::from(first != *digest);
        }
    }
    conflicts
}

#[allow(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_heard_everything_must_agree() {
        let published = Published { all: vec![3, 3], ..Published::default() };
        let counted = |digests: &[(u32, (u64, u64))]| Counted {
            digests: digests.iter().copied().collect(),
            ..Counted::default()
        };
        for (one, other, conflicts) in [
            ((0, (3, 7)), (0, (3, 7)), 0),
            ((0, (3, 7)), (0, (3, 8)), 1),
            ((0, (3, 7)), (0, (2, 8)), 0),
            ((0, (3, 7)), (1, (3, 8)), 0),
        ] {
            let all = [counted(&[one]), counted(&[other])];
            assert_eq!(add(&all, &published).expect("sound").counted.order_conflicts, conflicts);
        }
    }

    #[test]
    fn a_later_stretch_comes_behind() {
        let sum = |received, times: &[(&str, u64)], lengths: &[f64]| {
            let distribution = |us: u64| {
                let mut histogram = new_histogram();
                histogram.record(us).expect("in range");
                Distribution::of(&histogram)
            };
            let mut at_s = 0.0;
            let moment = |length_s: &f64| {
                at_s += length_s;
                Moment { at_s, length_s: *length_s, ..Moment::default() }
            };
            Sum {
                counted: Counted { received, ..Counted::default() },
                latency: distribution(received),
                times: times.iter().map(|(name, us)| ((*name).to_owned(), distribution(*us))).collect(),
                moments: lengths.iter().map(moment).collect(),
                busy_max: 1.0 / received as f64,
                ..Sum::default()
            }
        };
        let mut all = sum(2, &[("crowd", 5), ("lateness", 1)], &[0.5, 0.5]);
        all.append(sum(4, &[("flood", 7), ("lateness", 3)], &[0.5, 0.25])).expect("sound");
        assert_eq!(all.counted.received, 6);
        assert_eq!((all.latency.count, all.latency.min_us, all.latency.max_us), (2, 2, 4));
        let counts: Vec<(&str, u64)> =
            all.times.iter().map(|(name, times)| (name.as_str(), times.count)).collect();
        assert_eq!(counts, [("crowd", 1), ("flood", 1), ("lateness", 2)]);
        assert_eq!(all.moments.iter().map(|moment| moment.at_s).collect::<Vec<_>>(), [0.5, 1.0, 1.5, 1.75]);
        assert_eq!(all.busy_max, 0.5, "the busiest, not the sum");
    }

    #[test]
    fn counts_add_up_and_shares_do_not() {
        let one = |received, cpu_ns| Counted { received, cpu_ns, watched_ns: 100, ..Counted::default() };
        let sum = add(&[one(3, 50), one(4, 90)], &Published::default()).expect("sound");
        assert_eq!((sum.counted.received, sum.counted.cpu_ns), (7, 140));
        assert!((sum.busy_max - 0.9).abs() < 1e-9);
    }
}
