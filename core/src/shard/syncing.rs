//! How a copy of a channel catches up with its owner before somebody is told where the channel is
//! who has seen more of it than the copy has: on another shard, or on this one before a pause. Where
//! other processes publish too, the owner catches up with the broker first.

use crate::limits::CLOCK_SKEW_S;
use crate::message::UnixMillis;
use crate::names::ChannelName;
use crate::position::Position;
use crate::pushstream::{Place, Since, Stamp};
use crate::room_log::RoomLog;

use super::channels::ShardMessage;
use super::connection::PendingSubscribe;
use super::past::stamp_at;
use super::slab::Key;
use super::{Outside, Shard};

/// Number of a question to the owner of a channel; a shard gives none out twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncNumber(u64);

impl SyncNumber {
    fn next(self) -> SyncNumber {
        SyncNumber(self.0 + 1)
    }
}

/// What a copy has asked its owner.
#[derive(Debug, Default)]
pub(super) struct Syncing {
    /// The question that has no answer yet: one at a time.
    asked: Option<SyncNumber>,
    /// The last one that was answered.
    answered: SyncNumber,
}

impl Syncing {
    /// There will be no answer: the owner let go of the channel.
    pub(super) fn unanswered(&mut self) {
        self.asked = None;
    }
}

/// Questions, of this shard and others, that only the broker can answer.
#[derive(Debug, Default)]
pub(super) struct StoreSyncs {
    /// Asked before the question to the broker that is on its way.
    now: Vec<(u16, SyncNumber)>,
    /// Asked since.
    next: Vec<(u16, SyncNumber)>,
}

impl StoreSyncs {
    /// Who asked.
    pub(super) fn of_shards(&self) -> Vec<u16> {
        self.now.iter().chain(&self.next).map(|(shard, _)| *shard).collect()
    }
}

/// Whether somebody has seen what is newer than anything here.
fn is_behind(log: &RoomLog, since: &Since, now: UnixMillis) -> bool {
    let Since::After { stamp, exactly, .. } = since else { return false };
    let head = log.head();
    if let Some(place) = exactly.filter(|place| *place == Place::of(head.epoch, place.offset)) {
        return place.offset > head.offset;
    }
    let Some(stamp) = stamp else { return false };
    // What nobody can have said yet is made up.
    if stamp.second > now.whole_seconds() + CLOCK_SKEW_S {
        return false;
    }
    let head = stamp_at(log, head.offset).unwrap_or(Stamp { second: 0, tag: 0 });
    head.second < stamp.second
        || (head.second == stamp.second && stamp.tag < u64::MAX && head.tag < stamp.tag)
}

impl Shard {
    /// Has the copies catch up of which a client has seen more than is here: else it would be told
    /// that it cannot recover, and be sent messages again. Returns whether it has to wait.
    ///
    /// Only the answer to a question asked after the call came says anything: an earlier one may
    /// have been on its way. After that answer, whoever is still ahead has made its position up.
    pub(super) fn catch_up_first(
        &mut self,
        key: Key,
        pending: &mut PendingSubscribe,
        outside: &mut impl Outside,
    ) -> bool {
        let polls = pending.want.as_ref().is_some_and(|want| want.mode.is_poll());
        for (place, item) in pending.items.iter_mut().enumerate() {
            let Some(channel) = self.channels.at_mut(item.channel) else { continue };
            let Some(log) = channel.log.as_ref() else { continue };
            let since = pending.want.as_ref().and_then(|want| want.channels.get(place)).map(|one| &one.since);
            // Another count may have begun where others can publish.
            let of_position = |position: Position| {
                log.is_behind(position) || (self.shared_store && position.epoch != log.head().epoch)
            };
            let unsure = match (item.position, since) {
                (Some(position), _) => of_position(position),
                // A poll sees what was published before it, on whatever shard both have come.
                (None, Some(_)) if polls && !self.shared_store => true,
                (None, Some(since)) => is_behind(log, since, self.now.unix),
                (None, None) => continue,
            };
            let number = *item.answer.get_or_insert(self.last_sync.next());
            let elsewhere = self.shared_store || channel.name.owner(self.shards) != self.shard;
            if number > channel.sync.answered && unsure && elsewhere {
                channel.waiters.push(key);
                pending.missing += 1;
                self.ask_owner(item.channel, outside);
            }
        }
        pending.missing > 0
    }

    /// Asks the owner for what this shard's copy lacks, unless a question is on its way. The owner's
    /// own log is the truth.
    fn ask_owner(&mut self, index: u32, outside: &mut impl Outside) {
        let Some(channel) = self.channels.at_mut(index).filter(|channel| channel.sync.asked.is_none()) else {
            return;
        };
        self.last_sync = self.last_sync.next();
        channel.sync.asked = Some(self.last_sync);
        let name = channel.name.clone();
        // An owner that let go of the channel must have it again before its answer is worth anything.
        if self.refetch.contains(&name) {
            self.fetch_channel(&name, outside);
        }
        let (owner, number) = (name.owner(self.shards), self.last_sync);
        if owner == self.shard {
            self.ask_store(&name, owner, number, outside);
        } else {
            self.tell_shard(owner, ShardMessage::Sync(name, self.shard, number), outside);
        }
    }

    /// At the owner, where others publish too: what the broker says from now on answers the question.
    pub(super) fn ask_store(
        &mut self,
        name: &ChannelName,
        shard: u16,
        number: SyncNumber,
        outside: &mut impl Outside,
    ) {
        let index = self.channel_index.get(name).copied();
        let Some(channel) = index.and_then(|index| self.channels.at_mut(index)) else { return };
        let syncs = channel.store_syncs.get_or_insert_default();
        // What is on its way may be older than what was seen.
        let queue = if channel.fetching { &mut syncs.next } else { &mut syncs.now };
        queue.push((shard, number));
        self.fetch_channel(name, outside);
    }

    /// The broker has said where a channel is.
    pub(super) fn store_answered(&mut self, index: u32, outside: &mut impl Outside) {
        let Some(channel) = self.channels.at_mut(index) else { return };
        let Some(mut syncs) = channel.store_syncs.take() else { return };
        let name = channel.name.clone();
        let now = std::mem::replace(&mut syncs.now, std::mem::take(&mut syncs.next));
        if !syncs.now.is_empty() {
            channel.store_syncs = Some(syncs);
            self.fetch_channel(&name, outside);
        }
        for (shard, number) in now {
            if shard == self.shard {
                self.synced(&name, number, outside);
                continue;
            }
            let channel = self.channels.at_mut(index);
            let attached = channel.and_then(|c| c.attached.iter_mut().find(|one| one.shard == shard));
            match attached {
                Some(attached) => {
                    attached.wants_sync = Some(number);
                    self.mark_dirty(index);
                }
                None => self.tell_shard(shard, ShardMessage::Synced(name.clone(), number), outside),
            }
        }
    }

    /// The owner has answered.
    pub(super) fn synced(&mut self, name: &ChannelName, number: SyncNumber, outside: &mut impl Outside) {
        let Some(index) = self.channel_index.get(name).copied() else { return };
        let Some(channel) = self.channels.at_mut(index) else { return };
        // Else it was asked by a copy that is no more.
        if channel.sync.asked != Some(number) {
            return;
        }
        channel.sync = Syncing { asked: None, answered: number };
        if channel.log.is_some() {
            // Whoever came after the question was asked waits again, and asks anew.
            for key in std::mem::take(&mut channel.waiters) {
                self.channel_arrived(key, index, outside);
            }
        }
        // Whoever waited may be gone.
        self.linger_if_unused(index);
    }
}
