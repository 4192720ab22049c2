//! What is to happen at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The connection in this slot is to be made.
    Connect(usize),
    /// The slow client in this slot reads a little.
    ReadSlowly(usize),
    /// The client in this slot asks again, if it is still of this generation.
    Ask(usize, u32),
    /// The connection in this slot must be ready, if it is still of this generation.
    Deadline(usize, u32),
    /// Everybody is cut off.
    Cut,
    /// A client leaves for a new one to come.
    Churn,
    /// A connection is made only to be closed again.
    PassBy,
    /// The slow clients become slow.
    HoldBack,
    /// It is time to say how things stand.
    Progress,
}

/// All of it, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(u64, What)>>);

impl Timers {
    pub(super) fn set(&mut self, at_ns: u64, what: What) {
        self.0.push(Reverse((at_ns, what)));
    }

    /// When the next one is due.
    pub(super) fn next_ns(&self) -> u64 {
        self.0.peek().map_or(u64::MAX, |Reverse((at_ns, _))| *at_ns)
    }

    /// The next one that is due: and when it was.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<(u64, What)> {
        if self.next_ns() > now_ns {
            return None;
        }
        self.0.pop().map(|Reverse(timer)| timer)
    }

    /// Forgets all of a kind.
    pub(super) fn forget(&mut self, forgotten: impl Fn(&What) -> bool) {
        self.0.retain(|Reverse((_, what))| !forgotten(what));
    }
}
