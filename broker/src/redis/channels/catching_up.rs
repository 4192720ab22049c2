//! What Redis says of a channel, held against what was handed over of it.

use std::sync::Arc;

use chatup_core::exchange::ChannelTail;
use chatup_core::message::Publication;
use chatup_core::names::ChannelName;
use chatup_core::position::{MessageId, Offset, Position};

/// A message as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: Offset,
    pub(crate) id: MessageId,
    pub(crate) payload: Arc<[u8]>,
}

/// Where a channel is, as Redis says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) head: Position,
    /// The position asked about, which the entries follow; without, they are the last ones.
    pub(crate) from: Option<Position>,
    /// Consecutive, oldest first, up to the head.
    pub(crate) entries: Vec<Entry>,
}

/// The entries behind a position, if they follow it without a hole and the past is the same.
pub(super) fn following(own: Position, synced: &Synced) -> Option<&[Entry]> {
    let head = synced.head;
    if own.epoch != head.epoch || own.offset > head.offset {
        return None;
    }
    if own.offset == head.offset {
        return (own.id == head.id).then_some(&[]);
    }
    let first = synced.entries.first()?;
    let skip = usize::try_from(own.offset.next().0.checked_sub(first.offset.0)?).ok()?;
    // Whoever asked from here on has been told that this is the past that he knows.
    let known = match skip.checked_sub(1) {
        Some(before) => synced.entries.get(before).is_some_and(|entry| entry.id == own.id),
        None => synced.from.is_some() || own.offset == Offset::START,
    };
    let rest = synced.entries.get(skip..)?;
    (known && !rest.is_empty()).then_some(rest)
}

pub(super) fn publication(name: &ChannelName, position: Position, entry: &Entry) -> Publication {
    Publication {
        channel: name.clone(),
        epoch: position.epoch,
        offset: entry.offset,
        id: entry.id,
        payload: Arc::clone(&entry.payload),
    }
}

/// The last messages. The oldest entry is only the position before them, unless it is the first of all.
pub(super) fn tail(name: &ChannelName, synced: &Synced) -> ChannelTail {
    let epoch = synced.head.epoch;
    let (before, messages) = match synced.entries.split_first() {
        _ if synced.from.is_some() => (synced.from.unwrap_or(synced.head), synced.entries.as_slice()),
        None => (synced.head, &[][..]),
        Some((first, _)) if first.offset == Offset::START.next() => {
            (Position { epoch, offset: Offset::START, id: MessageId::NONE }, synced.entries.as_slice())
        }
        Some((first, rest)) => (Position { epoch, offset: first.offset, id: first.id }, rest),
    };
    let messages = messages.iter().map(|entry| publication(name, synced.head, entry)).collect();
    ChannelTail { channel: name.clone(), before, messages }
}
