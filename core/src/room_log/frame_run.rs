//! A run of messages as it goes from one log to another.

use crate::position::{Epoch, MessageId, Offset};

/// Consecutive messages on their way from the log that owns a channel to a copy of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRun {
    /// Which count.
    pub epoch: Epoch,
    /// Offset of the message before the first.
    pub before: Offset,
    /// Its id.
    pub before_id: MessageId,
    /// The frames, laid end to end.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<u32>,
    /// The messages' ids.
    pub ids: Vec<MessageId>,
}

impl FrameRun {
    /// The offset of its last message.
    #[must_use]
    pub fn last(&self) -> Offset {
        Offset(self.before.0 + self.ids.len() as u64)
    }

    /// The frame of the message at this place, from 0; nothing behind the last.
    #[must_use]
    pub fn frame(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let range = start.zip(self.ends.get(index).copied());
        range.and_then(|(start, end)| self.bytes.get(start as usize..end as usize)).unwrap_or_default()
    }
}
