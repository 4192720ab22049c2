//! How a shard's sockets are served: by io_uring, or by epoll where the host forbids that. One
//! small surface, with the words that both speak.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use chatup_core::shard::{Begun, Shard};

use crate::epoll::Epoll;
use crate::ring::Ring;

/// What has happened. `u64`s are the keys that the operation was given, at most 56 bits long.
#[derive(Debug)]
pub(crate) enum Completion {
    /// A connection has come; and whether accepting goes on by itself.
    Accepted(OwnedFd, bool),
    /// Accepting has ended, for this reason; begin it again.
    AcceptEnded(io::Error),
    /// Bytes have come, into this buffer; give it back.
    Received(u64, Received),
    /// Receiving has ended: nothing more will come, or there was no buffer (begin it again).
    ReceiveEnded(u64, ReceiveEnd),
    /// A full socket has room again (or has failed, which the next send will tell).
    Writable(u64),
    /// The bell has been rung.
    Woken,
    /// There is room, or else something to receive; [`Io::ready`] says what.
    Ready(u64, bool),
}

/// A filled buffer.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) buffer: u16,
    pub(crate) bytes: usize,
    /// Whether receiving goes on by itself.
    pub(crate) goes_on: bool,
}

/// Why receiving has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReceiveEnd {
    /// The other end sends no more.
    Ended,
    /// The connection failed.
    Failed,
    /// All buffers were in use.
    NoBuffer,
}

/// A send that was not taken whole: its number, and how much was taken or why it failed.
pub(crate) type Unsent = (u32, io::Result<usize>);

/// One of the two.
pub(crate) enum Io {
    /// io_uring.
    Ring(Box<Ring>),
    /// epoll.
    Epoll(Box<Epoll>),
}

/// Calls the same method of whichever it is.
macro_rules! either {
    ($io:expr, $one:ident => $call:expr) => {
        match $io {
            Io::Ring($one) => $call,
            Io::Epoll($one) => $call,
        }
    };
}

impl Io {
    /// Accepts connections until it ends.
    pub(crate) fn accept(&mut self, listener: BorrowedFd<'_>) {
        either!(self, io => io.accept(listener));
    }

    /// Stops accepting.
    pub(crate) fn stop_accepting(&mut self) {
        either!(self, io => io.stop_accepting());
    }

    /// Receives from a socket until it ends.
    pub(crate) fn receive(&mut self, key: u64, socket: BorrowedFd<'_>) {
        either!(self, io => io.receive(key, socket));
    }

    /// What a socket is ready for, where that has to be asked ([`Completion::Ready`]).
    pub(crate) fn ready(&mut self, key: u64, room: bool, socket: BorrowedFd<'_>) -> Option<Completion> {
        match self {
            Io::Ring(_) => None,
            Io::Epoll(epoll) => epoll.ready(key, room, socket),
        }
    }

    /// Sends what the socket takes at once, by the end of the next [`Io::wait`].
    pub(crate) fn send(&mut self, shard: &Shard, begun: &Begun, socket: BorrowedFd<'_>) {
        match self {
            Io::Ring(ring) => ring.send(begun.flight, socket, begun.outgoing),
            Io::Epoll(epoll) => {
                shard.in_flight(begun.flight, |bytes| epoll.send(begun.flight, socket, bytes));
            }
        }
    }

    /// Tells when a full socket has room again.
    pub(crate) fn wait_writable(&mut self, key: u64, socket: BorrowedFd<'_>) {
        either!(self, io => io.wait_writable(key, socket));
    }

    /// Tells when the bell is rung, once.
    pub(crate) fn listen_to_bell(&mut self, bell: BorrowedFd<'_>) {
        either!(self, io => io.listen_to_bell(bell));
    }

    /// Carries out what has been asked, and waits for something to happen: at most so long, or until
    /// the next tick.
    ///
    /// # Errors
    /// It has become unusable.
    pub(crate) fn wait(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        either!(self, io => io.wait(at_most))
    }

    /// What has happened, the oldest first, sends aside.
    pub(crate) fn take_completed(&mut self) -> Option<Completion> {
        either!(self, io => io.take_completed())
    }

    /// Whether something has happened that has not been taken.
    pub(crate) fn has_completed(&self) -> bool {
        either!(self, io => io.has_completed())
    }

    /// The sends before the last [`Io::wait`] that were not taken whole.
    pub(crate) fn take_unsent(&mut self) -> Vec<Unsent> {
        either!(self, io => io.take_unsent())
    }

    /// Bytes of its buffers and queues, those that it shares with the kernel included.
    pub(crate) fn memory(&self) -> usize {
        either!(self, io => io.memory())
    }

    /// The bytes that came.
    pub(crate) fn bytes(&mut self, received: &Received) -> &mut [u8] {
        either!(self, io => io.bytes(received))
    }

    /// They are no longer needed.
    pub(crate) fn give_back(&mut self, received: &Received) {
        either!(self, io => io.give_back(received));
    }
}
