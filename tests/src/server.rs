//! The program under test, as a child process that ends with its handle.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::PATIENCE;
use crate::http;

/// A running `chatup`.
pub struct Server {
    child: Child,
    /// Where the dispatcher is, without a slash at the end.
    pub url: String,
    /// Where the worker is: host and port.
    pub worker: String,
    /// The ready-made token, where the demo keys are in use.
    pub token: Option<String>,
    state: PathBuf,
}

/// The program, beside the test that runs.
///
/// # Panics
/// It has not been built.
#[must_use]
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().find(|path| path.join("deps").is_dir()).expect("a target directory");
    let program = profile.join("chatup");
    assert!(program.is_file(), "{} is missing: run `cargo build -p chatup` first", program.display());
    program
}

/// A new directory of this test's own, gone when the machine's temporary files are.
#[must_use]
pub fn scratch(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("chatup-test-{}-{name}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).expect("a temporary directory");
    path
}

impl Server {
    /// Starts the all-in-one on free ports and waits until it is ready.
    ///
    /// # Panics
    /// It does not become ready.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Server {
        Server::start_in(&scratch("state"), arguments)
    }

    /// The same with a state directory that may have been used before.
    ///
    /// # Panics
    /// It does not become ready.
    #[must_use]
    pub fn start_in(state: &Path, arguments: &[&str]) -> Server {
        Server::spawn(Command::new(program()), state, arguments)
    }

    /// The same under another program, such as `prlimit`, that starts it.
    ///
    /// # Panics
    /// It does not become ready.
    #[must_use]
    pub fn start_under(wrapper: &[&str], arguments: &[&str]) -> Server {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(program());
        Server::spawn(command, &scratch("state"), arguments)
    }

    fn spawn(mut command: Command, state: &Path, arguments: &[&str]) -> Server {
        let mut child = command
            .args([
                "--print",
                "json",
                "--log",
                "warn",
                "--dispatcher-port",
                "0",
                "--worker-port",
                "0",
                "--state-dir",
            ])
            .arg(state)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?}"));
        let text = |key: &str| ready[key].as_str().map(|text| text.trim_end_matches('/').to_owned());
        Server {
            child,
            url: text("url").expect("a URL"),
            worker: text("worker").expect("a worker").replace("http://", ""),
            token: text("token"),
            state: state.to_owned(),
        }
    }

    /// The state directory.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// A token for a name, from the demo page's endpoint.
    ///
    /// # Panics
    /// The server is not in demo mode.
    #[must_use]
    pub fn token_for(&self, name: &str) -> String {
        let body = serde_json::json!({ "name": name }).to_string();
        let answer = http::post(&self.url, "/demo/token", "application/json", &body);
        answer.json()["token"].as_str().expect("a token").to_owned()
    }

    /// The worker's own figures.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    pub fn stats(&self, query: &str) -> Value {
        http::get(&self.worker, &format!("/stats{query}")).json()
    }

    /// Waits until the worker's figures are as wished. They are renewed once a second.
    ///
    /// # Panics
    /// They never are.
    pub fn wait_for_stats(&self, what: &str, mut wished: impl FnMut(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let stats = self.stats("");
            if wished(&stats) {
                return stats;
            }
            assert!(start.elapsed() < PATIENCE, "never {what}: {stats}");
            // The figures have no event to wait for; they are asked for at the pace of their renewal.
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Bytes of memory that the process has in use.
    ///
    /// # Panics
    /// It is gone.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1_024
    }

    /// Open descriptors of the process.
    ///
    /// # Panics
    /// It is gone.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// The system does not say.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child's state").is_none()
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
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("it runs");
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
            assert!(start.elapsed() < PATIENCE, "the server does not stop");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.state);
    }
}
