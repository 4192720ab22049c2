//! What this process costs itself: CPU time and the time that it waits for a core.

use std::fs;

use crate::clock;

/// A reading.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    at_ns: u64,
    cpu_ns: u64,
    waited_ns: u64,
}

/// From one reading to another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    pub(super) watched_ns: u64,
    pub(super) cpu_ns: u64,
    pub(super) waited_ns: u64,
}

impl Reading {
    /// Now.
    pub(super) fn take() -> Reading {
        // Of this thread, the only one that works: time on a core, time waiting for one, in
        // nanoseconds (Documentation/scheduler/sched-stats.rst).
        let waited = fs::read_to_string("/proc/thread-self/schedstat").ok().and_then(|line| {
            let mut words = line.split_whitespace();
            words.nth(1)?.parse().ok()
        });
        Reading { at_ns: clock::now_ns(), cpu_ns: clock::cpu_ns(), waited_ns: waited.unwrap_or(0) }
    }

    /// What was used since.
    pub(super) fn until(self, later: Reading) -> Use {
        Use {
            watched_ns: later.at_ns - self.at_ns,
            cpu_ns: later.cpu_ns - self.cpu_ns,
            waited_ns: later.waited_ns.saturating_sub(self.waited_ns),
        }
    }
}
