//! A channel's log: appending, and what cursors are given.

use std::hint::black_box;

use chatup_core::limits::Limits;
use chatup_core::position::{Epoch, MessageId, Offset, Position};
use chatup_core::protocol::BroadcastFrame;
use chatup_core::room_log::{LogLimits, RoomLog, Run};

use super::{channel, publication};

/// A log as a shard has it by default, full: whatever comes pushes something out.
fn full(text_bytes: usize) -> (RoomLog, Vec<u8>) {
    let limits = Limits::default();
    let limits = LogLimits {
        messages_max: limits.log_messages_max as usize,
        bytes_max: limits.log_bytes_max as usize,
    };
    let start = Position { epoch: Epoch(1), offset: Offset::START, id: MessageId::NONE };
    let (mut log, mut frame) = (RoomLog::new(start, limits), Vec::new());
    BroadcastFrame::new(&publication(&channel(), 41, text_bytes)).write(&mut frame);
    for number in 0..=limits.messages_max as u64 {
        log.append(MessageId(u128::from(number)), frame.len(), |out| out.extend_from_slice(&frame));
    }
    (log, frame)
}

/// Appends a message with a text of so many bytes to a full log.
pub fn append(text_bytes: usize) -> impl FnMut() {
    let (mut log, frame) = full(text_bytes);
    move || log.append(MessageId(7), frame.len(), |out| out.extend_from_slice(black_box(&frame)))
}

/// Finds what is new for a cursor so many messages behind: one piece of memory, however many, but
/// where a segment ends.
///
/// # Panics
/// If there is nothing.
pub fn read(behind: u64) -> impl FnMut() {
    let (log, _) = full(120);
    let cursor = Offset(log.head_offset().0 - behind);
    move || assert!(matches!(black_box(log.after(black_box(cursor))), Run::Frames(..)))
}

/// Copies the last messages for another shard.
///
/// # Panics
/// If not all are there.
pub fn run(messages: usize) -> impl FnMut() {
    let (log, _) = full(120);
    let cursor = Offset(log.head_offset().0 - messages as u64);
    move || assert_eq!(black_box(log.run_after(black_box(cursor), messages)).ids.len(), messages)
}
