//! `connect`: connections made at a fixed rate, each closed as soon as it is ready (with a reset, so
//! that its port is free at once). The time counts from when it was due.

use super::{Shape, channels, count_from_zero};
use crate::cli::Options;
use crate::clock::duration_ns;
use crate::control::Load;
use crate::coordinator::{Run, RunError};
use crate::plan::{Aside, Publishers, Sizes};

pub(super) fn shape(options: &Options) -> Shape {
    Shape {
        sizes: Sizes::Even(channels(options)),
        publishers: Publishers::Nobody,
        publishers_about: 0,
        aside: Aside::default(),
        // Nobody is owed anything.
        comers: options.clients,
        slow: 0,
        resumes: false,
    }
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    let load = Load {
        duration_ns: duration_ns(run.options.duration),
        connects_per_s: run.options.handshakes,
        ..Load::default()
    };
    // The clients asked for are the most that may be on their way at a time; none is to stay.
    run.report.clients.asked = 0;
    let outcome = run.load("connecting", load)?;
    let cpu_s = outcome.server_cpu_s;
    run.adopt(outcome);
    count_from_zero(run, &["connects_total", "connects_due_total", "connects_without_a_slot_total"]);
    let figure = |name: &str| run.report.figures.get(name).copied().unwrap_or(0.0);
    if figure("connects_total") == 0.0 {
        return Err(run.nobody_got_in());
    }
    if figure("connects_without_a_slot_total") > 0.0 {
        let why = "connections were due while all of --clients were on their way: more --clients".to_owned();
        run.doubt(vec![why]);
    }
    let connects = run.report.figures.get("connects_total").copied().unwrap_or(0.0);
    if connects > 0.0 && run.report.measured_s > 0.0 {
        run.report.figures.insert("connects_per_s".to_owned(), connects / run.report.measured_s);
        if cpu_s > 0.0 {
            run.report.figures.insert("server_cpu_us_per_connect".to_owned(), cpu_s * 1e6 / connects);
        }
    }
    Ok(())
}
