//! The little of RFC 6455 that the floor needs: the answer to a handshake, and frames. Pure: bytes in,
//! bytes out; no sockets.

use tungstenite::handshake::derive_accept_key;

/// Bytes of a request's head, at most: a client that sends more is not one of a measurement.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a frame's payload, at most; also what one connection can make the floor keep while a frame
/// is still incomplete.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// Bytes came that are no WebSocket handshake, or no frame that the floor takes.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

/// A WebSocket handshake.
#[derive(Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The path asked for, which names the channel.
    pub path: String,
    /// The answer, as bytes to send.
    pub answer: Vec<u8>,
    /// Length of the request, in bytes.
    pub length: usize,
}

/// Reads a request's head; `None` while it is incomplete.
///
/// # Errors
/// It is no upgrade to a WebSocket, or its head is longer than [`HEAD_BYTES_MAX`].
pub fn handshake(bytes: &[u8]) -> Result<Option<Handshake>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Broken),
    };
    let path = request.path.ok_or(Broken)?.to_owned();
    let key = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.ok_or(Broken)?.value)
    );
    Ok(Some(Handshake { path, answer: answer.into_bytes(), length }))
}

/// What a client's frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole text message.
    Text,
    /// The client leaves.
    Close,
    /// It asks whether the server is there.
    Ping,
    /// It says that it is there.
    Pong,
}

/// A client's frame, its payload still masked.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is for.
    pub kind: Kind,
    mask: [u8; 4],
    payload: &'a [u8],
    /// Length of all of it, in bytes.
    pub length: usize,
}

/// Reads the frame at the beginning of these bytes; `None` while it is incomplete.
///
/// # Errors
/// It is not masked, binary, in pieces, longer than [`PAYLOAD_BYTES_MAX`], or of an unknown kind.
pub fn frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, Broken> {
    let [first, second, rest @ ..] = bytes else { return Ok(None) };
    let kind = match first {
        0x81 => Kind::Text,
        0x88 => Kind::Close,
        0x89 => Kind::Ping,
        0x8a => Kind::Pong,
        _ => return Err(Broken),
    };
    if second & 0x80 == 0 {
        return Err(Broken);
    }
    let (length, rest) = match second & 0x7f {
        126 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (usize::try_from(u64::from_be_bytes(*length)).map_err(|_| Broken)?, rest)
        }
        length => (usize::from(length), rest),
    };
    if length > PAYLOAD_BYTES_MAX {
        return Err(Broken);
    }
    let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let length = bytes.len() - rest.len() + length;
    Ok(Some(Frame { kind, mask: *mask, payload, length }))
}

impl Frame<'_> {
    /// Adds this frame to `out` as a server sends it: as text (a pong, if it is a ping), unmasked.
    pub fn answer_into(&self, out: &mut Vec<u8>) {
        out.push(if self.kind == Kind::Ping { 0x8a } else { 0x81 });
        // `frame` has bounded the length, so the casts below lose nothing.
        #[allow(clippy::cast_possible_truncation)]
        match self.payload.len() {
            length @ ..126 => out.push(length as u8),
            length @ ..0x1_0000 => {
                out.push(126);
                out.extend((length as u16).to_be_bytes());
            }
            length => {
                out.push(127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        let start = out.len();
        out.extend_from_slice(self.payload);
        for chunk in out[start..].chunks_mut(4) {
            for (byte, key) in chunk.iter_mut().zip(self.mask) {
                *byte ^= key;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame with this first byte.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x5a, 0x01, 0xff, 0x80];
        let mut bytes = vec![first];
        match payload.len() {
            length @ ..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            length @ ..0x1_0000 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    #[test]
    fn frames_of_every_length_are_read_whole_and_answered_unmasked() {
        for length in [0, 1, 3, 4, 5, 125, 126, 127, 65_535, 65_536, PAYLOAD_BYTES_MAX] {
            let payload: Vec<u8> = (0..length).map(|at| b"abcdefghijk"[at % 11]).collect();
            let mut bytes = masked(0x81, &payload);
            let whole = bytes.len();
            for cut in [0, 1, 2, 5, whole - 1] {
                assert_eq!(frame(&bytes[..cut.min(whole - 1)]), Ok(None), "{length} cut at {cut}");
            }
            bytes.extend(b"more");
            let frame = frame(&bytes).unwrap().unwrap();
            assert_eq!((frame.kind, frame.length), (Kind::Text, whole), "{length}");
            let mut out = Vec::new();
            frame.answer_into(&mut out);
            assert_eq!(&out[out.len() - length..], payload, "{length}");
            let head = match length {
                ..126 => 2,
                126..0x1_0000 => 4,
                _ => 10,
            };
            assert_eq!((out[0], out.len()), (0x81, head + length), "{length}");
        }
    }

    #[test]
    fn pings_are_answered_and_what_the_floor_does_not_take_is_broken() {
        let mut out = Vec::new();
        let bytes = masked(0x89, b"there?");
        frame(&bytes).unwrap().unwrap().answer_into(&mut out);
        assert_eq!(out, b"\x8a\x06there?");
        for (bytes, why) in [
            (&b"\x81\x02hi"[..], "not masked"),
            (b"\x01\x82", "a piece"),
            (b"\x82\x82", "binary"),
            (b"\x83\x80", "unknown"),
            (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", "too long"),
        ] {
            assert_eq!(frame(bytes), Err(Broken), "{why}");
        }
    }

    #[test]
    fn a_handshake_is_answered_with_its_key_and_names_its_path() {
        // The key and its answer are RFC 6455's, section 1.3.
        let head = "GET /c7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let whole = handshake(format!("{head}frames").as_bytes()).unwrap().unwrap();
        assert_eq!((whole.path.as_str(), whole.length), ("/c7", head.len()));
        assert!(String::from_utf8(whole.answer).unwrap().contains(": s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert_eq!(handshake(&head.as_bytes()[..40]), Ok(None));
        assert_eq!(handshake(b"GET / HTTP/1.1\r\n\r\n"), Err(Broken));
        assert_eq!(handshake(b"\x16\x03\x01"), Err(Broken));
        assert_eq!(handshake(&[b'a'; HEAD_BYTES_MAX]), Err(Broken));
    }
}
