//! A channel's messages for clients that asked for compression: compressed once for all of them, when
//! the first of them is sent it. The plain log stays the truth; this one follows it.

use crate::deflate::{Deflater, Inflater};
use crate::position::{Offset, Position};
use crate::room_log::{FrameRun, RoomLog};
use crate::websocket::{deflated_frame, payload_of};

/// What a shard needs for compression, shared by all its connections.
#[derive(Debug, Default)]
pub(super) struct Deflating {
    deflater: Deflater,
    pub(super) inflater: Inflater,
    frame: Vec<u8>,
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

    /// The log that a subscriber is sent from: the plain one, or, with the means to compress, its
    /// compressed form with all that is new.
    pub(super) fn or<'a>(&'a mut self, plain: &'a RoomLog, deflating: Option<&mut Deflating>) -> &'a RoomLog {
        let Some(deflating) = deflating else { return plain };
        let follows = self.log.as_ref().is_some_and(|log| {
            let (here, there) = (log.head(), plain.head());
            here.epoch == there.epoch && (plain.back(u32::MAX)..=there.offset).contains(&here.offset)
        });
        if !follows {
            // What is kept already goes as it is: to compress it all at once would keep others waiting.
            let all = plain.run_after(Offset::START, usize::MAX);
            let before = Position { epoch: all.epoch, offset: all.before, id: all.before_id };
            let mut log = RoomLog::new(before, plain.limits());
            log.extend(&all);
            self.log = Some(Box::new(log));
        }
        let Some(log) = &mut self.log else { return plain };
        if log.head_offset() < plain.head_offset() {
            deflating.extend(log, &plain.run_after(log.head_offset(), usize::MAX));
        }
        log
    }
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
