//! Counts and times of one stretch of load, as they come in.
//!
//! Counts are of everybody. Times are of those who are not kept apart ([`crate::plan::Aside`]), whose
//! many messages would hide the others' few; their own latency is one time more.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::own::{Reading, Use};
use crate::checking::Findings;
use crate::control::{ASIDE, Counted, CountedMoment, Load};
use crate::limits::LATE_NS;
use crate::report::distribution::{new_histogram, record};
use crate::report::model::Distribution;

/// What comes in.
pub(super) struct Measuring {
    /// The measured time, on the machine's clock.
    from_ns: u64,
    to_ns: u64,
    begin_ns: u64,
    moment_ns: u64,
    latency: Histogram<u64>,
    /// Latency of those who are kept apart.
    aside: Histogram<u64>,
    acknowledged: Histogram<u64>,
    lateness: Histogram<u64>,
    own_delay: Histogram<u64>,
    own_reading: Histogram<u64>,
    connect: Histogram<u64>,
    resume: Histogram<u64>,
    moment: Histogram<u64>,
    moment_end_ns: u64,
    moment_sent: u64,
    moment_received: u64,
    moments: Vec<CountedMoment>,
    watched: Option<(Reading, Option<Use>)>,
    counted: Counted,
    /// Since the last news, for whoever watches.
    recent: Histogram<u64>,
    /// Since the beginning of the run.
    pub(super) sent: u64,
    /// Since the beginning of the run.
    pub(super) received: u64,
    /// Since the beginning of the run.
    pub(super) found: Findings,
}

impl Measuring {
    pub(super) fn new() -> Measuring {
        Measuring {
            from_ns: u64::MAX,
            to_ns: u64::MAX,
            begin_ns: u64::MAX,
            moment_ns: u64::MAX,
            latency: new_histogram(),
            aside: new_histogram(),
            acknowledged: new_histogram(),
            lateness: new_histogram(),
            own_delay: new_histogram(),
            own_reading: new_histogram(),
            connect: new_histogram(),
            resume: new_histogram(),
            moment: new_histogram(),
            moment_end_ns: u64::MAX,
            moment_sent: 0,
            moment_received: 0,
            moments: Vec::new(),
            watched: None,
            counted: Counted::default(),
            recent: new_histogram(),
            sent: 0,
            received: 0,
            found: Findings::default(),
        }
    }

    /// A stretch of load begins.
    pub(super) fn begin(&mut self, load: &Load) {
        let (sent, received, found) = (self.sent, self.received, self.found);
        *self = Measuring::new();
        (self.sent, self.received, self.found) = (sent, received, found);
        self.begin_ns = load.at_ns;
        self.from_ns = load.at_ns + load.warmup_ns;
        self.to_ns = self.from_ns + load.duration_ns;
        self.moment_ns = load.moment_ns;
        self.moment_end_ns = load.at_ns + load.moment_ns;
    }

    /// The measured time ends now.
    pub(super) fn cut_short(&mut self, now_ns: u64) {
        self.to_ns = self.to_ns.min(now_ns);
    }

    /// Whether something due then is measured.
    pub(super) fn measures(&self, due_ns: u64) -> bool {
        due_ns >= self.from_ns && due_ns < self.to_ns
    }

    /// Time goes on: ends stretches of the timeline, watches the process.
    pub(super) fn tick(&mut self, now_ns: u64, connected: u64) {
        if self.begin_ns == u64::MAX {
            return;
        }
        while now_ns >= self.moment_end_ns {
            self.end_moment(connected, self.moment_ns);
            self.moment_end_ns += self.moment_ns;
        }
        match &mut self.watched {
            None if now_ns >= self.from_ns => self.watched = Some((Reading::take(), None)),
            Some((from, used @ None)) if now_ns >= self.to_ns => *used = Some(from.until(Reading::take())),
            _ => {}
        }
    }

    fn end_moment(&mut self, connected: u64, length_ns: u64) {
        self.moments.push(CountedMoment {
            length_ns,
            connected,
            sent: self.moment_sent,
            received: self.moment_received,
            latency: Distribution::of(&self.moment),
        });
        self.moment.reset();
        (self.moment_sent, self.moment_received) = (0, 0);
    }

    /// A message has become due; the generator got to it at `now_ns`.
    pub(super) fn due(&mut self, due_ns: u64, now_ns: u64, aside: bool) {
        if self.measures(due_ns) {
            self.counted.due += 1;
            if !aside {
                record(&mut self.own_delay, microseconds(due_ns, now_ns));
            }
        }
    }

    /// A message is with the system.
    pub(super) fn sent(&mut self, due_ns: u64, now_ns: u64, aside: bool) {
        self.sent += 1;
        self.moment_sent += 1;
        if self.measures(due_ns) {
            self.counted.sent += 1;
            self.counted.late += u64::from(now_ns.saturating_sub(due_ns) > LATE_NS);
            if !aside {
                record(&mut self.lateness, microseconds(due_ns, now_ns));
            }
        }
    }

    /// A message will never be sent.
    pub(super) fn unsent(&mut self, due_ns: u64) {
        self.counted.unsent += u64::from(self.measures(due_ns));
    }

    /// The server said yes.
    pub(super) fn acknowledged(&mut self, due_ns: u64, now_ns: u64, aside: bool) {
        if self.measures(due_ns) {
            self.counted.acknowledged += 1;
            if !aside {
                record(&mut self.acknowledged, microseconds(due_ns, now_ns));
            }
        }
    }

    /// The server said no.
    pub(super) fn refused(&mut self, due_ns: u64, code: &str) {
        if !self.measures(due_ns) {
            return;
        }
        *self.counted.refused.entry(code.to_owned()).or_default() += 1;
    }

    /// This process has been busy reading since `since_ns` when it came to these bytes.
    pub(super) fn busy_reading(&mut self, since_ns: u64, now_ns: u64) {
        if now_ns >= self.from_ns && now_ns < self.to_ns {
            record(&mut self.own_reading, microseconds(since_ns, now_ns));
        }
    }

    /// A subscriber read a message for the first time; one that `comes` and goes is owed only what it
    /// hears and what lies between.
    pub(super) fn received(&mut self, due_ns: u64, now_ns: u64, comes: bool, aside: bool) {
        let latency_us = microseconds(due_ns, now_ns);
        self.received += 1;
        self.moment_received += 1;
        if !aside {
            record(&mut self.moment, latency_us);
            record(&mut self.recent, latency_us);
        }
        if self.measures(due_ns) {
            self.counted.received += 1;
            self.counted.expected += u64::from(comes);
            record(if aside { &mut self.aside } else { &mut self.latency }, latency_us);
        }
        // What an earlier stretch of load left behind is not this one's.
        if due_ns < self.begin_ns {
            return;
        }
        self.counted.arrived += u64::from(now_ns >= self.from_ns);
        self.counted.received_in_time += u64::from(now_ns >= self.from_ns && now_ns < self.to_ns);
    }

    /// A slow subscriber read a message.
    pub(super) fn received_slowly(&mut self) {
        self.counted.slow_received += 1;
    }

    /// A slow subscriber is gone.
    pub(super) fn slow_gone(&mut self) {
        self.counted.slow_disconnected += 1;
    }

    /// Bytes came.
    pub(super) fn bytes(&mut self, bytes: usize, now_ns: u64) {
        if now_ns >= self.from_ns && now_ns < self.to_ns {
            self.counted.bytes += bytes as u64;
        }
    }

    /// A connection became ready.
    pub(super) fn ready(&mut self, due_ns: u64, now_ns: u64) {
        record(&mut self.connect, microseconds(due_ns, now_ns));
    }

    /// A client that was cut off is back.
    pub(super) fn resumed(&mut self, cut_ns: u64, now_ns: u64) {
        record(&mut self.resume, microseconds(cut_ns, now_ns));
        let after = &mut self.counted.resumed_after_ns;
        *after = (*after).max(now_ns - cut_ns);
    }

    /// Adds to a figure of the scenario's own.
    pub(super) fn figure(&mut self, name: &str, more: f64) {
        *self.counted.figures.entry(name.to_owned()).or_default() += more;
    }

    /// Connecting times so far, taken away.
    pub(super) fn take_connect(&mut self) -> Distribution {
        let times = Distribution::of(&self.connect);
        self.connect.reset();
        times
    }

    /// Median and 99th percentile of the latency since the last time it was asked for.
    pub(super) fn take_recent(&mut self) -> (u64, u64) {
        let recent = (self.recent.value_at_quantile(0.5), self.recent.value_at_quantile(0.99));
        self.recent.reset();
        recent
    }

    /// All of it, at the end of the stretch.
    pub(super) fn finish(&mut self, connected: u64, now_ns: u64) -> Counted {
        let since_ns = (now_ns + self.moment_ns).saturating_sub(self.moment_end_ns);
        if self.moment_received + self.moment_sent > 0 && since_ns > 0 {
            self.end_moment(connected, since_ns);
        }
        // What comes from now on belongs to no stretch.
        self.begin_ns = u64::MAX;
        let used = match self.watched.take() {
            Some((from, used)) => used.unwrap_or_else(|| from.until(Reading::take())),
            None => Use::default(),
        };
        let times = [
            (ASIDE, &self.aside),
            ("acknowledged", &self.acknowledged),
            ("lateness", &self.lateness),
            ("own_delay", &self.own_delay),
            ("own_reading", &self.own_reading),
            ("connect", &self.connect),
            ("resume", &self.resume),
        ];
        let times: BTreeMap<String, Distribution> = times
            .into_iter()
            .filter(|(_, histogram)| !histogram.is_empty())
            .map(|(name, histogram)| (name.to_owned(), Distribution::of(histogram)))
            .collect();
        Counted {
            latency: Distribution::of(&self.latency),
            times,
            moments: std::mem::take(&mut self.moments),
            watched_ns: used.watched_ns,
            cpu_ns: used.cpu_ns,
            run_queue_wait_ns: used.waited_ns,
            duplicated: self.found.duplicated,
            reordered: self.found.reordered,
            order_conflicts: self.found.order_conflicts,
            ..std::mem::take(&mut self.counted)
        }
    }
}

fn microseconds(from_ns: u64, to_ns: u64) -> u64 {
    to_ns.saturating_sub(from_ns) / 1_000
}
