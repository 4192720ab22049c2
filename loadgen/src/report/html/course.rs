//! The timeline as it is drawn: a long one in fewer, longer stretches.

use crate::report::model::Moment;

/// Most stretches drawn: more than a plot has room for would only make the page large.
pub(super) const STRETCHES_MAX: usize = 300;

/// The timeline in at most [`STRETCHES_MAX`] stretches: counts added, of latencies the highest.
pub(super) fn condensed(timeline: &[Moment]) -> Vec<Moment> {
    let together = timeline.len().div_ceil(STRETCHES_MAX).max(1);
    // Warm-up and measured time never share a stretch.
    let parts = timeline.chunk_by(|one, other| one.warmup == other.warmup);
    parts.flat_map(|part| part.chunks(together)).map(joined).collect()
}

fn joined(moments: &[Moment]) -> Moment {
    let mut joined = Moment::default();
    for moment in moments {
        joined = Moment {
            at_s: moment.at_s,
            length_s: joined.length_s + moment.length_s,
            warmup: moment.warmup,
            connected: moment.connected,
            sent: joined.sent.saturating_add(moment.sent),
            received: joined.received.saturating_add(moment.received),
            p50_us: joined.p50_us.max(moment.p50_us),
            p99_us: joined.p99_us.max(moment.p99_us),
            max_us: joined.max_us.max(moment.max_us),
        };
    }
    joined
}

/// The unit in which a run of this length is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TimeUnit {
    /// Its length, in seconds.
    pub(super) length_s: f64,
    /// Its sign.
    pub(super) sign: &'static str,
}

impl TimeUnit {
    /// For a run that ends after so many seconds.
    pub(super) fn of(end_s: f64) -> TimeUnit {
        match end_s {
            end_s if end_s > 4.0 * 3600.0 => TimeUnit { length_s: 3600.0, sign: "h" },
            end_s if end_s > 240.0 => TimeUnit { length_s: 60.0, sign: "min" },
            _ => TimeUnit { length_s: 1.0, sign: "s" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_timeline_is_drawn_in_fewer_stretches_and_loses_nothing() {
        for (length, warmup) in [(0_u32, 0), (1, 1), (300, 3), (301, 7), (86_400, 100)] {
            let moments = (0..length).map(|index| Moment {
                at_s: f64::from(index) + 1.0,
                length_s: 1.0,
                warmup: index < warmup,
                connected: 9,
                received: 2,
                max_us: index.into(),
                ..Moment::default()
            });
            let moments: Vec<_> = moments.collect();
            let drawn = condensed(&moments);
            assert!(drawn.len() <= STRETCHES_MAX + 1, "{length}: {}", drawn.len());
            let sum = |all: &[Moment]| all.iter().map(|moment| moment.received).sum::<u64>();
            assert_eq!(sum(&drawn), sum(&moments), "{length}");
            let warm = |all: &[Moment]| all.iter().filter(|m| m.warmup).map(|m| m.received).sum::<u64>();
            assert_eq!(warm(&drawn), warm(&moments), "{length}");
            assert_eq!(drawn.iter().map(|m| m.max_us).max(), moments.iter().map(|m| m.max_us).max());
        }
    }
}
