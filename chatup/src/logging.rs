//! The log: to standard error, so that standard output holds nothing but what was asked for.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// Logging could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the log cannot be started: {0}")]
pub struct LoggingError(Box<dyn std::error::Error + Send + Sync>);

/// Starts the log for the whole process, once. Colours only on a terminal, and not where
/// `NO_COLOR` is set (<https://no-color.org>).
///
/// # Errors
/// The filter is none, or there is a log already.
pub fn start(filter: &str) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(filter).map_err(|error| LoggingError(error.into()))?;
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .try_init()
        .map_err(LoggingError)
}
