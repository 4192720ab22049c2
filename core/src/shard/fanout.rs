//! The end of a turn: what has come for a channel goes to the shards that keep a copy of it, and
//! its subscribers are woken, once each.

use std::sync::Arc;

use crate::limits::HANDOVER_MESSAGES_MAX;
use crate::position::Offset;
use crate::room_log::{FrameRun, RoomLog};

use super::channels::ShardMessage;
use super::connection::Out;
use super::{Outside, Shard};

impl Shard {
    /// Messages have come for a channel.
    pub(super) fn came(&mut self, index: u32, messages: usize) {
        if let Some(channel) = self.channels.at_mut(index) {
            channel.fresh += messages;
            let capacity = channel.log.as_ref().map_or(usize::MAX, RoomLog::capacity);
            self.turn_is_full |= channel.fresh >= run_max(capacity);
        }
        self.mark_dirty(index);
    }

    /// Whether so much has come for a channel that the turn should end: with more, its log would
    /// let go of messages before anybody could have been sent them.
    #[must_use]
    pub fn turn_is_full(&self) -> bool {
        self.turn_is_full
    }

    pub(super) fn mark_dirty(&mut self, index: u32) {
        if let Some(channel) = self.channels.at_mut(index)
            && !channel.dirty
        {
            channel.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Ends a turn: wakes the subscribers of every channel with something new, once each, and
    /// hands other shards what they lack.
    pub fn end_turn(&mut self, outside: &mut impl Outside) {
        self.flush_backlogs(outside);
        self.turn_is_full = false;
        self.catching_up = false;
        for index in std::mem::take(&mut self.dirty) {
            if let Some(channel) = self.channels.at_mut(index) {
                channel.dirty = false;
                channel.fresh = 0;
            }
            self.hand_over(index, outside);
            let Some(channel) = self.channels.at(index) else { continue };
            for place in &channel.subscribers {
                if let Some(connection) = self.connections.at_mut(*place)
                    && !connection.queued
                    && matches!(connection.out, Out::Idle)
                {
                    connection.queued = true;
                    self.ready.push_back(*place);
                }
            }
        }
    }

    pub(super) fn hand_over(&mut self, index: u32, outside: &mut impl Outside) {
        let Some(channel) = self.channels.at_mut(index) else { return };
        let Some(log) = &channel.log else { return };
        // A longer run could push out of the copy what its subscribers have not been sent.
        let run_max = run_max(log.capacity());
        let (mut behind, mut synced) = (false, Vec::new());
        // Shards at the same place get the same run, copied once.
        let mut made: Option<(Option<Offset>, Arc<FrameRun>, bool)> = None;
        for attached in &mut channel.attached {
            if attached.cursor == Some(log.head_offset()) {
                synced.extend(std::mem::take(&mut attached.wants_sync).then_some(attached.shard));
                continue;
            }
            let (run, fresh) = match &made {
                Some((cursor, run, fresh)) if *cursor == attached.cursor => (Arc::clone(run), *fresh),
                _ => {
                    let oldest = log.back(u32::MAX);
                    let fresh = attached.cursor.is_none_or(|cursor| cursor < oldest);
                    let messages_max = if fresh { usize::MAX } else { run_max };
                    let run = Arc::new(log.run_after(attached.cursor.unwrap_or(Offset::START), messages_max));
                    made = Some((attached.cursor, Arc::clone(&run), fresh));
                    (run, fresh)
                }
            };
            let last = run.last();
            let message = ShardMessage::Run { channel: channel.name.clone(), fresh, run };
            if outside.to_shard(attached.shard, message).is_ok() {
                attached.cursor = Some(last);
                behind |= last < log.head_offset();
                if last == log.head_offset() && std::mem::take(&mut attached.wants_sync) {
                    synced.push(attached.shard);
                }
            } else {
                behind = true;
            }
        }
        let name = channel.name.clone();
        for shard in synced {
            self.tell_shard(shard, ShardMessage::Synced(name.clone()), outside);
        }
        if behind {
            // Its queue is full: the next turn tries again, with all that has come by then.
            self.behind = true;
            self.mark_dirty(index);
        }
    }
}

/// Most messages of a channel in one turn, and in one run to another shard: a quarter of what its
/// log keeps, so that whoever keeps up never falls out of it.
fn run_max(capacity: usize) -> usize {
    HANDOVER_MESSAGES_MAX.min(capacity / 4).max(1)
}
