//! What a published text begins with, so that whoever reads it knows which message it is and when
//! it was due: `~lg`, run, publisher, sequence (8 hexadecimal digits each), due (16), `~`.
//!
//! Fixed lengths, and nothing that JSON would escape: a stamp is found and read in a frame of any
//! protocol without taking the frame apart.

/// What a stamp begins with.
pub const MARK: &[u8] = b"~lg";
/// Length of a stamp, in bytes.
pub const STAMP_BYTES: usize = 44;

/// Which message it is: of which publisher, and its how-manieth, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Number of the publisher in this run.
    pub publisher: u32,
    /// Number of the message among this publisher's.
    pub sequence: u32,
}

/// A stamp, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Told apart from other runs by this.
    pub run: u32,
    /// Which message.
    pub identity: Identity,
    /// When it was due, on the machine's monotonic clock, in nanoseconds.
    pub due_ns: u64,
}

impl Stamp {
    /// Writes a text of `size` bytes that begins with this stamp.
    pub fn write(&self, size: usize, text: &mut Vec<u8>) {
        let end = text.len() + size.max(STAMP_BYTES);
        text.extend_from_slice(MARK);
        hexadecimal(u64::from(self.run), 8, text);
        hexadecimal(u64::from(self.identity.publisher), 8, text);
        hexadecimal(u64::from(self.identity.sequence), 8, text);
        hexadecimal(self.due_ns, 16, text);
        text.push(b'~');
        text.resize(end, b'x');
    }

    /// Reads the stamp that `text` begins with.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Stamp> {
        let stamp: &[u8; STAMP_BYTES] = text.first_chunk()?;
        if !stamp.starts_with(MARK) || stamp[STAMP_BYTES - 1] != b'~' {
            return None;
        }
        Some(Stamp {
            run: number(&stamp[3..11])?,
            identity: Identity { publisher: number(&stamp[11..19])?, sequence: number(&stamp[19..27])? },
            due_ns: (u64::from(number(&stamp[27..35])?) << 32) | u64::from(number(&stamp[35..43])?),
        })
    }
}

fn hexadecimal(value: u64, digits: u32, text: &mut Vec<u8>) {
    for digit in (0..digits).rev() {
        text.push(b"0123456789abcdef"[usize::try_from((value >> (digit * 4)) & 15).unwrap_or(0)]);
    }
}

/// What each byte is worth as a digit; 255 for those that are none.
const WORTH: [u8; 256] = {
    let mut worth = [255; 256];
    let digits = b"0123456789abcdef";
    let mut value = 0;
    while value < digits.len() {
        #[allow(clippy::cast_possible_truncation, reason = "below 16")]
        {
            worth[digits[value] as usize] = value as u8;
        }
        value += 1;
    }
    worth
};

fn number(digits: &[u8]) -> Option<u32> {
    let mut value = 0;
    let mut wrong = 0;
    for digit in digits {
        let worth = WORTH[usize::from(*digit)];
        wrong |= worth & 0xf0;
        value = (value << 4) | u32::from(worth);
    }
    (wrong == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (run, publisher, sequence, due_ns) in [
            (0, 0, 0, 0),
            (1, 2, 3, 4),
            (u32::MAX, u32::MAX, u32::MAX, u64::MAX),
            (0xdead_beef, 7, 99, 1 << 40),
        ] {
            let stamp = Stamp { run, identity: Identity { publisher, sequence }, due_ns };
            for size in [0, STAMP_BYTES, STAMP_BYTES + 1, 4_096] {
                let mut text = b"before".to_vec();
                stamp.write(size, &mut text);
                assert_eq!(text.len(), 6 + size.max(STAMP_BYTES));
                assert_eq!(Stamp::read(&text[6..]), Some(stamp));
            }
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        let mut good = Vec::new();
        Stamp { run: 1, identity: Identity { publisher: 2, sequence: 3 }, due_ns: 4 }.write(64, &mut good);
        assert!(Stamp::read(&good).is_some());
        assert_eq!(Stamp::read(&good[..STAMP_BYTES - 1]), None, "too short");
        for at in 0..STAMP_BYTES {
            let mut bad = good.clone();
            bad[at] = b'G';
            assert_eq!(Stamp::read(&bad), None, "a wrong byte at {at}");
        }
    }
}
