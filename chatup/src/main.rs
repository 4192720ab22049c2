//! The program `chatup`: see the library beside it.

use std::process::ExitCode;

use chatup::cli::Cli;
use chatup::commands;
use clap::Parser;

fn main() -> ExitCode {
    match commands::execute(Cli::parse(), std::env::vars_os().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chatup: {error}");
            error.exit_code()
        }
    }
}
