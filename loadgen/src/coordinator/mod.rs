//! The process that leads a run: starts the others, tells them what to do when, adds up what they
//! counted. Scenarios are written in terms of [`Run`]'s steps.

mod adding;
mod beginning;
mod children;
mod display;
mod outcome;
mod target;

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

pub use self::adding::Sum;
use self::children::Children;
use self::display::Display;
use self::outcome::doubt;
use self::target::Target;
use crate::cli::Options;
use crate::clock::{duration_ns, now_ns, seconds};
use crate::control::{Counted, Load, News, Order, Progress, Published};
use crate::limits::{MOMENT_NS_MIN, MOMENTS_MAX, PROCESS_WITHIN};
use crate::machine;
use crate::plan::Plan;
use crate::report::humane;
use crate::report::model::{Report, ServerProcess};
use crate::server::watch::{self, Watch};

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be done, in words.
    #[error("{0}")]
    Impossible(String),
    /// Ctrl-C: what is known so far is reported.
    #[error("interrupted")]
    Interrupted,
}

impl From<String> for RunError {
    fn from(why: String) -> RunError {
        RunError::Impossible(why)
    }
}

/// How often the leading process looks at what is going on.
const TICK: Duration = Duration::from_millis(100);
/// Time between the order to begin a load and its beginning, for all processes to have read it.
const LEAD_NS: u64 = 200_000_000;

/// Below so many clients the kernel's memory says nothing about them.
const KERNEL_CLIENTS_MIN: u64 = 5_000;

/// A run.
pub struct Run<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// Who is who.
    pub plan: Plan,
    /// What is known so far.
    pub report: Report,
    target: Target,
    children: Children,
    display: Display,
    watch: Watch,
    interrupts: Receiver<()>,
    stopped: bool,
    /// When the load is to end after that.
    stopped_ns: u64,
    standing: Vec<Progress>,
    /// Counts since the beginning of the run, at the end of the last stretch of load.
    before: Counted,
}

/// A stretch of load, and what it came to.
#[derive(Debug)]
pub struct Outcome {
    /// What the processes counted; counts of faults are of this stretch alone.
    pub sum: Sum,
    /// Measured time, in seconds.
    pub measured_s: f64,
    /// CPU time of the server, in seconds.
    pub server_cpu_s: f64,
    /// The server's processes as they were then.
    pub server: Vec<ServerProcess>,
    /// Why it cannot be believed, a sentence each.
    pub doubts: Vec<String>,
}

impl<'a> Run<'a> {
    /// Connects publishers, then clients, and waits until all are in or have given up.
    ///
    /// # Errors
    /// The run cannot go on.
    pub fn connect(&mut self) -> Result<(), RunError> {
        self.watch.memory(watch::Moment::Before);
        self.watch.begin();
        let before_slab = machine::kernel_bytes();
        let began_ns = now_ns();
        if !self.plan.publishers_apart().is_empty() {
            self.connect_some(true)?;
            let publishers = self.report.clients.publishers;
            let connected: u64 = self.standing.iter().map(|standing| standing.connected).sum();
            if connected < publishers {
                return Err(RunError::Impossible(format!(
                    "only {connected} of {publishers} publishers got in at {}: {}",
                    self.where_to(),
                    self.worst_fault()
                )));
            }
        }
        let clients_ns = now_ns();
        self.connect_some(false)?;
        let clients = &mut self.report.clients;
        clients.connect_s = seconds(now_ns() - clients_ns);
        let server_cpu_s = self.watch.end();
        self.watch.memory(watch::Moment::Connected);
        clients.connected = self.standing.iter().map(|standing| standing.clients).sum();
        let (connected, asked) = (clients.connected, clients.asked);
        self.display.say(&format!(
            "{} of {} clients in after {:.1} s",
            humane::count(connected),
            humane::count(asked),
            seconds(now_ns() - began_ns)
        ));
        #[allow(clippy::cast_precision_loss, reason = "a figure for a person")]
        if connected >= KERNEL_CLIENTS_MIN && connected == asked {
            let each = (machine::kernel_bytes() - before_slab) as f64 / connected as f64;
            self.report.figures.insert("kernel_bytes_per_connection_both_ends".to_owned(), each.round());
        }
        #[allow(clippy::cast_precision_loss, reason = "a figure for a person")]
        if connected > 0 && !self.watch.is_empty() {
            let each = server_cpu_s * 1e6 / (connected + self.report.clients.publishers) as f64;
            self.report
                .figures
                .insert("connecting_cpu_us_per_connection".to_owned(), (each * 10.0).round() / 10.0);
        }
        if connected < asked {
            let why = format!("only {} of {} clients got in", humane::count(connected), humane::count(asked));
            doubt(&mut self.report.verdict, why);
        }
        if connected == 0 {
            return Err(self.nobody_got_in());
        }
        Ok(())
    }

    /// Not one connection could be made.
    #[must_use]
    pub fn nobody_got_in(&self) -> RunError {
        RunError::Impossible(format!("nobody got in at {}: {}", self.where_to(), self.worst_fault()))
    }

    fn worst_fault(&self) -> String {
        let faults = self.faults();
        let worst = faults.iter().max_by_key(|(_, count)| **count);
        worst.map_or_else(|| "nobody says why".to_owned(), |(what, _)| what.clone())
    }

    fn faults(&self) -> std::collections::BTreeMap<String, u64> {
        let mut faults = std::collections::BTreeMap::new();
        for (what, count) in self.standing.iter().flat_map(|standing| &standing.faults) {
            *faults.entry(what.clone()).or_default() += count;
        }
        faults
    }

    fn connect_some(&mut self, publishers: bool) -> Result<(), RunError> {
        let processes = self.children.len();
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let per_s = self.options.connect_rate / processes as f64;
        self.children.order_all(&Order::Connect { publishers, at_ns: now_ns(), per_s })?;
        let mut times = Vec::new();
        let what = if publishers { "publishers connect" } else { "clients connect" };
        self.wait(what, processes, None, |news| match news {
            News::Connected { connect } => {
                times.push(connect);
                true
            }
            _ => false,
        })?;
        if !publishers {
            let counted: Vec<Counted> = times
                .into_iter()
                .map(|connect| Counted {
                    times: [("connect".to_owned(), connect)].into(),
                    ..Counted::default()
                })
                .collect();
            let sum = adding::add(&counted, &Published::default())?;
            self.report.times.extend(sum.times);
        }
        Ok(())
    }

    /// Whether Ctrl-C has ended the load.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.stopped
    }

    /// Waits until so many processes have told what is waited for.
    fn wait(
        &mut self,
        what: &str,
        many: usize,
        until_ns: Option<u64>,
        mut awaited: impl FnMut(News) -> bool,
    ) -> Result<(), RunError> {
        let mut left = many;
        let mut asked_to_stop = self.stopped;
        while left > 0 {
            match self.children.news.recv_timeout(TICK) {
                Ok((number, Some(News::Progress(progress)))) => self.standing[number] = progress,
                Ok((_, Some(News::Failed(why)))) => return Err(RunError::Impossible(why)),
                Ok((number, None)) => return Err(RunError::Impossible(self.children.why_gone(number))),
                Ok((_, Some(news))) => left -= usize::from(awaited(news)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.display.show(what, &self.standing);
            if self.interrupts.try_recv().is_ok() {
                if std::mem::replace(&mut asked_to_stop, true) || until_ns.is_none() {
                    self.report.verdict.interrupted = true;
                    return Err(RunError::Interrupted);
                }
                self.stop()?;
            }
            if until_ns.is_some_and(|until_ns| now_ns() > until_ns) {
                return Err(RunError::Impossible(format!(
                    "{left} of {many} processes of the generator do not answer"
                )));
            }
        }
        Ok(())
    }

    /// A stretch of load, to its end.
    ///
    /// # Errors
    /// The run cannot go on.
    pub fn load(&mut self, what: &str, mut load: Load) -> Result<Outcome, RunError> {
        if self.stopped {
            return Err(RunError::Interrupted);
        }
        let processes = self.children.len();
        load.at_ns = now_ns() + LEAD_NS;
        let drain_ns = duration_ns(self.options.drain);
        load.send_grace_ns = drain_ns;
        load.moment_ns = ((load.warmup_ns + load.duration_ns) / MOMENTS_MAX).max(MOMENT_NS_MIN);
        load.cut_at_ns = load.cut_at_ns.map(|after_ns| load.at_ns + after_ns);
        // Where some pass by and all others stay, only the processes for that make such connections.
        let aside = &self.plan.aside;
        let passing = if aside.passers > 0 { aside.processes.min(aside.passers) as usize } else { processes };
        #[allow(clippy::cast_precision_loss, reason = "rates")]
        {
            load.churn_per_s /= processes as f64;
            load.connects_per_s /= passing as f64;
        }
        self.children.order_all(&Order::Load(Box::new(load.clone())))?;
        let measured_ns = load.at_ns + load.warmup_ns;
        let end_ns = measured_ns + load.duration_ns;
        self.wait_until(what, measured_ns)?;
        self.watch.begin();
        let mut published = Published::new(self.plan.lanes());
        let patience_ns = duration_ns(PROCESS_WITHIN);
        self.wait(what, processes, Some(end_ns + drain_ns + patience_ns), |news| match news {
            News::Published(own) => {
                published.add(&own);
                true
            }
            _ => false,
        })?;
        let ended_ns = self.stopped_ns.min(end_ns);
        let until_ns = now_ns() + drain_ns;
        self.children.order_all(&Order::Drain { published: published.clone(), until_ns })?;
        let mut all = Vec::new();
        self.wait("draining", processes, Some(until_ns + patience_ns), |news| match news {
            News::Counted(counted) => {
                all.push(*counted);
                true
            }
            _ => false,
        })?;
        let server_cpu_s = self.watch.end();
        self.watch.memory(watch::Moment::End);
        let mut sum = adding::add(&all, &published)?;
        let mut at_s = 0.0;
        for moment in &mut sum.moments {
            at_s += moment.length_s;
            moment.at_s = at_s;
            moment.warmup = moment.at_s <= seconds(load.warmup_ns);
        }
        self.since_last_time(&mut sum.counted);
        let measured_s = seconds(ended_ns.saturating_sub(measured_ns));
        let doubts = self.doubts(&sum);
        Ok(Outcome { sum, measured_s, server_cpu_s, server: self.watch.processes().to_vec(), doubts })
    }

    /// Ends the stretch of load, everywhere at the same time.
    fn stop(&mut self) -> Result<(), RunError> {
        let at_ns = now_ns() + LEAD_NS;
        self.stopped = true;
        self.stopped_ns = at_ns;
        self.report.verdict.interrupted = true;
        Ok(self.children.order_all(&Order::Stop { at_ns })?)
    }

    /// Waits for a time, doing what `wait` does besides.
    fn wait_until(&mut self, what: &str, at_ns: u64) -> Result<(), RunError> {
        while now_ns() < at_ns && !self.stopped {
            let left = Duration::from_nanos(at_ns.saturating_sub(now_ns())).min(TICK);
            match self.children.news.recv_timeout(left) {
                Ok((number, Some(News::Progress(progress)))) => self.standing[number] = progress,
                Ok((_, Some(News::Failed(why)))) => return Err(RunError::Impossible(why)),
                Ok((number, None)) => return Err(RunError::Impossible(self.children.why_gone(number))),
                Ok(_) | Err(_) => {}
            }
            self.display.show(what, &self.standing);
            if self.interrupts.try_recv().is_ok() {
                self.stop()?;
            }
        }
        Ok(())
    }

    /// Holds everything as it is for a time; how long that was, in seconds.
    ///
    /// # Errors
    /// The run cannot go on.
    pub fn hold(&mut self, what: &str, time: Duration) -> Result<f64, RunError> {
        let began_ns = now_ns();
        self.watch.begin();
        self.wait_until(what, now_ns() + duration_ns(time))?;
        self.watch.end();
        self.watch.memory(watch::Moment::End);
        Ok(seconds(now_ns() - began_ns))
    }

    /// More reasons not to believe the run.
    pub fn doubt(&mut self, reasons: Vec<String>) {
        reasons.into_iter().for_each(|why| doubt(&mut self.report.verdict, why));
    }

    /// A line for whoever watches.
    pub fn say(&self, line: &str) {
        self.display.say(line);
    }
}

/// Ctrl-C, as often as it is pressed.
///
/// # Errors
/// The system does not let us catch it.
pub fn interrupts() -> Result<Receiver<()>, String> {
    let (pressed, interrupts) = bounded(8);
    ctrlc::set_handler(move || {
        let _ = pressed.try_send(());
    })
    .map_err(|error| error.to_string())?;
    Ok(interrupts)
}
