//! The program `chatup`: see the library beside it.

use std::process::ExitCode;

use chatup::cli::Cli;
use chatup::commands;
use clap::Parser;

fn main() -> ExitCode {
    abort_on_panic();
    match commands::execute(Cli::parse(), std::env::vars_os().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chatup: {error}");
            error.exit_code()
        }
    }
}

/// A thread that panics takes the process with it: half a server, silent, is worse than a restart.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
