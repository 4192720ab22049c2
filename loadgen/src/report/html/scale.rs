//! Scales of a plot: from a value to its place along an axis, and the values worth a tick.

/// A scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Equal steps are equally long.
    Linear {
        /// Value at the beginning.
        from: f64,
        /// Value at the end, greater.
        to: f64,
    },
    /// Equal factors are equally long.
    Logarithmic {
        /// Value at the beginning, above 0.
        from: f64,
        /// Value at the end, greater.
        to: f64,
    },
}

/// Round numbers within a decade.
const ROUND: [f64; 3] = [1.0, 2.0, 5.0];

impl Scale {
    /// From 0 to a round number not below the greatest value.
    pub(super) fn linear_to(greatest: f64) -> Scale {
        let step = round_step(greatest.max(1e-9), 10);
        Scale::Linear { from: 0.0, to: (greatest.max(1e-9) / step).ceil() * step }
    }

    /// Between the round numbers (1, 2 and 5 of each decade) around these values. A logarithmic
    /// axis has no 0: what is below the least positive value lies at its beginning.
    pub(super) fn logarithmic(values: impl Iterator<Item = f64>) -> Scale {
        let (mut least, mut greatest) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite() && *value > 0.0) {
            least = least.min(value);
            greatest = greatest.max(value);
        }
        if greatest <= 0.0 {
            return Scale::Logarithmic { from: 1.0, to: 10.0 };
        }
        let decade = |value: f64| 10_f64.powf(value.log10().floor());
        let (low, high) = (decade(least), decade(greatest));
        let below = ROUND.iter().rev().map(|round| round * low).find(|round| *round <= least * (1.0 + 1e-9));
        let above = ROUND.iter().map(|round| round * high).find(|round| *round >= greatest * (1.0 - 1e-9));
        let from = below.unwrap_or(low);
        let to = above.unwrap_or(high * 10.0);
        Scale::Logarithmic { from, to: if to > from { to } else { from * 2.0 } }
    }

    /// Where a value lies: 0 at the beginning, 1 at the end; what is outside lies at the edge.
    pub(super) fn place(self, value: f64) -> f64 {
        let place = match self {
            Scale::Linear { from, to } => (value - from) / (to - from),
            Scale::Logarithmic { from, to } => (value.max(from) / from).log10() / (to / from).log10(),
        };
        place.clamp(0.0, 1.0)
    }

    /// Round values along the scale, at most about so many.
    pub(super) fn ticks(self, most: usize) -> Vec<f64> {
        match self {
            Scale::Linear { from, to } => {
                let step = round_step(to - from, most);
                let first = (from / step).ceil();
                let all = (0..=most + 1).map(|index| (first + index as f64) * step);
                all.take_while(|tick| *tick <= to + step * 1e-6).collect()
            }
            Scale::Logarithmic { from, to } => {
                let first = from.log10().floor();
                let within = |tick: &f64| *tick >= from * (1.0 - 1e-9) && *tick <= to * (1.0 + 1e-9);
                let decades = || (0..20_i32).map(move |index| 10_f64.powf(first + f64::from(index)));
                let choices = [&ROUND[..], &[1.0, 3.0], &ROUND[..1]].map(|rounds| {
                    let ticks = decades().flat_map(|decade| rounds.iter().map(move |round| round * decade));
                    ticks.filter(within).collect::<Vec<_>>()
                });
                let fits = choices.iter().find(|ticks| ticks.len() <= most);
                fits.unwrap_or(&choices[2]).clone()
            }
        }
    }
}

/// The least round step with which a length takes at most so many.
fn round_step(length: f64, most: usize) -> f64 {
    let least = length / most.max(1) as f64;
    let decade = 10_f64.powf(least.log10().floor());
    let fits = ROUND.iter().map(|round| round * decade).find(|step| *step >= least * (1.0 - 1e-9));
    fits.unwrap_or(decade * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(scale: Scale) -> (f64, f64) {
        match scale {
            Scale::Linear { from, to } | Scale::Logarithmic { from, to } => (from, to),
        }
    }

    fn check(found: &[f64], expected: &[f64]) {
        let near = |(one, other): (&f64, &f64)| (one - other).abs() <= 1e-9 * other.abs();
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(near),
            "{found:?}, not {expected:?}"
        );
    }

    #[test]
    fn scales_end_at_round_numbers() {
        let rows: &[(Scale, (f64, f64), &[f64])] = &[
            (Scale::linear_to(0.0), (0.0, 1e-9), &[0.0, 2e-10, 4e-10, 6e-10, 8e-10, 1e-9]),
            (Scale::linear_to(1_020_000.0), (0.0, 1.2e6), &[0.0, 5e5, 1e6]),
            (Scale::linear_to(30.0), (0.0, 30.0), &[0.0, 10.0, 20.0, 30.0]),
            (Scale::logarithmic([].into_iter()), (1.0, 10.0), &[1.0, 2.0, 5.0, 10.0]),
            (Scale::logarithmic([0.0, f64::NAN].into_iter()), (1.0, 10.0), &[1.0, 2.0, 5.0, 10.0]),
            (Scale::logarithmic([100.0].into_iter()), (100.0, 200.0), &[100.0, 200.0]),
            (
                Scale::logarithmic([230.0, 4_900.0].into_iter()),
                (200.0, 5_000.0),
                &[200.0, 500.0, 1e3, 2e3, 5e3],
            ),
            (Scale::logarithmic([1.0, 1e6].into_iter()), (1.0, 1e6), &[1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]),
        ];
        for (scale, expected, ticks) in rows {
            check(&[ends(*scale).0, ends(*scale).1], &[expected.0, expected.1]);
            check(&scale.ticks(5), ticks);
        }
    }

    #[test]
    fn every_value_has_a_place() {
        let log = Scale::Logarithmic { from: 10.0, to: 1_000.0 };
        let linear = Scale::Linear { from: 0.0, to: 10.0 };
        let rows = [
            (log, 0.0, 0.0),
            (log, 10.0, 0.0),
            (log, 100.0, 0.5),
            (log, 1e9, 1.0),
            (linear, -1.0, 0.0),
            (linear, 5.0, 0.5),
            (linear, 11.0, 1.0),
        ];
        for (scale, value, place) in rows {
            assert!((scale.place(value) - place).abs() < 1e-9, "{value} in {scale:?}");
        }
    }
}
