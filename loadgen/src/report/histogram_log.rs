//! The interval log of HdrHistogram's tools (`.hlog`), so that they can plot and compare a run:
//! the latency and each other time, one tagged interval each, values in microseconds.
//!
//! The form is that of `HistogramLogWriter` (HdrHistogram 2.x, log format 1.3).

use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use thiserror::Error;

use super::distribution::BrokenHistogram;
use super::model::Report;

/// Why no log can be made.
#[derive(Debug, Error)]
#[error("the histogram of {name} is broken: {source}")]
pub struct HistogramLogError {
    /// Of which distribution.
    pub name: String,
    /// What is wrong with it.
    pub source: BrokenHistogram,
}

/// The log of this report. Times that were not measured are left out.
///
/// # Errors
///
/// When a histogram of the report is broken.
pub fn histogram_log(report: &Report) -> Result<String, HistogramLogError> {
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Histogram log format version 1.3]");
    builder
        .add_comment(&one_line(&format!("[Logged with {}, {}; microseconds]", report.tool, report.scenario)));
    if let Ok(began) = humantime::parse_rfc3339_weak(&report.started) {
        builder.with_start_time(began).with_base_time(began);
    }
    let mut log = builder.begin_log_with(&mut bytes, &mut serializer).expect("memory takes all bytes");
    let length = Duration::try_from_secs_f64(report.measured_s).unwrap_or_default();
    let latency = ("latency", &report.latency);
    let others = report.times.iter().map(|(name, times)| (name.as_str(), times));
    for (name, times) in std::iter::once(latency).chain(others).filter(|(_, times)| times.count > 0) {
        let histogram =
            times.histogram().map_err(|source| HistogramLogError { name: name.to_owned(), source })?;
        let tag = tag(name);
        log.write_histogram(&histogram, Duration::ZERO, length, Tag::new(&tag))
            .expect("memory takes all bytes");
    }
    Ok(String::from_utf8(bytes).expect("it is text"))
}

/// A comment of several lines would end the comment.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// A name without what a tag may not hold.
fn tag(name: &str) -> String {
    name.replace([',', ' ', '\r', '\n'], "_")
}
