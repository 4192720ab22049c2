//! A worker or a dispatcher as a process of its own, whose log is kept.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::program;

/// A running `chatup worker` or `chatup dispatcher`.
pub struct Process {
    child: Child,
    /// Kept open: it would fail to write to a closed one.
    _stdout: BufReader<ChildStdout>,
    /// Host and port.
    pub address: String,
}

impl Process {
    /// Starts one and waits until it says where it listens. Its log goes behind what is in the file.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(role: &str, arguments: &[String], log: &Path) -> Process {
        let file = OpenOptions::new().create(true).append(true).open(log).expect("a log file");
        let mut child = Command::new(program())
            .arg(role)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split_once('/'));
        let Some((address, _)) = address else {
            panic!("{role} is not ready: {line:?}; see {}", log.display())
        };
        Process { address: address.to_owned(), child, _stdout: stdout }
    }

    /// Its end, by kill -9.
    ///
    /// # Panics
    /// It does not end.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs, or has ended");
        self.child.wait().expect("it ends");
    }

    /// Makes it stand still.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it has not ended by itself.
    ///
    /// # Panics
    /// The system does not say.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child's state").is_none()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
