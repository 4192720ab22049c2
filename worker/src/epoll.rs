//! A shard's sockets by epoll, for hosts that forbid io_uring: the same surface as `ring`, at the
//! price of a system call for each receive and each send. Must not know what the bytes mean.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use chatup_core::limits::TIMER_TICK_MS;
use rustix::event::{Timespec, epoll};
use socket2::{SockRef, Socket};

use crate::io::{Completion, ReceiveEnd, Received, Unsent};
use crate::limits::{ACCEPTS_PER_WAIT, EPOLL_EVENTS, RECEIVE_BUFFER_BYTES};

/// What the data of an event says besides a connection's key, which has 56 bits.
const ACCEPT: u64 = 1 << 56;
const BELL: u64 = 2 << 56;

/// The interest list, and what has happened.
pub(crate) struct Epoll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    /// Of the listening socket, while accepting.
    listener: Option<Socket>,
    bell: Option<OwnedFd>,
    /// What each connection waits for, by its place.
    interests: Vec<epoll::EventFlags>,
    buffer: Vec<u8>,
    completed: VecDeque<Completion>,
    unsent: Vec<Unsent>,
}

fn place(key: u64) -> usize {
    usize::try_from(key & u64::from(u32::MAX)).unwrap_or(usize::MAX)
}

impl Epoll {
    /// An empty one.
    ///
    /// # Errors
    /// There is no descriptor for it.
    pub(crate) fn new() -> io::Result<Epoll> {
        Ok(Epoll {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EPOLL_EVENTS),
            listener: None,
            bell: None,
            interests: Vec::new(),
            buffer: vec![0; RECEIVE_BUFFER_BYTES],
            completed: VecDeque::new(),
            unsent: Vec::new(),
        })
    }

    pub(crate) fn accept(&mut self, listener: BorrowedFd<'_>) {
        let begun = listener.try_clone_to_owned().and_then(|listener| {
            let listener = Socket::from(listener);
            listener.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(ACCEPT);
            epoll::add(&self.epoll, &listener, data, epoll::EventFlags::IN)?;
            Ok(listener)
        });
        match begun {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => self.completed.push_back(Completion::AcceptEnded(error)),
        }
    }

    /// Bytes of its buffers and lists.
    pub(crate) fn memory(&self) -> usize {
        let first = self.interests.first();
        self.interests.capacity() * first.map_or(0, size_of_val)
            + self.events.capacity() * size_of::<epoll::Event>()
            + self.buffer.capacity()
            + self.completed.capacity() * size_of::<Completion>()
    }

    pub(crate) fn stop_accepting(&mut self) {
        self.end_accepting(io::Error::from_raw_os_error(libc::ECANCELED));
    }

    fn end_accepting(&mut self, why: io::Error) {
        if let Some(listener) = self.listener.take() {
            // It is the copy that is listened to: gone with its descriptor, or before.
            let _ = epoll::delete(&self.epoll, &listener);
        }
        self.completed.push_back(Completion::AcceptEnded(why));
    }

    fn accept_some(&mut self) {
        for _ in 0..ACCEPTS_PER_WAIT {
            let Some(listener) = &self.listener else { return };
            let accepted = listener.accept().and_then(|(socket, _)| {
                socket.set_nonblocking(true)?;
                Ok(socket)
            });
            match accepted {
                Ok(socket) => self.completed.push_back(Completion::Accepted(socket.into(), true)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => return self.end_accepting(error),
            }
        }
    }

    pub(crate) fn receive(&mut self, key: u64, socket: BorrowedFd<'_>) {
        self.wait_for(key, socket, epoll::EventFlags::IN);
    }

    pub(crate) fn wait_writable(&mut self, key: u64, socket: BorrowedFd<'_>) {
        let interest = self.interest(key);
        self.wait_for(key, socket, interest | epoll::EventFlags::OUT);
    }

    fn interest(&self, key: u64) -> epoll::EventFlags {
        self.interests.get(place(key)).copied().unwrap_or(epoll::EventFlags::empty())
    }

    fn wait_for(&mut self, key: u64, socket: BorrowedFd<'_>, interest: epoll::EventFlags) {
        if self.interests.len() <= place(key) {
            self.interests.resize(place(key) + 1, epoll::EventFlags::empty());
        }
        self.interests[place(key)] = interest;
        let data = epoll::EventData::new_u64(key);
        let told = if interest.is_empty() {
            // Even then it would tell of a hang-up, over and over.
            epoll::delete(&self.epoll, socket)
        } else {
            epoll::modify(&self.epoll, socket, data, interest).or_else(|error| match error {
                rustix::io::Errno::NOENT => epoll::add(&self.epoll, socket, data, interest),
                other => Err(other),
            })
        };
        if let Err(error) = told
            && !interest.is_empty()
        {
            tracing::warn!(%error, "a connection cannot be waited for; it is closed");
            self.completed.push_back(Completion::ReceiveEnded(key, ReceiveEnd::Failed));
            if interest.contains(epoll::EventFlags::OUT) {
                self.completed.push_back(Completion::Writable(key));
            }
        }
    }

    /// What a socket is ready for: room, or something to receive.
    pub(crate) fn ready(&mut self, key: u64, room: bool, socket: BorrowedFd<'_>) -> Option<Completion> {
        let interest = self.interest(key);
        if room {
            self.wait_for(key, socket, interest - epoll::EventFlags::OUT);
            return interest.contains(epoll::EventFlags::OUT).then_some(Completion::Writable(key));
        }
        if !interest.contains(epoll::EventFlags::IN) {
            // A hang-up, behind its end: whoever waits for room learns by the next send.
            self.wait_for(key, socket, epoll::EventFlags::empty());
            return interest.contains(epoll::EventFlags::OUT).then_some(Completion::Writable(key));
        }
        let end = match (&*SockRef::from(&socket)).read(&mut self.buffer) {
            Ok(0) => ReceiveEnd::Ended,
            Ok(bytes) => {
                return Some(Completion::Received(key, Received { buffer: 0, bytes, goes_on: true }));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return None;
            }
            Err(_) => ReceiveEnd::Failed,
        };
        self.wait_for(key, socket, interest - epoll::EventFlags::IN);
        Some(Completion::ReceiveEnded(key, end))
    }

    pub(crate) fn send(&mut self, flight: u32, socket: BorrowedFd<'_>, bytes: &[u8]) {
        loop {
            match (&*SockRef::from(&socket)).write(bytes) {
                Ok(taken) if taken == bytes.len() => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return self.unsent.push((flight, Ok(0)));
                }
                other => return self.unsent.push((flight, other)),
            }
        }
    }

    pub(crate) fn listen_to_bell(&mut self, bell: BorrowedFd<'_>) {
        if self.bell.is_some() {
            return;
        }
        let listening = bell.try_clone_to_owned().and_then(|bell| {
            epoll::add(&self.epoll, &bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
            Ok(bell)
        });
        match listening {
            Ok(bell) => self.bell = Some(bell),
            Err(error) => tracing::error!(%error, "a shard cannot be woken; it looks every tick"),
        }
    }

    pub(crate) fn wait(&mut self, at_most: Option<Duration>) -> io::Result<()> {
        // What has not been worked off would only be told once more.
        if self.has_completed() {
            return Ok(());
        }
        let tick = Duration::from_millis(TIMER_TICK_MS);
        let at_most = if self.unsent.is_empty() {
            at_most.map_or(tick, |at_most| at_most.min(tick))
        } else {
            Duration::ZERO
        };
        let timeout = Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            self.happened(event.data.u64(), event.flags);
        }
        self.events = events;
        Ok(())
    }

    fn happened(&mut self, data: u64, flags: epoll::EventFlags) {
        match data {
            ACCEPT => self.accept_some(),
            BELL => {
                if let Some(bell) = &self.bell {
                    // Rung once or often: the queue says what for.
                    let _ = rustix::io::read(bell, &mut [0; 8]);
                }
                self.completed.push_back(Completion::Woken);
            }
            key => {
                let other = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
                if flags.contains(epoll::EventFlags::OUT) {
                    self.completed.push_back(Completion::Ready(key, true));
                }
                if flags.intersects(other) {
                    self.completed.push_back(Completion::Ready(key, false));
                }
            }
        }
    }

    pub(crate) fn take_completed(&mut self) -> Option<Completion> {
        self.completed.pop_front()
    }

    pub(crate) fn has_completed(&self) -> bool {
        !self.completed.is_empty()
    }

    pub(crate) fn take_unsent(&mut self) -> Vec<Unsent> {
        std::mem::take(&mut self.unsent)
    }

    pub(crate) fn bytes(&mut self, received: &Received) -> &mut [u8] {
        &mut self.buffer[..received.bytes]
    }

    pub(crate) fn give_back(&mut self, _: &Received) {}
}
