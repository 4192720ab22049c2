//! Padding: some browsers show nothing of a stream before they have been sent enough of it. Which of them,
//! and how much, stands in a location's `padding_by_user_agent`, in the module's own words.

use regex::Regex;

use crate::limits::PADDING_BYTES_MAX;

use super::Mode;

/// Padding goes in steps of so many bytes.
const STEP_BYTES: usize = 100;

/// User agents for which a location's answers are padded.
#[derive(Clone, Debug)]
pub struct Agents {
    pattern: Regex,
    /// How much they need.
    pub padding: Padding,
}

/// How much is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// Bytes of what stands before the first message, at least.
    pub header_bytes_min: usize,
    /// Bytes of a message, at least.
    pub message_bytes_min: usize,
    /// The greatest of all such numbers: no padding is longer.
    pub greatest: usize,
}

impl PartialEq for Agents {
    fn eq(&self, other: &Agents) -> bool {
        self.pattern.as_str() == other.pattern.as_str() && self.padding == other.padding
    }
}

impl Eq for Agents {}

impl Agents {
    /// Reads `pattern,header,message`, more of them behind colons; nothing if that is not what it says.
    #[must_use]
    pub fn read(text: &str) -> Option<Vec<Agents>> {
        let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number <= PADDING_BYTES_MAX);
        let group = |group: &str| {
            let mut parts = group.rsplitn(3, ',');
            let (message, header) = (number(parts.next()?)?, number(parts.next()?)?);
            let pattern = Regex::new(parts.next().filter(|pattern| !pattern.is_empty())?).ok()?;
            let greatest = header.max(message);
            let padding = Padding { header_bytes_min: header, message_bytes_min: message, greatest };
            Some(Agents { pattern, padding })
        };
        text.split(':').map(group).collect()
    }

    /// Whether somebody is one of them, by what stands anywhere in the name.
    #[must_use]
    pub fn are(&self, user_agent: &str) -> bool {
        self.pattern.is_match(user_agent)
    }
}

impl Padding {
    /// Appends what a beginning of so many bytes lacks.
    pub fn pad_header(&self, mode: Mode, bytes: usize, out: &mut Vec<u8>) {
        self.pad(mode, self.header_bytes_min, bytes, out);
    }

    /// Appends what a message of so many bytes lacks.
    pub fn pad_message(&self, mode: Mode, bytes: usize, out: &mut Vec<u8>) {
        self.pad(mode, self.message_bytes_min, bytes, out);
    }

    fn pad(&self, mode: Mode, bytes_min: usize, bytes: usize, out: &mut Vec<u8>) {
        let Some(lacking) = bytes_min.checked_sub(bytes).filter(|lacking| *lacking > 0) else { return };
        let steps = lacking / STEP_BYTES;
        let length =
            if steps == self.greatest / STEP_BYTES { self.greatest } else { (steps + 1) * STEP_BYTES };
        if mode == Mode::EventSource {
            // A line that is read over.
            out.extend(std::iter::repeat_n(b':', length - 1));
            return out.push(b'\n');
        }
        // Whole ends of lines, the last one among them.
        let line_end = |place: usize| if (length - place).is_multiple_of(2) { b'\r' } else { b'\n' };
        out.extend((0..length).map(line_end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_module_pads() {
        let padded = |mode, (header, message, greatest), of_header: bool, bytes| {
            let padding = Padding { header_bytes_min: header, message_bytes_min: message, greatest };
            let mut out = Vec::new();
            match of_header {
                true => padding.pad_header(mode, bytes, &mut out),
                false => padding.pad_message(mode, bytes, &mut out),
            }
            out
        };
        let (first, second, own) = ((1024, 508, 4097), (4097, 0, 4097), (1024, 508, 1024));
        let table = [
            (first, true, 4, 1100),
            (second, true, 4, 4097),
            (second, false, 4, 0),
            (own, true, 10, 1024),
            ((0, 508, 508), false, 10, 500),
            ((0, 545, 545), false, 1, 545),
            (first, false, 10, 500),
            (first, false, 105, 500),
            (first, false, 408, 200),
            (first, false, 409, 100),
            (first, false, 507, 100),
            (first, false, 508, 0),
            (first, false, 600, 0),
        ];
        for (minima, of_header, bytes, expected) in table {
            for mode in [Mode::Streaming, Mode::EventSource] {
                let out = padded(mode, minima, of_header, bytes);
                assert_eq!(out.len(), expected, "{minima:?} {of_header} {bytes}");
            }
        }
        assert_eq!(padded(Mode::Streaming, (3, 0, 3), true, 0), b"\n\r\n");
        assert_eq!(padded(Mode::EventSource, (3, 0, 3), true, 0), b"::\n");
    }

    #[test]
    fn whom_it_is_for() {
        let agents = Agents::read("[T|t]est 1,1024,508:[T|t]est 2,4097,0").unwrap();
        let found = |name: &str| agents.iter().position(|agents| agents.are(name));
        let table = [("Test 1", Some(0)), ("a test 2 b", Some(1)), ("TEST 1", None), ("", None)];
        for (name, expected) in table {
            assert_eq!(found(name), expected, "{name}");
        }
        for bad in ["agent,as,df", "agent;10;0", "agent,10", ",1,1", "(,1,1", "a,1,1:", "a,1,99999999", ""] {
            assert_eq!(Agents::read(bad), None, "{bad}");
        }
    }
}
