//! A real Redis, as a child process of the test that uses it: started, killed, stopped, started again.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::PATIENCE;
use crate::server::scratch;

/// A running `redis-server`. Its data stay in its directory when it ends.
pub struct Redis {
    child: Child,
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
        let redis = Redis { child: spawn(port, dir, &arguments), port, dir: dir.to_owned(), arguments };
        redis.wait_until_ready();
        redis
    }

    /// Starts a sentinel with this configuration, which it writes to.
    #[must_use]
    pub fn start_sentinel(configuration: &Path) -> Redis {
        let dir = configuration.parent().unwrap_or(configuration);
        // The configuration comes before every flag.
        let first = [configuration.display().to_string(), "--sentinel".to_owned()];
        let (port, arguments) = (free_port(), first.to_vec());
        let redis = Redis { child: spawn(port, dir, &arguments), port, dir: dir.to_owned(), arguments };
        redis.wait_until_ready();
        redis
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

    /// Ends it with kill -9.
    ///
    /// # Panics
    /// It does not end.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it again after its end, over what it kept.
    ///
    /// # Panics
    /// It does not become ready.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.dir, &self.arguments);
        self.wait_until_ready();
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
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("it runs");
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

fn spawn(port: u16, dir: &Path, arguments: &[String]) -> Child {
    // A configuration, where there is one, comes before every flag.
    let (first, rest) = arguments.split_at(arguments.iter().take_while(|one| !one.starts_with("--")).count());
    Command::new(program())
        .args(first)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--loglevel", "warning", "--dir"])
        .arg(dir)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server starts")
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

impl Drop for Redis {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
