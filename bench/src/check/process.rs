//! Commands run to their end: bounded in time, everything they print kept in files, and nothing
//! of them left behind, not even when this program is interrupted.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Last lines of a failed command that are shown.
const TAIL_LINES: usize = 20;

/// Process groups that run now, for whoever interrupts.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A command to be run.
#[derive(Clone, Debug)]
pub struct Command {
    /// For whom, as an error names it.
    pub who: String,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Where.
    pub directory: PathBuf,
    /// Set besides what this program's environment has.
    pub environment: Vec<(OsString, OsString)>,
    /// Longest time.
    pub timeout: Duration,
    /// What it prints goes to this path with `.out` and `.err` behind.
    pub log: PathBuf,
    /// Whether what it leaves running is ended with it.
    pub ends_leftovers: bool,
}

/// Why a command gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such program.
    #[error("{who}: there is no program {program:?}{hint}")]
    NoProgram {
        /// For whom.
        who: String,
        /// Which.
        program: String,
        /// How to come by it.
        hint: &'static str,
    },
    /// It could not be started or waited for.
    #[error("{who}: {command}: {error}")]
    Io {
        /// For whom.
        who: String,
        /// What.
        command: String,
        /// Why.
        error: io::Error,
    },
    /// It ended badly.
    #[error("{who}: {command}: {end}; its last lines ({}):\n{tail}", log.display())]
    Failed {
        /// For whom.
        who: String,
        /// What.
        command: String,
        /// How it ended.
        end: String,
        /// What it printed last.
        tail: String,
        /// All that it printed.
        log: PathBuf,
    },
}

impl Command {
    /// As a person would type it.
    #[must_use]
    pub fn shown(&self) -> String {
        let quoted = |word: &String| {
            if word.is_empty() || word.contains(' ') { format!("'{word}'") } else { word.clone() }
        };
        self.words.iter().map(quoted).collect::<Vec<String>>().join(" ")
    }

    /// Where its standard output is kept.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.log.with_added_extension("out")
    }

    /// Runs it. What it printed is then in [`Command::output`].
    ///
    /// # Errors
    /// It could not be started, took too long or failed.
    pub fn run(&self) -> Result<(), ProcessError> {
        let (program, arguments) =
            self.words.split_first().ok_or_else(|| self.io(ErrorKind::InvalidInput.into()))?;
        let create = |path: &Path| File::create(path).map_err(|error| self.io(error));
        let mut command = std::process::Command::new(program);
        command.args(arguments).current_dir(&self.directory).process_group(0);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let errors = self.log.with_added_extension("err");
        command.stdin(Stdio::null()).stdout(create(&self.output())?).stderr(create(&errors)?);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => ProcessError::NoProgram {
                who: self.who.clone(),
                program: program.clone(),
                hint: if program == "valgrind" { " (apt-get install valgrind)" } else { "" },
            },
            _ => self.io(error),
        })?;
        let group = Group::of(&child);
        let status = self.wait(&mut child, &group).map_err(|error| self.io(error))?;
        let end = match status {
            Some(status) if status.success() => return Ok(()),
            Some(status) => status.to_string(),
            None => format!("did not end within {} s", self.timeout.as_secs()),
        };
        let (tail, log) = match tail(&errors) {
            tail if tail.is_empty() => match self::tail(&self.output()) {
                tail if tail.is_empty() => ("    (it printed nothing)".into(), self.output()),
                tail => (tail, self.output()),
            },
            tail => (tail, errors),
        };
        Err(ProcessError::Failed { who: self.who.clone(), command: self.shown(), end, tail, log })
    }

    /// How it ended; nothing if it had to be ended.
    fn wait(&self, child: &mut Child, group: &Group) -> io::Result<Option<ExitStatus>> {
        let in_time = ends_within(child, self.timeout)?;
        // Before the child is reaped, so that the group's number cannot be another's yet.
        if !in_time || self.ends_leftovers {
            group.kill();
        }
        let status = child.wait()?;
        Ok(in_time.then_some(status))
    }

    fn io(&self, error: io::Error) -> ProcessError {
        ProcessError::Io { who: self.who.clone(), command: self.shown(), error }
    }
}

/// Waits for a child's end without reaping it.
fn ends_within(child: &Child, timeout: Duration) -> io::Result<bool> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        match poll(&mut [PollFd::new(&pidfd.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(ended) => return Ok(ended > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A child's process group, among those that are ended by an interruption.
struct Group(Pid);

impl Group {
    fn of(child: &Child) -> Group {
        let pid = Pid::from_child(child);
        running().push(pid);
        Group(pid)
    }

    fn kill(&self) {
        // Gone already is as good.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        running().retain(|pid| *pid != self.0);
    }
}

fn running() -> std::sync::MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Ends everything that runs.
pub fn end_all() {
    for pid in running().iter() {
        let _ = kill_process_group(*pid, Signal::KILL);
    }
}

/// The last lines of a file, indented.
fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().map(|line| format!("    {line}")).collect::<Vec<String>>().join("\n")
}
