//! One connection's state, and the system calls on its socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{Domain, Protocol, Socket, Type};

use crate::checking::Track;
use crate::door::Door;
use crate::limits::SLOW_BUFFER_BYTES;
use crate::protocol::{Framing, Session};
use crate::websocket::Key;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none.
    Out,
    /// A dispatcher is asked for a worker: its connection is being made.
    Calling,
    /// The dispatcher has the question.
    Asking,
    /// The connection is being made.
    Knocking,
    /// The handshake is out.
    Shaking,
    /// The WebSocket stands; the protocol's own first words are out.
    Settling,
    /// It is what it is meant to be.
    In,
}

/// What a connection is for, as far as counting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A client that is there all the time: it is owed every message.
    Stays,
    /// One of those that come and go: it is owed what comes between its first and its last.
    Comes,
    /// One that reads slowly.
    Slow,
    /// It only publishes.
    Publishes,
}

/// A slot for one connection, used again and again by the same client.
pub(super) struct Connection {
    pub(super) stream: Option<Socket>,
    pub(super) stage: Stage,
    pub(super) class: Class,
    /// Tells the events of an earlier connection in this slot apart.
    pub(super) generation: u32,
    pub(super) lane: u32,
    pub(super) door: u32,
    pub(super) session: Box<dyn Session>,
    pub(super) framing: Framing,
    pub(super) track: Track,
    /// The beginning of something whose rest has not come.
    pub(super) partial: Vec<u8>,
    pub(super) out: Vec<u8>,
    pub(super) out_at: usize,
    /// The system tells when it can be written to.
    pub(super) watches_writing: bool,
    /// It reads slowly now.
    pub(super) held_back: bool,
    /// When it was to be made.
    pub(super) due_ns: u64,
    /// When it was cut off, if it is to come back.
    pub(super) cut_ns: u64,
    pub(super) tries: u8,
    pub(super) key: Option<Box<Key>>,
    /// The worker that the dispatcher named last, and its id, by which it is left out when it failed.
    pub(super) worker: Option<(Rc<str>, String)>,
    /// Closed as soon as it is ready: only the connecting counts.
    pub(super) passes_by: bool,
}

impl Connection {
    /// Of a client that has never connected.
    pub(super) fn new(
        class: Class,
        lane: u32,
        door: u32,
        session: Box<dyn Session>,
        track: Track,
    ) -> Connection {
        Connection {
            stream: None,
            stage: Stage::Out,
            class,
            generation: 0,
            lane,
            door,
            framing: session.framing(),
            session,
            track,
            partial: Vec::new(),
            out: Vec::new(),
            out_at: 0,
            watches_writing: false,
            held_back: false,
            due_ns: 0,
            cut_ns: 0,
            tries: 0,
            key: None,
            worker: None,
            passes_by: false,
        }
    }

    /// Where it goes at this door.
    pub(super) fn host<'a>(&self, door: &'a Door) -> &'a str {
        let apart = door.subscribers.as_ref().filter(|_| self.class != Class::Publishes);
        apart.map_or(door.authority.as_str(), |(authority, _)| authority)
    }

    /// Begins a connection.
    pub(super) fn connect(&mut self, to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if self.class == Class::Slow {
            socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
        }
        if let Some(from) = from {
            // The port is chosen when the other end is known: any may be used once for each.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(error);
            }
            _ => {}
        }
        self.generation = self.generation.wrapping_add(1);
        self.stream = Some(socket);
        Ok(())
    }

    /// Reads what there is, once.
    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = &self.stream else { return Ok(0) };
        Ok(recv(stream, into, RecvFlags::empty())?.0)
    }

    /// Writes as much as the system takes; whether all is written.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        let Some(stream) = &self.stream else { return Ok(false) };
        while self.out_at < self.out.len() {
            match send(stream, &self.out[self.out_at..], SendFlags::NOSIGNAL) {
                Ok(written) => self.out_at += written,
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // What an idle client has said once is not worth memory; one that asks for every answer is not idle.
        match self.framing {
            Framing::Answers => self.out.clear(),
            Framing::WebSocket | Framing::Chunks => self.out = Vec::new(),
        }
        self.out_at = 0;
        Ok(true)
    }

    /// Why a connection could not be made.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.stream.as_ref().and_then(|stream| stream.take_error().ok().flatten())
    }

    /// Ends the connection, at once and without a word if `abruptly` (the port is then free at once
    /// too).
    pub(super) fn close(&mut self, abruptly: bool) {
        if let Some(stream) = self.stream.take()
            && abruptly
        {
            let _ = stream.set_linger(Some(Duration::ZERO));
        }
        self.stage = Stage::Out;
        self.generation = self.generation.wrapping_add(1);
        self.partial = Vec::new();
        self.out = Vec::new();
        self.out_at = 0;
        self.watches_writing = false;
        self.held_back = false;
        self.key = None;
    }

    /// Bytes that wait to be written.
    pub(super) fn unwritten(&self) -> usize {
        self.out.len() - self.out_at
    }
}
