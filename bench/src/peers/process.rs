//! Programs: started on a core, waited for with a limit, ended by id and with all that they started.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, kill_process_group, setrlimit,
};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::Error;

/// How often something that cannot be waited for is asked for.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// How long a program that was asked to end may take before it is ended.
const END_WITHIN: Duration = Duration::from_secs(10);
/// How long one try to shake hands may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How much of what a failed program wrote is shown, in bytes.
const SAID_BYTES: usize = 2000;

/// Whether all is to end: set by Ctrl-C, looked at by every wait.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A running program. It is ended when this is dropped.
pub struct Program {
    child: Child,
    /// It and its group have been ended: their ids may belong to others by now.
    ended: bool,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts a program, on this core alone where one is given; what it writes goes to the file `log`.
    ///
    /// # Errors
    /// It cannot be started, or not there.
    pub fn start(mut command: Command, core: Option<usize>, log: &Path) -> Result<Self, Error> {
        let name = command.get_program().to_string_lossy().into_owned();
        let written = File::create(log).map_err(Error::file(log))?;
        let errors = written.try_clone().map_err(Error::file(log))?;
        // A group of its own: Ctrl-C on a terminal reaches this program alone, which ends the others in order.
        command.stdin(Stdio::null()).stdout(written).stderr(errors).process_group(0);
        // A child inherits its core from the thread that starts it: so that is a thread of its own.
        let spawn = move || {
            if let Some(core) = core {
                let mut cores = CpuSet::new();
                cores.set(core);
                sched_setaffinity(None, &cores)?;
            }
            command.spawn()
        };
        let spawned =
            thread::spawn(spawn).join().unwrap_or_else(|_| Err(io::Error::other("its thread ended")));
        let child = spawned.map_err(|error| Error::Start { program: name.clone(), error })?;
        Ok(Self { child, ended: false, name, log: log.to_owned() })
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// Its time was over, or all is to end; then it has been asked to end, and ended if it did not.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        let ended = wait_for(limit, || self.child.try_wait().ok().flatten());
        match ended {
            Ok(Some(status)) => Ok(status),
            Ok(None) => {
                self.end(Signal::INT);
                Err(self.failed(format!("not done within {} s", limit.as_secs())))
            }
            Err(error) => {
                self.end(Signal::INT);
                Err(error)
            }
        }
    }

    /// Waits until it answers a WebSocket handshake on this port.
    ///
    /// # Errors
    /// It ended, its time was over, or all is to end.
    pub fn wait_ready(&mut self, port: u16, path: &str, limit: Duration) -> Result<(), Error> {
        let ready = wait_for(limit, || match self.child.try_wait() {
            Ok(None) => answers(port, path).unwrap_or(false).then_some(Ok(())),
            Ok(Some(status)) => Some(Err(self.failed(status.to_string()))),
            Err(error) => Some(Err(Error::System("a program cannot be waited for", error))),
        })?;
        ready.unwrap_or_else(|| Err(self.failed(format!("no answer within {} s", limit.as_secs()))))
    }

    /// That it failed, with the end of what it wrote.
    #[must_use]
    pub fn failed(&self, how: String) -> Error {
        let said = fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(SAID_BYTES)..]).trim().to_owned();
        Error::Failed { program: self.name.clone(), how, said }
    }

    /// Asks it to end, and ends it if it does not, with all that it started and left.
    fn end(&mut self, signal: Signal) {
        let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) else { return };
        if !mem::replace(&mut self.ended, true) {
            if matches!(self.child.try_wait(), Ok(None)) {
                // It may end by itself meanwhile, here and below.
                let _ = kill_process(pid, signal);
                let asked = Instant::now();
                while asked.elapsed() < END_WITHIN && matches!(self.child.try_wait(), Ok(None)) {
                    thread::sleep(ASK_EVERY);
                }
            }
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end(Signal::TERM);
    }
}

/// Asks until there is an answer; `None` when the time is over.
fn wait_for<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<Option<T>, Error> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(Some(answer));
        }
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if begun.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(ASK_EVERY);
    }
}

/// Whether a WebSocket handshake on this port is answered. Listening alone is not enough: a server may do
/// so before the process that answers is there, whose CPU time and memory must be counted too.
fn answers(port: u16, path: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"HTTP/1.1 101")
}

/// A port of the loopback address that nobody listens on.
///
/// # Errors
/// The system's.
pub fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| Error::System("there is no free port", error))
}

/// Lets this program, and so all that it starts, have as many descriptors as the system allows.
///
/// # Errors
/// The system's.
pub fn allow_descriptors() -> Result<(), Error> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|error| Error::System("the limit of descriptors cannot be raised", error.into()))
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    /// Long enough for any machine; only a failure waits for so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn shell(text: &str, core: Option<usize>, log: &str) -> Program {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        let log = env::temp_dir().join(format!("chatup-peers-test-{}-{log}", std::process::id()));
        Program::start(command, core, &log).unwrap()
    }

    fn said(program: &Program) -> String {
        fs::read_to_string(&program.log).unwrap()
    }

    fn is_running(pid: &str) -> bool {
        // Whoever takes in orphans may leave an ended one as a zombie for a while.
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_program_runs_on_its_core_and_what_it_starts_too() {
        let mut program = shell("grep Cpus_allowed_list /proc/self/status", Some(0), "core");
        assert!(program.wait(PATIENCE).unwrap().success());
        assert_eq!(said(&program).split_whitespace().last(), Some("0"));
        fs::remove_file(&program.log).unwrap();
    }

    #[test]
    fn who_fails_is_quoted() {
        let mut program = shell("echo so and so >&2; exit 3", None, "quoted");
        let status = program.wait(PATIENCE).unwrap();
        let error = program.failed(status.to_string()).to_string();
        assert_eq!(error, "sh: exit status: 3; it said: so and so");
        fs::remove_file(&program.log).unwrap();
    }

    #[test]
    fn whose_time_is_over_is_ended_with_all_that_it_started() {
        // The shell ends when it is asked to, and leaves a child that has not heard of it.
        let mut program = shell("tail -f /dev/null & echo $!; wait", None, "ended");
        let child = wait_for(PATIENCE, || {
            let said = said(&program);
            said.ends_with('\n').then(|| said.trim().to_owned())
        });
        let child = child.unwrap().unwrap();
        assert!(is_running(&child));
        let error = program.wait(Duration::ZERO).unwrap_err().to_string();
        assert!(error.starts_with("sh: not done within 0 s"), "{error}");
        assert!(wait_for(PATIENCE, || (!is_running(&child)).then_some(())).unwrap().is_some());
        fs::remove_file(&program.log).unwrap();
    }
}
