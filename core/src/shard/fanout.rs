//! The end of a turn: what has come for a channel goes to the shards that keep a copy of it, and in
//! a pass over its subscribers to them.

use std::sync::Arc;

use crate::limits::{FANOUT_QUANTUM_SENDS, HANDOVER_MESSAGES_MAX, INFLATED_BYTES_PER_TURN};
use crate::position::Offset;
use crate::room_log::{FrameRun, RoomLog};

use super::channels::ShardMessage;
use super::sending::Begun;
use super::{Outside, Shard};

/// Whose turn it is to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Connections with something of their own.
    Ready,
    /// A channel with something new.
    Pass(u32),
}

/// How far a channel's subscribers have been sent what is new.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// The place in the list of subscribers that is next.
    at: u32,
    /// How many are still to be looked at, from there on and round.
    left: u32,
    /// How many have been looked at in this lap.
    lap: u32,
    /// Whoever takes all it is given has been sent everything up to here.
    lap_from: Offset,
    /// And will have been up to here at the end of this lap.
    lap_head: Offset,
    /// So much has come meanwhile that the log could lose it.
    pub(super) crowded: bool,
}

impl Pass {
    /// The next subscriber.
    pub(super) fn step(&mut self, subscribers: &[u32]) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let place = subscribers.get(self.at as usize).or_else(|| {
            self.at = 0;
            subscribers.first()
        })?;
        self.at += 1;
        Some(*place)
    }

    /// One more has come to the end of the list: the pass comes by, and is not to end sooner for it.
    pub(super) fn joined(&mut self) {
        self.left += u32::from(self.left > 0);
    }

    /// Counts a step; returns whether that was a lap.
    pub(super) fn lap(&mut self, subscribers: usize, head: Offset) -> bool {
        self.lap += 1;
        let whole = self.lap as usize >= subscribers;
        if whole {
            (self.lap, self.lap_from, self.lap_head) = (0, self.lap_head, head);
        }
        whole
    }

    /// Everybody has everything up to here.
    pub(super) fn caught_up(&mut self, head: Offset) {
        (self.left, self.lap, self.lap_from, self.lap_head) = (0, 0, head, head);
    }

    /// The log is another: offsets of the one before say nothing.
    pub(super) fn restart(&mut self, head: Offset) {
        (self.lap, self.lap_from, self.lap_head) = (0, head, head);
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.left > 0
    }
}

impl Shard {
    /// Messages have come for a channel.
    pub(super) fn came(&mut self, index: u32, messages: usize) {
        if let Some(channel) = self.channels.at_mut(index) {
            channel.fresh += messages;
            let capacity = channel.log.as_ref().map_or(usize::MAX, RoomLog::capacity);
            self.turn_is_full |= channel.fresh >= run_max(capacity);
            let head = channel.log.as_ref().map_or(Offset::START, RoomLog::head_offset);
            let pass = &mut channel.pass;
            let unsent = head.0.saturating_sub(pass.lap_from.0);
            if pass.left > 0 && !pass.crowded && unsent >= capacity as u64 / 2 {
                pass.crowded = true;
                self.crowded += 1;
            }
        }
        self.mark_dirty(index);
    }

    /// Whether so much has come for a channel that the turn should end: with more, its log would
    /// let go of messages before anybody could have been sent them.
    #[must_use]
    pub fn turn_is_full(&self) -> bool {
        self.turn_is_full
    }

    /// Whether clients' compressed messages have become so much in this turn that others come first.
    #[must_use]
    pub fn has_inflated_enough(&self) -> bool {
        let inflated = self.deflating.as_deref().map_or(0, |deflating| deflating.inflater.inflated());
        inflated >= INFLATED_BYTES_PER_TURN
    }

    pub(super) fn mark_dirty(&mut self, index: u32) {
        if let Some(channel) = self.channels.at_mut(index)
            && !channel.dirty
        {
            channel.dirty = true;
            self.dirty.push(index);
        }
    }

    /// Ends a turn: hands other shards what they lack of every channel with something new, and
    /// begins to pass it on to its subscribers here, at once or when its flush window ends.
    pub fn end_turn(&mut self, outside: &mut impl Outside) {
        self.flush_backlogs(outside);
        self.end_deleted(outside);
        self.begin_polls(outside);
        self.tell_events(outside);
        self.turn_is_full = false;
        if let Some(deflating) = &mut self.deflating {
            deflating.inflater.take_inflated();
        }
        self.catching_up = false;
        for index in std::mem::take(&mut self.dirty) {
            if let Some(channel) = self.channels.at_mut(index) {
                channel.dirty = false;
                channel.fresh = 0;
            }
            self.hand_over(index, outside);
            self.flush_or_wait(index);
        }
        while let Some((due_ms, key)) = self.flushing.front().copied() {
            if due_ms > self.now.mono_ms {
                break;
            }
            self.flushing.pop_front();
            if let Some(channel) = self.channels.get_mut(key) {
                channel.flushing = false;
                self.begin_pass(key.index);
            }
        }
    }

    fn flush_or_wait(&mut self, index: u32) {
        let (interval_ms, now_ms) = (self.flush_interval_ms, self.now.mono_ms);
        let Some(key) = self.channels.key_at(index) else { return };
        let Some(channel) = self.channels.get_mut(key) else { return };
        let Some(log) = &channel.log else { return };
        let waiting = log.head_offset().0.saturating_sub(channel.pass.lap_head.0);
        // A window never holds so much back that it could fall out of the log.
        if waiting == 0 {
            return;
        }
        if interval_ms == 0 || waiting >= run_max(log.capacity()) as u64 {
            self.begin_pass(index);
        } else if !channel.flushing {
            channel.flushing = true;
            self.flushing.push_back((now_ms + interval_ms, key));
        }
    }

    /// Milliseconds until the next flush window ends, if one is open.
    #[must_use]
    pub fn next_flush_ms(&self) -> Option<u64> {
        self.flushing.front().map(|(due_ms, _)| due_ms.saturating_sub(self.now.mono_ms))
    }

    /// Everybody is to be sent what is new. A pass under way goes on from where it is, once round.
    pub(super) fn begin_pass(&mut self, index: u32) {
        let Some(channel) = self.channels.at_mut(index) else { return };
        let Some(log) = &channel.log else { return };
        let everybody = u32::try_from(channel.subscribers.len()).unwrap_or(u32::MAX);
        let pass = &mut channel.pass;
        if everybody == 0 {
            pass.caught_up(log.head_offset());
            return;
        }
        if pass.left == 0 {
            (pass.lap, pass.lap_head) = (0, log.head_offset());
            self.sources.push_back(Source::Pass(index));
        }
        pass.left = everybody;
    }

    /// Begins the next send, if there is one. It counts as taken whole unless
    /// [`Shard::taken_short`] says otherwise; that and [`Shard::settle`] come before anything else.
    ///
    /// The channels with something new and the connections with something of their own take turns,
    /// a few sends each: nobody waits behind a room however large.
    pub fn next_send(&mut self, outside: &mut impl Outside) -> Option<Begun> {
        loop {
            let source = *self.sources.front()?;
            if self.credit == 0 {
                self.sources.rotate_left(1);
                self.credit = FANOUT_QUANTUM_SENDS;
                continue;
            }
            self.credit -= 1;
            let (begun, more) = match source {
                Source::Ready => match self.ready.pop_front() {
                    Some(index) => (self.begin_send(index, outside), true),
                    None => (None, false),
                },
                Source::Pass(index) => (self.begin_of_pass(index), self.goes_on(index)),
            };
            if !more {
                self.sources.pop_front();
                self.credit = FANOUT_QUANTUM_SENDS;
                self.ready_listed &= source != Source::Ready;
            }
            if begun.is_some() {
                return begun;
            }
        }
    }

    /// Whether a channel's pass goes on; notes its end.
    fn goes_on(&mut self, index: u32) -> bool {
        let Some(channel) = self.channels.at_mut(index) else { return false };
        if channel.pass.left > 0 && channel.log.is_some() {
            return true;
        }
        let head = channel.log.as_ref().map_or(Offset::START, RoomLog::head_offset);
        self.crowded -= usize::from(std::mem::take(&mut channel.pass.crowded));
        channel.pass.caught_up(head);
        false
    }

    pub(super) fn push_ready(&mut self, index: u32) {
        self.ready.push_back(index);
        if !std::mem::replace(&mut self.ready_listed, true) {
            self.sources.push_back(Source::Ready);
        }
    }

    /// Whether there is more to be sent, or to be settled first, or a poll to be begun at the end of a turn.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.sources.is_empty() || !self.again.is_empty() || !self.polls.is_empty()
    }

    /// Whether subscribers that take all they are given are so far behind that more messages could
    /// push theirs out of the log.
    #[must_use]
    pub fn is_catching_up(&self) -> bool {
        self.catching_up || self.crowded > 0
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
                synced.extend(attached.wants_sync.take().map(|number| (attached.shard, number)));
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
                if last == log.head_offset() {
                    synced.extend(attached.wants_sync.take().map(|number| (attached.shard, number)));
                }
            } else {
                behind = true;
            }
        }
        let name = channel.name.clone();
        for (shard, number) in synced {
            self.tell_shard(shard, ShardMessage::Synced(name.clone(), number), outside);
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
