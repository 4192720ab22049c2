//! WebSocket frames, both ways (RFC 6455), without a socket.
//!
//! tungstenite reads and writes the headers; the checks that its pieces leave to the caller are
//! made here: masks, sizes, reserved bits, control frames, fragmentation, UTF-8 and close codes.
//! The only extension ever agreed on is compression ([`crate::deflate`]); all other reserved bits are
//! errors.

use std::borrow::Cow;
use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::deflate::Inflater;
use crate::limits::CONTROL_PAYLOAD_BYTES_MAX;
use crate::refusal::Refusal;

/// Longest header of a frame, in bytes: 2, a length of 8, a mask of 4.
pub const HEADER_BYTES_MAX: usize = 14;
/// Close code 1000: an ordinary end.
pub const CLOSE_NORMAL: u16 = 1000;
/// The other end is not allowed what it asks for.
pub const CLOSE_POLICY: u16 = 1008;

/// Something whole that came from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message, all its fragments, checked to be UTF-8.
    Text(Cow<'a, [u8]>),
    /// A ping with its payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A close with its code, if it had one.
    Close(Option<u16>),
}

/// What one look at the bytes that came gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Not a whole frame yet.
    NeedMore,
    /// A frame of so many bytes; a message if that frame made one whole.
    Frame(usize, Option<Incoming<'a>>),
}

/// Puts frames together to messages. Holds memory only in the middle of a fragmented message.
#[derive(Debug, Default)]
pub struct FrameReader {
    // Boxed: a connection pays for a pointer, not for a vector that it hardly ever needs.
    fragments: Option<Box<Fragments>>,
}

#[derive(Debug)]
struct Fragments {
    bytes: Vec<u8>,
    deflated: bool,
}

impl FrameReader {
    /// Bytes of memory that it takes outside itself.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.fragments.as_deref().map_or(0, |gathered| size_of::<Fragments>() + gathered.bytes.capacity())
    }

    /// Reads the first frame of `bytes` (unmasking it in place). Compressed messages are taken where
    /// there is an `inflater`.
    ///
    /// # Errors
    /// The refusal with which the connection ends.
    pub fn read<'a>(
        &mut self,
        bytes: &'a mut [u8],
        message_bytes_max: usize,
        inflater: Option<&mut Inflater>,
    ) -> Result<Step<'a>, Refusal> {
        let mut cursor = Cursor::new(&*bytes);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| Refusal::ProtocolError)?
        else {
            return Ok(Step::NeedMore);
        };
        // Bounded by HEADER_BYTES_MAX.
        let start = usize::try_from(cursor.position()).map_err(|_| Refusal::ProtocolError)?;
        let Some(mask) = header.mask else { return Err(Refusal::ProtocolError) };
        // Compression is said of a message, on its first frame.
        let may_be_deflated = inflater.is_some() && header.opcode == OpCode::Data(Data::Text);
        if (header.rsv1 && !may_be_deflated) || header.rsv2 || header.rsv3 {
            return Err(Refusal::ProtocolError);
        }
        let length = self.check(&header, length, message_bytes_max)?;
        let end = start + length;
        if bytes.len() < end {
            return Ok(Step::NeedMore);
        }
        let payload = &mut bytes[start..end];
        unmask(payload, mask);
        let incoming = match self.message(&header, payload)? {
            Whole::Text(whole, false) => Some(text(whole)?),
            Whole::Text(deflated, true) => {
                let inflated =
                    inflater.ok_or(Refusal::ProtocolError)?.inflate(&deflated, message_bytes_max)?;
                Some(text(Cow::Owned(inflated))?)
            }
            Whole::Control(incoming) => Some(incoming),
            Whole::Nothing => None,
        };
        Ok(Step::Frame(end, incoming))
    }

    /// The checks that need no payload, so that nothing is gathered that would be refused.
    fn check(&self, header: &FrameHeader, length: u64, message_bytes_max: usize) -> Result<usize, Refusal> {
        let gathered = self.fragments.as_ref().map_or(0, |fragments| fragments.bytes.len());
        let length = usize::try_from(length).map_err(|_| Refusal::FrameTooLarge)?;
        match header.opcode {
            OpCode::Control(_) if length > CONTROL_PAYLOAD_BYTES_MAX || !header.is_final => {
                Err(Refusal::ProtocolError)
            }
            OpCode::Control(_) => Ok(length),
            OpCode::Data(Data::Binary) => Err(Refusal::BinaryFrame),
            OpCode::Data(Data::Continue) if self.fragments.is_none() => Err(Refusal::ProtocolError),
            OpCode::Data(Data::Text) if self.fragments.is_some() => Err(Refusal::ProtocolError),
            OpCode::Data(Data::Reserved(_)) => Err(Refusal::ProtocolError),
            OpCode::Data(_) if length > message_bytes_max - gathered.min(message_bytes_max) => {
                Err(Refusal::FrameTooLarge)
            }
            OpCode::Data(_) => Ok(length),
        }
    }

    fn message<'a>(&mut self, header: &FrameHeader, payload: &'a [u8]) -> Result<Whole<'a>, Refusal> {
        match header.opcode {
            OpCode::Control(Control::Ping) => Ok(Whole::Control(Incoming::Ping(payload))),
            OpCode::Control(Control::Pong) => Ok(Whole::Control(Incoming::Pong)),
            OpCode::Control(_) => close(payload).map(|code| Whole::Control(Incoming::Close(code))),
            OpCode::Data(_) => {
                let Some(mut gathered) = self.fragments.take() else {
                    if header.is_final {
                        return Ok(Whole::Text(Cow::Borrowed(payload), header.rsv1));
                    }
                    let first = Fragments { bytes: payload.to_vec(), deflated: header.rsv1 };
                    self.fragments = Some(Box::new(first));
                    return Ok(Whole::Nothing);
                };
                gathered.bytes.extend_from_slice(payload);
                if header.is_final {
                    return Ok(Whole::Text(Cow::Owned(gathered.bytes), gathered.deflated));
                }
                self.fragments = Some(gathered);
                Ok(Whole::Nothing)
            }
        }
    }
}

/// What a frame has made whole.
enum Whole<'a> {
    Nothing,
    /// All of a text, and whether it is compressed.
    Text(Cow<'a, [u8]>, bool),
    Control(Incoming<'a>),
}

fn text(payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Refusal> {
    match std::str::from_utf8(&payload) {
        Ok(_) => Ok(Incoming::Text(payload)),
        Err(_) => Err(Refusal::InvalidUtf8),
    }
}

fn close(payload: &[u8]) -> Result<Option<u16>, Refusal> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !CloseCode::from(code).is_allowed() {
                return Err(Refusal::ProtocolError);
            }
            std::str::from_utf8(reason).map_err(|_| Refusal::InvalidUtf8)?;
            Ok(Some(code))
        }
        [_] => Err(Refusal::ProtocolError),
    }
}

/// Takes a client's mask off (RFC 6455, 5.3), eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut eight = [0; 8];
        eight.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends the header of an unfragmented frame from the server.
fn header(opcode: OpCode, length: usize, out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Writing to a vector cannot fail.
    let _ = header.format(length as u64, out);
}

/// Bytes that the header of a text frame of so long a payload takes.
#[must_use]
pub fn text_header_bytes(length: usize) -> usize {
    FrameHeader::default().len(length as u64)
}

/// Appends the header of a text frame; the payload of that length follows.
pub fn text_header(length: usize, out: &mut Vec<u8>) {
    header(OpCode::Data(Data::Text), length, out);
}

/// Appends a text frame whose payload is compressed.
pub fn deflated_frame(payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), rsv1: true, ..FrameHeader::default() };
    // Writing to a vector cannot fail.
    let _ = header.format(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

/// The payload of a whole frame from the server.
#[must_use]
pub fn payload_of(frame: &[u8]) -> &[u8] {
    let mut cursor = Cursor::new(frame);
    let _ = FrameHeader::parse(&mut cursor);
    frame.get(usize::try_from(cursor.position()).unwrap_or(usize::MAX)..).unwrap_or_default()
}

/// The texts of frames that were written here, one behind the other; other frames are left out.
pub fn texts(frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut cursor = Cursor::new(frames);
    std::iter::from_fn(move || {
        loop {
            let (header, length) = FrameHeader::parse(&mut cursor).ok()??;
            let from = usize::try_from(cursor.position()).ok()?;
            let end = from.checked_add(usize::try_from(length).ok()?)?;
            let payload = frames.get(from..end)?;
            cursor.set_position(end as u64);
            if header.opcode == OpCode::Data(Data::Text) {
                return Some(payload);
            }
        }
    })
}

/// Appends a text frame.
pub fn text_frame(payload: &[u8], out: &mut Vec<u8>) {
    text_header(payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends a pong to a ping of this payload.
pub fn pong_frame(payload: &[u8], out: &mut Vec<u8>) {
    header(OpCode::Control(Control::Pong), payload.len(), out);
    out.extend_from_slice(payload);
}

/// A ping without payload: the same two bytes for everybody.
pub const PING_FRAME: [u8; 2] = [0x89, 0x00];

/// Appends a close frame; a reason over the room of a control frame is cut.
pub fn close_frame(code: u16, reason: &str, out: &mut Vec<u8>) {
    let cut = reason.floor_char_boundary(CONTROL_PAYLOAD_BYTES_MAX - 2);
    header(OpCode::Control(Control::Close), 2 + cut, out);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..cut]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1_000;

    /// A client's frame: first byte, payload, masked.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x11, 0x22, 0x33, 0x44];
        let mut bytes = vec![first];
        match payload.len() {
            n @ 0..=125 => bytes.push(0x80 | u8::try_from(n).unwrap()),
            n @ 126..=65_535 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(n).unwrap().to_be_bytes());
            }
            n => {
                bytes.push(0x80 | 127);
                bytes.extend((n as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// Everything that a stream of frames gives, in words.
    fn read_all(bytes: &[u8]) -> Vec<String> {
        read_with(bytes, None)
    }

    fn read_with(bytes: &[u8], mut inflater: Option<Inflater>) -> Vec<String> {
        let (mut reader, mut bytes, mut seen) = (FrameReader::default(), bytes.to_vec(), Vec::new());
        loop {
            let (used, incoming) = match reader.read(&mut bytes, MAX, inflater.as_mut()) {
                Ok(Step::NeedMore) => break,
                Ok(Step::Frame(used, incoming)) => (used, incoming.map(|i| describe(&i))),
                Err(refusal) => {
                    seen.push(refusal.code().into());
                    break;
                }
            };
            seen.extend(incoming);
            bytes.drain(..used);
        }
        seen
    }

    fn describe(incoming: &Incoming<'_>) -> String {
        match incoming {
            Incoming::Text(text) => format!("text {}", String::from_utf8_lossy(text)),
            Incoming::Ping(payload) => format!("ping {}", payload.len()),
            Incoming::Pong => "pong".into(),
            Incoming::Close(code) => format!("close {code:?}"),
        }
    }

    #[test]
    fn streams_of_frames() {
        let joined = |frames: &[Vec<u8>]| frames.concat();
        let mut unmasked = frame(0x81, b"hi");
        unmasked[1] &= 0x7f;
        let table: Vec<(&str, Vec<u8>, &[&str])> = vec![
            ("text", frame(0x81, b"hi"), &["text hi"]),
            ("two in one read", joined(&[frame(0x81, b"a"), frame(0x81, b"b")]), &["text a", "text b"]),
            ("fragments", joined(&[frame(0x01, b"a"), frame(0x00, b"b"), frame(0x80, b"c")]), &["text abc"]),
            (
                "a ping between fragments",
                joined(&[frame(0x01, b"a"), frame(0x89, b"p"), frame(0x80, b"c")]),
                &["ping 1", "text ac"],
            ),
            ("empty fragments", joined(&[frame(0x01, b""), frame(0x80, b"")]), &["text "]),
            ("split utf-8", joined(&[frame(0x01, b"\xc3"), frame(0x80, b"\xa9")]), &["text \u{e9}"]),
            ("pong", frame(0x8a, b""), &["pong"]),
            ("close", frame(0x88, &[0x03, 0xe8]), &["close Some(1000)"]),
            ("empty close", frame(0x88, b""), &["close None"]),
            ("private close code", frame(0x88, &[0x0f, 0xa0, b'x']), &["close Some(4000)"]),
            ("close of one byte", frame(0x88, &[3]), &["protocol_error"]),
            ("close code 1005", frame(0x88, &[0x03, 0xed]), &["protocol_error"]),
            ("close code 999", frame(0x88, &[0x03, 0xe7]), &["protocol_error"]),
            ("close reason not utf-8", frame(0x88, &[0x03, 0xe8, 0xff]), &["invalid_utf8"]),
            ("unmasked", unmasked, &["protocol_error"]),
            ("rsv1", frame(0xc1, b"hi"), &["protocol_error"]),
            ("rsv2", frame(0xa1, b"hi"), &["protocol_error"]),
            ("rsv3", frame(0x91, b"hi"), &["protocol_error"]),
            ("reserved data opcode", frame(0x83, b""), &["protocol_error"]),
            ("reserved control opcode", frame(0x8b, b""), &["protocol_error"]),
            ("binary", frame(0x82, b"hi"), &["binary_frame"]),
            ("long ping", frame(0x89, &[0; 126]), &["protocol_error"]),
            ("fragmented ping", frame(0x09, b""), &["protocol_error"]),
            ("continuation of nothing", frame(0x80, b"x"), &["protocol_error"]),
            ("text inside fragments", joined(&[frame(0x01, b"a"), frame(0x81, b"b")]), &["protocol_error"]),
            ("not utf-8", frame(0x81, b"\xff"), &["invalid_utf8"]),
            ("surrogate", frame(0x81, b"\xed\xa0\x80"), &["invalid_utf8"]),
            ("over the limit", frame(0x81, &[b'x'; MAX + 1]), &["frame_too_large"]),
            (
                "over the limit in fragments",
                joined(&[frame(0x01, &[b'x'; MAX]), frame(0x80, b"x")]),
                &["frame_too_large"],
            ),
            ("2^63 bytes announced", [&[0x81, 0xff][..], &[0xff; 8], &[0; 4]].concat(), &["frame_too_large"]),
            ("half a header", vec![0x81], &[]),
            ("half a frame", frame(0x81, b"hi")[..7].to_vec(), &[]),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(read_all(&bytes), expected, "{name}");
        }
        for length in [125, 126, MAX] {
            assert_eq!(read_all(&frame(0x81, &vec![b'x'; length])), [format!("text {}", "x".repeat(length))]);
        }
    }

    #[test]
    fn compressed_messages_where_that_was_agreed() {
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let bomb = crate::deflate::Deflater::default().deflate(&[b'a'; MAX + 1]).expect("shorter").to_vec();
        let table: Vec<(&str, Vec<u8>, &[&str])> = vec![
            ("compressed", frame(0xc1, &hello), &["text Hello"]),
            ("not compressed", frame(0x81, b"hi"), &["text hi"]),
            (
                "in fragments",
                [frame(0x41, &hello[..3]), frame(0x89, b""), frame(0x80, &hello[3..])].concat(),
                &["ping 0", "text Hello"],
            ),
            (
                "said again",
                [frame(0x41, &hello[..3]), frame(0xc0, &hello[3..])].concat(),
                &["protocol_error"],
            ),
            ("said too late", [frame(0x01, b"a"), frame(0xc0, &hello)].concat(), &["protocol_error"]),
            ("a compressed ping", frame(0xc9, b""), &["protocol_error"]),
            ("no compressed form", frame(0xc1, b"Hello"), &["protocol_error"]),
            ("larger than is taken", frame(0xc1, &bomb), &["frame_too_large"]),
            ("not utf-8", frame(0xc1, &[0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00]), &["invalid_utf8"]),
        ];
        for (name, bytes, expected) in table {
            assert_eq!(read_with(&bytes, Some(Inflater::default())), expected, "{name}");
        }
    }

    #[test]
    fn frames_from_the_server() {
        let built = |build: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            build(&mut out);
            out
        };
        assert_eq!(built(&|out| text_frame(b"hi", out)), b"\x81\x02hi");
        assert_eq!(built(&|out| deflated_frame(b"x", out)), b"\xc1\x01x");
        for length in [0, 1, 125, 126, 65_536] {
            let payload = vec![b'x'; length];
            assert_eq!(payload_of(&built(&|out| text_frame(&payload, out))), payload);
        }
        assert_eq!(built(&|out| pong_frame(b"p", out)), b"\x8a\x01p");
        assert_eq!(built(&|out| close_frame(1001, "x", out)), b"\x88\x03\x03\xe9x");
        assert_eq!(built(&|out| close_frame(1001, &"\u{e9}".repeat(99), out)).len(), 2 + 2 + 122);
        for length in [0, 125, 126, 65_535, 65_536] {
            assert_eq!(built(&|out| text_header(length, out)).len(), text_header_bytes(length));
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics_and_never_reads_past_its_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut copy = bytes.clone();
            if let Ok(Step::Frame(used, _)) = FrameReader::default().read(&mut copy, MAX, Some(&mut Inflater::default())) {
                prop_assert!(used <= bytes.len());
            }
        }

        #[test]
        fn any_text_in_any_fragments_arrives_whole(text in ".{0,200}", cuts in prop::collection::vec(0_usize..200, 0..5)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (text.len() + 1)).collect();
            cuts.sort_unstable();
            let mut bytes = Vec::new();
            let mut start = 0;
            for (index, end) in cuts.iter().copied().chain([text.len()]).enumerate() {
                let last = index == cuts.len();
                let first = u8::from(index == 0) | if last { 0x80 } else { 0 };
                bytes.extend(frame(first, &text.as_bytes()[start..end]));
                start = end;
            }
            prop_assert_eq!(read_all(&bytes), vec![format!("text {text}")]);
        }
    }
}
