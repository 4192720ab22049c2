//! Medians, ranges, and ratios of what was measured in the same round. Pure.

/// The middle of some figures, and their range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// How many there were.
    pub count: usize,
}

/// Summarises figures; `None` where there are none.
#[must_use]
pub fn summary(figures: impl IntoIterator<Item = f64>) -> Option<Summary> {
    let mut figures: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
    figures.sort_by(f64::total_cmp);
    let (&least, &greatest) = (figures.first()?, figures.last()?);
    let middle = figures.len() / 2;
    let median = if figures.len() % 2 == 1 {
        figures[middle]
    } else {
        f64::midpoint(figures[middle - 1], figures[middle])
    };
    Some(Summary { median, least, greatest, count: figures.len() })
}

/// Summarises the ratios of figures to a yardstick's, each to the one of its own round.
///
/// Both are pairs of round and figure. Rounds that only one of them has say nothing, nor do those
/// whose yardstick is zero.
#[must_use]
pub fn ratios(figures: &[(u32, f64)], yardstick: &[(u32, f64)]) -> Option<Summary> {
    summary(figures.iter().filter_map(|(round, figure)| {
        let (_, base) = yardstick.iter().find(|(other, base)| other == round && *base != 0.0)?;
        Some(figure / base)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ranges() {
        for (figures, expected) in [
            (&[][..], None),
            (&[3.0], Some((3.0, 3.0, 3.0, 1))),
            (&[4.0, 1.0], Some((2.5, 1.0, 4.0, 2))),
            (&[9.0, 1.0, 2.0], Some((2.0, 1.0, 9.0, 3))),
            (&[f64::NAN, 2.0, f64::INFINITY], Some((2.0, 2.0, 2.0, 1))),
        ] {
            let expected =
                expected.map(|(median, least, greatest, count)| Summary { median, least, greatest, count });
            assert_eq!(summary(figures.iter().copied()), expected, "{figures:?}");
        }
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_so_that_drift_cancels() {
        // The machine is half as fast in round 2, and slower again in round 3, where the floor is missing.
        let floor = [(1, 4.0), (2, 8.0), (4, 0.0)];
        let server = [(1, 6.0), (2, 13.0), (3, 50.0), (4, 1.0)];
        let ratios = ratios(&server, &floor).unwrap();
        assert_eq!((ratios.median, ratios.least, ratios.greatest, ratios.count), (1.5625, 1.5, 1.625, 2));
        assert_eq!(super::ratios(&server, &[(7, 1.0)]), None);
    }
}
