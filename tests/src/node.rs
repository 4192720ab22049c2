//! One process of a cluster: a worker or a dispatcher, as a child of the test that uses it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::redis::free_port;
use crate::server::program;

/// A running `chatup worker` or `chatup dispatcher`, on one port for all of its lives.
pub struct Node {
    child: Child,
    port: u16,
    arguments: Vec<String>,
}

impl Node {
    /// Starts a worker with the demo keys of a state directory, over a Redis.
    #[must_use]
    pub fn worker(redis_url: &str, state: &Path, arguments: &[&str]) -> Node {
        Node::start("worker", redis_url, state, &[&["--shards", "2"], arguments].concat())
    }

    /// Starts a dispatcher, likewise.
    #[must_use]
    pub fn dispatcher(redis_url: &str, state: &Path, arguments: &[&str]) -> Node {
        Node::start("dispatcher", redis_url, state, arguments)
    }

    /// Starts either; without a key among the arguments, with the demo keys.
    ///
    /// # Panics
    /// It does not become ready.
    #[must_use]
    pub fn start(role: &str, redis_url: &str, state: &Path, arguments: &[&str]) -> Node {
        let port = free_port();
        let mut all = vec![
            role.to_owned(),
            "--log=warn".to_owned(),
            format!("--set=redis.url={redis_url}"),
            format!("--set={role}.port={port}"),
        ];
        if !arguments.iter().any(|argument| argument.contains("auth.key_file")) {
            all.extend(["--demo".to_owned(), format!("--state-dir={}", state.display())]);
        }
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        Node { child: spawn(&all), port, arguments: all }
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it with kill -9.
    ///
    /// # Panics
    /// It had ended before.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after its end, on the same port.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn restart(&mut self) {
        self.child = spawn(&self.arguments);
    }

    /// Makes it stand still.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }
}

fn spawn(arguments: &[String]) -> Child {
    let mut child = Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert!(line.starts_with("ChatUp "), "not ready: {line:?}");
    child
}

impl Drop for Node {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
