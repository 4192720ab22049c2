//! A child process that ends with its handle.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;

/// A running process. It is killed when this is dropped.
pub struct Process {
    child: Child,
    /// Kept open: it would fail to write to a closed one.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it; what it prints is not read.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn silent(command: &mut Command) -> Process {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the program starts");
        Process { child, _stdout: None }
    }

    /// Starts it and reads the first line that it prints, which is empty where it ends without one.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn with_first_line(command: &mut Command) -> (Process, String) {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        (Process { child, _stdout: Some(stdout) }, line)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with kill -9.
    ///
    /// # Panics
    /// It does not end.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs, or has ended");
        self.child.wait().expect("it ends");
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Makes it stand still.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }

    /// Whether it has not ended by itself.
    ///
    /// # Panics
    /// The system does not say.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child's state").is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child's state") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "process {} does not stop", self.id());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
