//! `fanout`: publishers of their own send to channels of equal size at a fixed rate.

use super::{Shape, even, usual};
use crate::cli::Options;
use crate::coordinator::{Run, RunError};

pub(super) fn shape(options: &Options) -> Shape {
    even(options, 1)
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    run.connect()?;
    let outcome = run.load("fanout", usual(run.options))?;
    run.adopt(outcome);
    Ok(())
}
