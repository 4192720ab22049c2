//! A channel's messages for clients that asked for compression: compressed once for all of them, when
//! the first of them is sent it. The plain log stays the truth; this one follows it.

use crate::deflate::{DEFLATE_STATE_BYTES, Deflater, Inflater};
use crate::limits::DEFLATED_AT_ONCE_MAX;
use crate::position::Offset;
use crate::room_log::{FrameRun, RoomLog};
use crate::websocket::{deflated_frame, payload_of};

/// What a shard needs for compression, shared by all its connections.
#[derive(Debug, Default)]
pub(super) struct Deflating {
    deflater: Deflater,
    pub(super) inflater: Inflater,
    frame: Vec<u8>,
}

impl Deflating {
    /// Bytes that it takes, about: what the library holds is its own affair.
    pub(super) fn memory(&self) -> usize {
        DEFLATE_STATE_BYTES + self.frame.capacity()
    }
}

/// The compressed form of a channel's log.
#[derive(Debug, Default)]
pub(super) struct DeflatedLog {
    /// Subscribers that asked for it.
    subscribers: u32,
    log: Option<Box<RoomLog>>,
}

impl DeflatedLog {
    /// Somebody subscribes who asked for compression.
    pub(super) fn joined(&mut self) {
        self.subscribers += 1;
    }

    /// One of them has gone.
    pub(super) fn left(&mut self) {
        self.subscribers = self.subscribers.saturating_sub(1);
        if self.subscribers == 0 {
            self.log = None;
        }
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        self.log.as_deref().map_or(0, |log| size_of::<RoomLog>() + log.memory())
    }

    /// The log that a subscriber at this place is sent from: the compressed one, with all that is new,
    /// or the plain one where there are no means to compress, or its place is before the compressed
    /// one begins.
    pub(super) fn or<'a>(
        &'a mut self,
        plain: &'a RoomLog,
        cursor: Offset,
        deflating: Option<&mut Deflating>,
    ) -> &'a RoomLog {
        let Some(deflating) = deflating.filter(|_| cursor < plain.head_offset()) else { return plain };
        let missing = self.log.as_deref().and_then(|log| missing(log, plain));
        match (&mut self.log, missing) {
            (Some(log), Some(count)) if count <= DEFLATED_AT_ONCE_MAX => {
                deflating.extend(log, &plain.run_after(log.head_offset(), usize::MAX));
            }
            // To compress all that is kept would keep others waiting: it goes as it is.
            _ => self.log = Some(Box::new(RoomLog::new(plain.head(), plain.limits()))),
        }
        self.log.as_deref().filter(|log| log.back(u32::MAX) <= cursor).unwrap_or(plain)
    }
}

/// How many messages the compressed log lacks, if it can go on behind the plain one.
fn missing(log: &RoomLog, plain: &RoomLog) -> Option<u64> {
    let (here, there) = (log.head(), plain.head());
    let follows = here.epoch == there.epoch && here.offset >= plain.back(u32::MAX);
    there.offset.0.checked_sub(here.offset.0).filter(|_| follows)
}

impl Deflating {
    fn extend(&mut self, log: &mut RoomLog, run: &FrameRun) {
        let mut start = 0;
        for (id, end) in run.ids.iter().zip(&run.ends) {
            let frame = &run.bytes[start..*end as usize];
            start = *end as usize;
            self.frame.clear();
            match self.deflater.deflate(payload_of(frame)) {
                Some(deflated) => deflated_frame(deflated, &mut self.frame),
                None => self.frame.extend_from_slice(frame),
            }
            log.append(*id, self.frame.len(), |out| out.extend_from_slice(&self.frame));
        }
    }
}
