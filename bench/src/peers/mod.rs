//! Side by side with other servers: the same runs of loadgen against this project's server, against
//! servers that a user would pick instead, and against a floor that only sends.
//!
//! Each other server is a folder below `bench/peers/` with a `run` script and one line in [`servers`].
//! Their speeds are compared within one round only, as ratios to the floor: a machine's own speed
//! drifts by half within an hour, and between two rounds nothing can be said.
//!
//! Layout:
//! - [`floor`]: the yardstick, a server in itself
//! - [`options`]: what is asked for
//! - [`servers`]: who is compared, one line each
//! - [`kinds`]: the kinds of run, what is read from loadgen's report, and the tables' columns
//! - [`report`]: the part of loadgen's report that is read here
//! - [`process`]: starting on a core, waiting with a limit, ending by id
//! - [`round`]: one run of one server
//! - [`statistics`]: medians, ranges, ratios within a round
//! - [`results`]: what is kept, `bench/peers/results/*.json`
//! - [`table`]: the page's tables, in `docs/PEERS.md`; [`doubts`]: the sentences below them

pub mod doubts;
pub mod floor;
pub mod kinds;
pub mod options;
pub mod process;
pub mod report;
pub mod results;
pub mod round;
pub mod servers;
pub mod statistics;
pub mod table;

use std::io;
use std::path::PathBuf;

/// Why a comparison, or one run of it, could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A program that could not be started.
    #[error("{program} could not be started: {error}")]
    Start {
        /// Which.
        program: String,
        /// What the system said.
        error: io::Error,
    },
    /// A program that failed.
    #[error("{program}: {how}; it said: {said}")]
    Failed {
        /// Which.
        program: String,
        /// Its exit status, or that its time was over.
        how: String,
        /// The end of what it wrote.
        said: String,
    },
    /// A report or kept results of an unknown form.
    #[error("{path} is not as expected: {error}")]
    Form {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A page without the place for a table.
    #[error("{path} has no place for the table: the lines {begin:?} and {end:?}")]
    Place {
        /// Which page.
        path: PathBuf,
        /// The line before the table.
        begin: String,
        /// The line after it.
        end: String,
    },
    /// The system refused something else.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
    /// Ctrl-C, or another request to end.
    #[error("ended by hand")]
    Interrupted,
}

impl Error {
    /// With the file that an error is about.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::File { path, error }
    }
}
