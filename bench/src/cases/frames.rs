//! WebSocket frames: a client's text taken apart, the server's put together.

use std::hint::black_box;

use chatup_core::protocol::BroadcastFrame;
use chatup_core::websocket::{FrameReader, Step, text_frame};

use super::{channel, publication, words};

/// Each byte under 128, so that ASCII stays ASCII, masked or not.
const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A masked text frame, as a client sends it.
#[must_use]
pub fn masked(text: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    text_frame(text, &mut frame);
    let start = frame.len() - text.len();
    frame[1] |= 0x80;
    frame.splice(start..start, MASK);
    for (byte, key) in frame[start + MASK.len()..].iter_mut().zip(MASK.iter().cycle()) {
        *byte ^= key;
    }
    frame
}

/// Reads a masked text frame with so long a payload: header, checks, unmasking, UTF-8.
///
/// Unmasking writes over the bytes, and the same bytes are read again: every second time they are
/// a text that nobody wrote, as long and as ASCII as the first.
///
/// # Panics
/// If the frame is not read whole.
pub fn read(payload_bytes: usize) -> impl FnMut() {
    let mut frame = masked(words(payload_bytes).as_bytes());
    let mut reader = FrameReader::default();
    move || {
        let length = frame.len();
        let step = reader.read(black_box(&mut frame), 1 << 20, None);
        assert!(matches!(black_box(step), Ok(Step::Frame(used, Some(_))) if used == length));
    }
}

/// Writes an answer's frame with so long a payload.
pub fn write(payload_bytes: usize) -> impl FnMut() {
    let (payload, mut out) = (words(payload_bytes), Vec::new());
    move || {
        out.clear();
        text_frame(black_box(payload.as_bytes()), &mut out);
        black_box(&out);
    }
}

/// Builds the one frame of a message that all its subscribers are sent, its text so long.
///
/// # Panics
/// If the frame has not the announced length.
pub fn broadcast(text_bytes: usize) -> impl FnMut() {
    let (publication, mut out) = (publication(&channel(), 41, text_bytes), Vec::new());
    move || {
        out.clear();
        let frame = BroadcastFrame::new(black_box(&publication));
        frame.write(&mut out);
        assert_eq!(black_box(&out).len(), frame.len());
    }
}
