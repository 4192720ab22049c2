//! `slow`: the same fan-out twice, first with everybody reading, then with a share of the clients
//! reading slowly or not at all. The report is of the second; what it cost the others is the ratio.

use super::{Shape, even, every, usual};
use crate::cli::Options;
use crate::coordinator::{Run, RunError};

pub(super) fn shape(options: &Options) -> Result<Shape, String> {
    let slow_every = every(options.slow_share);
    if slow_every < 2 {
        return Err("--slow-share must leave somebody who reads: less than 67%".to_owned());
    }
    Ok(Shape { slow_every, ..even(options, 1) })
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    run.connect()?;
    let before = run.load("everybody reads", usual(run.options))?;
    let mut load = usual(run.options);
    load.slow = true;
    let after = run.load("some are slow", load)?;
    let (p99_before_us, p99_after_us) = (before.sum.latency.p99_us, after.sum.latency.p99_us);
    let (gone, read) = (after.sum.counted.slow_disconnected, after.sum.counted.slow_received);
    let doubts = before.doubts.clone();
    run.adopt(after);
    run.doubt(doubts);
    #[allow(clippy::cast_precision_loss, reason = "figures for a person")]
    {
        let figures = &mut run.report.figures;
        figures.insert("p99_without_slow_us".to_owned(), p99_before_us as f64);
        figures.insert("p99_with_slow_us".to_owned(), p99_after_us as f64);
        if p99_before_us > 0 {
            figures.insert("p99_ratio".to_owned(), p99_after_us as f64 / p99_before_us as f64);
        }
        figures.insert("slow_disconnected_total".to_owned(), gone as f64);
        figures.insert("slow_received_total".to_owned(), read as f64);
    }
    Ok(())
}
