//! Starts worker and dispatcher.

use std::sync::Arc;

use chatup_core::token::Verifier;

use crate::config::Config;
use crate::printed::Printed;

/// A start that failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is nothing to start.
    #[error("not wired yet")]
    NotWired,
}

/// Runs worker and dispatcher in this process, until told to stop.
///
/// # Errors
/// Why it could not start, or what ended it.
pub fn all_in_one(_config: &Config, _verifier: &Arc<Verifier>, _printed: &Printed) -> Result<(), RunError> {
    Err(RunError::NotWired)
}

/// Runs a worker, until told to stop.
///
/// # Errors
/// Why it could not start, or what ended it.
pub fn worker(_config: &Config, _verifier: &Arc<Verifier>) -> Result<(), RunError> {
    Err(RunError::NotWired)
}

/// Runs a dispatcher, until told to stop.
///
/// # Errors
/// Why it could not start, or what ended it.
pub fn dispatcher(_config: &Config, _verifier: &Arc<Verifier>) -> Result<(), RunError> {
    Err(RunError::NotWired)
}
