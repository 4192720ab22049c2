//! Channels that nobody uses any more: they linger a little, so that a reconnect need not fetch the
//! log anew, make room for others when there is too little, and are closed.

use crate::exchange::Operation;
use crate::limits::CHANNEL_LINGER_MS;
use crate::names::ChannelName;
use crate::position::Offset;

use super::channels::{Channel, ShardMessage};
use super::slab::Key;
use super::tickets::NO_TICKET;
use super::{Outside, Shard};

impl Shard {
    pub(super) fn linger_if_unused(&mut self, index: u32) {
        let Some(key) = self.channels.key_at(index) else { return };
        let Some(channel) = self.channels.get_mut(key) else { return };
        if !channel.is_unused() {
            return;
        }
        channel.unused_since_ms = self.now.mono_ms;
        if !channel.lingering {
            channel.lingering = true;
            // A log without a message is not worth keeping: whoever names channels at random
            // takes no place for longer than a turn.
            let empty = channel.log.as_ref().is_some_and(|log| log.head_offset() == Offset::START);
            if empty {
                self.lingering.push_front((self.now.mono_ms, key));
            } else {
                let linger_ms = self.services.pushstream.inactivity_ms.unwrap_or(CHANNEL_LINGER_MS);
                self.lingering.push_back((self.now.mono_ms.saturating_add(linger_ms), key));
            }
        }
    }

    /// Whether there is room for so many more channels, at the cost of those that only linger.
    pub(super) fn make_room(&mut self, more: usize, outside: &mut impl Outside) -> bool {
        let own = self.services.pushstream.channels_open_max.unwrap_or(usize::MAX);
        let channels_max = (self.rules.limits.channels_per_shard_max as usize).min(own);
        while self.channels.len() + more > channels_max {
            let Some((_, key)) = self.lingering.pop_front() else { return false };
            self.close_if_unused(key, outside);
        }
        true
    }

    /// Whether so many more wildcard channels may be open, if there is a bound of their own. Those that only
    /// linger count until they are closed: looking for them among all others costs more than it is worth.
    pub(super) fn has_room_for_wildcards(&self, more: usize) -> bool {
        let wildcards_max = self.services.pushstream.wildcards_open_max;
        more == 0 || wildcards_max.is_none_or(|most| self.wildcards_open + more <= most)
    }

    /// Whether this is a wildcard channel.
    pub(super) fn is_wildcard(&self, name: &ChannelName) -> bool {
        let prefix = self.services.pushstream.wildcard_prefix.as_str();
        !prefix.is_empty() && name.as_str().starts_with(prefix)
    }

    /// A waiting `subscribe` no longer names the channel.
    pub(super) fn let_go_of_channel(&mut self, index: u32) {
        if let Some(channel) = self.channels.at_mut(index) {
            channel.holds -= 1;
        }
        self.linger_if_unused(index);
    }

    pub(super) fn close_idle_channels(&mut self, outside: &mut impl Outside) {
        while let Some((deadline, key)) = self.lingering.front().copied() {
            if deadline > self.now.mono_ms {
                return;
            }
            self.lingering.pop_front();
            // It has been used meanwhile: its time began anew.
            let linger_ms = self.services.pushstream.inactivity_ms.unwrap_or(CHANNEL_LINGER_MS);
            let unused = self.channels.get(key).filter(|channel| channel.lingering && channel.is_unused());
            let until = unused.map_or(0, |channel| channel.unused_since_ms.saturating_add(linger_ms));
            let empty = unused
                .and_then(|channel| channel.log.as_ref())
                .is_some_and(|log| log.head_offset() == Offset::START);
            if until > self.now.mono_ms && !empty {
                self.lingering.push_back((until, key));
            } else {
                self.close_if_unused(key, outside);
            }
        }
    }

    fn close_if_unused(&mut self, key: Key, outside: &mut impl Outside) {
        let Some(channel) = self.channels.get_mut(key) else { return };
        channel.lingering = false;
        if !channel.is_unused() {
            return;
        }
        self.closes(key.index);
        let Some(channel) = self.drop_channel(key) else { return };
        if let Some(room) = channel.room.filter(|_| channel.count_changed) {
            self.gone_counts.push((room, 0));
        }
        let owner = channel.name.owner(self.shards);
        if owner == self.shard {
            self.ask_broker(NO_TICKET, Operation::Close(channel.name), outside);
        } else {
            self.tell_shard(owner, ShardMessage::Detach(channel.name, self.shard), outside);
        }
    }

    /// Takes a channel out of the table.
    pub(super) fn drop_channel(&mut self, key: Key) -> Option<Channel> {
        let channel = self.channels.remove(key)?;
        self.channel_index.remove(&channel.name);
        self.crowded -= usize::from(channel.pass.crowded);
        let (owned, wildcard) =
            (channel.name.owner(self.shards) == self.shard, self.is_wildcard(&channel.name));
        self.channels_owned -= usize::from(owned);
        self.wildcards_open -= usize::from(wildcard);
        self.wildcards_owned -= usize::from(owned && wildcard);
        Some(channel)
    }
}
