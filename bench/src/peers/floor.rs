//! The floor: what sending costs and nothing else, the yardstick of the comparison with other servers.
//!
//! A publisher's text frame is unmasked and framed once, then a loop of `send` hands the same bytes to
//! every other socket of its path. Two ways: one send a message and socket; or (`send_batch`) all that
//! came for a channel within one turn of the loop laid end to end and given to each socket in one send,
//! the publishers' own included.
//!
//! It leaves out what a server needs: users, tokens, history, resuming, acknowledgements, time-outs,
//! pings of its own, messages in pieces or binary, a check that text is UTF-8, an end to a channel's
//! entry when nobody is in it, and a limit to what it keeps for a socket that takes no more (a floor may
//! not lose, so that is kept until the socket takes it). One thread, epoll, level-triggered. An idle
//! connection is an entry in two tables, 20 bytes together, and no buffer.

pub mod wire;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, bind, getsockname, listen,
    recv, send, socket_with, sockopt,
};
use wire::{Broken, Handshake, Kind};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Sockets that one turn of the loop hears about.
const EVENTS_MAX: usize = 4096;
/// Read from a socket in one turn, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A socket that has shaken hands.
struct Member {
    socket: OwnedFd,
    /// It took no more at some point: what is still to be sent is in [`Floor::unsent`].
    behind: bool,
}

#[derive(Default)]
struct Channel {
    members: Vec<Member>,
    /// What came in this turn, as frames end to end; used only in batches.
    turn: Vec<u8>,
}

/// Where the socket of a descriptor is.
enum Place {
    Nowhere,
    /// It has not shaken hands yet.
    Fresh(OwnedFd),
    Member {
        channel: u32,
        index: u32,
    },
}

/// A listening floor.
pub struct Floor {
    epoll: OwnedFd,
    listener: OwnedFd,
    /// Whether epoll tells of new connections: not while there are no descriptors for them.
    accepting: bool,
    send_batch: bool,
    /// By descriptor.
    places: Vec<Place>,
    channels: Vec<Channel>,
    channel_of_path: HashMap<String, u32>,
    /// Channels with something to send at the end of this turn.
    dirty: Vec<u32>,
    /// What sockets did not take yet, by descriptor.
    unsent: HashMap<RawFd, VecDeque<u8>>,
    /// Frames and heads that have not come whole yet, by descriptor.
    unread: HashMap<RawFd, Vec<u8>>,
    /// The frame being sent; kept for its memory.
    frame: Vec<u8>,
}

impl Floor {
    /// Listens on this port of the loopback address; 0 for any free one.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(port: u16, send_batch: bool) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&listener, true)?;
        bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        listen(&listener, BACKLOG)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, data(&listener), EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            accepting: true,
            send_batch,
            places: Vec::new(),
            channels: Vec::new(),
            channel_of_path: HashMap::new(),
            dirty: Vec::new(),
            unsent: HashMap::new(),
            unread: HashMap::new(),
            frame: Vec::new(),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        Ok(getsockname(&self.listener)?.try_into()?)
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// The system's, where it leaves nothing to go on with.
    pub fn run(mut self) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        let mut input = vec![0; READ_BYTES];
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut knocking = false;
            for event in &events {
                // The kernel keeps 64 bits for us; a descriptor was put into them.
                let Ok(descriptor) = RawFd::try_from(event.data.u64()) else { continue };
                if descriptor == self.listener.as_raw_fd() {
                    knocking = true;
                    continue;
                }
                let flags = event.flags;
                if flags.contains(EventFlags::OUT) {
                    self.send_unsent(descriptor)?;
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    self.read(descriptor, &mut input)?;
                }
            }
            self.send_turn()?;
            // Last, so that a descriptor that was closed in this turn is not used again within it.
            if knocking {
                self.accept()?;
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    sockopt::set_tcp_nodelay(&socket, true)?;
                    epoll::add(&self.epoll, &socket, data(&socket), EventFlags::IN)?;
                    let at = index_of(socket.as_raw_fd());
                    if self.places.len() <= at {
                        self.places.resize_with(at + 1, || Place::Nowhere);
                    }
                    self.places[at] = Place::Fresh(socket);
                }
                Err(Errno::MFILE | Errno::NFILE) => {
                    // Until somebody leaves: epoll would tell of those who wait at every turn.
                    epoll::delete(&self.epoll, &self.listener)?;
                    self.accepting = false;
                    return Ok(());
                }
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&mut self, descriptor: RawFd, input: &mut [u8]) -> io::Result<()> {
        let socket = match &self.places[index_of(descriptor)] {
            Place::Nowhere => return Ok(()),
            Place::Fresh(socket) => socket,
            Place::Member { channel, index } => {
                &self.channels[*channel as usize].members[*index as usize].socket
            }
        };
        let length = match recv(socket, &mut *input, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return self.leave(descriptor),
            Ok((length, _)) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(_) => return self.leave(descriptor),
        };
        let input = &input[..length];
        let taken = if self.unread.is_empty() {
            self.take(descriptor, input)?.map(|taken| (taken < length).then(|| input[taken..].to_vec()))
        } else {
            // Rare: somebody's frame or head came in pieces. Then a copy does not matter.
            let mut bytes = self.unread.remove(&descriptor).unwrap_or_default();
            bytes.extend_from_slice(input);
            self.take(descriptor, &bytes)?.map(|taken| (taken < bytes.len()).then(|| bytes.split_off(taken)))
        };
        match taken {
            Ok(None) => Ok(()),
            Ok(Some(rest)) => {
                self.unread.insert(descriptor, rest);
                Ok(())
            }
            Err(Broken) => self.leave(descriptor),
        }
    }

    /// Takes what has come whole; says how many bytes those were.
    fn take(&mut self, descriptor: RawFd, bytes: &[u8]) -> io::Result<Result<usize, Broken>> {
        let mut taken = 0;
        if matches!(self.places[index_of(descriptor)], Place::Fresh(_)) {
            match wire::handshake(bytes) {
                Ok(Some(handshake)) => {
                    taken = handshake.length;
                    self.join(descriptor, handshake);
                }
                Ok(None) => return Ok(Ok(0)),
                Err(Broken) => return Ok(Err(Broken)),
            }
        }
        let Place::Member { channel, index } = self.places[index_of(descriptor)] else {
            return Ok(Err(Broken));
        };
        loop {
            let frame = match wire::frame(&bytes[taken..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(Ok(taken)),
                Err(Broken) => return Ok(Err(Broken)),
            };
            taken += frame.length;
            match frame.kind {
                Kind::Close => return Ok(Err(Broken)),
                Kind::Pong => {}
                Kind::Text if self.send_batch => {
                    let turn = &mut self.channels[channel as usize].turn;
                    if turn.is_empty() {
                        self.dirty.push(channel);
                    }
                    frame.answer_into(turn);
                }
                Kind::Text | Kind::Ping => {
                    self.frame.clear();
                    frame.answer_into(&mut self.frame);
                    let members = &mut self.channels[channel as usize].members;
                    for (at, member) in members.iter_mut().enumerate() {
                        // A ping's answer goes to its sender alone, a text to all but its sender.
                        if (at == index as usize) == (frame.kind == Kind::Ping) {
                            send_to(member, &self.frame, &self.epoll, &mut self.unsent)?;
                        }
                    }
                }
            }
        }
    }

    /// Puts a socket among those of its path.
    fn join(&mut self, descriptor: RawFd, handshake: Handshake) {
        let place = &mut self.places[index_of(descriptor)];
        let Place::Fresh(socket) = mem::replace(place, Place::Nowhere) else { return };
        // A fresh socket has room for an answer of a hundred bytes; if it is gone, its end is read next.
        let _ = send(&socket, &handshake.answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        let channels = &mut self.channels;
        let channel = *self.channel_of_path.entry(handshake.path).or_insert_with(|| {
            channels.push(Channel::default());
            short(channels.len() - 1)
        });
        let members = &mut channels[channel as usize].members;
        members.push(Member { socket, behind: false });
        *place = Place::Member { channel, index: short(members.len() - 1) };
    }

    fn leave(&mut self, descriptor: RawFd) -> io::Result<()> {
        self.unread.remove(&descriptor);
        self.unsent.remove(&descriptor);
        let place = mem::replace(&mut self.places[index_of(descriptor)], Place::Nowhere);
        if let Place::Member { channel, index } = place {
            let members = &mut self.channels[channel as usize].members;
            members.swap_remove(index as usize);
            if let Some(moved) = members.get(index as usize) {
                self.places[index_of(moved.socket.as_raw_fd())] = Place::Member { channel, index };
            }
        }
        if !self.accepting {
            epoll::add(&self.epoll, &self.listener, data(&self.listener), EventFlags::IN)?;
            self.accepting = true;
        }
        Ok(())
    }

    /// Sends what came in this turn, each channel's in one send a socket.
    fn send_turn(&mut self) -> io::Result<()> {
        while let Some(channel) = self.dirty.pop() {
            let Channel { members, turn } = &mut self.channels[channel as usize];
            for member in members {
                send_to(member, turn, &self.epoll, &mut self.unsent)?;
            }
            turn.clear();
        }
        Ok(())
    }

    /// Goes on where a socket took no more.
    fn send_unsent(&mut self, descriptor: RawFd) -> io::Result<()> {
        let Some(unsent) = self.unsent.get_mut(&descriptor) else { return Ok(()) };
        let Place::Member { channel, index } = self.places[index_of(descriptor)] else { return Ok(()) };
        let member = &mut self.channels[channel as usize].members[index as usize];
        while !unsent.is_empty() {
            match send(&member.socket, unsent.as_slices().0, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => drop(unsent.drain(..sent)),
                // It takes no more again, or is gone: epoll tells of either.
                Err(_) => return Ok(()),
            }
        }
        self.unsent.remove(&descriptor);
        member.behind = false;
        epoll::modify(&self.epoll, &member.socket, data(&member.socket), EventFlags::IN)?;
        Ok(())
    }
}

/// One send; what the socket does not take is kept for later.
#[inline]
fn send_to(
    member: &mut Member,
    bytes: &[u8],
    epoll: &OwnedFd,
    unsent: &mut HashMap<RawFd, VecDeque<u8>>,
) -> io::Result<()> {
    let sent = if member.behind {
        0
    } else {
        match send(&member.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) if sent == bytes.len() => return Ok(()),
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            // It is gone: epoll tells of that, and the socket is let go of there.
            Err(_) => return Ok(()),
        }
    };
    if !member.behind {
        member.behind = true;
        epoll::modify(epoll, &member.socket, data(&member.socket), EventFlags::IN | EventFlags::OUT)?;
    }
    unsent.entry(member.socket.as_raw_fd()).or_default().extend(&bytes[sent..]);
    Ok(())
}

/// What epoll is to give back for a socket: its descriptor.
fn data(socket: &OwnedFd) -> EventData {
    EventData::new_u64(index_of(socket.as_raw_fd()) as u64)
}

/// Descriptors are small and never negative.
fn index_of(descriptor: RawFd) -> usize {
    usize::try_from(descriptor).unwrap_or_default()
}

/// Channels and members are as many as descriptors at most, or as paths that came: far below 2³².
fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::thread;
    use std::time::Duration;

    use tungstenite::{Message, WebSocket};

    use super::*;

    /// Long enough for any machine; only a failure waits for so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Starts a floor, which ends with the test's process.
    fn start(send_batch: bool) -> SocketAddr {
        let floor = Floor::listen(0, send_batch).unwrap();
        let address = floor.address().unwrap();
        thread::spawn(|| floor.run().unwrap());
        address
    }

    fn client(address: SocketAddr, path: &str) -> WebSocket<TcpStream> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        tungstenite::client(format!("ws://{address}{path}"), stream).unwrap().0
    }

    fn text(client: &mut WebSocket<TcpStream>) -> String {
        client.read().unwrap().into_text().unwrap().to_string()
    }

    #[test]
    fn a_text_comes_unchanged_to_the_others_of_its_path() {
        for send_batch in [false, true] {
            let address = start(send_batch);
            let (mut publisher, mut one, mut two) =
                (client(address, "/c0"), client(address, "/c0"), client(address, "/c0"));
            let mut elsewhere = client(address, "/c1");
            for length in [0, 1, 120, 125, 126, 65_535, 65_536, 300_000] {
                let sent = "ü".repeat(length / 2) + &"x".repeat(length % 2);
                publisher.send(Message::text(&sent)).unwrap();
                for other in [&mut one, &mut two] {
                    assert_eq!(text(other), sent, "{length} bytes, batch: {send_batch}");
                }
                if send_batch {
                    assert_eq!(text(&mut publisher), sent);
                }
            }
            // Whoever is on another path hears nothing before the answer to its own ping.
            elsewhere.send(Message::Ping("here".into())).unwrap();
            assert_eq!(elsewhere.read().unwrap(), Message::Pong("here".into()));
        }
    }

    #[test]
    fn who_reads_late_still_gets_everything_in_order() {
        for send_batch in [false, true] {
            let address = start(send_batch);
            let (mut publisher, mut prompt, mut late) =
                (client(address, "/c0"), client(address, "/c0"), client(address, "/c0"));
            // More than the kernel keeps for a socket at either end.
            let count = 400;
            for number in 0..count {
                publisher.send(Message::text(format!("{number}:{}", "y".repeat(50_000)))).unwrap();
                assert!(text(&mut prompt).starts_with(&format!("{number}:")));
                if send_batch {
                    assert!(text(&mut publisher).starts_with(&format!("{number}:")));
                }
            }
            for number in 0..count {
                assert!(text(&mut late).starts_with(&format!("{number}:")), "batch: {send_batch}");
            }
        }
    }

    #[test]
    fn who_leaves_is_taken_off_and_the_rest_stay_in_place() {
        let address = start(false);
        let mut clients: Vec<_> = (0..5).map(|_| client(address, "/c0")).collect();
        for left in (2..5).rev() {
            let mut leaving = clients.remove(left / 2);
            leaving.close(None).unwrap();
            // The floor answers no close frame: it hangs up, and that is waited for here.
            while leaving.read().is_ok() {}
            let (publisher, others) = clients.split_first_mut().unwrap();
            publisher.send(Message::text(left.to_string())).unwrap();
            for other in others {
                assert_eq!(text(other), left.to_string());
            }
        }
    }
}
