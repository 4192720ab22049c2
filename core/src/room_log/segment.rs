//! The memory that a log's frames lie in, and slices of it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::position::Offset;

#[derive(Debug)]
pub(super) struct Segment {
    /// Offset of the message before the segment's first.
    pub(super) base: Offset,
    pub(super) inner: RefCell<SegmentInner>,
}

#[derive(Debug)]
pub(super) struct SegmentInner {
    /// Allocated once with its full capacity; only ever appended to within it.
    pub(super) bytes: Vec<u8>,
    /// Where each message's frame ends.
    pub(super) ends: Vec<u32>,
}

impl Segment {
    pub(super) fn new(base: Offset, capacity: usize) -> Rc<Segment> {
        let inner = SegmentInner { bytes: Vec::with_capacity(capacity), ends: Vec::new() };
        Rc::new(Segment { base, inner: RefCell::new(inner) })
    }

    /// Where the frame behind `offset` starts.
    pub(super) fn start_after(&self, offset: Offset) -> u32 {
        match usize::try_from(offset.0 - self.base.0) {
            Ok(count @ 1..) => self.inner.borrow().ends.get(count - 1).copied().unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    pub(super) fn last(&self) -> Offset {
        Offset(self.base.0 + self.inner.borrow().ends.len() as u64)
    }
}

/// A run of whole frames, contiguous in memory, that stays valid and unchanged while this is held.
#[derive(Clone, Debug)]
pub struct WireSlice {
    pub(super) segment: Rc<Segment>,
    pub(super) start: u32,
    pub(super) end: u32,
}

impl WireSlice {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Address of the first byte. [`WireSlice::len`] bytes from there are initialised, and neither
    /// move nor change for as long as this slice is held: the segment's vector is never
    /// reallocated, and appends write behind `end` only.
    #[must_use]
    pub fn address(&self) -> *const u8 {
        let inner = self.segment.inner.borrow();
        inner.bytes[self.start as usize..].as_ptr()
    }

    /// Reads the bytes.
    pub fn read<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(&self.segment.inner.borrow().bytes[self.start as usize..self.end as usize])
    }

    /// After only `written` bytes could be written: the offset of the last message of which any
    /// byte has gone out (or of the one before this slice), and the bytes that finish its frame.
    #[must_use]
    pub fn cut(&self, written: usize) -> (Offset, Box<[u8]>) {
        let inner = self.segment.inner.borrow();
        let reached = self.start as usize + written.min(self.len());
        // The first frame that ends at or behind what has been reached is the one that was cut.
        let index = inner.ends.partition_point(|end| (*end as usize) < reached);
        if reached == self.start as usize {
            let before = inner.ends.partition_point(|end| *end <= self.start);
            return (Offset(self.segment.base.0 + before as u64), Box::default());
        }
        let end = inner.ends[index] as usize;
        (Offset(self.segment.base.0 + index as u64 + 1), inner.bytes[reached..end].into())
    }
}
