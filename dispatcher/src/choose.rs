//! Which worker a client gets: the one with the fewest connections. No I/O and no clock here: who
//! is alive and what time it is are arguments.
//!
//! Workers tell their connections once a beat. What has been handed out since then counts as
//! connected, so that a burst of clients spreads instead of falling on one worker.

use std::collections::HashMap;

use chatup_core::exchange::{WorkerId, WorkerRecord};
use chatup_core::message::UnixMillis;

use crate::limits::HANDOUT_MS;

/// What has been handed out lately.
#[derive(Default)]
pub(crate) struct Handouts {
    workers: HashMap<WorkerId, Lately>,
}

/// What one worker has been handed since it was last seen to tell something new.
struct Lately {
    connections: u32,
    since: UnixMillis,
    handed_out: u64,
}

impl Handouts {
    /// The worker for one more client, out of those alive. `excluded` has just failed somebody: it
    /// is left out, unless no other takes clients (when a worker dies, a client's two connections
    /// both ask for another, and the second may name the one that is left).
    pub(crate) fn choose(
        &mut self,
        alive: &[WorkerRecord],
        excluded: Option<WorkerId>,
        now: UnixMillis,
    ) -> Option<WorkerId> {
        self.take_in(alive, now);
        let taking = alive.iter().filter(|worker| !worker.draining).map(|worker| worker.id);
        let others = taking.clone().filter(|id| Some(*id) != excluded);
        let chosen =
            others.min_by_key(|id| self.load(*id)).or_else(|| taking.min_by_key(|id| self.load(*id)))?;
        if let Some(lately) = self.workers.get_mut(&chosen) {
            lately.handed_out += 1;
        }
        Some(chosen)
    }

    /// Among equals the id decides.
    fn load(&self, id: WorkerId) -> (u64, WorkerId) {
        let load =
            self.workers.get(&id).map_or(0, |lately| u64::from(lately.connections) + lately.handed_out);
        (load, id)
    }

    /// A worker that tells another number has counted what came of the hand-outs. One that tells
    /// the same number for a while has told it again: they came to nothing.
    fn take_in(&mut self, alive: &[WorkerRecord], now: UnixMillis) {
        self.workers.retain(|id, lately| {
            now.0.saturating_sub(lately.since.0) < HANDOUT_MS
                && alive.iter().any(|worker| worker.id == *id && worker.connections == lately.connections)
        });
        for worker in alive {
            self.workers.entry(worker.id).or_insert(Lately {
                connections: worker.connections,
                since: now,
                handed_out: 0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: u128, connections: u32) -> WorkerRecord {
        WorkerRecord { id: WorkerId(id), host: String::new(), connections, draining: false }
    }

    fn draining(id: u128) -> WorkerRecord {
        WorkerRecord { draining: true, ..worker(id, 0) }
    }

    #[test]
    fn one_choice() {
        /// What, the roster, the excluded one, the chosen one.
        type Row<'a> = (&'a str, &'a [WorkerRecord], Option<u128>, Option<u128>);
        let table: &[Row<'_>] = &[
            ("nobody", &[], None, None),
            ("nobody, one excluded", &[], Some(1), None),
            ("the only one", &[worker(1, 9)], None, Some(1)),
            ("fewest connections", &[worker(1, 9), worker(2, 3), worker(3, 4)], None, Some(2)),
            ("among equals the least id", &[worker(3, 1), worker(2, 1)], None, Some(2)),
            ("the excluded one is left out", &[worker(1, 9), worker(2, 3)], Some(2), Some(1)),
            ("unless it is the only one", &[worker(2, 3)], Some(2), Some(2)),
            ("or the only one that takes clients", &[draining(1), worker(2, 3)], Some(2), Some(2)),
            ("unknown ones exclude nobody", &[worker(1, 0), worker(2, 3)], Some(7), Some(1)),
            ("draining ones are left out", &[draining(1), worker(2, 3)], None, Some(2)),
            ("draining ones are as good as none", &[draining(1)], None, None),
            ("also when excluded", &[draining(1)], Some(1), None),
        ];
        for (what, alive, excluded, expected) in table {
            let chosen = Handouts::default().choose(alive, excluded.map(WorkerId), UnixMillis(0));
            assert_eq!(chosen, expected.map(WorkerId), "{what}");
        }
    }

    /// How many of `count` clients each worker gets.
    fn burst(handouts: &mut Handouts, alive: &[WorkerRecord], count: usize, now_ms: u64) -> Vec<usize> {
        let mut got = vec![0; alive.len()];
        for _ in 0..count {
            let chosen = handouts.choose(alive, None, UnixMillis(now_ms)).unwrap();
            got[alive.iter().position(|worker| worker.id == chosen).unwrap()] += 1;
        }
        got
    }

    #[test]
    fn a_burst_spreads() {
        let mut handouts = Handouts::default();
        let alive = [worker(1, 100), worker(2, 0), worker(3, 40)];
        assert_eq!(burst(&mut handouts, &alive, 40, 0), [0, 40, 0]);
        assert_eq!(burst(&mut handouts, &alive, 120, 100), [0, 60, 60]);
        assert_eq!(burst(&mut handouts, &alive, 30, 200), [10, 10, 10]);
    }

    #[test]
    fn a_beat_tells_what_came_of_the_hand_outs() {
        let mut handouts = Handouts::default();
        assert_eq!(burst(&mut handouts, &[worker(1, 0), worker(2, 5)], 5, 0), [5, 0]);
        // All five came.
        assert_eq!(burst(&mut handouts, &[worker(1, 5), worker(2, 5)], 4, 100), [2, 2]);
        // Two came to the second; the first tells nothing new, so what it was handed counts on.
        assert_eq!(burst(&mut handouts, &[worker(1, 5), worker(2, 7)], 1, 200), [1, 0]);
        // It tells nothing new for two beats: none came.
        let later = 100 + HANDOUT_MS;
        assert_eq!(burst(&mut handouts, &[worker(1, 5), worker(2, 8)], 3, later), [3, 0]);
        assert_eq!(burst(&mut handouts, &[worker(2, 8)], 1, later), [1]);
        assert_eq!(handouts.workers.len(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_does_no_harm() {
        let mut handouts = Handouts::default();
        let alive = [worker(1, 0), worker(2, 0)];
        assert_eq!(burst(&mut handouts, &alive, 2, 10_000), [1, 1]);
        assert_eq!(burst(&mut handouts, &alive, 2, 0), [1, 1]);
    }
}
