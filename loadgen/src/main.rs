//! `loadgen`: see [`chatup_loadgen`].

use std::process::ExitCode;

fn main() -> ExitCode {
    chatup_loadgen::program::run()
}
