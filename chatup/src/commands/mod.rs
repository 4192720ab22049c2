//! What the program does for each command line: gets the settings, then starts something, makes a
//! token, or shows settings. The environment is an argument.

mod cluster;
mod config;
pub mod import_nginx;
mod start;
mod token;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::config::{ConfigError, Loaded, Role};
use crate::logging::LoggingError;
use crate::run::RunError;
use crate::state::{self, DemoKeys, StateError};
use crate::token::TokenError;

/// The environment, as a list.
pub type Environment = Vec<(OsString, OsString)>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The demo keys.
    #[error(transparent)]
    State(#[from] StateError),
    /// The log.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// A token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// `chatup cluster`.
    #[error("{0}")]
    Cluster(String),
    /// A file or flag of `chatup token`.
    #[error("{0}")]
    Input(String),
    /// A configuration of Nginx that cannot be carried over.
    #[error("{0}")]
    Import(String),
    /// The clock is before 1970.
    #[error("the clock of this machine is set before 1970")]
    Clock,
    /// Standard output.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// Worker or dispatcher.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl CommandError {
    /// 2 for what was asked wrongly, 1 for what went wrong.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            CommandError::Config(_) | CommandError::Token(_) | CommandError::Input(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Does what the command line says.
///
/// # Errors
/// Why it could not, or what ended it.
pub fn execute(cli: Cli, environment: Environment) -> Result<(), CommandError> {
    match cli.command {
        None => start::all_in_one(&cli.start, &environment),
        Some(Command::Worker { source, serve, worker, demo }) => {
            let mut flags = source.flags();
            serve.add_to(&mut flags, Role::Worker);
            worker.add_to(&mut flags);
            start::alone(Role::Worker, flags, &demo, &environment)
        }
        Some(Command::Dispatcher { source, serve, dispatcher, demo }) => {
            let mut flags = source.flags();
            serve.add_to(&mut flags, Role::Dispatcher);
            dispatcher.add_to(&mut flags);
            start::alone(Role::Dispatcher, flags, &demo, &environment)
        }
        Some(Command::Cluster(arguments)) => cluster::run(&arguments, &environment),
        Some(Command::Token(arguments)) => token::print(&arguments, &environment),
        Some(Command::ImportNginx(arguments)) => import_nginx::run(&arguments),
        Some(Command::Config(arguments)) => config::print(&arguments, environment),
    }
}

/// The demo keys of the state directory.
fn demo_keys(state_dir: Option<&Path>, environment: &Environment) -> Result<DemoKeys, StateError> {
    let variable = |name: &str| {
        environment.iter().find(|(variable, _)| variable == name).map(|(_, value)| value.clone())
    };
    DemoKeys::load_or_create(&state::directory(state_dir, variable)?)
}

/// Now, for tokens.
fn now() -> Result<chatup_core::message::UnixMillis, CommandError> {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|_| CommandError::Clock)?;
    let millis = u64::try_from(since.as_millis()).map_err(|_| CommandError::Clock)?;
    Ok(chatup_core::message::UnixMillis(millis))
}

/// The verifier of these settings; its errors get their place.
fn verifier(
    loaded: &Loaded,
    demo_public_pem: Option<&[u8]>,
) -> Result<std::sync::Arc<chatup_core::token::Verifier>, ConfigError> {
    match loaded.config.verifier(demo_public_pem) {
        Ok(verifier) => Ok(std::sync::Arc::new(verifier)),
        Err(error) => Err(loaded.places.locate(error)),
    }
}
