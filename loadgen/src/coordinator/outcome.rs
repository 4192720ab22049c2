//! What a stretch of load came to, and what that means for the report.

use super::adding::Sum;
use super::{Outcome, Run};
use crate::clock::seconds;
use crate::control::Counted;
use crate::limits::{BUSY_MAX, OWN_DELAY_US_MAX, RUN_QUEUE_WAIT_MAX};
use crate::report::humane;
use crate::report::model::{Report, Verdict};

impl Outcome {
    /// Adds a later stretch of load: the two are one result.
    ///
    /// # Errors
    /// A histogram that is none.
    pub fn append(&mut self, later: Outcome) -> Result<(), String> {
        self.sum.append(later.sum)?;
        self.measured_s += later.measured_s;
        self.server_cpu_s += later.server_cpu_s;
        for mut process in later.server {
            if let Some(own) = self.server.iter_mut().find(|own| own.pid == process.pid) {
                process.cpu_s += own.cpu_s;
                *own = process;
            }
        }
        self.doubts.extend(later.doubts);
        Ok(())
    }
}

impl Run<'_> {
    /// Counts of faults run on over the whole run: leaves those of the last stretch.
    pub(super) fn since_last_time(&mut self, counted: &mut Counted) {
        let before = &mut self.before;
        for (now, before) in [
            (&mut counted.lost, &mut before.lost),
            (&mut counted.duplicated, &mut before.duplicated),
            (&mut counted.reordered, &mut before.reordered),
            (&mut counted.order_conflicts, &mut before.order_conflicts),
            (&mut counted.gaps_silent, &mut before.gaps_silent),
            (&mut counted.gaps_told, &mut before.gaps_told),
        ] {
            let all = *now;
            *now = all.saturating_sub(*before);
            *before = all;
        }
    }

    /// Why a stretch of load cannot be believed.
    pub(super) fn doubts(&self, sum: &Sum) -> Vec<String> {
        let mut doubts = Vec::new();
        if sum.busy_max > BUSY_MAX {
            doubts.push(format!(
                "a process of the generator used {} of a core: more --processes, on cores of their own",
                humane::percent(sum.busy_max)
            ));
        }
        if sum.run_queue_wait_max > RUN_QUEUE_WAIT_MAX {
            doubts.push(format!(
                "a process of the generator waited {} of the time for a core: latencies include that",
                humane::percent(sum.run_queue_wait_max)
            ));
        }
        if let Some(delay) = sum.times.get("own_delay")
            && delay.p99_us > OWN_DELAY_US_MAX
        {
            #[allow(clippy::cast_precision_loss, reason = "for a person")]
            let delay = humane::time(delay.p99_us as f64);
            doubts.push(format!("the generator got to its messages up to {delay} late (99th percentile)"));
        }
        if let Some(reading) = sum.times.get("own_reading")
            && reading.p99_us > OWN_DELAY_US_MAX
            && reading.p99_us > sum.latency.p99_us / 2
        {
            #[allow(clippy::cast_precision_loss, reason = "for a person")]
            let reading = humane::time(reading.p99_us as f64);
            doubts.push(format!(
                "the generator was up to {reading} (99th percentile) into reading when it came to a message, \
                 which is much of the latency: more --processes, on cores of their own"
            ));
        }
        doubts
    }

    /// Makes an outcome the run's result.
    pub fn adopt(&mut self, outcome: Outcome) {
        let Outcome { sum, measured_s, server, doubts, .. } = outcome;
        let counted = sum.counted;
        self.add_faults(&counted);
        let report = &mut self.report;
        report.measured_s = measured_s;
        report.server = server;
        report.latency = sum.latency;
        let connect = report.times.remove("connect");
        report.times.extend(sum.times);
        if let Some(connect) = connect.filter(|_| !report.times.contains_key("connect")) {
            report.times.insert("connect".to_owned(), connect);
        }
        report.timeline.extend(sum.moments);
        report.messages.due = counted.due;
        report.messages.sent = counted.sent;
        report.messages.late = counted.late;
        report.messages.unsent = counted.unsent;
        report.messages.acknowledged = counted.acknowledged;
        report.messages.refused = counted.refused;
        let deliveries = &mut report.deliveries;
        deliveries.expected = counted.expected;
        deliveries.received = counted.received;
        deliveries.arrived = counted.arrived;
        deliveries.bytes = counted.bytes;
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        if measured_s > 0.0 {
            deliveries.per_s = counted.received_in_time as f64 / measured_s;
        }
        report.generator.cpu_s = seconds(counted.cpu_ns);
        report.generator.busy_max = sum.busy_max;
        report.generator.run_queue_wait_max = sum.run_queue_wait_max;
        report.figures.extend(counted.figures);
        let figure = |name: &str| report.figures.get(name).copied().unwrap_or(0.0);
        if counted.resumed_after_ns > 0 && figure("resumed_total") >= figure("cut_total") {
            report.figures.insert("all_resumed_after_s".to_owned(), seconds(counted.resumed_after_ns));
        }
        for why in doubts {
            doubt(&mut report.verdict, why);
        }
    }

    /// Faults count wherever in the run they were found.
    pub fn add_faults(&mut self, counted: &Counted) {
        let deliveries = &mut self.report.deliveries;
        deliveries.lost += counted.lost;
        deliveries.duplicated += counted.duplicated;
        deliveries.reordered += counted.reordered;
        deliveries.order_conflicts += counted.order_conflicts;
        deliveries.gaps_silent += counted.gaps_silent;
        deliveries.gaps_told += counted.gaps_told;
    }

    /// Where the clients go.
    pub(super) fn where_to(&self) -> String {
        let doors: Vec<&str> = self.plan.doors.iter().map(|door| door.authority.as_str()).collect();
        doors.join(", ")
    }

    /// The end: everything stops, the report is complete.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let faults = self.faults();
        self.report.clients.faults = faults;
        let clients = &mut self.report.clients;
        if clients.connected == 0 {
            clients.connected = self.standing.iter().map(|standing| standing.clients).sum();
        }
        clients.failed_tries = self.standing.iter().map(|standing| standing.failed).sum();
        clients.disconnected = self.standing.iter().map(|standing| standing.disconnected).sum();
        let gone = self.watch.gone();
        if !gone.is_empty() {
            doubt(&mut self.report.verdict, format!("the server's process {} ended during the run", gone[0]));
        }
        if self.report.server.is_empty() {
            self.report.server = self.watch.processes().to_vec();
        }
        if self.report.latency.count == 0 && self.report.messages.due > 0 {
            doubt(&mut self.report.verdict, "nothing at all arrived".to_owned());
        }
        self.report
    }
}

/// A reason not to believe the run.
pub(super) fn doubt(verdict: &mut Verdict, why: String) {
    verdict.invalid = true;
    if !verdict.reasons.contains(&why) {
        verdict.reasons.push(why);
    }
}
