//! `chat`: rooms whose sizes follow Zipf's law; some of the clients are members with a token, who
//! speak in turns drawn by lot, so that larger rooms hear more.

use super::{Shape, part, usual};
use crate::cli::Options;
use crate::coordinator::{Run, RunError};
use crate::plan::{Aside, Publishers, zipf};

/// Clients of a room on average, if nothing else is said.
const CLIENTS_PER_ROOM: u32 = 100;

pub(super) fn shape(options: &Options) -> Result<Shape, String> {
    if options.publishers.is_some() {
        return Err("in chat clients speak themselves: --talkers, not --publishers".to_owned());
    }
    if !options.protocol.tells_the_publisher() {
        return Err("in chat a client hears itself, which only --protocol native promises".to_owned());
    }
    let channels = options.channels.unwrap_or(options.clients.div_ceil(CLIENTS_PER_ROOM));
    Ok(Shape {
        sizes: zipf(options.clients, channels, options.zipf),
        publishers: Publishers::Among(part(options, options.talkers).max(1)),
        publishers_about: 0,
        aside: Aside::default(),
        comers: 0,
        slow: 0,
        resumes: false,
    })
}

pub(super) fn run(run: &mut Run<'_>) -> Result<(), RunError> {
    run.connect()?;
    let outcome = run.load("chat", usual(run.options))?;
    run.adopt(outcome);
    Ok(())
}
