//! Where in a channel's log a PushStream client begins that names a place in time, or a message.

use crate::limits::{CLOCK_SKEW_S, LOOKED_AT_ONCE};
use crate::message;
use crate::position::Offset;
use crate::protocol::{channel_of, message_of};
use crate::pushstream::{Place, Settings, Since, Stamp};
use crate::room_log::{FrameRun, RoomLog};

use super::unstored::Unstored;

/// What a client wants to begin with, and what it may have.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) since: &'a Since,
    /// What was gathered for so long, in milliseconds, may not have been sent yet.
    pub(super) flush_interval_ms: u64,
    /// Messages, at most.
    pub(super) stored_max: u32,
    /// The same, from the beginning of time.
    pub(super) newcomers_max: u32,
    /// None that was said before.
    pub(super) not_before_ms: u64,
    /// The message by which the channel was last deleted: nothing is before it.
    pub(super) deleted: Offset,
    /// None of these.
    pub(super) unstored: &'a Unstored,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(
        settings: &Settings,
        since: &'a Since,
        (flush_interval_ms, now_ms): (u64, u64),
        (deleted, unstored): (Offset, &'a Unstored),
    ) -> Wanted<'a> {
        let not_before_ms = settings.message_ttl_ms.map_or(0, |ttl| now_ms.saturating_sub(ttl));
        let (stored_max, newcomers_max) = (settings.stored_max, settings.newcomers_max);
        Wanted { since, flush_interval_ms, stored_max, newcomers_max, not_before_ms, deleted, unstored }
    }
}

/// Where a message is in time.
pub(super) fn stamp_of(run: &FrameRun, index: usize) -> Stamp {
    let frame = run.frame(index);
    let time = message::time_of(message_of(frame)).unwrap_or_default();
    Stamp::of(time, Offset(run.before.0 + index as u64 + 1), channel_of(frame))
}

/// Where the message with this offset is in time.
pub(super) fn stamp_at(plain: &RoomLog, offset: Offset) -> Option<Stamp> {
    let run = plain.run_after(Offset(offset.0.checked_sub(1)?), 1);
    (run.last() == offset && !run.ids.is_empty()).then(|| stamp_of(&run, 0))
}

/// The last message behind a place by which the channel was deleted.
pub(super) fn last_deletion(plain: &RoomLog, from: Offset) -> Option<Offset> {
    if from >= plain.head_offset() {
        return None;
    }
    let run = plain.run_after(from, usize::MAX);
    memchr::memmem::find(&run.bytes, message::DELETION_MARK)?;
    let deletes = |index: &usize| {
        message::read_posted(message_of(run.frame(*index))).is_some_and(|posted| posted.deletes)
    };
    let last = (0..run.ids.len()).rev().find(deletes)?;
    Some(Offset(run.before.0 + last as u64 + 1))
}

/// The place behind which stands all that newcomers may have.
fn oldest(plain: &RoomLog, wanted: &Wanted<'_>) -> Offset {
    let kept = wanted.unstored.back(plain, wanted.stored_max).max(wanted.deleted).min(plain.head_offset());
    if wanted.not_before_ms == 0 {
        return kept;
    }
    let said_later = |at: Offset| {
        let run = plain.run_after(at, 1);
        let time = message::time_of(message_of(run.frame(0))).unwrap_or_default();
        time.0 >= wanted.not_before_ms
    };
    // Messages are kept in about the order in which they were said.
    let (mut low, mut high) = (kept.0, plain.head_offset().0);
    while low < high {
        let middle = low.midpoint(high);
        if said_later(Offset(middle)) { high = middle } else { low = middle + 1 }
    }
    Offset(low)
}

/// How many messages there have been since the last deletion, and how many of them newcomers may have.
pub(super) fn counts(plain: &RoomLog, wanted: &Wanted<'_>) -> (u64, u64) {
    let (head, first) = (plain.head_offset().0, oldest(plain, wanted).0);
    let unstored = wanted.unstored.behind(Offset(first));
    (head.saturating_sub(wanted.deleted.0), head.saturating_sub(first).saturating_sub(unstored))
}

/// The place behind which all that is wanted stands.
pub(super) fn place(plain: &RoomLog, wanted: &Wanted<'_>) -> Offset {
    let (head, oldest) = (plain.head(), oldest(plain, wanted));
    match wanted.since {
        Since::Now => head.offset,
        Since::Last(count) => wanted.unstored.back(plain, *count).max(oldest),
        Since::After { event: None, stamp: Some(Stamp { second: 0, .. }), exactly: None } => {
            wanted.unstored.back(plain, wanted.newcomers_max).max(oldest)
        }
        Since::After { event, stamp, exactly } => {
            let here =
                |place: &Place| *place == Place::of(head.epoch, place.offset) && place.offset <= head.offset;
            if let Some(place) = exactly.filter(here) {
                return place.offset.max(oldest);
            }
            if exactly.is_some_and(|place| place.offset == Offset::START) {
                // There was nothing here then: what is here now is new.
                return oldest;
            }
            // Where this channel was in another past nobody knows: all of that second may be new.
            let stamp = stamp.map(|stamp| if exactly.is_some() { Stamp { tag: 0, ..stamp } } else { stamp });
            let by_event = event.as_deref().and_then(|id| behind_event(plain, id));
            let by_time =
                stamp.map(|stamp| behind(plain, oldest, stamp, stamp.earlier_by(wanted.flush_interval_ms)));
            let found = by_event.into_iter().chain(by_time).min();
            found.unwrap_or(head.offset).max(oldest)
        }
    }
}

/// Behind the first message that its publisher gave this id.
fn behind_event(plain: &RoomLog, id: &str) -> Option<Offset> {
    let run = plain.run_after(Offset::START, usize::MAX);
    // Mostly it is not here, and that is soon seen.
    memchr::memmem::find(&run.bytes, id.as_bytes())?;
    let is_it = |index: &usize| {
        let posted = message::read_posted(message_of(run.frame(*index)));
        posted.is_some_and(|posted| posted.event_id.as_deref() == Some(id))
    };
    let first = (0..run.ids.len()).find(is_it)?;
    Some(Offset(run.before.0 + first as u64 + 1))
}

/// Behind a place in time. One that is no message of this channel is one of another's, which may have been
/// sent when what was said here shortly before was still gathered: that is wanted too, from `earlier` on.
fn behind(plain: &RoomLog, oldest: Offset, after: Stamp, earlier: Stamp) -> Offset {
    let head = plain.head_offset();
    let first_kept = plain.run_after(oldest, 1);
    if first_kept.ids.is_empty() || earlier.second + CLOCK_SKEW_S < stamp_of(&first_kept, 0).second {
        return oldest;
    }
    let (mut first, mut at) = (head, head);
    while at > oldest {
        let from = Offset(at.0.saturating_sub(LOOKED_AT_ONCE).max(oldest.0));
        let run = plain.run_after(from, usize::try_from(at.0 - from.0).unwrap_or(usize::MAX));
        let mut all_old = true;
        for index in (0..run.ids.len()).rev() {
            let (stamp, offset) = (stamp_of(&run, index), Offset(from.0 + index as u64 + 1));
            if stamp == after {
                // This very message was the last.
                return offset;
            }
            if stamp > earlier {
                first = Offset(offset.0 - 1);
            }
            all_old &= stamp.second + CLOCK_SKEW_S < earlier.second;
        }
        if all_old {
            break;
        }
        at = from;
    }
    first
}

/// Where a client is that was in another past: behind the same message, or one said then, if that is there;
/// else before everything.
pub(super) fn same_place(old: &RoomLog, new: &RoomLog, cursor: Offset) -> Offset {
    let beginning = new.back(u32::MAX);
    if cursor == Offset::START {
        return beginning;
    }
    let Some(id) = old.id_at(cursor) else { return beginning };
    if let Some(found) = new.find(id) {
        return found;
    }
    let run = old.run_after(Offset(cursor.0 - 1), 1);
    if run.ids.first() == Some(&id) {
        let stamp = stamp_of(&run, 0);
        return behind(new, beginning, stamp, stamp);
    }
    beginning
}
