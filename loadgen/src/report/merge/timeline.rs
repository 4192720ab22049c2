//! Lays timelines of several runs over each other.
//!
//! Hosts do not look at their clocks at the same moment, and a busy one skips a look: stretches are
//! matched by where their middle lies, not by their place in the list.

use crate::report::model::{Moment, Report};

/// One timeline of all these: that of the run which lasted longest, with what the others did within
/// each of its stretches added.
pub(super) fn merge_timelines(reports: &[Report], notes: &mut Vec<String>) -> Vec<Moment> {
    let timelines: Vec<&[Moment]> = reports.iter().map(|report| report.timeline.as_slice()).collect();
    let end = |timeline: &[Moment]| timeline.last().map_or(0.0, |moment| moment.at_s);
    let longest = timelines.iter().copied().max_by(|one, other| end(one).total_cmp(&end(other)));
    let with_any = timelines.iter().filter(|timeline| !timeline.is_empty()).count();
    let Some(longest) = longest.filter(|_| with_any > 0) else { return Vec::new() };
    if with_any > 1 {
        notes.push(
            "Percentiles over time are, at each moment, the highest of any run: a timeline holds no histograms to merge."
                .into(),
        );
    }
    let mut merged: Vec<Moment> = longest.iter().map(stretch_of).collect();
    for timeline in &timelines {
        lay_over(&mut merged, timeline);
    }
    merged
}

/// The same stretch, with nothing in it.
fn stretch_of(moment: &Moment) -> Moment {
    Moment { at_s: moment.at_s, length_s: moment.length_s, ..Moment::default() }
}

fn lay_over(merged: &mut [Moment], timeline: &[Moment]) {
    let mut place = 0;
    let mut connected = 0;
    let mut first = true;
    for moment in timeline {
        let middle = moment.at_s - moment.length_s / 2.0;
        let found = merged.partition_point(|stretch| stretch.at_s < middle).min(merged.len() - 1);
        // Connections stand on through the stretches that one of this run's covers whole.
        let stood = if first { found..found } else { place + 1..found.max(place + 1) };
        for stretch in &mut merged[stood] {
            stretch.connected = stretch.connected.saturating_add(connected);
        }
        let stretch = &mut merged[found];
        if first || found != place {
            stretch.connected = stretch.connected.saturating_add(moment.connected);
        } else {
            // Two within one stretch: the later is how it stood at its end.
            stretch.connected = stretch.connected.saturating_sub(connected).saturating_add(moment.connected);
        }
        stretch.warmup |= moment.warmup;
        stretch.sent = stretch.sent.saturating_add(moment.sent);
        stretch.received = stretch.received.saturating_add(moment.received);
        stretch.p50_us = stretch.p50_us.max(moment.p50_us);
        stretch.p99_us = stretch.p99_us.max(moment.p99_us);
        stretch.max_us = stretch.max_us.max(moment.max_us);
        (place, connected, first) = (found, moment.connected, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// End and length in seconds, deliveries, connections.
    type Stretch = (f64, f64, u64, u64);

    fn laid(base: &[f64], other: &[Stretch]) -> Vec<(u64, u64)> {
        let ends = base.iter().scan(0.0, |before, &at_s| {
            let length_s = at_s - *before;
            *before = at_s;
            Some(Moment { at_s, length_s, ..Moment::default() })
        });
        let mut merged: Vec<_> = ends.collect();
        let moments: Vec<_> = other
            .iter()
            .map(|&(at_s, length_s, received, connected)| Moment {
                at_s,
                length_s,
                received,
                connected,
                ..Moment::default()
            })
            .collect();
        lay_over(&mut merged, &moments);
        merged.iter().map(|moment| (moment.received, moment.connected)).collect()
    }

    #[test]
    fn stretches_meet_by_their_middle() {
        let base = [1.0, 2.0, 3.0, 4.0];
        type Row = (&'static str, &'static [Stretch], &'static [(u64, u64)]);
        const ROWS: &[Row] = &[
            ("the same", &[(1.0, 1.0, 5, 9), (2.0, 1.0, 6, 9)], &[(5, 9), (6, 9), (0, 0), (0, 0)]),
            ("a little off", &[(1.2, 1.0, 5, 9), (2.3, 1.1, 6, 8)], &[(5, 9), (6, 8), (0, 0), (0, 0)]),
            ("a look skipped", &[(1.0, 1.0, 5, 9), (3.9, 2.9, 6, 8)], &[(5, 9), (0, 9), (6, 8), (0, 0)]),
            ("two in one", &[(0.5, 0.5, 5, 9), (1.0, 0.5, 6, 8)], &[(11, 8), (0, 0), (0, 0), (0, 0)]),
            ("after the end", &[(9.0, 1.0, 5, 9)], &[(0, 0), (0, 0), (0, 0), (5, 9)]),
            ("none", &[], &[(0, 0); 4]),
        ];
        for (name, other, expected) in ROWS {
            assert_eq!(laid(&base, other), *expected, "{name}");
        }
    }
}
