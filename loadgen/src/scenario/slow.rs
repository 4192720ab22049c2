//! `slow`: the same fan-out twice, first with everybody reading, then with a share of the clients
//! reading slowly or not at all. The report is of the second; what it cost the others is the ratio.

use super::{Shape, even, part, usual};
use crate::cli::Options;
use crate::coordinator::{Run, RunError};

pub(super) fn shape(options: &Options) -> Result<Shape, String> {
    let slow = part(options, options.slow_share);
    if slow == options.clients {
        return Err("--slow-share must leave somebody who reads".to_owned());
    }
    if slow == 0 && options.slow_share > 0.0 {
        return Err("--slow-share of so few --clients is nobody".to_owned());
    }
    Ok(Shape { slow, ..even(options, 1) })
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    run.connect()?;
    let before = run.load("everybody reads", usual(run.options))?;
    let mut load = usual(run.options);
    load.slow = true;
    let after = match run.load("some are slow", load) {
        Ok(after) => after,
        Err(RunError::Interrupted) => {
            run.adopt(before);
            return Err(RunError::Interrupted);
        }
        Err(error) => return Err(error),
    };
    let (p99_before_us, p99_after_us) = (before.sum.latency.p99_us, after.sum.latency.p99_us);
    let (gone, read) = (after.sum.counted.slow_disconnected, after.sum.counted.slow_received);
    let doubts = before.doubts.clone();
    run.adopt(after);
    run.add_faults(&before.sum.counted);
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
