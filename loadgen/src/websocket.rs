//! The client's side of a WebSocket (RFC 6455), without a socket: handshake and frames.
//!
//! tungstenite derives keys and reads the rarer headers; the short header of an unmasked text frame,
//! which is nearly all that a subscriber ever sees, is read by hand, since the generator must cost
//! less than the servers that it measures.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Longest head of an answer to a handshake, in bytes.
pub const HEAD_BYTES_MAX: usize = 16_384;
/// Most headers of such a head.
const HEADERS_MAX: usize = 64;
/// First byte of a whole text frame.
const WHOLE_TEXT: u8 = 0x81;
/// Lengths from here on stand in bytes of their own.
const SHORT_LENGTHS: u8 = 126;

/// What is offered where messages are to be compressed: each by itself, so that a frame means the same
/// to all.
const DEFLATE: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits";

/// Something whole that the server sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A text message.
    Text(&'a [u8]),
    /// A text message, compressed; whether that was agreed on, the caller knows.
    Deflated(&'a [u8]),
    /// A ping, to be answered with the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A close: its code (0 if it had none) and its reason.
    Close(u16, &'a [u8]),
}

/// Reads the first frame: it and its length in bytes, or nothing if it is not all there.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, &'static str> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    if *first == WHOLE_TEXT && *second <= SHORT_LENGTHS {
        let (start, length) = match (*second, rest) {
            (SHORT_LENGTHS, [high, low, ..]) => (4, usize::from(*high) << 8 | usize::from(*low)),
            (SHORT_LENGTHS, _) => return Ok(None),
            (length, _) => (2, usize::from(length)),
        };
        return Ok(bytes.get(start..start + length).map(|text| (Frame::Text(text), start + length)));
    }
    read_any(bytes)
}

fn read_any(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, &'static str> {
    let mut cursor = Cursor::new(bytes);
    let header = FrameHeader::parse(&mut cursor).map_err(|_| "a frame with a broken header")?;
    let Some((header, length)) = header else { return Ok(None) };
    let start = usize::try_from(cursor.position()).map_err(|_| "a frame beyond reason")?;
    let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
    let end = end.ok_or("a frame beyond reason")?;
    let Some(payload) = bytes.get(start..end) else { return Ok(None) };
    if header.mask.is_some() {
        return Err("a masked frame from a server");
    }
    let deflated = header.rsv1 && header.opcode == OpCode::Data(Data::Text);
    if (header.rsv1 && !deflated) || header.rsv2 || header.rsv3 {
        return Err("a frame of an extension that was not agreed on");
    }
    if !header.is_final {
        return Err("a fragmented message, which this program does not read");
    }
    let frame = match header.opcode {
        OpCode::Data(Data::Text) if deflated => Frame::Deflated(payload),
        OpCode::Data(Data::Text) => Frame::Text(payload),
        OpCode::Control(Control::Ping) => Frame::Ping(payload),
        OpCode::Control(Control::Pong) => Frame::Pong,
        OpCode::Control(Control::Close) => match payload {
            [high, low, reason @ ..] => Frame::Close(u16::from_be_bytes([*high, *low]), reason),
            _ => Frame::Close(0, b""),
        },
        OpCode::Data(Data::Binary) => return Err("a binary frame"),
        _ => return Err("a frame of an unknown kind"),
    };
    Ok(Some((frame, end)))
}

/// Masks for a client's frames: different from frame to frame, as the RFC asks, though no secret.
#[derive(Debug)]
pub struct Masks(u32);

impl Masks {
    /// A row of masks that begins anywhere.
    #[must_use]
    pub fn new(seed: u32) -> Masks {
        Masks(seed | 1)
    }

    fn next(&mut self) -> [u8; 4] {
        // Xorshift (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0.to_ne_bytes()
    }

    /// Adds a text frame.
    pub fn text(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.frame(WHOLE_TEXT, payload, out);
    }

    /// Adds the answer to a ping.
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.frame(0x8a, payload, out);
    }

    fn frame(&mut self, first: u8, payload: &[u8], out: &mut Vec<u8>) {
        out.push(first);
        match u16::try_from(payload.len()) {
            #[allow(clippy::cast_possible_truncation, reason = "below 126")]
            Ok(length) if length < u16::from(SHORT_LENGTHS) => out.push(0x80 | length as u8),
            Ok(length) => {
                out.push(0x80 | SHORT_LENGTHS);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        let mask = self.next();
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
}

/// The key of a handshake and what the server must make of it.
#[derive(Clone, Debug)]
pub struct Key {
    /// What the request carries.
    pub sent: String,
    accept: String,
}

impl Key {
    /// Of 16 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Key {
        let sent = STANDARD.encode(bytes);
        let accept = derive_accept_key(sent.as_bytes());
        Key { sent, accept }
    }
}

/// Adds the request for a WebSocket, with the offer to compress if `deflate`.
pub fn request(
    authority: &str,
    target: &str,
    key: &Key,
    subprotocol: Option<&str>,
    deflate: bool,
    out: &mut Vec<u8>,
) {
    let extensions = if deflate { format!("Sec-WebSocket-Extensions: {DEFLATE}\r\n") } else { String::new() };
    let subprotocol =
        subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    out.extend_from_slice(
        format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n{subprotocol}{extensions}\r\n",
            key.sent
        )
        .as_bytes(),
    );
}

/// Reads the answer to a handshake: its length in bytes, or nothing if it is not all there. To
/// compress must be agreed on if `deflate`, and must not otherwise.
///
/// # Errors
/// Why it is no yes, in words.
pub fn answer(bytes: &[u8], key: &Key, deflate: bool) -> Result<Option<usize>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes).map_err(|_| "the answer is no HTTP".to_owned())? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() > HEAD_BYTES_MAX => return Err("an endless head".to_owned()),
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or(0);
    if status != 101 {
        return Err(format!("HTTP status {status}"));
    }
    let accepted = response.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("sec-websocket-accept") && header.value == key.accept.as_bytes()
    });
    if !accepted {
        return Err("a handshake with a wrong key".to_owned());
    }
    let mut extensions =
        response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("sec-websocket-extensions"));
    let agreed = extensions.any(|header| {
        header.value.starts_with(b"permessage-deflate")
            && memchr::memmem::find(header.value, b"server_no_context_takeover").is_some()
    });
    match (deflate, agreed) {
        (true, false) => Err("the server does not compress".to_owned()),
        (false, true) => Err("an extension that was not offered".to_owned()),
        _ => Ok(Some(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_whole_or_not_at_all() {
        let long = [b'x'; 70_000];
        let frame = |first: u8, payload: &[u8]| {
            let mut bytes = vec![first];
            match payload.len() {
                length @ 0..126 => bytes.push(u8::try_from(length).expect("small")),
                length @ 126..65_536 => {
                    bytes.push(126);
                    bytes.extend(u16::try_from(length).expect("16 bits").to_be_bytes());
                }
                length => {
                    bytes.push(127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            bytes.extend(payload);
            bytes
        };
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = &long[..length];
            let bytes = frame(0x81, payload);
            assert_eq!(read(&bytes), Ok(Some((Frame::Text(payload), bytes.len()))), "{length}");
            for cut in [0, 1, 2, 3, 4, 9, bytes.len() - 1] {
                if cut < bytes.len() {
                    assert_eq!(read(&bytes[..cut]), Ok(None), "{length} cut at {cut}");
                }
            }
        }
        let close = [&1001u16.to_be_bytes()[..], b"bye"].concat();
        for (bytes, expected) in [
            (frame(0x89, b"hi"), Frame::Ping(b"hi")),
            (frame(0x8a, b""), Frame::Pong),
            (frame(0xc1, b"x"), Frame::Deflated(b"x")),
            (frame(0x88, b""), Frame::Close(0, b"")),
            (frame(0x88, &close), Frame::Close(1001, b"bye")),
        ] {
            assert_eq!(read(&bytes), Ok(Some((expected, bytes.len()))));
        }
        for (bytes, what) in [
            (frame(0x82, b"x"), "binary"),
            (frame(0x01, b"x"), "a fragment"),
            (frame(0xa1, b"x"), "of another extension"),
            (frame(0xc9, b"x"), "a compressed ping"),
            (vec![0x81, 0x81, 1, 2, 3, 4, 5], "masked"),
            (frame(0x83, b"x"), "unknown"),
        ] {
            assert!(read(&bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn a_server_can_read_what_is_written() {
        let mut masks = Masks::new(7);
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let mut bytes = Vec::new();
            let payload: Vec<u8> =
                (0..length).map(|i: u32| b'a' + u8::try_from(i % 26).expect("small")).collect();
            masks.text(&payload, &mut bytes);
            let mut cursor = Cursor::new(&bytes);
            let (header, read) = FrameHeader::parse(&mut cursor).expect("a header").expect("whole");
            assert_eq!(read, u64::from(length));
            let mask = header.mask.expect("a mask");
            let start = usize::try_from(cursor.position()).expect("small");
            let unmasked: Vec<u8> =
                bytes[start..].iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
            assert_eq!(unmasked, payload);
        }
    }

    #[test]
    fn only_the_right_answer_is_a_yes() {
        // The example of RFC 6455, 1.3.
        let key = Key {
            sent: "dGhlIHNhbXBsZSBub25jZQ==".to_owned(),
            accept: derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
        };
        let yes = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(answer(format!("{yes}more").as_bytes(), &key, false), Ok(Some(yes.len())));
        assert_eq!(answer(&yes.as_bytes()[..yes.len() - 1], &key, false), Ok(None));
        assert_eq!(
            answer(yes.replace("s3pP", "s3pp").as_bytes(), &key, false),
            Err("a handshake with a wrong key".to_owned())
        );
        assert_eq!(answer(b"HTTP/1.1 503 No\r\n\r\n", &key, false), Err("HTTP status 503".to_owned()));
        assert!(answer(b"hello\r\n\r\n", &key, false).is_err());
        let agreed = yes.replace(
            "Upgrade:",
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\nUpgrade:",
        );
        assert_eq!(answer(agreed.as_bytes(), &key, true), Ok(Some(agreed.len())));
        assert_eq!(
            answer(agreed.as_bytes(), &key, false),
            Err("an extension that was not offered".to_owned())
        );
        assert_eq!(answer(yes.as_bytes(), &key, true), Err("the server does not compress".to_owned()));
        let endless = format!("HTTP/1.1 101 Yes\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(answer(endless.as_bytes(), &key, false), Err("an endless head".to_owned()));
    }
}
