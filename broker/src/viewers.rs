//! How many watch each room, added up over the shards of all workers.

use std::collections::{BTreeMap, HashMap};

use chatup_core::exchange::WorkerId;
use chatup_core::names::RoomName;

/// The counts, each as its shard last told it; none of them zero.
#[derive(Default)]
pub(crate) struct Viewers(HashMap<RoomName, HashMap<(WorkerId, u16), u32>>);

impl Viewers {
    pub(crate) fn set(&mut self, room: &RoomName, at: (WorkerId, u16), count: u32) {
        let counts = self.0.entry(room.clone()).or_default();
        if count > 0 {
            counts.insert(at, count);
            return;
        }
        counts.remove(&at);
        if counts.is_empty() {
            self.0.remove(room);
        }
    }

    pub(crate) fn of(&self, room: &RoomName) -> u64 {
        self.0.get(room).into_iter().flat_map(HashMap::values).map(|count| u64::from(*count)).sum()
    }

    /// The same by worker, in the order of their ids.
    pub(crate) fn by_worker(&self, room: &RoomName) -> Vec<(WorkerId, u64)> {
        let mut workers = BTreeMap::new();
        for ((worker, _), count) in self.0.get(room).into_iter().flatten() {
            *workers.entry(*worker).or_default() += u64::from(*count);
        }
        workers.into_iter().collect()
    }

    /// Forgets a worker's counts.
    pub(crate) fn retire(&mut self, worker: WorkerId) {
        self.0.retain(|_, counts| {
            counts.retain(|(of, _), _| *of != worker);
            !counts.is_empty()
        });
    }
}
