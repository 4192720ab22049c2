//! How the owner of a channel gets it from the broker: for the first time, after something was missing,
//! and when somebody has seen more of it than is here.

use crate::exchange::{ChannelTail, Operation};
use crate::names::ChannelName;
use crate::refusal::Refused;
use crate::room_log::RoomLog;

use super::channels::{AttachedShard, ShardMessage, append};
use super::slab::Key;
use super::tickets::open_ticket;
use super::{Outside, Shard};

impl Shard {
    /// Asks for the channel's log as it is now: the broker, or the shard that owns it.
    pub(super) fn fetch_channel(&mut self, name: &ChannelName, outside: &mut impl Outside) {
        let place = self.channel_index.get(name).and_then(|index| self.channels.key_at(*index));
        let Some((place, channel)) = place.and_then(|key| Some((key, self.channels.get_mut(key)?))) else {
            return;
        };
        // Whoever has asked already is answered soon.
        if std::mem::replace(&mut channel.fetching, true) {
            return;
        }
        let owner = name.owner(self.shards);
        if owner == self.shard {
            self.ask_broker(open_ticket(place), Operation::Open(name.clone()), outside);
        } else {
            self.tell_shard(owner, ShardMessage::Attach(name.clone(), self.shard), outside);
        }
    }

    /// The broker has opened a channel that this shard owns, or said where it is now.
    pub(super) fn opened(&mut self, tail: &ChannelTail, outside: &mut impl Outside) {
        let Some(index) = self.channel_index.get(&tail.channel).copied() else { return };
        if let Some(channel) = self.channels.at_mut(index) {
            channel.fetching = false;
        }
        self.renewed(tail, outside);
        self.store_answered(index, outside);
    }

    /// Where a channel is now, whether or not that was asked for.
    pub(super) fn renewed(&mut self, tail: &ChannelTail, outside: &mut impl Outside) {
        let Some(index) = self.channel_index.get(&tail.channel).copied() else { return };
        let log = self.channels.at(index).and_then(|channel| channel.log.as_ref());
        if let Some(skip) = log.and_then(|log| known_of(log, tail)) {
            // Nobody's log has to be made anew for what is missing at its end.
            for publication in &tail.messages[skip..] {
                self.published(publication, outside);
            }
            return;
        }
        let mut log = RoomLog::new(tail.before, self.log_limits);
        for publication in &tail.messages {
            append(&mut log, publication);
        }
        self.replace_log(index, log, outside);
    }

    /// The broker could not open the channel at this place.
    pub(super) fn open_refused(&mut self, place: Key, refused: Refused, outside: &mut impl Outside) {
        if let Some(channel) = self.channels.get(place) {
            let name = channel.name.clone();
            self.open_failed(&name, refused, outside);
        }
    }

    /// The broker could not open a channel: whoever waits for it is told, here and elsewhere.
    pub(super) fn open_failed(&mut self, name: &ChannelName, refused: Refused, outside: &mut impl Outside) {
        let Some(index) = self.channel_index.get(name).copied() else { return };
        let Some(channel) = self.channels.at_mut(index) else { return };
        channel.fetching = false;
        if channel.log.is_some() {
            // It was to catch up, and still has to, whether or not there is another message.
            self.refetch.push(name.clone());
            channel.sync.unanswered();
            let mut asked = channel.store_syncs.take().map(|syncs| syncs.of_shards()).unwrap_or_default();
            asked.retain(|shard| *shard != self.shard);
            for shard in asked {
                self.tell_shard(shard, ShardMessage::OpenFailed(name.clone(), refused), outside);
            }
            let Some(channel) = self.channels.at_mut(index) else { return };
            // Who waits for that has seen more than is here, and may ask again.
            for key in std::mem::take(&mut channel.waiters) {
                self.subscribe_failed(key, index, refused, outside);
            }
            self.linger_if_unused(index);
            return;
        }
        let waiters = std::mem::take(&mut channel.waiters);
        let attached = std::mem::take(&mut channel.attached);
        for AttachedShard { shard, .. } in attached {
            self.tell_shard(shard, ShardMessage::OpenFailed(name.clone(), refused), outside);
        }
        for key in waiters {
            self.subscribe_failed(key, index, refused, outside);
        }
        if let Some(key) = self.channels.key_at(index) {
            self.drop_channel(key);
        }
    }

    /// Asks again for what the broker could not give when messages were missing.
    pub(super) fn catch_up(&mut self, outside: &mut impl Outside) {
        for name in std::mem::take(&mut self.refetch) {
            // Unless it has been closed since.
            if self.channel_index.contains_key(&name) {
                self.fetch_channel(&name, outside);
            }
        }
    }
}

/// How many of the tail's messages a log has already, if the others only go on where it ends.
fn known_of(log: &RoomLog, tail: &ChannelTail) -> Option<usize> {
    let head = log.head();
    let known = usize::try_from(head.offset.0.checked_sub(tail.before.offset.0)?).ok()?;
    let there = match known.checked_sub(1) {
        None => tail.before.id,
        Some(last) => tail.messages.get(last)?.id,
    };
    (tail.before.epoch == head.epoch && there == head.id).then_some(known)
}
