//! Who is in which room, in the order of their coming, and what is still to be told of large rooms.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chatup_core::exchange::{MemberKey, WorkerId};
use chatup_core::names::RoomName;
use serde_json::value::RawValue;

/// The members of all rooms, each with its `_public`.
#[derive(Default)]
pub(crate) struct Members {
    rooms: HashMap<RoomName, BTreeMap<u64, Arc<RawValue>>>,
    numbers: HashMap<(RoomName, MemberKey), u64>,
    next: u64,
    changes: HashMap<RoomName, Changes>,
}

/// How many came and went since that was last told.
#[derive(Clone, Copy, Default)]
pub(crate) struct Changes {
    pub(crate) joined: u64,
    pub(crate) left: u64,
}

impl Members {
    pub(crate) fn has(&self, room: &RoomName, member: MemberKey) -> bool {
        self.numbers.contains_key(&(room.clone(), member))
    }

    pub(crate) fn add(&mut self, room: &RoomName, member: MemberKey, public: &Arc<RawValue>) {
        self.numbers.insert((room.clone(), member), self.next);
        self.rooms.entry(room.clone()).or_default().insert(self.next, Arc::clone(public));
        self.next += 1;
    }

    pub(crate) fn remove(&mut self, room: &RoomName, member: MemberKey) -> Option<Arc<RawValue>> {
        let number = self.numbers.remove(&(room.clone(), member))?;
        let members = self.rooms.get_mut(room)?;
        let public = members.remove(&number);
        if members.is_empty() {
            self.rooms.remove(room);
        }
        public
    }

    pub(crate) fn count(&self, room: &RoomName) -> usize {
        self.rooms.get(room).map_or(0, BTreeMap::len)
    }

    pub(crate) fn some(&self, room: &RoomName, skip: usize, limit: usize) -> Vec<Arc<RawValue>> {
        let members = self.rooms.get(room).into_iter().flat_map(BTreeMap::values);
        members.skip(skip).take(limit).cloned().collect()
    }

    pub(crate) fn of_worker(&self, worker: WorkerId) -> Vec<(RoomName, MemberKey)> {
        self.numbers.keys().filter(|(_, member)| member.worker == worker).cloned().collect()
    }

    /// One more is to be told of later.
    pub(crate) fn changed(&mut self, room: &RoomName, joined: bool) {
        let changes = self.changes.entry(room.clone()).or_default();
        *if joined { &mut changes.joined } else { &mut changes.left } += 1;
    }

    /// What is to be told now.
    pub(crate) fn take_changes(&mut self) -> Vec<(RoomName, Changes)> {
        std::mem::take(&mut self.changes).into_iter().collect()
    }
}
