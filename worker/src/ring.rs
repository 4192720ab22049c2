//! All of io_uring, and all unsafe code of the product, behind a small safe surface: accept,
//! receive, send, wait for room, be woken, wait.
//!
//! One ring a shard, used by one thread. Multishot accept, and multishot receive into one shared
//! ring of buffers. A batch of sends and the wait for what comes next are one system call: sends are
//! carried out as they are submitted and never wait in the kernel (`MSG_DONTWAIT`); one that was
//! taken whole completes without a word (`IOSQE_CQE_SKIP_SUCCESS`; `MSG_WAITALL` makes a short one a
//! failure). Must not know what the bytes mean.
#![allow(unsafe_code, reason = "the kernel reads and writes memory by address; argued at each block")]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use chatup_core::limits::TIMER_TICK_MS;
use chatup_core::shard::Outgoing;
use io_uring::types::{BufRingEntry, CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::io::{Completion, ReceiveEnd, Received, Unsent};
use crate::limits::{RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS, RING_COMPLETIONS, RING_SUBMISSIONS};

/// The only group of provided buffers of a ring.
const BUFFER_GROUP: u16 = 0;
const PAGE_BYTES: usize = 4_096;
/// `IORING_ENTER_GETEVENTS`: what has come is worked on now.
const GET_EVENTS: u32 = 1;
/// How long a ring that is dropped waits for its operations to end.
const CANCEL_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Accept = 1,
    Receive,
    Send,
    Writable,
    Bell,
    Cancel,
    Tick,
}

fn user_data(kind: Kind, key: u64) -> u64 {
    ((kind as u64) << 56) | key
}

/// The ring.
pub(crate) struct Ring {
    ring: IoUring,
    buffers: Buffers,
    /// Where the kernel writes the bell's counter; on the heap, so that its address stays.
    bell_count: Box<u64>,
    completed: VecDeque<Completion>,
    unsent: Vec<Unsent>,
    /// How long a shard sleeps at the most: its timers want to be looked at.
    tick: Box<Timespec>,
    /// One is under way.
    ticking: bool,
}

impl Ring {
    /// A ring of the calling thread, which must be the only one to use it.
    ///
    /// # Errors
    /// io_uring is not allowed, too old (before Linux 6.0), or there is not enough locked memory.
    pub(crate) fn new() -> io::Result<Ring> {
        let ring = IoUring::builder()
            .setup_cqsize(RING_COMPLETIONS)
            .setup_submit_all()
            // Completions are worked on when this thread asks for them, never in between.
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(RING_SUBMISSIONS)?;
        let buffers = Buffers::new(&ring)?;
        Ok(Ring {
            ring,
            buffers,
            bell_count: Box::new(0),
            completed: VecDeque::new(),
            unsent: Vec::new(),
            tick: Box::new(Timespec::from(Duration::from_millis(TIMER_TICK_MS))),
            ticking: false,
        })
    }

    /// Accepts connections until it ends.
    pub(crate) fn accept(&mut self, listener: BorrowedFd<'_>) {
        // Not SOCK_NONBLOCK: io_uring would then not wait for such a socket.
        let entry = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC).build();
        self.push(&entry.user_data(user_data(Kind::Accept, 0)));
    }

    /// Stops accepting.
    pub(crate) fn stop_accepting(&mut self) {
        let entry = opcode::AsyncCancel::new(user_data(Kind::Accept, 0)).build();
        self.push(&entry.user_data(user_data(Kind::Cancel, 0)));
    }

    /// Receives from a socket until it ends.
    pub(crate) fn receive(&mut self, key: u64, socket: BorrowedFd<'_>) {
        let entry = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), BUFFER_GROUP).build();
        self.push(&entry.user_data(user_data(Kind::Receive, key)));
    }

    /// Sends what the socket takes at once, with the next [`Ring::wait`]. The bytes must stay until
    /// that returns; what was not taken whole is in [`Ring::take_unsent`] then.
    pub(crate) fn send(&mut self, flight: u32, socket: BorrowedFd<'_>, outgoing: Outgoing) {
        let len = u32::try_from(outgoing.len).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), outgoing.address, len)
            .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS);
        self.push(&entry.user_data(user_data(Kind::Send, flight.into())));
    }

    /// Tells when a full socket has room again.
    pub(crate) fn wait_writable(&mut self, key: u64, socket: BorrowedFd<'_>) {
        let events = u32::try_from(libc::POLLOUT).unwrap_or(4);
        let entry = opcode::PollAdd::new(Fd(socket.as_raw_fd()), events).build();
        self.push(&entry.user_data(user_data(Kind::Writable, key)));
    }

    /// Tells when the bell is rung, once.
    pub(crate) fn listen_to_bell(&mut self, bell: BorrowedFd<'_>) {
        let address: *mut u64 = &raw mut *self.bell_count;
        let entry = opcode::Read::new(Fd(bell.as_raw_fd()), address.cast(), 8).build();
        self.push(&entry.user_data(user_data(Kind::Bell, 0)));
    }

    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: every address in an entry stays valid until the kernel is done with it. `Send`
            // entries point into an `Outgoing`, which core holds, unmoved and unchanged, until
            // `Shard::settle`; the caller calls that only behind `Ring::wait`, which returns when the
            // kernel has taken every entry, and a send that may not wait is over when it is taken.
            // The tick and the bell's counter are boxed and live as long as the ring.
            // `Drop` ends all operations before any of this memory goes. Descriptors are kept open
            // by the caller until everything of theirs has completed.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            // Full: hand the kernel what is there, and make room for what completes.
            let _ = self.ring.submit();
            self.gather();
        }
    }

    /// Hands all submissions to the kernel, and waits for something to complete: at most so long, or
    /// until the next tick.
    ///
    /// # Errors
    /// The ring is unusable.
    pub(crate) fn wait(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        if !std::mem::replace(&mut self.ticking, true) {
            let entry = opcode::Timeout::new(&raw const *self.tick).build();
            self.push(&entry.user_data(user_data(Kind::Tick, 0)));
        }
        loop {
            let nothing_yet = self.completed.is_empty() && self.unsent.is_empty();
            let entered = match at_most {
                Some(at_most) if nothing_yet && at_most > Duration::ZERO => {
                    let timeout = Timespec::from(at_most);
                    self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout))
                }
                None if nothing_yet => self.enter(1),
                _ => self.enter(0),
            };
            if let Err(error) = entered {
                match error.raw_os_error() {
                    // Time is up; a signal; completions must be taken first.
                    Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => {}
                    _ => return Err(error),
                }
            }
            self.gather();
            // What the kernel holds back for want of room may tell of a send of this batch.
            let sent = self.ring.submission();
            if sent.is_empty() && !sent.cq_overflow() {
                return Ok(());
            }
        }
    }

    fn enter(&mut self, completions_min: u32) -> io::Result<usize> {
        let submissions = u32::try_from(self.ring.submission().len()).unwrap_or(u32::MAX);
        let submitter = self.ring.submitter();
        // SAFETY: no argument but numbers; the entries are argued about where they are pushed.
        unsafe { submitter.enter::<libc::sigset_t>(submissions, completions_min, GET_EVENTS, None) }
    }

    /// Moves what has completed out of the kernel's queue.
    fn gather(&mut self) {
        for entry in self.ring.completion() {
            if entry.user_data() >> 56 == Kind::Send as u64 {
                let flight = u32::try_from(entry.user_data() & u64::from(u32::MAX)).unwrap_or(u32::MAX);
                let taken = match entry.result() {
                    bytes if bytes >= 0 => Ok(usize::try_from(bytes).unwrap_or(0)),
                    error if error == -libc::EAGAIN => Ok(0),
                    error => Err(io::Error::from_raw_os_error(-error)),
                };
                self.unsent.push((flight, taken));
            } else if entry.user_data() >> 56 == Kind::Tick as u64 {
                self.ticking = false;
            } else if let Some(completion) = completion(&entry) {
                self.completed.push_back(completion);
            }
        }
    }

    /// What has completed, the oldest first, sends aside.
    pub(crate) fn take_completed(&mut self) -> Option<Completion> {
        self.completed.pop_front()
    }

    /// Whether something has completed that has not been taken.
    pub(crate) fn has_completed(&self) -> bool {
        !self.completed.is_empty()
    }

    /// The sends of the batch that [`Ring::wait`] has handed over which were not taken whole.
    pub(crate) fn take_unsent(&mut self) -> Vec<Unsent> {
        std::mem::take(&mut self.unsent)
    }

    /// Bytes of its buffers and queues, those that it shares with the kernel included.
    pub(crate) fn memory(&self) -> usize {
        let entries = size_of::<squeue::Entry>() * RING_SUBMISSIONS as usize
            + size_of::<cqueue::Entry>() * RING_COMPLETIONS as usize;
        self.buffers.layout.size() + entries + self.completed.capacity() * size_of::<Completion>()
    }

    /// The bytes that came.
    pub(crate) fn bytes(&mut self, received: &Received) -> &mut [u8] {
        self.buffers.bytes(received.buffer, received.bytes)
    }

    /// Lets the kernel fill the buffer again.
    pub(crate) fn give_back(&mut self, received: &Received) {
        self.buffers.give(received.buffer);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Closing a ring ends its operations some time later, from a kernel thread; the memory they
        // point into must not go before. So: cancel everything and wait for that.
        // What the kernel has not taken yet it never takes.
        let patience = Timespec::from(CANCEL_PATIENCE);
        let cancelled = self.ring.submitter().register_sync_cancel(Some(patience), CancelBuilder::any());
        let nothing_left = matches!(&cancelled, Err(error) if error.raw_os_error() == Some(libc::ENOENT));
        if cancelled.is_err() && !nothing_left {
            tracing::error!(error = ?cancelled.err(), "operations of a ring outlive it: its memory is left behind");
            self.buffers.leak = true;
            std::mem::forget(std::mem::take(&mut self.bell_count));
        }
    }
}

fn completion(entry: &cqueue::Entry) -> Option<Completion> {
    let key = entry.user_data() & ((1 << 56) - 1);
    let result = match entry.result() {
        error if error < 0 => Err(io::Error::from_raw_os_error(-error)),
        good => Ok(usize::try_from(good).unwrap_or(0)),
    };
    let goes_on = cqueue::more(entry.flags());
    match entry.user_data() >> 56 {
        kind if kind == Kind::Accept as u64 => match result {
            Ok(_) => {
                // SAFETY: a successful accept has made this descriptor for us alone.
                let socket = unsafe { OwnedFd::from_raw_fd(RawFd::from(entry.result())) };
                Some(Completion::Accepted(socket, goes_on))
            }
            Err(error) => Some(Completion::AcceptEnded(error)),
        },
        kind if kind == Kind::Receive as u64 => Some(match (result, cqueue::buffer_select(entry.flags())) {
            // Also an empty one, so that the buffer comes back; the end is told again behind it.
            (Ok(bytes), Some(buffer)) => Completion::Received(key, Received { buffer, bytes, goes_on }),
            (Err(error), _) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                Completion::ReceiveEnded(key, ReceiveEnd::NoBuffer)
            }
            (Ok(_), _) => Completion::ReceiveEnded(key, ReceiveEnd::Ended),
            (Err(_), _) => Completion::ReceiveEnded(key, ReceiveEnd::Failed),
        }),
        kind if kind == Kind::Writable as u64 => Some(Completion::Writable(key)),
        kind if kind == Kind::Bell as u64 => Some(Completion::Woken),
        _ => None,
    }
}

/// The ring of receive buffers that the kernel fills.
struct Buffers {
    /// Page-aligned: the entries, then the buffers.
    memory: NonNull<u8>,
    layout: std::alloc::Layout,
    tail: u16,
    /// The kernel may still write to it: never to be freed.
    leak: bool,
}

impl Buffers {
    const ENTRIES_BYTES: usize =
        (RECEIVE_BUFFERS as usize * size_of::<BufRingEntry>()).next_multiple_of(PAGE_BYTES);

    fn new(ring: &IoUring) -> io::Result<Buffers> {
        let bytes = Self::ENTRIES_BYTES + RECEIVE_BUFFERS as usize * RECEIVE_BUFFER_BYTES;
        let layout = std::alloc::Layout::from_size_align(bytes, PAGE_BYTES)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: the layout has a size.
        let memory = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })
            .ok_or(io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mut buffers = Buffers { memory, layout, tail: 0, leak: false };
        let address = memory.as_ptr() as u64;
        // SAFETY: the entries are page-aligned, zeroed, and freed only after everything that uses
        // them has been cancelled (`Ring::drop`).
        unsafe {
            ring.submitter().register_buf_ring_with_flags(address, RECEIVE_BUFFERS, BUFFER_GROUP, 0)?;
        }
        for buffer in 0..RECEIVE_BUFFERS {
            buffers.give(buffer);
        }
        Ok(buffers)
    }

    fn address(&self, buffer: u16) -> *mut u8 {
        let offset = Self::ENTRIES_BYTES + usize::from(buffer) * RECEIVE_BUFFER_BYTES;
        // SAFETY: the kernel gives out only the numbers that it was given, all below
        // RECEIVE_BUFFERS, so the offset lies inside the allocation.
        unsafe { self.memory.as_ptr().add(offset) }
    }

    fn bytes(&mut self, buffer: u16, bytes: usize) -> &mut [u8] {
        // SAFETY: the kernel has filled the buffer, up to its own length, and does not touch it
        // again until it is given back, which borrows `self` anew; the memory is initialised.
        unsafe { std::slice::from_raw_parts_mut(self.address(buffer), bytes.min(RECEIVE_BUFFER_BYTES)) }
    }

    fn give(&mut self, buffer: u16) {
        let address = self.address(buffer) as u64;
        let entries = self.memory.as_ptr().cast::<BufRingEntry>();
        let place = usize::from(self.tail & (RECEIVE_BUFFERS - 1));
        // SAFETY: `place` is below RECEIVE_BUFFERS. The kernel reads entries only below the tail,
        // and this one lies at it, so nobody else looks at it now. The tail field is inside the
        // first entry (its reserved part), aligned for u16, and shared with the kernel: hence an
        // atomic store, releasing the entry's contents.
        unsafe {
            let entry = &mut *entries.add(place);
            entry.set_addr(address);
            entry.set_len(u32::try_from(RECEIVE_BUFFER_BYTES).unwrap_or(0));
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(entries).cast_mut().cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        if !self.leak {
            // SAFETY: allocated with this very layout; nothing uses it any more (`Ring::drop`).
            unsafe { std::alloc::dealloc(self.memory.as_ptr(), self.layout) };
        }
    }
}
