//! The server's one thread: accepts, reads, and hands on what was read, as the plan wants it.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::Timespec;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::StatusCode;
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

use super::Shared;
use super::plan::{Fate, Fault, fate};
use super::record::{Channel, Handed, Member, Record, Said, now_ns};

/// What an event is about, where it is not a connection (those have their place in the record).
const LISTENER: u64 = u64::MAX;
const CONTROL: u64 = u64::MAX - 1;
/// Events taken at once.
const EVENTS_MAX: usize = 256;
/// A handshake is waited for: who connects to this server speaks at once, or is not waited for longer.
const HANDSHAKE_MAX: Duration = Duration::from_secs(2);

/// A connection.
struct Peer {
    socket: WebSocket<TcpStream>,
    /// Deliveries that are to be made after others.
    waiting: Vec<Waiting>,
    /// The kernel took no more: the rest goes when it does.
    blocked: bool,
}

struct Waiting {
    message: usize,
    by: usize,
    /// So many further messages of the same sender go first.
    left: u64,
}

/// A message whose time to go has not come.
struct Delayed {
    at: Instant,
    channel: usize,
    message: usize,
}

struct Loop<'a> {
    epoll: OwnedFd,
    listener: TcpListener,
    control: UnixStream,
    faults: Vec<Fault>,
    delay: Duration,
    /// Whether somebody is starved, from now on.
    starving: bool,
    batches_of: usize,
    shared: &'a Shared,
    /// By their place in the record.
    peers: Vec<Option<Peer>>,
    delayed: VecDeque<Delayed>,
    /// Messages (channel and place in it) that go out together with others.
    batch: Vec<(usize, usize)>,
    batches: usize,
    record: Record,
    handshakes: u64,
    messages: u64,
    /// To end when the last connection has.
    finishing: bool,
    stopped: bool,
}

/// Serves until it is told to end.
pub(super) fn run(listener: TcpListener, control: UnixStream, faults: Vec<Fault>, shared: &Shared) -> Record {
    control.set_nonblocking(true).expect("a socket's mode");
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN).expect("epoll");
    epoll::add(&epoll, &control, EventData::new_u64(CONTROL), EventFlags::IN).expect("epoll");
    let delay = faults.iter().find_map(|fault| match fault {
        Fault::Delay { by } => Some(*by),
        _ => None,
    });
    let batches_of = faults.iter().find_map(|fault| match fault {
        Fault::Batches { of } => Some(*of),
        _ => None,
    });
    let mut server = Loop {
        epoll,
        listener,
        control,
        faults,
        delay: delay.unwrap_or_default(),
        starving: false,
        batches_of: batches_of.unwrap_or(1),
        shared,
        peers: Vec::new(),
        delayed: VecDeque::new(),
        batch: Vec::new(),
        batches: 0,
        record: Record::default(),
        handshakes: 0,
        messages: 0,
        finishing: false,
        stopped: false,
    };
    while !server.is_over() {
        server.turn();
    }
    server.peers.clear();
    shared.update(|progress| progress.ended = true);
    server.record
}

impl Loop<'_> {
    fn is_over(&self) -> bool {
        self.stopped || (self.finishing && self.peers.iter().all(Option::is_none))
    }

    fn turn(&mut self) {
        let wait = self.delayed.front().map(|next| next.at.saturating_duration_since(Instant::now()));
        let wait = wait.map(|wait| Timespec::try_from(wait).expect("a short time"));
        let mut events = Vec::with_capacity(EVENTS_MAX);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), wait.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
        while self.delayed.front().is_some_and(|next| next.at <= Instant::now()) {
            let Delayed { channel, message, .. } = self.delayed.pop_front().expect("there is one");
            self.hand_on(channel, message);
        }
        for event in events {
            match event.data.u64() {
                LISTENER => self.accept(),
                CONTROL => self.obey(),
                peer => self.serve(usize::try_from(peer).expect("a place")),
            }
        }
    }

    fn obey(&mut self) {
        match self.control.read(&mut [0]) {
            Ok(0) | Err(_) => self.stopped = true,
            Ok(_) => self.finishing = true,
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let number = self.handshakes;
            let refused = self.faults.iter().any(|fault| match fault {
                Fault::Refuse { from, handshakes } => {
                    (*from..from.saturating_add(*handshakes)).contains(&number)
                }
                _ => false,
            });
            self.handshakes += 1;
            match shake_hands(stream, refused) {
                Some((path, socket)) => self.join(&path, socket),
                None if refused => {
                    self.record.refused += 1;
                    self.shared.update(|progress| progress.refused += 1);
                }
                None => {}
            }
        }
    }

    fn join(&mut self, path: &str, socket: WebSocket<TcpStream>) {
        let place = self.peers.len();
        let known = self.record.channels.iter().position(|channel| channel.path == path);
        let channel = known.unwrap_or_else(|| {
            let channel = Channel { path: path.to_owned(), said: Vec::new(), members: Vec::new() };
            self.record.channels.push(channel);
            self.record.channels.len() - 1
        });
        let members = &mut self.record.channels[channel].members;
        let ordinal = members.len() as u64;
        members.push(place);
        self.record.members.push(Member { channel, ordinal, spoke: false, cut: false, handed: Vec::new() });
        let data = EventData::new_u64(place as u64);
        epoll::add(&self.epoll, socket.get_ref(), data, EventFlags::IN).expect("epoll");
        self.peers.push(Some(Peer { socket, waiting: Vec::new(), blocked: false }));
        self.shared.update(|progress| progress.joined += 1);
        // What came right behind the handshake has been read already and makes no event.
        self.serve(place);
    }

    /// Sends what waits, and reads what there is.
    fn serve(&mut self, place: usize) {
        self.flush(place);
        while let Some(peer) = &mut self.peers[place] {
            match peer.socket.read() {
                Ok(Message::Text(text)) => self.said(place, text),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.peers[place] = None,
            }
        }
        // An answer to a ping or a goodbye.
        self.flush(place);
    }

    fn said(&mut self, by: usize, text: Utf8Bytes) {
        let (number, now) = (self.messages, Instant::now());
        self.messages += 1;
        let member = &mut self.record.members[by];
        member.spoke = true;
        let channel = member.channel;
        let said = &mut self.record.channels[channel].said;
        said.push(Said { by, text, read_ns: now_ns() });
        let message = said.len() - 1;
        for fault in &self.faults {
            match fault {
                // Not a wait for anything: to do nothing is the fault.
                Fault::Stall { message, length } if *message == number => std::thread::sleep(*length),
                _ => {}
            }
        }
        let delay = self.delay_in(channel);
        if !delay.is_zero() {
            self.delayed.push_back(Delayed { at: now + delay, channel, message });
        } else if self.batches_of > 1 {
            self.collect(channel, message);
        } else {
            self.hand_on(channel, message);
        }
        let messages = self.messages;
        self.shared.update(|progress| progress.messages = messages);
    }

    /// How long a message of this channel waits that comes now. The same for all that wait at a time.
    fn delay_in(&mut self, channel: usize) -> Duration {
        let path = &self.record.channels[channel].path;
        let starve = self.faults.iter().find_map(|fault| match *fault {
            Fault::Starve { for_channel, by } => Some((path.ends_with(&format!("/{for_channel}")), by)),
            _ => None,
        });
        match starve {
            Some((true, _)) => {
                self.starving = true;
                Duration::ZERO
            }
            Some((false, by)) if self.starving => by,
            _ => self.delay,
        }
    }

    /// A message goes to all but who said it.
    fn hand_on(&mut self, channel: usize, message: usize) {
        for place in self.record.channels[channel].members.clone() {
            self.hand_to(place, channel, message);
            self.flush(place);
        }
        self.cut(channel, message as u64 + 1);
    }

    /// A message waits until there are enough for a batch, which goes to one subscriber after the
    /// other, another one first each time.
    fn collect(&mut self, channel: usize, message: usize) {
        self.batch.push((channel, message));
        if self.batch.len() < self.batches_of {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        for number in 0..self.peers.len() {
            let place = (number + self.batches) % self.peers.len();
            for (channel, message) in &batch {
                if self.record.members[place].channel == *channel {
                    self.hand_to(place, *channel, *message);
                }
            }
            self.flush(place);
        }
        self.batches += 1;
        for (channel, message) in batch {
            self.cut(channel, message as u64 + 1);
        }
    }

    fn hand_to(&mut self, place: usize, channel: usize, message: usize) {
        let by = self.record.channels[channel].said[message].by;
        if place == by {
            return;
        }
        match fate(&self.faults, self.record.members[place].ordinal, message as u64) {
            Fate::Drop => {}
            Fate::Hold { behind } => self.hold(place, Waiting { message, by, left: behind }),
            Fate::Send => self.send_in_turn(place, message, by),
            Fate::Double { later: 0 } => {
                self.send(place, message);
                self.send_in_turn(place, message, by);
            }
            Fate::Double { later } => {
                self.send_in_turn(place, message, by);
                self.hold(place, Waiting { message, by, left: later });
            }
        }
    }

    fn hold(&mut self, place: usize, waiting: Waiting) {
        if let Some(peer) = &mut self.peers[place] {
            peer.waiting.push(waiting);
        }
    }

    /// Sends a message, and then those that waited for it.
    fn send_in_turn(&mut self, place: usize, message: usize, by: usize) {
        self.send(place, message);
        let Some(peer) = &mut self.peers[place] else { return };
        for waiting in peer.waiting.iter_mut().filter(|waiting| waiting.by == by) {
            waiting.left -= 1;
        }
        let ready: Vec<Waiting> = peer.waiting.extract_if(.., |waiting| waiting.left == 0).collect();
        for waiting in ready {
            self.send(place, waiting.message);
        }
    }

    fn send(&mut self, place: usize, message: usize) {
        let Some(peer) = &mut self.peers[place] else { return };
        let member = &mut self.record.members[place];
        let text = self.record.channels[member.channel].said[message].text.clone();
        let after_ns = now_ns();
        match peer.socket.write(Message::Text(text)) {
            Ok(()) => member.handed.push(Handed { message, after_ns }),
            // It is in the library's buffer, and goes when the kernel takes more.
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                member.handed.push(Handed { message, after_ns });
            }
            Err(_) => self.peers[place] = None,
        }
    }

    fn flush(&mut self, place: usize) {
        let Some(peer) = &mut self.peers[place] else { return };
        let blocked = match peer.socket.flush() {
            Ok(()) => false,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => true,
            Err(_) => {
                self.peers[place] = None;
                return;
            }
        };
        if blocked != peer.blocked {
            peer.blocked = blocked;
            let wanted = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let data = EventData::new_u64(place as u64);
            epoll::modify(&self.epoll, peer.socket.get_ref(), data, wanted).expect("epoll");
        }
    }

    fn cut(&mut self, channel: usize, messages: u64) {
        for fault in &self.faults {
            let Fault::Cut { messages: after, subscribers } = *fault else { continue };
            if after != messages {
                continue;
            }
            let members = &self.record.channels[channel].members;
            let silent = members.iter().filter(|place| !self.record.members[**place].spoke);
            for place in silent.take(subscribers).copied().collect::<Vec<_>>() {
                let peer = self.peers[place].take().expect("whoever is to be cut is there");
                peer.socket.get_ref().shutdown(Shutdown::Both).expect("it is connected");
                self.record.members[place].cut = true;
            }
        }
    }
}

/// The handshake, to its end. The path that was asked for, and the connection.
fn shake_hands(stream: TcpStream, refused: bool) -> Option<(String, WebSocket<TcpStream>)> {
    stream.set_read_timeout(Some(HANDSHAKE_MAX)).expect("a socket's mode");
    stream.set_nodelay(true).expect("a socket's mode");
    let mut path = String::new();
    #[allow(clippy::result_large_err, reason = "the library's type")]
    let answer = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        request.uri().path().clone_into(&mut path);
        if !refused {
            return Ok(response);
        }
        let mut no = ErrorResponse::new(None);
        *no.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        Err(no)
    };
    let socket = tungstenite::accept_hdr(stream, answer).ok()?;
    socket.get_ref().set_nonblocking(true).expect("a socket's mode");
    Some((path, socket))
}
