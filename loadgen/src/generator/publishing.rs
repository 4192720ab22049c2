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

/// Messages at one rate: those of the usual channels, or of one that is kept apart.
struct Stream {
    turns: Turns,
    per_s: f64,
    /// Number of the next message of this stretch of load.
    next: u64,
    next_due_ns: u64,
}

/// Who has to publish what, and when.
pub(super) struct Publishing {
    streams: Vec<Stream>,
    /// Slots of this process's publishers, by their number in the run.
    slots: HashMap<u32, usize>,
    pub(super) publishers: HashMap<usize, Publisher>,
    /// By this process.
    pub(super) published: Published,
    /// By all of them, once that is known.
    pub(super) everybodys: Published,
    at_ns: u64,
    end_ns: u64,
    /// Who says it, where there are several and some are still to come.
    rest: VecDeque<u32>,
    rest_due_ns: u64,
}

impl Stream {
    fn new(turns: Turns) -> Stream {
        Stream { turns, per_s: 0.0, next: 0, next_due_ns: u64::MAX }
    }

    /// Finds when the next message is due, in a load that begins and ends then.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "exact to the nanosecond for the first 100 days"
    )]
    fn find_due(&mut self, at_ns: u64, end_ns: u64) {
        self.next_due_ns = u64::MAX;
        if self.per_s > 0.0 && !self.turns.is_empty() {
            let due_ns = at_ns + (self.next as f64 * SECOND_NS as f64 / self.per_s) as u64;
            self.next_due_ns = if due_ns < end_ns { due_ns } else { u64::MAX };
        }
    }
}

impl Publishing {
    pub(super) fn new(plan: &Plan) -> Publishing {
        Publishing {
            streams: Turns::new(plan).into_iter().map(Stream::new).collect(),
            slots: HashMap::new(),
            publishers: HashMap::new(),
            published: Published::new(plan.lanes()),
            everybodys: Published::default(),
            at_ns: 0,
            end_ns: 0,
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
        self.published.measured.fill(0);
        let rates = std::iter::once(load.per_s).chain(load.aside_per_s.iter().copied());
        let slots = &self.slots;
        for (stream, per_s) in self.streams.iter_mut().zip(rates.chain(std::iter::repeat(0.0))) {
            // Nothing of a stream that others publish alone need wake this process.
            let own = stream.turns.has(|publisher| slots.contains_key(&publisher));
            stream.per_s = if own { per_s } else { 0.0 };
            stream.next = 0;
            stream.find_due(self.at_ns, self.end_ns);
        }
    }

    /// The time for publishing ends now.
    pub(super) fn cut_short(&mut self, now_ns: u64) {
        self.end_ns = self.end_ns.min(now_ns);
        for stream in &mut self.streams {
            stream.find_due(self.at_ns, self.end_ns);
        }
    }

    /// When the next message is due, whosever it is.
    pub(super) fn next_due_ns(&self) -> u64 {
        let next = || self.streams.iter().map(|stream| stream.next_due_ns).min();
        if self.rest.is_empty() { next().unwrap_or(u64::MAX) } else { 0 }
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
            let stream = self.streams.iter_mut().min_by_key(|stream| stream.next_due_ns)?;
            if stream.next_due_ns > now_ns {
                return None;
            }
            let rest = &mut self.rest;
            stream.turns.of(stream.next, |publisher| rest.push_back(publisher));
            self.rest_due_ns = stream.next_due_ns;
            stream.next += 1;
            stream.find_due(self.at_ns, self.end_ns);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan_aside;

    /// Publishers of this process by their places among all; what each has to say, and when in all.
    fn said(plan: &Plan, own: impl Fn(u32) -> bool, load: &Load) -> (Vec<u64>, Vec<u64>) {
        let mut publishing = Publishing::new(plan);
        (0..plan.publishers()).filter(|number| own(*number)).for_each(|number| {
            publishing.enroll(number, number as usize);
        });
        publishing.begin(load);
        let (mut said, mut dues) = (vec![0; plan.publishers() as usize], Vec::new());
        while let Some((slot, due_ns)) = publishing.take_due(u64::MAX - 1) {
            said[slot] += 1;
            dues.push(due_ns);
        }
        assert_eq!(publishing.next_due_ns(), u64::MAX);
        (said, dues)
    }

    #[test]
    fn what_is_apart_has_a_rate_of_its_own() {
        // Publishers 0 to 19 are of the usual rooms, 20 of the large one, 21 to 24 of the small one.
        let plan = plan_aside(1);
        let load = |per_s, aside_per_s: &[f64]| Load {
            at_ns: 1_000,
            duration_ns: SECOND_NS,
            per_s,
            aside_per_s: aside_per_s.to_vec(),
            ..Load::default()
        };
        for (per_s, aside_per_s, expected) in [
            (40.0, &[][..], (40, 0, 0)),
            (40.0, &[5.0, 0.0][..], (40, 5, 0)),
            (40.0, &[0.0, 1_000.0][..], (40, 0, 1_000)),
            (20.0, &[3.0, 8.0][..], (20, 3, 8)),
            (0.0, &[0.0, 8.0][..], (0, 0, 8)),
        ] {
            let (said, dues) = said(&plan, |_| true, &load(per_s, aside_per_s));
            let sums = (said[..20].iter().sum(), said[20], said[21..].iter().sum());
            assert_eq!(sums, expected, "{per_s}, {aside_per_s:?}");
            assert!(said[21..].iter().all(|own| *own == expected.2 / 4), "in turns: {said:?}");
            assert!(dues.is_sorted(), "the earliest first, whosever it is");
        }
    }

    #[test]
    fn a_process_says_its_own_and_is_not_woken_by_what_others_say_alone() {
        let plan = plan_aside(1);
        let load = Load {
            at_ns: 1_000,
            duration_ns: SECOND_NS,
            per_s: 10.0,
            aside_per_s: vec![0.0, 100.0],
            ..Load::default()
        };
        // Of ten messages one is for each room, and there its first publisher's.
        let (said_here, dues) = said(&plan, |number| number == 2 || number == 3, &load);
        assert_eq!((said_here[2], said_here.iter().sum()), (1, 1));
        assert_eq!(dues.len(), 1);
        let mut publishing = Publishing::new(&plan);
        publishing.enroll(20, 0);
        publishing.begin(&load);
        assert_eq!(publishing.next_due_ns(), u64::MAX, "nobody speaks in the room of its publisher");
    }
}
