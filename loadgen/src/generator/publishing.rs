//! The open model: when each message is due, whoever is ready or not, and what became of it.

use std::collections::{HashMap, VecDeque};

use crate::clock::SECOND_NS;
use crate::control::{Load, Published};
use crate::plan::{Plan, Turns};
use crate::stamp::Identity;

/// What a connection that publishes still has to do.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    pub(super) number: u32,
    pub(super) next_sequence: u32,
    /// Due, and not yet written: when each was due.
    pub(super) waiting: VecDeque<u64>,
    /// Written as far as this program goes, but not with the system: where each ends in the stream of
    /// all bytes, and when it was due.
    pub(super) unflushed: VecDeque<(u64, u64)>,
    /// Not answered yet: when each was due, and its number. Empty where servers do not answer.
    pub(super) unanswered: VecDeque<(u64, u32)>,
    /// Bytes of that stream so far, written or not.
    pub(super) stream_bytes: u64,
}

/// Who has to publish what, and when.
pub(super) struct Publishing {
    turns: Turns,
    /// Slots of this process's publishers, by their number in the run.
    slots: HashMap<u32, usize>,
    pub(super) publishers: HashMap<usize, Publisher>,
    /// By this process.
    pub(super) published: Published,
    /// By all of them, once that is known.
    pub(super) everybodys: Published,
    at_ns: u64,
    end_ns: u64,
    per_s: f64,
    /// Number of the next message of this stretch of load.
    next: u64,
    next_due_ns: u64,
    /// Who says it, where there are several and some are still to come.
    rest: VecDeque<u32>,
    rest_due_ns: u64,
}

impl Publishing {
    pub(super) fn new(plan: &Plan) -> Publishing {
        Publishing {
            turns: Turns::new(plan),
            slots: HashMap::new(),
            publishers: HashMap::new(),
            published: Published::new(plan.lanes()),
            everybodys: Published::default(),
            at_ns: 0,
            end_ns: 0,
            per_s: 0.0,
            next: 0,
            next_due_ns: u64::MAX,
            rest: VecDeque::new(),
            rest_due_ns: 0,
        }
    }

    /// The connection in this slot publishes, under this number.
    pub(super) fn enroll(&mut self, number: u32, slot: usize) {
        self.slots.insert(number, slot);
        self.publishers.insert(slot, Publisher { number, ..Publisher::default() });
    }

    /// A stretch of load begins.
    pub(super) fn begin(&mut self, load: &Load) {
        self.at_ns = load.at_ns;
        self.end_ns = load.at_ns + load.warmup_ns + load.duration_ns;
        self.per_s = load.per_s;
        self.next = 0;
        self.published.measured.fill(0);
        self.next_due_ns = self.due_ns(0);
    }

    /// The time for publishing ends now.
    pub(super) fn cut_short(&mut self, now_ns: u64) {
        self.end_ns = self.end_ns.min(now_ns);
        self.next_due_ns = self.due_ns(self.next);
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "exact to the nanosecond for the first 100 days"
    )]
    fn due_ns(&self, k: u64) -> u64 {
        if self.per_s <= 0.0 || self.turns.is_empty() {
            return u64::MAX;
        }
        let due_ns = self.at_ns + (k as f64 * SECOND_NS as f64 / self.per_s) as u64;
        if due_ns < self.end_ns { due_ns } else { u64::MAX }
    }

    /// When the next message is due, whosever it is.
    pub(super) fn next_due_ns(&self) -> u64 {
        if self.rest.is_empty() { self.next_due_ns } else { 0 }
    }

    /// The next message that is due by now and this process's to publish: the slot, and when it was
    /// due.
    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<(usize, u64)> {
        loop {
            if let Some(publisher) = self.rest.pop_front() {
                if let Some(slot) = self.slots.get(&publisher) {
                    return Some((*slot, self.rest_due_ns));
                }
                continue;
            }
            if self.next_due_ns > now_ns {
                return None;
            }
            let rest = &mut self.rest;
            self.turns.of(self.next, |publisher| rest.push_back(publisher));
            self.rest_due_ns = self.next_due_ns;
            self.next += 1;
            self.next_due_ns = self.due_ns(self.next);
        }
    }

    /// The server answered what the publisher of this slot said: the number of that message.
    pub(super) fn answered(&mut self, slot: usize, due_ns: u64) -> Option<Identity> {
        let publisher = self.publishers.get_mut(&slot)?;
        let at = publisher.unanswered.iter().position(|(due, _)| *due == due_ns)?;
        let (_, sequence) = publisher.unanswered.remove(at)?;
        Some(Identity { publisher: publisher.number, sequence })
    }

    /// Whether everything is said, with the system and answered.
    pub(super) fn is_done(&self) -> bool {
        self.next_due_ns() == u64::MAX
            && self
                .publishers
                .values()
                .all(|publisher| publisher.waiting.is_empty() && publisher.unflushed.is_empty())
    }

    /// A message was published in this lane; or, if `back`, was not after all.
    pub(super) fn count(&mut self, lane: u32, measured: bool, back: bool) {
        let step = |count: &mut u64| *count = if back { count.saturating_sub(1) } else { *count + 1 };
        step(&mut self.published.all[lane as usize]);
        if measured {
            step(&mut self.published.measured[lane as usize]);
        }
    }
}
