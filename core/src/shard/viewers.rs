//! Counting a room's viewers: the subscribers of its messages on this shard, told when they change.

use crate::names::RoomName;

use super::Shard;

impl Shard {
    pub(super) fn count_changed(&mut self, channel: u32) {
        if let Some(entry) = self.channels.at_mut(channel)
            && entry.room.is_some()
            && !entry.count_changed
        {
            entry.count_changed = true;
            self.changed_counts.push(channel);
        }
    }

    /// The counts of viewers that have changed since the last time, each in full.
    pub fn take_viewer_counts(&mut self) -> Vec<(RoomName, u32)> {
        let mut counts = std::mem::take(&mut self.gone_counts);
        for index in std::mem::take(&mut self.changed_counts) {
            let Some(channel) = self.channels.at_mut(index).filter(|channel| channel.count_changed) else {
                continue;
            };
            channel.count_changed = false;
            if let Some(room) = &channel.room {
                counts.push((room.clone(), u32::try_from(channel.subscribers.len()).unwrap_or(u32::MAX)));
            }
        }
        counts
    }

    /// Counts that could not be told: they are told again, later ones of the same room last.
    pub fn put_back_viewer_counts(&mut self, counts: Vec<(RoomName, u32)>) {
        self.gone_counts.extend(counts);
    }
}
