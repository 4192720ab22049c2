//! One process of a cluster: a worker or a dispatcher, as a child of the test that uses it.

use std::path::Path;
use std::process::Command;

use crate::process::Process;
use crate::redis::free_port;
use crate::server::program;

/// A running `chatup worker` or `chatup dispatcher`, on one port for all of its lives.
pub struct Node {
    /// The process itself.
    pub process: Process,
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
        Node { process: spawn(&all), port, arguments: all }
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it again after its end, on the same port.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn restart(&mut self) {
        self.process = spawn(&self.arguments);
    }
}

fn spawn(arguments: &[String]) -> Process {
    let (process, line) = Process::with_first_line(Command::new(program()).args(arguments));
    assert!(line.starts_with("ChatUp "), "not ready: {line:?}");
    process
}
