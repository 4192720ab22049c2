//! The load generator as its users run it: the real program, its exit status, what it printed, and
//! the report that it wrote.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chatup_loadgen::report::Report;
use chatup_loadgen::report::model::Distribution;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::time::Timespec;

/// Longest that a run may take; each is asked for a few seconds.
const RUN_S_MAX: i64 = 40;

/// A running load generator. It is killed when this is dropped, and its files go.
pub(crate) struct Program {
    child: Child,
    folder: PathBuf,
}

/// How it ended.
pub(crate) struct Ended {
    /// Its exit status; none where a signal ended it.
    pub(crate) status: Option<i32>,
    /// What it printed on standard output.
    pub(crate) out: String,
    /// What it printed on standard error.
    pub(crate) err: String,
    /// The report, if it wrote one.
    pub(crate) report: Option<Report>,
}

impl Program {
    /// Starts it with these arguments, which blanks part, and a report to be written.
    pub(crate) fn start(arguments: &str) -> Program {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // The output goes to files: a pipe that a surviving child held open would never end.
        let name = format!("loadgen-test-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary directory");
        let file = |name: &str| fs::File::create(folder.join(name)).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(arguments.split_whitespace())
            .arg("--output")
            .arg(folder.join("report.json"))
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect("the program starts");
        Program { child, folder }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it lives");
    }

    /// The processes that it has started.
    pub(crate) fn children(&self) -> Vec<Pid> {
        let own = self.child.id().to_string();
        // `/proc/PID/task/TID/children` is not in every kernel: ask each process for its parent.
        let processes = fs::read_dir("/proc").expect("a /proc");
        let children = processes.filter_map(|process| {
            let stat = fs::read_to_string(process.ok()?.path().join("stat")).ok()?;
            let mut behind_name = stat.rsplit_once(')')?.1.split_whitespace();
            let parent = behind_name.nth(1)?;
            (parent == own).then(|| stat.split(' ').next()?.parse().ok()).flatten()
        });
        children.filter_map(Pid::from_raw).collect()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).expect("a pidfd");
        let patience = Timespec { tv_sec: RUN_S_MAX, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).expect("poll");
        let printed = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let (out, err) = (printed("out"), printed("err"));
        assert!(ended > 0, "the program did not end within {RUN_S_MAX} s\n{out}\n{err}");
        let status = self.child.wait().expect("it ended").code();
        let report = fs::read(self.folder.join("report.json")).ok();
        let report = report.map(|json| serde_json::from_slice(&json).expect("a report of this format"));
        Ended { status, out, err, report }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After its end this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Ended {
    /// The report of a run that must have written one, and ended with this status.
    pub(crate) fn report(self, what: &str, status: i32) -> Report {
        let Ended { status: seen, out, err, report } = self;
        assert_eq!(seen, Some(status), "{what}: exit status\n{out}\n{err}");
        report.unwrap_or_else(|| panic!("{what}: no report\n{out}\n{err}"))
    }
}

/// A whole distribution, from the report. Of no values there is none.
pub(crate) fn histogram(distribution: &Distribution) -> Histogram<u64> {
    if *distribution == Distribution::default() {
        return Histogram::new(3).expect("three digits are possible");
    }
    let bytes = STANDARD.decode(&distribution.histogram).expect("base64");
    Deserializer::new().deserialize(&mut bytes.as_slice()).expect("an HdrHistogram")
}

/// How many of the recorded values are at least `us`; those that the histogram cannot tell from `us`
/// are counted.
pub(crate) fn count_from(histogram: &Histogram<u64>, us: u64) -> u64 {
    let steps = histogram.iter_recorded().filter(|step| step.value_iterated_to() >= us);
    steps.map(|step| step.count_at_value()).sum()
}
