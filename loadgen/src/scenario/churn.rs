//! `churn`: fan-out while clients leave and others come. A part stays all the time and is owed every
//! message; the others are owed what comes between their first and their last.

use super::{Shape, count_from_zero, even, part, usual};
use crate::cli::Options;
use crate::coordinator::{Run, RunError};

pub(super) fn shape(options: &Options) -> Result<Shape, String> {
    if !options.protocol.has_newcomers() {
        return Err("a poll that does not wait is sent nothing where it says no place: churn is not for \
                    --protocol pushstream-polling"
            .to_owned());
    }
    if options.lifetime.is_zero() {
        return Err("--lifetime must be more than nothing".to_owned());
    }
    Ok(Shape { comers: comers(options), ..even(options, 1) })
}

/// Clients that come and go.
fn comers(options: &Options) -> u32 {
    options.clients - part(options, options.stay).min(options.clients)
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    run.connect()?;
    let mut load = usual(run.options);
    load.churn_per_s = f64::from(comers(run.options)) / run.options.lifetime.as_secs_f64();
    let outcome = run.load("churn", load)?;
    run.adopt(outcome);
    count_from_zero(run, &["churned_total"]);
    let churned = run.report.figures.get("churned_total").copied().unwrap_or(0.0);
    if run.report.measured_s > 0.0 {
        let all_s = run.report.measured_s + run.options.warmup.as_secs_f64();
        run.report.figures.insert("churned_per_s".to_owned(), churned / all_s);
    }
    Ok(())
}
