//! The program under test, as a child process that ends with its handle.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::PATIENCE;
use crate::http;
use crate::process::Process;

/// A running `chatup`.
pub struct Server {
    /// The process itself.
    pub process: Process,
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
        command
            .args(["--print", "json", "--log", "warn", "--dispatcher-port", "0", "--state-dir"])
            .arg(state);
        if !arguments.iter().any(|argument| argument.starts_with("worker.port=")) {
            command.args(["--worker-port", "0"]);
        }
        command.args(arguments);
        let (process, line) = Process::with_first_line(&mut command);
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?}"));
        let text = |key: &str| ready[key].as_str().map(|text| text.trim_end_matches('/').to_owned());
        Server {
            process,
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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1_024
    }

    /// Open descriptors of the process.
    ///
    /// # Panics
    /// It is gone.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("it runs").count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Before what it keeps is taken away.
        self.process.kill();
        let _ = std::fs::remove_dir_all(&self.state);
    }
}
