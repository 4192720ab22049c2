//! Between the histograms that a run records into and the distributions that a report carries.
//!
//! All histograms of a report have the same bounds and precision: only so can those of several
//! hosts be added without rounding anything a second time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use thiserror::Error;

use super::model::Distribution;

/// Longest time that a histogram tells apart, in microseconds (an hour); what took longer counts
/// as this. No run waits that long for anything.
pub const TIME_US_MAX: u64 = 60 * 60 * 1_000_000;
/// Digits that a histogram keeps of a time: 3 are an error of at most 0.1 %, for 184 KiB.
pub const SIGNIFICANT_DIGITS: u8 = 3;
/// Most values of one histogram: beyond it an f64 no longer counts by ones, and sums of a broken
/// file's counts could run over.
pub const VALUES_MAX: u64 = 1 << 53;
/// Longest encoded histogram, in bytes of base64: 23,552 counts of at most nine bytes each fit.
pub const ENCODED_BYTES_MAX: usize = 512 * 1024;

/// The quantiles that a report names, in the order of [`Distribution`]'s fields.
const QUANTILES: [f64; 7] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999];

/// Why the histogram of a distribution cannot be read.
#[derive(Debug, Error)]
pub enum BrokenHistogram {
    /// Longer than any of ours.
    #[error("it is {0} bytes long: at most {ENCODED_BYTES_MAX} can be one of ours")]
    TooLong(usize),
    /// Not base64.
    #[error("it is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Not an HdrHistogram.
    #[error("it is not an HdrHistogram: {0}")]
    Format(#[from] hdrhistogram::serialization::DeserializeError),
    /// Of other bounds or another precision, so that it could not be added exactly.
    #[error(
        "it holds {low} to {high} µs with {digits} digits, not 1 to {TIME_US_MAX} with {SIGNIFICANT_DIGITS}"
    )]
    Bounds {
        /// Lowest value told apart.
        low: u64,
        /// Highest value.
        high: u64,
        /// Digits kept.
        digits: u8,
    },
    /// It does not hold as many values as the distribution says.
    #[error("it holds {held} values, and `count` says {count}")]
    Count {
        /// In the histogram.
        held: u64,
        /// In the field beside it.
        count: u64,
    },
}

/// An empty histogram of times in microseconds: the only kind that a report carries.
#[must_use]
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, TIME_US_MAX, SIGNIFICANT_DIGITS).expect("these bounds are sound")
}

/// Records a time in microseconds; beyond [`TIME_US_MAX`] it counts as that.
pub fn record(histogram: &mut Histogram<u64>, time_us: u64) {
    histogram.saturating_record(time_us.min(TIME_US_MAX));
}

impl Distribution {
    /// The distribution of a histogram made by [`new_histogram`]. Of an empty one: all zero, and no
    /// encoded histogram.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Distribution {
        if histogram.is_empty() {
            return Distribution::default();
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(histogram, &mut bytes).expect("memory takes all bytes");
        let mut values = histogram.value_at_quantiles(QUANTILES);
        let mut next = || values.next().expect("one for each quantile, which ascend");
        Distribution {
            count: histogram.len(),
            min_us: histogram.min(),
            // To a nanosecond: more digits would be noise that no JSON reader keeps.
            mean_us: (histogram.mean() * 1e3).round() / 1e3,
            p50_us: next(),
            p75_us: next(),
            p90_us: next(),
            p95_us: next(),
            p99_us: next(),
            p99_9_us: next(),
            p99_99_us: next(),
            max_us: histogram.max(),
            histogram: STANDARD.encode(bytes),
        }
    }

    /// The histogram again, to be added to others.
    ///
    /// # Errors
    ///
    /// When it is not what [`Distribution::of`] makes.
    pub fn histogram(&self) -> Result<Histogram<u64>, BrokenHistogram> {
        if self.count == 0 && self.histogram.is_empty() {
            return Ok(new_histogram());
        }
        if self.histogram.len() > ENCODED_BYTES_MAX {
            return Err(BrokenHistogram::TooLong(self.histogram.len()));
        }
        let bytes = STANDARD.decode(&self.histogram)?;
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice())?;
        let (low, high, digits) = (histogram.low(), histogram.high(), histogram.sigfig());
        if (low, high, digits) != (1, TIME_US_MAX, SIGNIFICANT_DIGITS) {
            return Err(BrokenHistogram::Bounds { low, high, digits });
        }
        if histogram.len() != self.count || self.count > VALUES_MAX {
            return Err(BrokenHistogram::Count { held: histogram.len(), count: self.count });
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> Distribution {
        let mut histogram = new_histogram();
        for &time in times {
            record(&mut histogram, time);
        }
        Distribution::of(&histogram)
    }

    #[test]
    fn a_histogram_comes_back_as_it_was() {
        for times in [&[][..], &[0], &[1], &[1, 2, 3, 1_000], &[TIME_US_MAX], &[TIME_US_MAX + 1, u64::MAX]] {
            let distribution = of(times);
            let back = distribution.histogram().expect("it is ours");
            assert_eq!(back.len(), times.len() as u64, "{times:?}");
            assert_eq!(Distribution::of(&back), distribution, "{times:?}");
        }
        assert_eq!(of(&[]), Distribution::default());
    }

    #[test]
    fn percentiles_are_of_their_fields() {
        let found = of(&(1..=1_000).collect::<Vec<_>>());
        let shown = (found.count, found.min_us, found.p50_us, found.p75_us, found.p90_us, found.p95_us);
        assert_eq!(shown, (1_000, 1, 500, 750, 900, 950));
        let high = (found.p99_us, found.p99_9_us, found.p99_99_us, found.max_us);
        assert_eq!(high, (990, 999, 1_000, 1_000));
        assert!((found.mean_us - 500.5).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_ours_is_refused_with_its_reason() {
        let good = of(&[5, 6]);
        let other = {
            let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000, 2).expect("sound");
            histogram.record(5).expect("in range");
            Distribution { histogram: Distribution::of(&histogram).histogram, count: 1, ..good.clone() }
        };
        let encoded = |histogram: &str| Distribution { histogram: histogram.to_owned(), ..good.clone() };
        let rows = [
            (encoded("!"), "not base64"),
            (encoded(""), "not an HdrHistogram"),
            (encoded("AAAAAAAAAAAA"), "not an HdrHistogram"),
            (encoded(&good.histogram[..good.histogram.len() / 8 * 4]), "not an HdrHistogram"),
            (encoded(&"A".repeat(ENCODED_BYTES_MAX + 1)), "at most"),
            (other, "2 digits"),
            (Distribution { count: 3, ..good.clone() }, "holds 2 values, and `count` says 3"),
            (Distribution { count: 0, ..good.clone() }, "holds 2 values, and `count` says 0"),
        ];
        for (broken, part) in rows {
            let error = broken.histogram().expect_err(part).to_string();
            assert!(error.contains(part), "{error:?} does not say {part:?}");
        }
    }
}
