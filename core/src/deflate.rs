//! Compression of messages (permessage-deflate, RFC 7692), never with a memory of earlier messages:
//! so what is sent can be compressed once for everybody, and an idle connection holds nothing.
//!
//! flate2 compresses; what is decided here is which offers are taken, and how large a message may
//! become.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::limits::DEFLATE_LEVEL;
use crate::refusal::Refusal;

/// What an offer that says nothing of windows is answered with.
const AGREEMENT: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// And one that says how small a window the server must keep to, if that is no smaller than ours.
const AGREEMENT_WITH_WINDOW: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12";
/// The window of what is sent, as a power of two: 4 KiB, a whole message nearly always. The default
/// of clients that ask for one at all.
const WINDOW_BITS: u8 = 12;
/// What every message's compressed form ends with, and leaves out (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Room that output begins with, at the least, in bytes.
const GROWTH_BYTES_MIN: usize = 256;

/// What the first acceptable offer of a `Sec-WebSocket-Extensions` header is answered with.
#[must_use]
pub fn agreement(header: &str) -> Option<&'static str> {
    header.split(',').find_map(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        if parts.next() != Some("permessage-deflate") {
            return None;
        }
        let mut seen: Vec<&str> = Vec::new();
        let acceptable = parts.all(|parameter| {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (parameter, None),
            };
            let repeated = seen.contains(&name);
            seen.push(name);
            !repeated
                && match (name, value) {
                    ("server_no_context_takeover" | "client_no_context_takeover", None) => true,
                    ("client_max_window_bits", None) => true,
                    ("client_max_window_bits", Some(bits)) => window(bits).is_some(),
                    ("server_max_window_bits", Some(bits)) => {
                        window(bits).is_some_and(|bits| bits >= WINDOW_BITS)
                    }
                    _ => false,
                }
        });
        let window = seen.contains(&"server_max_window_bits");
        acceptable.then_some(if window { AGREEMENT_WITH_WINDOW } else { AGREEMENT })
    })
}

/// A window's size as the RFC writes it: 8 to 15, without a leading zero.
fn window(bits: &str) -> Option<u8> {
    bits.parse().ok().filter(|number: &u8| (8..=15).contains(number) && !bits.starts_with(['0', '+']))
}

/// About what [`Deflater`] and [`Inflater`] hold together, in bytes, most of it the table in which the
/// compressor looks for what it has seen.
pub const DEFLATE_STATE_BYTES: usize = 256 * 1024;

/// Compresses messages, each for itself.
#[derive(Debug)]
pub struct Deflater {
    compress: Compress,
    out: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Deflater {
        let level = Compression::new(DEFLATE_LEVEL);
        Deflater { compress: Compress::new_with_window_bits(level, false, WINDOW_BITS), out: Vec::new() }
    }
}

impl Deflater {
    /// The compressed form of a message, if that is shorter than the message.
    pub fn deflate(&mut self, message: &[u8]) -> Option<&[u8]> {
        self.compress.reset();
        self.out.clear();
        // What does not fit is not worth sending.
        self.out.reserve(message.len() + TAIL.len());
        let status = self.compress.compress_vec(message, &mut self.out, FlushCompress::Sync);
        let whole = status.is_ok_and(|status| status == Status::Ok)
            && self.compress.total_in() == message.len() as u64;
        let deflated = self.out.strip_suffix(&TAIL).filter(|_| whole)?;
        (deflated.len() < message.len()).then_some(deflated)
    }
}

/// Takes the compression off what clients send.
#[derive(Debug)]
pub struct Inflater {
    decompress: Decompress,
    /// Bytes that have come out since [`Inflater::take_inflated`].
    inflated: usize,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater { decompress: Decompress::new(false), inflated: 0 }
    }
}

impl Inflater {
    /// The message of this compressed form, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// It would be larger ([`Refusal::FrameTooLarge`]), or this is no compressed form
    /// ([`Refusal::ProtocolError`]).
    pub fn inflate(&mut self, deflated: &[u8], bytes_max: usize) -> Result<Vec<u8>, Refusal> {
        let mut message = Vec::new();
        let result = self.inflate_into(&mut message, deflated, bytes_max);
        self.inflated += message.len();
        result.map(|()| message)
    }

    /// Bytes that have come out since this was asked last.
    pub fn take_inflated(&mut self) -> usize {
        std::mem::take(&mut self.inflated)
    }

    /// Bytes that have come out since they were taken.
    #[must_use]
    pub fn inflated(&self) -> usize {
        self.inflated
    }

    fn inflate_into(
        &mut self,
        message: &mut Vec<u8>,
        deflated: &[u8],
        bytes_max: usize,
    ) -> Result<(), Refusal> {
        self.decompress.reset(false);
        for mut piece in [deflated, &TAIL[..]] {
            while !piece.is_empty() {
                if message.len() == message.capacity() {
                    // One byte more than allowed tells too large from just right.
                    let growth = message.len().max(4 * deflated.len()).max(GROWTH_BYTES_MIN);
                    message.reserve_exact(growth.min(bytes_max + 1 - message.len()));
                }
                let (before, length) = (self.decompress.total_in(), message.len());
                let status = self
                    .decompress
                    .decompress_vec(piece, message, FlushDecompress::Sync)
                    .map_err(|_| Refusal::ProtocolError)?;
                if message.len() > bytes_max {
                    return Err(Refusal::FrameTooLarge);
                }
                let read = usize::try_from(self.decompress.total_in() - before).unwrap_or(usize::MAX);
                piece = piece.get(read..).unwrap_or_default();
                match status {
                    // A last block, and at most an empty one behind it, which lacks the tail. More could
                    // follow by the RFC; nobody sends that, and to leave it out would be worse than a no.
                    Status::StreamEnd
                        if matches!(piece, [] | [0])
                            || piece.len() <= TAIL.len() && TAIL.ends_with(piece) =>
                    {
                        return Ok(());
                    }
                    Status::StreamEnd => return Err(Refusal::ProtocolError),
                    _ if read == 0 && message.len() == length && message.len() < message.capacity() => {
                        return Err(Refusal::ProtocolError);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offers() {
        let (plain, window) = (Some(AGREEMENT), Some(AGREEMENT_WITH_WINDOW));
        let table = [
            ("permessage-deflate", plain),
            ("permessage-deflate; client_max_window_bits", plain),
            ("permessage-deflate; client_max_window_bits=15", plain),
            ("permessage-deflate;client_max_window_bits=\"8\"", plain),
            ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", plain),
            ("permessage-deflate; server_max_window_bits=12; client_max_window_bits=12", window),
            ("permessage-deflate; server_max_window_bits=15", window),
            ("x-other, permessage-deflate", plain),
            ("permessage-deflate; server_max_window_bits=10, permessage-deflate", plain),
            ("", None),
            ("x-webkit-deflate-frame", None),
            ("permessage-deflat", None),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=11", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; client_max_window_bits=16", None),
            ("permessage-deflate; client_max_window_bits=08", None),
            ("permessage-deflate; client_max_window_bits=+9", None),
            ("permessage-deflate; client_max_window_bits=", None),
            ("permessage-deflate; client_no_context_takeover=1", None),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
            ("permessage-deflate; unknown", None),
            ("permessage-deflate;", None),
        ];
        for (header, expected) in table {
            assert_eq!(agreement(header), expected, "{header}");
        }
        assert!(AGREEMENT_WITH_WINDOW.ends_with(&WINDOW_BITS.to_string()));
    }

    /// RFC 7692, 7.2.3: the very bytes.
    #[test]
    fn what_the_rfc_shows() {
        let mut inflater = Inflater::default();
        let table: [(&[u8], Result<&str, Refusal>); 9] = [
            (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], Ok("Hello")),
            (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], Ok("Hello")),
            // A block that says it is the last one, and an empty one behind it.
            (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], Ok("Hello")),
            (&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], Ok("Hello")),
            // Behind a last block: one more with content.
            (
                &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xf2, 0x48, 0x05, 0x00],
                Err(Refusal::ProtocolError),
            ),
            (&[0x00], Ok("")),
            // Not even a block: the library does not mind, and it is no call either.
            (&[], Ok("")),
            (&[0xff, 0xff, 0xff], Err(Refusal::ProtocolError)),
            (b"Hello", Err(Refusal::ProtocolError)),
        ];
        for (deflated, expected) in table {
            let given = inflater.inflate(deflated, 5);
            assert_eq!(given, expected.map(|text| text.as_bytes().to_vec()), "{deflated:02x?}");
        }
        assert_eq!(inflater.inflate(table[0].0, 4), Err(Refusal::FrameTooLarge));
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_limit() {
        let mut deflater = Deflater::default();
        let bomb = deflater.deflate(&vec![b'a'; 64 * 1024 * 1024]).expect("shorter").to_vec();
        assert!(bomb.len() < 512 * 1024);
        assert_eq!(Inflater::default().inflate(&bomb, 16_384), Err(Refusal::FrameTooLarge));
    }

    #[test]
    fn what_does_not_shrink_stays_as_it_is() {
        let mut deflater = Deflater::default();
        for message in ["", "a", "abc"] {
            assert_eq!(deflater.deflate(message.as_bytes()), None, "{message}");
        }
        assert!(deflater.deflate(&[b'a'; 100]).is_some_and(|deflated| deflated.len() < 20));
    }

    proptest! {
        #[test]
        fn there_and_back(messages in prop::collection::vec("[a-c]{0,3000}|.{0,200}", 1..5)) {
            let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
            for message in messages {
                if let Some(deflated) = deflater.deflate(message.as_bytes()) {
                    prop_assert_eq!(inflater.inflate(deflated, message.len()), Ok(message.into_bytes()));
                }
            }
        }

        #[test]
        fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..500), max in 0_usize..600) {
            if let Ok(message) = Inflater::default().inflate(&bytes, max) {
                prop_assert!(message.len() <= max);
            }
        }
    }
}
