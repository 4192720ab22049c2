//! Whom the workers of this process have brought into which rooms: what Redis is to say, and what it is
//! told again after it has forgotten. No I/O.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chatup_core::exchange::{MemberKey, WorkerId, WorkerRecord};
use chatup_core::names::{RoomName, UserName};
use serde_json::value::RawValue;

use super::keys::Lease;
use super::telling::Telling;

/// A member that this process brought.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: UserName,
    pub(crate) public: Arc<RawValue>,
    /// Redis has not said yet whether it may come.
    pub(crate) asking: bool,
}

/// What a worker has in one room.
#[derive(Debug, Default)]
pub(crate) struct OwnRoom {
    pub(crate) members: BTreeMap<u64, Member>,
    viewers: HashMap<u16, u32>,
    /// The lease under which Redis has said that it lists the room.
    pub(crate) listed: Option<Lease>,
    /// What is told once it does; if there is something, it has been asked to.
    pub(crate) waiting: Vec<Telling>,
}

impl OwnRoom {
    pub(crate) fn viewers(&self) -> u64 {
        self.viewers.values().map(|count| u64::from(*count)).sum()
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty() && self.viewers.is_empty() && self.waiting.is_empty()
    }
}

/// A worker of this process.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) lease: Lease,
    /// The registry has heard of the lease.
    pub(crate) registered: bool,
    /// Redis may not have its people: to be compared once it says that it knows the lease.
    pub(crate) unsure: bool,
    pub(crate) record: Option<WorkerRecord>,
    /// Leases that were given up, with the rooms in which something may have been said under them since:
    /// whoever buried them has not seen that.
    pub(crate) former: Vec<(Lease, Vec<RoomName>)>,
    pub(crate) rooms: HashMap<RoomName, OwnRoom>,
}

/// All of them; there is one in a worker, none in a dispatcher.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    workers: HashMap<WorkerId, Own>,
    /// Large rooms whose comings and goings are to be told.
    pub(crate) changed: HashSet<RoomName>,
    /// Rooms of a worker in which Redis may not say what is so.
    doubtful: HashMap<WorkerId, HashSet<RoomName>>,
}

impl Presence {
    /// The worker's entry, made if it is new.
    pub(crate) fn worker(&mut self, worker: WorkerId) -> &mut Own {
        self.workers.entry(worker).or_insert_with(|| Own {
            lease: rand::random(),
            registered: false,
            unsure: false,
            record: None,
            former: Vec::new(),
            rooms: HashMap::new(),
        })
    }

    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerId, &Own)> {
        self.workers.iter().map(|(worker, own)| (*worker, own))
    }

    /// Redis may not say what is so of a worker in a room: what it was told was lost, or refused.
    pub(crate) fn doubt_room(&mut self, worker: WorkerId, room: RoomName) {
        if self.workers.contains_key(&worker) {
            self.doubtful.entry(worker).or_default().insert(room);
        }
    }

    /// The rooms in doubt; none from here on.
    pub(crate) fn take_doubtful(&mut self) -> HashMap<WorkerId, HashSet<RoomName>> {
        std::mem::take(&mut self.doubtful)
    }

    /// Whether a lease is of a worker of this process.
    pub(crate) fn has_lease(&self, lease: Lease) -> bool {
        self.workers.values().any(|own| own.lease == lease)
    }

    /// Redis may not have anybody's people.
    pub(crate) fn doubt(&mut self) {
        for own in self.workers.values_mut() {
            own.unsure = true;
            own.rooms.values_mut().for_each(|of| of.listed = None);
        }
    }

    pub(crate) fn get(&self, worker: WorkerId) -> Option<&Own> {
        self.workers.get(&worker)
    }

    pub(crate) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut Own> {
        self.workers.get_mut(&worker)
    }

    /// Whether something waits for a room of a worker to be listed.
    pub(crate) fn is_waiting(&self, worker: WorkerId, room: &RoomName) -> bool {
        let of = self.workers.get(&worker).and_then(|own| own.rooms.get(room));
        of.is_some_and(|of| !of.waiting.is_empty())
    }

    /// The worker ends.
    pub(crate) fn retire(&mut self, worker: WorkerId) -> Option<Own> {
        self.workers.remove(&worker)
    }

    /// The registry does not know the worker any more: it begins a new life, with all its people.
    pub(crate) fn renew(&mut self, worker: WorkerId) {
        if let Some(own) = self.workers.get_mut(&worker) {
            let former = std::mem::replace(&mut own.lease, rand::random());
            // Those in doubt too: there may be somebody whom only Redis knows.
            let doubtful = self.doubtful.get(&worker).into_iter().flatten();
            let rooms: HashSet<RoomName> = own.rooms.keys().chain(doubtful).cloned().collect();
            own.former.push((former, rooms.into_iter().collect()));
            own.registered = false;
        }
    }

    /// What may have been said under leases that were given up; nothing from here on.
    pub(crate) fn take_former(&mut self, worker: WorkerId) -> Vec<(Lease, Vec<RoomName>)> {
        self.workers.get_mut(&worker).map(|own| std::mem::take(&mut own.former)).unwrap_or_default()
    }

    /// There is still something of a lease that was given up.
    pub(crate) fn keep_former(&mut self, worker: WorkerId, lease: Lease, rooms: Vec<RoomName>) {
        if let Some(own) = self.workers.get_mut(&worker) {
            own.former.push((lease, rooms));
        }
    }

    /// A member is to come.
    pub(crate) fn joining(&mut self, room: &RoomName, key: MemberKey, member: Member) {
        let members = &mut self.worker(key.worker).rooms.entry(room.clone()).or_default().members;
        members.entry(key.connection).or_insert(member);
    }

    /// It may come.
    pub(crate) fn joined(&mut self, room: &RoomName, key: MemberKey) {
        let own = self.workers.get_mut(&key.worker);
        let member = own.and_then(|own| own.rooms.get_mut(room)?.members.get_mut(&key.connection));
        if let Some(member) = member {
            member.asking = false;
        }
    }

    /// It goes, or may not come. Returns what was known of it.
    pub(crate) fn left(&mut self, room: &RoomName, key: MemberKey) -> Option<Member> {
        let own = self.workers.get_mut(&key.worker)?;
        own.rooms.get_mut(room)?.members.remove(&key.connection)
    }

    /// A shard's count of a room. Returns the worker's sum.
    pub(crate) fn viewers(&mut self, worker: WorkerId, shard: u16, room: &RoomName, count: u32) -> u64 {
        let of = self.worker(worker).rooms.entry(room.clone()).or_default();
        if count > 0 {
            of.viewers.insert(shard, count);
        } else {
            of.viewers.remove(&shard);
        }
        of.viewers()
    }

    /// Forgets a room in which the worker has nobody. Returns whether it was so.
    pub(crate) fn forget_if_empty(&mut self, worker: WorkerId, room: &RoomName) -> bool {
        // Else nobody would find whoever may still be there.
        if self.doubtful.get(&worker).is_some_and(|rooms| rooms.contains(room)) {
            return false;
        }
        let Some(own) = self.workers.get_mut(&worker) else { return false };
        let empty = own.rooms.get(room).is_some_and(OwnRoom::is_empty);
        if empty {
            own.rooms.remove(room);
        }
        empty
    }
}

/// As Redis knows a member.
pub(crate) fn member_text(lease: Lease, connection: u64) -> String {
    format!("{lease:016x}:{connection}")
}

/// The connection of a member as Redis knows it.
pub(crate) fn connection_of(member: &str) -> Option<u64> {
    member.split_once(':')?.1.parse().ok()
}
