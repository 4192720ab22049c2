//! `idle`: everybody is connected and subscribed, nobody says anything: what does a connection cost?

use super::{Shape, channels};
use crate::cli::Options;
use crate::coordinator::{Run, RunError};
use crate::plan::{Aside, Publishers, Sizes};

pub(super) fn shape(options: &Options) -> Shape {
    Shape {
        sizes: Sizes::Even(channels(options)),
        publishers: Publishers::Nobody,
        publishers_about: 0,
        aside: Aside::default(),
        comers: 0,
        slow: 0,
        resumes: false,
    }
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    run.connect()?;
    run.report.measured_s = run.hold("idle", run.options.duration)?;
    Ok(())
}
