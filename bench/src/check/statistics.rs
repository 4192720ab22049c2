//! The median of paired ratios, how sure one may be of it, and when to stop measuring.
//!
//! A pair is one run of each revision, one right after the other, so that what slows the machine
//! down slows both. Of the pairs' ratios (head / base) the median is judged by an interval between
//! two order statistics: with `n` pairs, the true median lies between the `k`-th least and the
//! `k`-th greatest ratio unless fewer than `k` of `n` fair coins fall on one side, whatever the
//! distribution of the noise. No bootstrap: it needs a seed, and is too sure of itself for the ten
//! or twenty pairs that one can afford.
//!
//! Who looks again and again, and stops when the answer pleases, is wrong more often than each look
//! says. So the looks are fixed before (every `pairs` pairs, until `pairs_max`), and the error that
//! is allowed is shared out among them evenly (Bonferroni): all looks together are wrong with at
//! most `1 - confidence`. A look that decides is final.

use serde::Serialize;

/// When to look, and how sure to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Pairs from one look to the next.
    pub pairs: usize,
    /// Pairs at the last look.
    pub pairs_max: usize,
    /// Probability with which all looks together hold the true median, 0 to 1.
    pub confidence: f64,
}

impl Plan {
    /// How many looks there are at most.
    #[must_use]
    pub fn looks(&self) -> usize {
        self.pairs_max.div_ceil(self.pairs)
    }

    /// Whether one looks after so many pairs.
    #[must_use]
    pub fn is_look(&self, pairs: usize) -> bool {
        pairs > 0 && (pairs.is_multiple_of(self.pairs) || pairs == self.pairs_max)
    }

    /// The probability with which one look may be wrong.
    #[must_use]
    pub fn error_of_a_look(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a few looks")]
        let looks = self.looks() as f64;
        (1.0 - self.confidence) / looks
    }

    /// The fewest pairs of a first look that can tell anything.
    #[must_use]
    pub fn pairs_min(&self) -> usize {
        (1..).find(|pairs| rank(*pairs, self.error_of_a_look()).is_some()).unwrap_or(usize::MAX)
    }
}

/// A median and the interval that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The median of the ratios seen.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// What is said of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Worse than is tolerated: a regression.
    Worse,
    /// Better by more than the tolerance.
    Better,
    /// Not worse than is tolerated.
    Same,
    /// The interval holds the tolerance: it may be worse, or not.
    CannotTell,
    /// The base does not have it.
    OnlyInHead,
    /// The head does not have it.
    OnlyInBase,
}

/// The place, from 1, of the order statistics that bound the median of `count` values with at most
/// this probability of being wrong; nothing if there are too few values.
#[must_use]
pub fn rank(count: usize, error: f64) -> Option<usize> {
    // P(fewer than k of `count` fair coins show heads), k growing, on both sides.
    #[allow(clippy::cast_precision_loss, reason = "a few hundred pairs")]
    let coins = count as f64;
    let (mut term, mut below, mut heads) = (0.5_f64.powf(coins), 0.0, 0.0);
    let mut rank = 0;
    loop {
        below += term;
        if 2.0 * below > error || rank * 2 >= count {
            return (rank > 0).then_some(rank);
        }
        term *= (coins - heads) / (heads + 1.0);
        heads += 1.0;
        rank += 1;
    }
}

/// The median of these ratios, and its interval.
#[must_use]
pub fn estimate(ratios: &[f64], error: f64) -> Option<Estimate> {
    let rank = rank(ratios.len(), error)?;
    let mut sorted = ratios.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len();
    let median = f64::midpoint(sorted[(count - 1) / 2], sorted[count / 2]);
    Some(Estimate { median, low: sorted[rank - 1], high: sorted[count - rank] })
}

/// Judges a ratio of which less is better: worse only if all of the interval lies above the
/// tolerance, better only if all of it lies below the tolerance's mirror image.
#[must_use]
pub fn judge(estimate: Estimate, tolerance: f64) -> Verdict {
    if estimate.low > 1.0 + tolerance {
        Verdict::Worse
    } else if estimate.high > 1.0 + tolerance {
        Verdict::CannotTell
    } else if estimate.high < 1.0 / (1.0 + tolerance) {
        Verdict::Better
    } else {
        Verdict::Same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tables of the sign test (binomial, p = 1/2, two-sided).
    #[test]
    fn ranks_as_the_tables_have_them() {
        let table = [
            (1, 0.05, None),
            (5, 0.05, None),
            (6, 0.05, Some(1)),
            (8, 0.05, Some(1)),
            (9, 0.05, Some(2)),
            (10, 0.05, Some(2)),
            (12, 0.05, Some(3)),
            (15, 0.05, Some(4)),
            (20, 0.05, Some(6)),
            (25, 0.05, Some(8)),
            (30, 0.05, Some(10)),
            (50, 0.05, Some(18)),
            (100, 0.05, Some(40)),
            (7, 0.01, None),
            (8, 0.01, Some(1)),
            (12, 0.01, Some(2)),
            (20, 0.01, Some(4)),
            (50, 0.01, Some(16)),
        ];
        for (count, error, expected) in table {
            assert_eq!(rank(count, error), expected, "{count} values, error {error}");
        }
        // As sure as nobody needs to be, and as unsure: a rank stays within the values.
        assert_eq!(rank(1_000, 0.0), None);
        assert_eq!((rank(7, 1.0), rank(8, 1.0)), (Some(4), Some(4)));
        assert_eq!(rank(0, 1.0), None);
    }

    #[test]
    fn the_median_and_its_interval() {
        let of = |ratios: &[f64]| estimate(ratios, 0.05);
        let rising: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(of(&rising), Some(Estimate { median: 5.5, low: 2.0, high: 9.0 }));
        let falling: Vec<f64> = rising.iter().rev().copied().collect();
        assert_eq!(of(&falling), of(&rising));
        let odd: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(of(&odd), Some(Estimate { median: 5.0, low: 2.0, high: 8.0 }));
        assert_eq!(of(&[1.0; 5]), None);
    }

    #[test]
    fn verdicts_at_their_edges() {
        let table = [
            ((1.0, 1.0), 0.05, Verdict::Same),
            ((1.051, 1.2), 0.05, Verdict::Worse),
            ((1.05, 1.2), 0.05, Verdict::CannotTell),
            ((1.0, 1.051), 0.05, Verdict::CannotTell),
            ((0.5, 9.0), 0.05, Verdict::CannotTell),
            ((0.9, 1.05), 0.05, Verdict::Same),
            ((0.9, 0.96), 0.05, Verdict::Same),
            ((0.9, 0.95), 0.05, Verdict::Better),
            ((1.011, 1.011), 0.01, Verdict::Worse),
            ((1.009, 1.009), 0.01, Verdict::Same),
            ((0.989, 0.989), 0.01, Verdict::Better),
        ];
        for ((low, high), tolerance, expected) in table {
            let estimate = Estimate { median: f64::midpoint(low, high), low, high };
            assert_eq!(judge(estimate, tolerance), expected, "{low} to {high}, tolerance {tolerance}");
        }
    }

    #[test]
    fn looks_are_planned_and_share_the_error() {
        let plan = Plan { pairs: 8, pairs_max: 24, confidence: 0.95 };
        let looks: Vec<usize> = (0..=24).filter(|pairs| plan.is_look(*pairs)).collect();
        assert_eq!((looks, plan.looks()), (vec![8, 16, 24], 3));
        assert!((plan.error_of_a_look() - 0.05 / 3.0).abs() < 1e-12);
        assert_eq!(plan.pairs_min(), 7);
        let uneven = Plan { pairs: 10, pairs_max: 25, confidence: 0.95 };
        let looks: Vec<usize> = (0..=25).filter(|pairs| uneven.is_look(*pairs)).collect();
        assert_eq!((looks, uneven.looks()), (vec![10, 20, 25], 3));
        let once = Plan { pairs: 6, pairs_max: 6, confidence: 0.95 };
        assert_eq!((once.looks(), once.pairs_min()), (1, 6));
    }

    /// The promise itself: of many experiments without any difference, the whole procedure, looks
    /// and all, misses the true median in at most 1 - confidence of them.
    #[test]
    fn all_looks_together_keep_the_promise() {
        let plan = Plan { pairs: 8, pairs_max: 32, confidence: 0.9 };
        let (mut state, mut wrong) = (0x5EED_u64, 0);
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Skewed, as run times are, with its median at 1.
            let uniform = f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX);
            if uniform < 0.5 { 0.9 + uniform * 0.2 } else { 1.0 + (uniform - 0.5).powi(2) * 8.0 }
        };
        const EXPERIMENTS: u32 = 4_000;
        for _ in 0..EXPERIMENTS {
            let mut ratios = Vec::new();
            let missed = (1..=plan.pairs_max).any(|pairs| {
                ratios.push(noise());
                plan.is_look(pairs)
                    && estimate(&ratios, plan.error_of_a_look()).is_some_and(|e| e.low > 1.0 || e.high < 1.0)
            });
            wrong += u32::from(missed);
        }
        assert!(f64::from(wrong) <= 0.1 * f64::from(EXPERIMENTS), "{wrong} of {EXPERIMENTS}");
    }
}
