//! A real Redis, as a child process of the test that uses it: started, killed, stopped, started again.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::PATIENCE;
use crate::process::Process;
use crate::server::scratch;

/// A running `redis-server`. Its data stay in its directory when it ends.
pub struct Redis {
    /// The process itself.
    pub process: Process,
    port: u16,
    dir: PathBuf,
    arguments: Vec<String>,
}

/// A port that nobody listens on now.
///
/// # Panics
/// There is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("redis-server")).find(|path| path.is_file());
    found.expect("redis-server is missing: apt-get install redis-server")
}

impl Redis {
    /// Starts one, empty, that keeps nothing.
    #[must_use]
    pub fn start() -> Redis {
        Redis::start_with(&["--save", "", "--appendonly", "no"])
    }

    /// Starts one, empty, with these arguments.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Redis {
        Redis::start_at(free_port(), &scratch("redis"), arguments)
    }

    /// Starts one on a port, over the data in a directory.
    ///
    /// # Panics
    /// It does not become ready.
    #[must_use]
    pub fn start_at(port: u16, dir: &Path, arguments: &[&str]) -> Redis {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let redis = Redis { process: spawn(port, dir, &arguments), port, dir: dir.to_owned(), arguments };
        redis.wait_until_ready();
        redis
    }

    /// Starts a sentinel that watches a server, and its replicas, as the group `main`, with more lines of
    /// its configuration.
    ///
    /// # Panics
    /// It does not become ready.
    #[must_use]
    pub fn start_sentinel(primary: &Redis, more: &[&str]) -> Redis {
        let dir = scratch("sentinel");
        let file = dir.join("sentinel.conf");
        let monitor = format!("monitor main 127.0.0.1 {} 1", primary.port);
        let lines = [&[monitor.as_str()], more].concat();
        let text: String = lines.iter().map(|line| format!("sentinel {line}\n")).collect();
        std::fs::write(&file, text).expect("a file");
        // The configuration comes before every flag.
        let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        let port = free_port();
        let redis = Redis { process: spawn(port, &dir, &arguments), port, dir, arguments };
        redis.wait_until_ready();
        redis
    }

    /// Starts a cluster of so many servers, each with its share of the slots.
    ///
    /// # Panics
    /// They do not come together.
    #[must_use]
    pub fn cluster(servers: u16, arguments: &[&str]) -> Vec<Redis> {
        let all = [&["--save", "", "--cluster-enabled", "yes"], arguments].concat();
        let nodes: Vec<Redis> = (0..servers).map(|_| Redis::start_with(&all)).collect();
        let share = 16_384 / servers;
        for (number, node) in (0..servers).zip(&nodes) {
            let last = if number + 1 == servers { 16_383 } else { (number + 1) * share - 1 };
            let added = node.ask(&format!("CLUSTER ADDSLOTSRANGE {} {last}", number * share));
            assert!(added.starts_with("+OK"), "{added}");
            let met = nodes[0].ask(&format!("CLUSTER MEET 127.0.0.1 {}", node.port));
            assert!(met.starts_with("+OK"), "{met}");
        }
        for node in &nodes {
            node.wait_for("CLUSTER INFO", |info| info.contains("cluster_state:ok"));
            let known = |slots: &str| nodes.iter().all(|one| slots.contains(&format!(":{}\r", one.port)));
            node.wait_for("CLUSTER SLOTS", known);
        }
        nodes
    }

    /// Asks until the answer is as wished.
    ///
    /// # Panics
    /// It never is.
    pub fn wait_for(&self, command: &str, wished: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            let answer = try_ask(self.port, command).unwrap_or_default();
            if wished(&answer) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{command}: {answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its TCP port, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its data are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again after its end, over what it kept.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.dir, &self.arguments);
        self.wait_until_ready();
    }

    /// What it answers to a command, as it comes over the wire. Words are split at spaces.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    pub fn ask(&self, command: &str) -> String {
        try_ask(self.port, command).expect("it answers")
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        // It loads its data before it says yes. There is nothing to wait on but to ask.
        // (Or that it would with a password.)
        let ready = |answer: String| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH");
        while !try_ask(self.port, "PING").is_ok_and(ready) {
            assert!(start.elapsed() < PATIENCE, "redis-server on port {} is not ready", self.port);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn spawn(port: u16, dir: &Path, arguments: &[String]) -> Process {
    // A configuration, where there is one, comes before every flag.
    let (first, rest) = arguments.split_at(arguments.iter().take_while(|one| !one.starts_with("--")).count());
    let mut command = Command::new(program());
    command
        .args(first)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--loglevel", "warning", "--dir"])
        .arg(dir)
        .args(rest);
    Process::silent(&mut command)
}

fn try_ask(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    // It answers what it has, and hangs up too.
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
