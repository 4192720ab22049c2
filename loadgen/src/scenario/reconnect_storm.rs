//! `reconnect-storm`: in the middle of a load all clients are cut off without a word and come back,
//! with the position of the last message that each has seen. How long until all are back? Nothing
//! may be missed.

use super::{Shape, count_from_zero, even, usual};
use crate::cli::Options;
use crate::clock::duration_ns;
use crate::coordinator::{Run, RunError};

pub(super) fn shape(options: &Options) -> Result<Shape, String> {
    if !options.protocol.resumes() {
        return Err("reconnect-storm needs a protocol in which a client can resume: --protocol native, or \
             pushstream-eventsource, -long-polling, -polling, -jsonp"
            .to_owned());
    }
    Ok(Shape { resumes: true, ..even(options, 1) })
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    run.connect()?;
    let mut load = usual(run.options);
    // A third of the time as it was, the rest to come back in.
    load.cut_at_ns = Some(load.warmup_ns + load.duration_ns / 3);
    load.cut_spread_ns = duration_ns(run.options.spread);
    let outcome = run.load("storm", load)?;
    run.adopt(outcome);
    count_from_zero(run, &["cut_total", "resumed_total", "not_recovered_total"]);
    let figure = |name: &str| run.report.figures.get(name).copied().unwrap_or(0.0);
    let (cut, resumed) = (figure("cut_total"), figure("resumed_total"));
    if resumed < cut {
        run.report.notes.push(format!("{} clients did not come back in time", cut - resumed));
    }
    Ok(())
}
