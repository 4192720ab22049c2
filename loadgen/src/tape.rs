//! What one channel sounded like to whoever heard it first: frames end to end, and when the message
//! in each was due. Whoever hears the very same bytes has heard the same messages, and nothing of
//! them needs to be taken apart again. Most subscribers do: what a server broadcasts is the same for
//! all.
//!
//! Knows no socket, no clock and no protocol.

/// The frames of messages that follow one another in a lane's order, the newest of them.
#[derive(Debug)]
pub struct Tape {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
    /// Place of the first mark's message in the lane's order.
    first: u32,
    bytes_max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    end: usize,
    due_ns: u64,
}

impl Tape {
    /// A tape that keeps about so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Tape {
        Tape { bytes: Vec::new(), marks: Vec::new(), first: 0, bytes_max }
    }

    /// The message at this place of the order came in this frame, alone.
    pub fn write(&mut self, place: u32, frame: &[u8], due_ns: u64) {
        let expected = self.first as usize + self.marks.len();
        if place as usize != expected || frame.len() > self.bytes_max {
            self.bytes.clear();
            self.marks.clear();
            self.first = place;
            if frame.len() > self.bytes_max {
                return;
            }
        }
        // Half of it goes at a time, so that what stays is seldom moved.
        if self.bytes.len() + frame.len() > self.bytes_max {
            let gone = self.marks.partition_point(|mark| mark.end < self.bytes.len() / 2) + 1;
            let gone = gone.min(self.marks.len());
            let end = gone.checked_sub(1).map_or(0, |last| self.marks[last].end);
            self.bytes.drain(..end);
            self.marks.drain(..gone);
            self.marks.iter_mut().for_each(|mark| mark.end -= end);
            self.first += u32::try_from(gone).unwrap_or(u32::MAX);
        }
        self.bytes.extend_from_slice(frame);
        self.marks.push(Mark { end: self.bytes.len(), due_ns });
    }

    /// Whole frames at the beginning of `bytes` that are those from this place on: how many bytes and
    /// how many messages. `each` is told when each message was due.
    pub fn follow(&self, place: u32, bytes: &[u8], mut each: impl FnMut(u64)) -> (usize, u32) {
        let Some(skipped) = place.checked_sub(self.first).map(|skipped| skipped as usize) else {
            return (0, 0);
        };
        let start = match skipped.checked_sub(1) {
            None => 0,
            Some(last) => match self.marks.get(last) {
                Some(mark) => mark.end,
                None => return (0, 0),
            },
        };
        let (mut at, mut count) = (start, 0);
        for mark in &self.marks[skipped..] {
            let frame = &self.bytes[at..mark.end];
            if bytes.get(at - start..mark.end - start) != Some(frame) {
                break;
            }
            each(mark.due_ns);
            (at, count) = (mark.end, count + 1);
        }
        (at - start, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(tape: &Tape, place: u32, bytes: &str) -> (usize, u32, Vec<u64>) {
        let mut due = Vec::new();
        let (length, count) = tape.follow(place, bytes.as_bytes(), |due_ns| due.push(due_ns));
        (length, count, due)
    }

    #[test]
    fn the_same_bytes_are_followed_as_far_as_they_go() {
        let mut tape = Tape::new(64);
        for (place, frame) in ["one.", "two..", "three."].into_iter().enumerate() {
            tape.write(u32::try_from(place).unwrap() + 7, frame.as_bytes(), place as u64);
        }
        let table = [
            (7, "one.two..three.", (15, 3, vec![0, 1, 2])),
            (7, "one.two..three", (9, 2, vec![0, 1])),
            (7, "one.two..three.four", (15, 3, vec![0, 1, 2])),
            (7, "one.twO..three.", (4, 1, vec![0])),
            (7, "two..", (0, 0, vec![])),
            (8, "two..three.", (11, 2, vec![1, 2])),
            (9, "three.", (6, 1, vec![2])),
            (10, "three.", (0, 0, vec![])),
            (11, "three.", (0, 0, vec![])),
            (6, "one.", (0, 0, vec![])),
            (0, "one.", (0, 0, vec![])),
            (u32::MAX, "one.", (0, 0, vec![])),
            (7, "", (0, 0, vec![])),
        ];
        for (place, bytes, expected) in table {
            assert_eq!(followed(&tape, place, bytes), expected, "{place} {bytes}");
        }
    }

    #[test]
    fn an_empty_one_knows_nothing() {
        let tape = Tape::new(64);
        for place in [0, 1, u32::MAX] {
            assert_eq!(followed(&tape, place, "one."), (0, 0, vec![]));
        }
    }

    #[test]
    fn a_hole_begins_it_anew() {
        let mut tape = Tape::new(64);
        tape.write(0, b"a", 1);
        tape.write(2, b"c", 3);
        assert_eq!(followed(&tape, 0, "a"), (0, 0, vec![]));
        assert_eq!(followed(&tape, 2, "c"), (1, 1, vec![3]));
    }

    #[test]
    fn it_keeps_the_newest_and_no_more_than_its_bytes() {
        let mut tape = Tape::new(10);
        for place in 0..1_000u32 {
            let frame = [b'a' + u8::try_from(place % 26).unwrap(); 3];
            tape.write(place, &frame, u64::from(place));
            assert!(tape.bytes.len() <= 10);
            let text = String::from_utf8(frame.to_vec()).unwrap();
            assert_eq!(followed(&tape, place, &text), (3, 1, vec![u64::from(place)]));
        }
        assert_eq!(followed(&tape, 0, "aaa"), (0, 0, vec![]));
        tape.write(1_000, &[b'x'; 11], 0);
        assert_eq!(followed(&tape, 1_000, "xxxxxxxxxxx"), (0, 0, vec![]), "larger than the tape");
        tape.write(1_001, b"y", 9);
        assert_eq!(followed(&tape, 1_001, "y"), (1, 1, vec![9]));
    }
}
