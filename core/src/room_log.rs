//! A channel's last messages as ready wire bytes, and cursors over them.
//!
//! A frame a message, built once, laid end to end in segments: any run of messages inside one
//! segment is one contiguous piece of memory, the same for every subscriber, and a cursor (an
//! offset) may start at any of them. A segment never moves and what has been written to it never
//! changes, so a send may still read from it while messages are added behind; it lives as long as
//! somebody holds a slice of it. Must not know who its subscribers are.

mod frame_run;
mod segment;

use std::collections::VecDeque;
use std::rc::Rc;

use crate::limits::{LOG_SEGMENT_BYTES_MAX, LOG_SEGMENT_BYTES_MIN};
use crate::position::{Epoch, MessageId, Offset, Position};

pub use frame_run::FrameRun;
use segment::Segment;
pub use segment::WireSlice;

/// How much a log keeps.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// Messages.
    pub messages_max: usize,
    /// Bytes of frames.
    pub bytes_max: usize,
}

/// What is new behind a cursor.
#[derive(Debug)]
pub enum Run {
    /// Nothing.
    UpToDate,
    /// Frames, and the offset of the last message among them.
    Frames(WireSlice, Offset),
    /// The messages `from` to `to` are no longer kept; go on behind `to`.
    Gap {
        /// The first missing one.
        from: Offset,
        /// The last missing one.
        to: Offset,
    },
}

/// The log.
#[derive(Debug)]
pub struct RoomLog {
    epoch: Epoch,
    /// Offset of the message before the oldest one kept.
    before: Offset,
    before_id: MessageId,
    ids: VecDeque<MessageId>,
    segments: VecDeque<Rc<Segment>>,
    /// What the segments have room for.
    segment_bytes: usize,
    bytes: usize,
    limits: LogLimits,
}

impl RoomLog {
    /// An empty log that goes on behind the message at `position`.
    #[must_use]
    pub fn new(position: Position, limits: LogLimits) -> RoomLog {
        RoomLog {
            epoch: position.epoch,
            before: position.offset,
            before_id: position.id,
            ids: VecDeque::new(),
            segments: VecDeque::new(),
            segment_bytes: 0,
            bytes: 0,
            limits,
        }
    }

    /// Where the channel is: its newest message.
    #[must_use]
    pub fn head(&self) -> Position {
        let id = self.ids.back().copied().unwrap_or(self.before_id);
        Position { epoch: self.epoch, offset: self.head_offset(), id }
    }

    /// The offset of the newest message.
    #[must_use]
    pub fn head_offset(&self) -> Offset {
        Offset(self.before.0 + self.ids.len() as u64)
    }

    /// How much it keeps.
    #[must_use]
    pub fn limits(&self) -> LogLimits {
        self.limits
    }

    /// Bytes of memory that it takes: whole segments, whatever of them is used.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.ids.capacity() * size_of::<MessageId>()
            + self.ids.len() * size_of::<u32>()
            + self.segments.capacity() * size_of::<Rc<Segment>>()
            + self.segments.len() * size_of::<Segment>()
            + self.segment_bytes
    }

    /// Bytes of frames kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages kept.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.ids.len()
    }

    /// About how many messages of the present kind it can keep.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let by_bytes = match self.bytes {
            0 => usize::MAX,
            bytes => self.limits.bytes_max.saturating_mul(self.ids.len()) / bytes,
        };
        by_bytes.min(self.limits.messages_max)
    }

    /// Appends the next message, `write` building its frame of exactly `frame_bytes` bytes.
    pub fn append(&mut self, id: MessageId, frame_bytes: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.append_list(&[id], frame_bytes, write);
    }

    /// Appends messages that have one frame in common: it stands at the last of them, and the others are
    /// empty. All of them are in one segment, so that no run ends among them.
    pub fn append_list(&mut self, ids: &[MessageId], frame_bytes: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(empty) = ids.len().checked_sub(1) else { return };
        let head = self.head_offset();
        let fits = |segment: &&Rc<Segment>| {
            let bytes = &segment.inner.borrow().bytes;
            bytes.capacity() - bytes.len() >= frame_bytes
        };
        let segment = match self.segments.back().filter(fits) {
            Some(segment) => segment,
            None => {
                let last = self.segments.back().map_or(0, |segment| segment.inner.borrow().bytes.capacity());
                let capacity =
                    (last * 2).clamp(LOG_SEGMENT_BYTES_MIN, LOG_SEGMENT_BYTES_MAX).max(frame_bytes);
                self.segments.push_back(Segment::new(head, capacity));
                self.segment_bytes += capacity;
                &self.segments[self.segments.len() - 1]
            }
        };
        let mut inner = segment.inner.borrow_mut();
        let start = inner.bytes.len();
        let address = inner.bytes.as_ptr();
        write(&mut inner.bytes);
        assert!(
            inner.bytes.len() == start + frame_bytes && inner.bytes.as_ptr() == address,
            "a frame has the announced length, or slices in use would dangle"
        );
        let end = u32::try_from(inner.bytes.len()).unwrap_or(u32::MAX);
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        inner.ends.extend(std::iter::repeat_n(start, empty));
        inner.ends.push(end);
        drop(inner);
        self.ids.extend(ids);
        self.bytes += frame_bytes;
        self.trim();
    }

    /// Lets go of what is before this place.
    pub fn let_go_before(&mut self, place: Offset) {
        while self.ids.len() > 1 && self.before < place {
            self.drop_oldest();
        }
    }

    /// Lets go of the oldest beyond the limits; the newest message always stays.
    fn trim(&mut self) {
        while self.ids.len() > 1
            && (self.ids.len() > self.limits.messages_max || self.bytes > self.limits.bytes_max)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.segments.front() else { return };
        let start = oldest.start_after(self.before);
        let end = oldest.start_after(self.before.next());
        self.bytes -= (end - start) as usize;
        self.before_id = self.ids.pop_front().unwrap_or(self.before_id);
        self.before = self.before.next();
        if oldest.last() == self.before {
            self.segment_bytes -= oldest.inner.borrow().bytes.capacity();
            self.segments.pop_front();
        }
    }

    fn segment_after(&self, cursor: Offset) -> Option<&Rc<Segment>> {
        let index = self.segments.partition_point(|segment| segment.base <= cursor);
        self.segments.get(index.checked_sub(1)?)
    }

    /// What is new behind `cursor`: at most the rest of one segment.
    #[must_use]
    pub fn after(&self, cursor: Offset) -> Run {
        if cursor >= self.head_offset() {
            return Run::UpToDate;
        }
        if cursor < self.before {
            return Run::Gap { from: cursor.next(), to: self.before };
        }
        let Some(segment) = self.segment_after(cursor) else { return Run::UpToDate };
        let start = segment.start_after(cursor);
        let end = u32::try_from(segment.inner.borrow().bytes.len()).unwrap_or(u32::MAX);
        Run::Frames(WireSlice { segment: Rc::clone(segment), start, end }, segment.last())
    }

    /// The cursor of somebody who comes back with a position, if everything behind it is still
    /// kept and the position is of this very past.
    #[must_use]
    pub fn resume(&self, position: Position) -> Option<Offset> {
        if position.epoch != self.epoch
            || position.offset < self.before
            || position.offset > self.head_offset()
        {
            return None;
        }
        let index = usize::try_from(position.offset.0 - self.before.0).ok()?;
        let id = match index.checked_sub(1) {
            None => self.before_id,
            Some(index) => *self.ids.get(index)?,
        };
        (id == position.id).then_some(position.offset)
    }

    /// The id of the message with this offset, or of the one before all that is kept.
    #[must_use]
    pub fn id_at(&self, offset: Offset) -> Option<MessageId> {
        match usize::try_from(offset.0.checked_sub(self.before.0)?).ok()?.checked_sub(1) {
            None => Some(self.before_id),
            Some(index) => self.ids.get(index).copied(),
        }
    }

    /// The offset of the message with this id.
    #[must_use]
    pub fn find(&self, id: MessageId) -> Option<Offset> {
        let behind = |place: usize| Offset(self.before.0 + place as u64 + 1);
        let newest_first = self.ids.iter().rposition(|one| *one == id).map(behind);
        newest_first.or_else(|| (self.before_id == id).then_some(self.before))
    }

    /// The nearest place at or before `cursor` that is not between a message without bytes and the one
    /// that holds its bytes.
    #[must_use]
    pub fn boundary(&self, cursor: Offset) -> Offset {
        let mut at = cursor.min(self.head_offset());
        while at > self.before {
            let Some(segment) = self.segment_after(Offset(at.0 - 1)) else { break };
            if segment.start_after(Offset(at.0 - 1)) < segment.start_after(at) {
                break;
            }
            at = Offset(at.0 - 1);
        }
        at.max(self.before)
    }

    /// Whether the position is of this past but newer than anything here: somebody else has been
    /// told more than this log has.
    #[must_use]
    pub fn is_behind(&self, position: Position) -> bool {
        position.epoch == self.epoch && position.offset > self.head_offset()
    }

    /// The cursor from which the last `count` messages kept come.
    #[must_use]
    pub fn back(&self, count: u32) -> Offset {
        Offset(self.head_offset().0.saturating_sub(u64::from(count)).max(self.before.0))
    }

    /// Copies what is behind `cursor`, at most `messages_max` messages; from the oldest kept if
    /// the cursor has fallen out.
    #[must_use]
    pub fn run_after(&self, cursor: Offset, messages_max: usize) -> FrameRun {
        let before = cursor.clamp(self.before, self.head_offset());
        let index = usize::try_from(before.0 - self.before.0).unwrap_or(usize::MAX);
        let before_id = index.checked_sub(1).and_then(|i| self.ids.get(i)).copied().unwrap_or(self.before_id);
        let ids: Vec<MessageId> = self.ids.iter().skip(index).take(messages_max).copied().collect();
        let mut run = FrameRun {
            epoch: self.epoch,
            before,
            before_id,
            bytes: Vec::new(),
            ends: Vec::with_capacity(ids.len()),
            ids,
        };
        let mut at = before;
        while at < run.last() {
            let Some(segment) = self.segment_after(at) else { break };
            let until = segment.last().min(run.last());
            let (start, end) = (segment.start_after(at), segment.start_after(until));
            let shift = u32::try_from(run.bytes.len()).unwrap_or(u32::MAX);
            let inner = segment.inner.borrow();
            run.bytes.extend_from_slice(&inner.bytes[start as usize..end as usize]);
            let skip = usize::try_from(at.0 - segment.base.0).unwrap_or(usize::MAX);
            let take = usize::try_from(until.0 - at.0).unwrap_or(usize::MAX);
            run.ends.extend(inner.ends.iter().skip(skip).take(take).map(|e| e - start + shift));
            at = until;
        }
        run
    }

    /// Appends a run that goes on where this log ends; what is here already is left out.
    /// Returns whether the run fitted: the same epoch, and no message between the two.
    pub fn extend(&mut self, run: &FrameRun) -> bool {
        if run.epoch != self.epoch || run.before > self.head_offset() {
            return false;
        }
        let skip = usize::try_from(self.head_offset().0 - run.before.0).unwrap_or(usize::MAX);
        let mut start = skip.checked_sub(1).and_then(|i| run.ends.get(i)).copied().unwrap_or(0);
        for (id, end) in run.ids.iter().zip(&run.ends).skip(skip) {
            let frame = &run.bytes[start as usize..*end as usize];
            self.append(*id, frame.len(), |out| out.extend_from_slice(frame));
            start = *end;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: LogLimits = LogLimits { messages_max: 5, bytes_max: 1_000_000 };

    fn id(number: u64) -> MessageId {
        MessageId(u128::from(number))
    }

    fn start() -> Position {
        Position { epoch: Epoch(1), offset: Offset::START, id: MessageId::NONE }
    }

    fn filled(count: u64, limits: LogLimits, frame: impl Fn(u64) -> Vec<u8>) -> RoomLog {
        let mut log = RoomLog::new(start(), limits);
        for number in 1..=count {
            let bytes = frame(number);
            log.append(id(number), bytes.len(), |out| out.extend_from_slice(&bytes));
        }
        log
    }

    fn small(number: u64) -> Vec<u8> {
        format!("<{number}>").into_bytes()
    }

    /// All that a cursor is given until it is up to date.
    fn read_from(log: &RoomLog, mut cursor: Offset) -> String {
        let mut seen = String::new();
        loop {
            match log.after(cursor) {
                Run::UpToDate => return seen,
                Run::Gap { from, to } => {
                    seen.push_str(&format!("gap {}-{} ", from.0, to.0));
                    cursor = to;
                }
                Run::Frames(slice, last) => {
                    slice.read(|bytes| seen.push_str(std::str::from_utf8(bytes).unwrap()));
                    cursor = last;
                }
            }
        }
    }

    #[test]
    fn cursors_at_every_place() {
        let log = filled(8, LIMITS, small);
        let table = [
            (8, ""),
            (9, ""),
            (7, "<8>"),
            (5, "<6><7><8>"),
            (3, "<4><5><6><7><8>"),
            (2, "gap 3-3 <4><5><6><7><8>"),
            (0, "gap 1-3 <4><5><6><7><8>"),
        ];
        for (cursor, expected) in table {
            assert_eq!(read_from(&log, Offset(cursor)), expected, "cursor {cursor}");
        }
    }

    #[test]
    fn who_may_resume() {
        let log = filled(8, LIMITS, small);
        let at = |epoch, offset, id| Position { epoch: Epoch(epoch), offset: Offset(offset), id };
        let table = [
            (at(1, 8, id(8)), true, "up to date"),
            (at(1, 5, id(5)), true, "inside"),
            (at(1, 3, id(3)), true, "the message before the oldest kept"),
            (at(1, 2, id(2)), false, "too old"),
            (at(1, 9, id(9)), false, "from the future: the store lost its tail"),
            (at(2, 5, id(5)), false, "another epoch"),
            (at(1, 5, id(55)), false, "the same offset given out twice"),
        ];
        for (position, expected, name) in table {
            assert_eq!(log.resume(position).is_some(), expected, "{name}");
        }
        assert_eq!(filled(0, LIMITS, small).resume(start()), Some(Offset::START));
    }

    #[test]
    fn a_slice_outlives_its_place_in_the_log() {
        let mut log = filled(1, LIMITS, |_| vec![b'a'; 400]);
        let Run::Frames(slice, _) = log.after(Offset::START) else { panic!("frames") };
        let address = slice.address();
        for number in 2..50 {
            log.append(id(number), 400, |out| out.extend(std::iter::repeat_n(b'b', 400)));
        }
        assert_eq!(slice.address(), address);
        slice.read(|bytes| assert_eq!(bytes, vec![b'a'; 400]));
    }

    #[test]
    fn a_cut_names_the_frame_and_what_is_left_of_it() {
        let log = filled(4, LIMITS, small);
        let Run::Frames(slice, last) = log.after(Offset(1)) else { panic!("frames") };
        assert_eq!((slice.len(), last), (9, Offset(4)));
        let table = [(0, 1, ""), (1, 2, "2>"), (3, 2, ""), (4, 3, "3>"), (8, 4, ">"), (9, 4, "")];
        for (written, offset, rest) in table {
            assert_eq!(slice.cut(written), (Offset(offset), rest.as_bytes().into()), "{written} bytes");
        }
    }

    #[test]
    fn the_byte_limit_holds_but_the_newest_always_stays() {
        let log = filled(9, LogLimits { messages_max: 100, bytes_max: 10 }, |_| vec![0; 4]);
        assert_eq!((log.messages(), log.bytes()), (2, 8));
        let log = filled(2, LogLimits { messages_max: 100, bytes_max: 10 }, |_| vec![0; 99]);
        assert_eq!((log.messages(), log.bytes()), (1, 99));
    }

    proptest! {
        #[test]
        fn no_run_ends_in_the_middle_of_a_list(
            lists in prop::collection::vec((1_u64..6, 0_usize..900), 1..40),
            from in 0_u64..200,
            taken in 0_usize..2_000,
        ) {
            let limits = LogLimits { messages_max: 60, bytes_max: 20_000 };
            let mut log = RoomLog::new(start(), limits);
            let (mut ends, mut next) = (vec![Offset::START], 1);
            for (count, bytes) in lists {
                let ids: Vec<MessageId> = (next..next + count).map(id).collect();
                log.append_list(&ids, bytes + 1, |out| out.extend(std::iter::repeat_n(b'x', bytes + 1)));
                next += count;
                ends.push(Offset(next - 1));
            }
            let mut cursor = log.boundary(Offset(from));
            prop_assert!(ends.contains(&cursor) || cursor == log.back(u32::MAX));
            while let Run::Frames(slice, last) = log.after(cursor) {
                prop_assert!(!slice.is_empty() && ends.contains(&last));
                // Cut in the middle: what is left of it and what follows are whole.
                let (reached, rest) = slice.cut(taken.min(slice.len()));
                if taken > 0 {
                    prop_assert!(ends.contains(&reached) || rest.is_empty() || reached >= cursor);
                    let Run::Frames(behind, _) = log.after(reached) else {
                        prop_assert_eq!(taken.min(slice.len()) + rest.len(), slice.len());
                        break;
                    };
                    prop_assert!(taken.min(slice.len()) + rest.len() + behind.len() >= slice.len());
                }
                cursor = last;
            }
        }


        #[test]
        fn a_copy_fed_by_runs_is_the_same_log(
            sizes in prop::collection::vec(1_usize..3_000, 1..60),
            step in 1_usize..7,
            limit in 1_usize..40,
        ) {
            let limits = LogLimits { messages_max: limit, bytes_max: 20_000 };
            let mut owner = RoomLog::new(start(), limits);
            let mut copy = RoomLog::new(start(), limits);
            for (index, size) in sizes.iter().enumerate() {
                let byte = u8::try_from(index % 251).unwrap();
                owner.append(id(index as u64 + 1), *size, |out| out.extend(std::iter::repeat_n(byte, *size)));
                while copy.head_offset() < owner.head_offset() {
                    let run = owner.run_after(copy.head_offset(), step);
                    prop_assert!(copy.extend(&run));
                }
            }
            prop_assert_eq!(copy.head(), owner.head());
            prop_assert_eq!(copy.messages(), owner.messages());
            for cursor in 0..=sizes.len() as u64 {
                let run = owner.run_after(Offset(cursor), usize::MAX);
                prop_assert_eq!(&run, &copy.run_after(Offset(cursor), usize::MAX));
                prop_assert_eq!(run.ends.last().copied().unwrap_or(0) as usize, run.bytes.len());
            }
        }

        #[test]
        fn cuts_lose_and_double_nothing(sizes in prop::collection::vec(1_usize..300, 1..30), seed in any::<u64>()) {
            let mut log = RoomLog::new(start(), LogLimits { messages_max: 1_000, bytes_max: 1 << 20 });
            let mut whole = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                let frame = vec![u8::try_from(index % 251).unwrap(); *size];
                whole.extend_from_slice(&frame);
                log.append(id(index as u64 + 1), *size, |out| out.extend_from_slice(&frame));
            }
            let (mut cursor, mut out, mut state) = (Offset::START, Vec::new(), seed);
            while let Run::Frames(slice, last) = log.after(cursor) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let written = usize::try_from(state >> 33).unwrap() % (slice.len() + 1);
                slice.read(|bytes| out.extend_from_slice(&bytes[..written]));
                if written == slice.len() {
                    cursor = last;
                } else {
                    let (offset, rest) = slice.cut(written);
                    out.extend_from_slice(&rest);
                    cursor = offset;
                }
            }
            prop_assert_eq!(out, whole);
        }
    }
}
