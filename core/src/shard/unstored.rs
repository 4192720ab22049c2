//! Messages of a channel that only those are sent who were there (`store_messages` is off where they were
//! published). They stand in the channel's log like all others, since that is what everybody is sent from;
//! whoever comes later is not shown them.

use std::collections::VecDeque;

use crate::message;
use crate::position::Offset;
use crate::protocol::message_of;
use crate::room_log::{FrameRun, RoomLog};

/// Where they are, of those that the log keeps.
#[derive(Debug, Default)]
pub(super) struct Unstored {
    at: VecDeque<Offset>,
}

impl Unstored {
    /// One more has come.
    pub(super) fn add(&mut self, at: Offset, log: &RoomLog) {
        let oldest = log.back(u32::MAX);
        while self.at.pop_front_if(|first| *first <= oldest).is_some() {}
        if self.at.back().is_none_or(|last| *last < at) {
            self.at.push_back(at);
        }
    }

    /// Looks for them among messages that have come.
    pub(super) fn add_all(&mut self, run: &FrameRun, log: &RoomLog) {
        // In nearly all runs nothing of the kind is found.
        if memchr::memmem::find(&run.bytes, message::UNSTORED_MARK).is_none() {
            return;
        }
        for index in 0..run.ids.len() {
            let posted = message::read_posted(message_of(run.frame(index)));
            if posted.is_some_and(|posted| posted.unstored) {
                self.add(Offset(run.before.0 + index as u64 + 1), log);
            }
        }
    }

    /// All of a log.
    pub(super) fn of(log: &RoomLog) -> Unstored {
        let mut unstored = Unstored::default();
        unstored.add_all(&log.run_after(log.back(u32::MAX), usize::MAX), log);
        unstored
    }

    pub(super) fn has(&self, at: Offset) -> bool {
        self.at.binary_search(&at).is_ok()
    }

    /// How many there are behind a place.
    pub(super) fn behind(&self, place: Offset) -> u64 {
        (self.at.len() - self.at.partition_point(|at| *at <= place)) as u64
    }

    /// The place behind which the last messages stand, so many of those that are stored.
    pub(super) fn back(&self, log: &RoomLog, count: u32) -> Offset {
        let (mut more, mut place) = (0, log.back(count));
        while count > 0 && self.behind(place) > more {
            more = self.behind(place);
            let all = u32::try_from(more).unwrap_or(u32::MAX).saturating_add(count);
            place = log.back(all);
        }
        place
    }
}
