//! `idle`: everybody is connected and subscribed, nobody says anything: what does a connection cost?

use super::Shape;
use crate::cli::Options;
use crate::coordinator::{Run, RunError};
use crate::plan::{Publishers, Sizes};

pub(super) fn shape(options: &Options) -> Shape {
    Shape {
        sizes: Sizes::Even(options.channels.unwrap_or(1)),
        publishers: Publishers::Nobody,
        publishers_about: 0,
        stays_every: 0,
        slow_every: 0,
        resumes: false,
    }
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    run.connect()?;
    run.hold("idle", run.options.duration)?;
    run.report.measured_s = run.options.duration.as_secs_f64();
    Ok(())
}
