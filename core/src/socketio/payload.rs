//! Packets in the bodies of polls, as both engines write them.

use std::io::Write;

use crate::limits::PACKETS_PER_POST_MAX;
use crate::refusal::Refusal;

use super::Version;

/// How the packets of one body are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// By a separator (engine.io 4).
    Separated,
    /// By their lengths in digits (engine.io 3, for clients that take no binary).
    Lengths,
    /// By their lengths, a byte for each digit (engine.io 3).
    Binary,
}

const SEPARATOR: char = '\u{1e}';

impl Encoding {
    /// What a body in it is.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Encoding::Separated | Encoding::Lengths => "text/plain; charset=UTF-8",
            Encoding::Binary => "application/octet-stream",
        }
    }

    /// A body of packets. All that is said here is ASCII, so that lengths in bytes, in characters and in
    /// JavaScript's units are one.
    #[must_use]
    pub fn body<'a>(self, packets: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut body = Vec::new();
        for packet in packets {
            match self {
                Encoding::Separated if body.is_empty() => {}
                Encoding::Separated => body.push(SEPARATOR as u8),
                // Writing to memory does not fail.
                Encoding::Lengths => drop(write!(body, "{}:", packet.len())),
                Encoding::Binary => {
                    body.push(0);
                    body.extend(packet.len().to_string().bytes().map(|digit| digit - b'0'));
                    body.push(0xff);
                }
            }
            body.extend_from_slice(packet);
        }
        body
    }
}

/// The packets of a body that a client has sent.
///
/// # Errors
/// It is none.
pub fn read(version: Version, body: &[u8]) -> Result<Vec<String>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::InvalidUtf8)?;
    let packets = match version {
        Version::Four => text.split(SEPARATOR).take(PACKETS_PER_POST_MAX + 1).map(str::to_owned).collect(),
        Version::Three => by_lengths(text)?,
    };
    if packets.len() > PACKETS_PER_POST_MAX { Err(Refusal::BadRequest) } else { Ok(packets) }
}

/// Lengths count JavaScript's units: two of them make a character beyond the first 65,536.
fn by_lengths(mut text: &str) -> Result<Vec<String>, Refusal> {
    let mut packets = Vec::new();
    while !text.is_empty() {
        let (length, rest) = text.split_once(':').ok_or(Refusal::BadRequest)?;
        let digits = (1..=9).contains(&length.len()) && length.bytes().all(|byte| byte.is_ascii_digit());
        let length: usize = length.parse().ok().filter(|_| digits).ok_or(Refusal::BadRequest)?;
        let (mut units, mut bytes) = (0, 0);
        let mut characters = rest.chars();
        while units < length {
            let character = characters.next().ok_or(Refusal::BadRequest)?;
            (units, bytes) = (units + character.len_utf16(), bytes + character.len_utf8());
        }
        if units > length || packets.len() > PACKETS_PER_POST_MAX {
            return Err(Refusal::BadRequest);
        }
        let (packet, behind) = rest.split_at(bytes);
        packets.push(once_encoded(packet));
        text = behind;
    }
    Ok(packets)
}

/// Clients of Socket.IO 1 encode their packets' text twice, those of Socket.IO 2 once, and both say the
/// same of themselves. What reads as the one is taken for it.
fn once_encoded(text: &str) -> String {
    let narrow: Option<Vec<u8>> = text.chars().map(|character| u8::try_from(character).ok()).collect();
    match narrow.filter(|_| !text.is_ascii()).map(String::from_utf8) {
        Some(Ok(decoded)) => decoded,
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bodies() {
        let long = [b'x'; 97];
        let mut binary = b"\x00\x09\x07\xff".to_vec();
        binary.extend_from_slice(&long);
        binary.extend_from_slice(b"\x00\x02\xff40");
        let packets = [long.as_slice(), b"40"];
        assert_eq!(Encoding::Binary.body(packets), binary);
        assert_eq!(Encoding::Lengths.body([b"6".as_slice(), b"40"]), b"1:62:40");
        assert_eq!(Encoding::Separated.body([b"6".as_slice(), b"40"]), b"6\x1e40");
    }

    #[test]
    fn packets() {
        let three: [(&str, &[&str]); 8] = [
            ("2:40", &["40"]),
            ("1:22:40", &["2", "40"]),
            ("", &[]),
            ("3:4\u{1f600}", &["4\u{1f600}"]),
            ("3:4\u{c3}\u{a9}", &["4\u{e9}"]),
            ("2:4\u{e9}", &["4\u{e9}"]),
            ("5:4\u{f0}\u{9f}\u{98}\u{80}", &["4\u{1f600}"]),
            ("2:4\u{20ac}", &["4\u{20ac}"]),
        ];
        for (body, packets) in three {
            assert_eq!(read(Version::Three, body.as_bytes()).unwrap(), packets, "{body:?}");
        }
        for body in
            ["x", "2", "2:4", ":4", "-1:4", "2:\u{1f600}x\u{1f600}1:x:", "1:\u{1f600}", "9999999999:4"]
        {
            assert_eq!(read(Version::Three, body.as_bytes()), Err(Refusal::BadRequest), "{body:?}");
        }
        assert_eq!(read(Version::Four, b"2\x1e40").unwrap(), ["2", "40"]);
        assert_eq!(read(Version::Four, b"\xff"), Err(Refusal::InvalidUtf8));
        let many = "1:2".repeat(PACKETS_PER_POST_MAX);
        assert_eq!(read(Version::Three, many.as_bytes()).unwrap().len(), PACKETS_PER_POST_MAX);
        assert_eq!(read(Version::Three, format!("{many}1:2").as_bytes()), Err(Refusal::BadRequest));
        let many = "2\x1e".repeat(PACKETS_PER_POST_MAX);
        assert_eq!(read(Version::Four, many.as_bytes()), Err(Refusal::BadRequest));
    }

    proptest! {
        #[test]
        fn rubbish_is_read(text in "[0-9:4a\u{e9}\u{1f600}\u{1e}]{0,40}") {
            let _ = (read(Version::Three, text.as_bytes()), read(Version::Four, text.as_bytes()));
        }

        #[test]
        fn what_is_said_is_read(packets in prop::collection::vec("[ -~]{1,30}", 1..5)) {
            let body = Encoding::Lengths.body(packets.iter().map(String::as_bytes));
            prop_assert_eq!(read(Version::Three, &body).unwrap(), packets);
        }
    }
}
