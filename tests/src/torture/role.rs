//! A worker or a dispatcher as a process of its own, whose log is kept.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Command;

use crate::process::Process;
use crate::server::program;

/// A running `chatup worker` or `chatup dispatcher`, on a port of the system's choice.
pub struct Role {
    /// The process itself.
    pub process: Process,
    /// Host and port.
    pub address: String,
}

impl Role {
    /// Starts one and waits until it says where it listens. Its log goes behind what is in the file.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(role: &str, arguments: &[String], log: &Path) -> Role {
        let file = OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        let mut command = Command::new(program());
        let (process, line) = Process::with_first_line(command.arg(role).args(arguments).stderr(file));
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split_once('/'));
        let Some((address, _)) = address else {
            panic!("{role} is not ready: {line:?}; see {}", log.display())
        };
        Role { address: address.to_owned(), process }
    }
}
