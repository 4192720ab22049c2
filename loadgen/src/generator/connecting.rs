//! Makes connections: asks a dispatcher for a worker if there is one, connects, shakes hands, and
//! lets the protocol say its first words. Tries again after a failure, with growing waits.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;

use chatup_core::token::Signer;
use rustix::event::epoll::{self, EventData, EventFlags};
use serde_json::json;

use super::connection::{Class, Connection, Stage};
use super::orders::say;
use super::timers::What;
use super::{Generator, Phase, event_data};
use crate::checking::Track;
use crate::clock::now_ns;
use crate::control::{News, Tokens};
use crate::limits::{CONNECTING_MAX, JOIN_BYTES_MAX, RETRY_NS, TRIES_MAX};
use crate::plan::{Place, mix};
use crate::protocol::{Framing, Heard, Part};
use crate::websocket::{self, Key};

/// Most headers of a dispatcher's answer.
const HEADERS_MAX: usize = 64;
/// Life of a token that this program makes, in seconds.
const TOKEN_S: u64 = 7 * 24 * 60 * 60;

/// What a connection that begins without a handshake is already.
#[derive(Default)]
struct Ready {
    recovered: Option<Option<bool>>,
    pauses: bool,
}

/// Where tokens come from.
enum Mint {
    None,
    Sign(Box<Signer>, u64),
    Given(Vec<String>),
}

impl Mint {
    fn new(tokens: &Tokens) -> Result<Mint, String> {
        match tokens {
            Tokens::None => Ok(Mint::None),
            Tokens::Given(tokens) => Ok(Mint::Given(tokens.clone())),
            Tokens::Sign(key) => {
                let signer = match key.trim_start().starts_with("-----BEGIN") {
                    true => Signer::from_private_pem(key.as_bytes()),
                    false => Signer::from_secret(key.as_bytes()),
                };
                let signer =
                    signer.map_err(|error| format!("the key that tokens are signed with: {error}"))?;
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                Ok(Mint::Sign(Box::new(signer), now.map_or(0, |now| now.as_secs()) + TOKEN_S))
            }
        }
    }

    fn token(&self, run: u32, publisher: u32) -> Result<Option<Rc<str>>, String> {
        match self {
            Mint::None => Ok(None),
            Mint::Given(tokens) => {
                Ok(tokens.get(publisher as usize % tokens.len()).map(|token| (**token).into()))
            }
            Mint::Sign(signer, expires) => {
                let name = format!("lg{run:x}-{publisher}");
                let claims = json!({ "exp": expires, "_public": { "name": name } });
                signer.sign(&claims).map(|token| Some(token.into())).map_err(|error| error.to_string())
            }
        }
    }
}

impl Generator {
    /// Makes the slots of this process: its clients first, then its publishers, then those for
    /// connections that are closed again at once.
    pub(super) fn enroll(&mut self) -> Result<(), String> {
        let plan = self.begin.plan.clone();
        let mint = Mint::new(&self.begin.tokens)?;
        let mut names: std::collections::HashMap<u32, Rc<str>> = std::collections::HashMap::new();
        let mut part = |place: Place, subscribes, publishes, stays| Part {
            channel: Rc::clone(
                names.entry(place.channel).or_insert_with(|| plan.channel_name(place.channel).into()),
            ),
            subscribes,
            publishes,
            resumes: plan.resumes,
            stays,
            size_bytes: plan.size_bytes,
        };
        let (process, processes) = (self.begin.process, self.begin.processes);
        let roles = plan.roles();
        let mut talker = 0;
        for client in 0..plan.clients {
            let number = talker;
            let role = client as usize;
            let talks = roles.talks[role];
            talker += u32::from(talks);
            let place = plan.place(client);
            if !plan.is_held_by(process, processes, client, plan.is_aside(place.channel)) {
                continue;
            }
            let publishes = if talks { Some(mint.token(plan.run, number)?) } else { None };
            let class = match (roles.slow[role], roles.comes[role]) {
                (true, _) => Class::Slow,
                (false, true) => Class::Comes,
                (false, false) => Class::Stays,
            };
            let track = if class == Class::Stays { Track::from_the_start() } else { Track::from_now(None) };
            let session = plan.protocol.session(&part(place, true, publishes, class == Class::Stays));
            if talks {
                self.publishing.enroll(number, self.connections.len());
            }
            self.connections.push(Connection::new(class, plan.lane(place), place.door, session, track));
        }
        self.clients = self.connections.len();
        for (number, place) in (0..).zip(plan.publishers_apart()) {
            if plan.is_held_by(process, processes, number, plan.is_aside(place.channel)) {
                let token = mint.token(plan.run, number)?;
                let spoken = plan.protocol.of_publishers();
                let session = spoken.session(&part(place, false, Some(token), true));
                self.publishing.enroll(number, self.connections.len());
                let lane = plan.lane(place);
                self.connections.push(Connection::new(
                    Class::Publishes,
                    lane,
                    place.door,
                    session,
                    Track::default(),
                ));
            }
        }
        self.members = self.connections.len();
        for number in
            (0..plan.aside.passers).filter(|number| plan.is_held_by(process, processes, *number, true))
        {
            let place = plan.place_of_passer(number);
            let session = plan.protocol.session(&part(place, true, None, false));
            let (lane, track) = (plan.lane(place), Track::from_now(None));
            self.connections.push(Connection::new(Class::Comes, lane, place.door, session, track));
        }
        Ok(())
    }

    /// Whether the bulk of connections may go on.
    pub(super) fn may_connect(&self) -> bool {
        self.connecting < CONNECTING_MAX
    }

    /// Begins as many connections of the bulk as are due.
    pub(super) fn ramp_up(&mut self) {
        while let Some(ramp) = self.ramp {
            if ramp.next == ramp.end {
                if self.connecting == 0 && self.phase == Phase::Connecting {
                    self.ramp = None;
                    self.phase = Phase::Idle;
                    say(&News::Progress(self.progress()));
                    say(&News::Connected { connect: self.measuring.take_connect() });
                }
                return;
            }
            if ramp.due_ns() > now_ns() || !self.may_connect() {
                return;
            }
            self.ramp = Some(super::Ramp { next: ramp.next + 1, ..ramp });
            self.set_out(ramp.next, ramp.due_ns());
        }
    }

    /// The client of this slot is to be there, from a time on.
    pub(super) fn set_out(&mut self, slot: usize, due_ns: u64) {
        let connection = &mut self.connections[slot];
        connection.due_ns = due_ns;
        connection.tries = 0;
        self.connecting += 1;
        self.connect(slot);
    }

    /// Begins one try.
    pub(super) fn connect(&mut self, slot: usize) {
        let connection = &self.connections[slot];
        let door = &self.begin.plan.doors[connection.door as usize];
        let stage = if door.dispatcher { Stage::Calling } else { Stage::Knocking };
        let authority = connection.host(door).to_owned();
        self.begin_stage(slot, &authority, stage);
    }

    fn begin_stage(&mut self, slot: usize, authority: &str, stage: Stage) {
        if let Err(error) = self.begin_connection(slot, authority, stage) {
            self.try_failed(slot, &reason(&error));
        }
    }

    fn begin_connection(&mut self, slot: usize, authority: &str, stage: Stage) -> io::Result<()> {
        let to = self.address(authority)?;
        let sources = &self.begin.sources;
        let number = slot + self.begin.process as usize;
        // A worker that a dispatcher names may be elsewhere than the sources suit.
        let suits =
            |from: &IpAddr| from.is_ipv4() == to.is_ipv4() && (!from.is_loopback() || to.ip().is_loopback());
        let from = sources.get(number % sources.len().max(1)).copied().filter(suits);
        let connection = &mut self.connections[slot];
        connection.connect(to, from)?;
        connection.stage = stage;
        connection.watches_writing = true;
        let generation = connection.generation;
        let data = EventData::new_u64(event_data(slot, generation));
        if let Some(stream) = &connection.stream {
            epoll::add(&self.epoll, stream, data, EventFlags::IN | EventFlags::OUT)?;
        }
        self.timers.set(now_ns() + self.begin.connect_within_ns, What::Deadline(slot, generation));
        Ok(())
    }

    fn address(&mut self, authority: &str) -> io::Result<SocketAddr> {
        if let Some(address) = self.addresses.get(authority) {
            return Ok(*address);
        }
        let address = authority
            .to_socket_addrs()
            .map_err(|error| io::Error::other(format!("{authority}: {error}")))?
            .next()
            .ok_or_else(|| io::Error::other(format!("{authority} has no address")))?;
        self.addresses.insert(authority.to_owned(), address);
        Ok(address)
    }

    /// The other end is reached, or cannot be.
    pub(super) fn reached(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if let Some(error) = connection.take_error() {
            self.try_failed(slot, &reason(&error));
            return;
        }
        let (plan, mut ready) = (&self.begin.plan, Ready::default());
        if connection.stage == Stage::Calling {
            let door = &plan.doors[connection.door as usize];
            let room = plan.channel_name(connection.lane / u32::try_from(plan.doors.len()).unwrap_or(1));
            let body = connection.worker.as_ref().map_or_else(String::new, |(_, id)| {
                json!({ "type": "workerSubConnect", "worker": { "id": id } }).to_string()
            });
            connection.out.extend_from_slice(
                format!(
                    "POST /join/{room} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    door.authority,
                    body.len()
                )
                .as_bytes(),
            );
            connection.stage = Stage::Asking;
        } else {
            ready = self.knock(slot);
        }
        self.flush(slot);
        // Until now only the end of connecting was of interest.
        let writing = self.connections[slot].unwritten() > 0;
        self.watch(slot, writing);
        if self.connections[slot].stage == Stage::Settling
            && let Some(recovered) = ready.recovered
        {
            self.came_in(slot, recovered);
            if ready.pauses {
                self.pause(slot);
            }
        }
    }

    /// The server is reached: asks for what is to be spoken. Whether that has made it ready already.
    fn knock(&mut self, slot: usize) -> Ready {
        let (plan, connection) = (&self.begin.plan, &mut self.connections[slot]);
        let door = &plan.doors[connection.door as usize];
        let worker = connection.worker.as_ref().map(|(host, _)| Rc::clone(host));
        let host = worker.as_deref().unwrap_or_else(|| connection.host(door));
        let mut ready = Ready::default();
        if connection.framing != Framing::WebSocket {
            // A poll has no handshake: its answers are the first that comes.
            connection.stage =
                if connection.framing == Framing::Chunks { Stage::Shaking } else { Stage::Settling };
            let mut heard = |heard: Heard<'_>| match heard {
                Heard::Ready { recovered, .. } => ready.recovered = Some(recovered),
                Heard::Pauses => ready.pauses = true,
                _ => {}
            };
            connection.session.request(host, &mut connection.out, &mut heard);
            return ready;
        }
        let spoken = match connection.class {
            Class::Publishes => plan.protocol.of_publishers(),
            Class::Stays | Class::Comes | Class::Slow => plan.protocol,
        };
        let channel = plan.channel_name(connection.lane / u32::try_from(plan.doors.len()).unwrap_or(1));
        let target = spoken.target(&door.path, &channel, &*connection.session);
        self.drawn += 1;
        let (high, low) = (mix(plan.seed ^ self.drawn), mix(u64::from(plan.run) ^ slot as u64));
        let key = Key::new((u128::from(high) << 64 | u128::from(low)).to_be_bytes());
        websocket::request(host, &target, &key, spoken.subprotocol(), plan.deflate, &mut connection.out);
        connection.key = Some(Box::new(key));
        connection.stage = Stage::Shaking;
        ready
    }

    /// Reads a dispatcher's answer; goes to the worker that it names.
    pub(super) fn dispatched(&mut self, slot: usize, answer: &[u8], ended: bool) {
        match worker_of(answer, ended) {
            Ok(None) if answer.len() > JOIN_BYTES_MAX => {
                self.try_failed(slot, "the dispatcher's answer has no end");
            }
            Ok(None) => self.connections[slot].partial = answer.to_vec(),
            Ok(Some((host, id))) => {
                let connection = &mut self.connections[slot];
                connection.close(false);
                connection.worker = Some((host.as_str().into(), id));
                self.begin_stage(slot, &host, Stage::Knocking);
            }
            Err(why) => self.try_failed(slot, &why),
        }
    }

    /// The WebSocket stands: the protocol's first words.
    pub(super) fn shaken(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        connection.key = None;
        connection.stage = Stage::Settling;
    }

    /// A try has failed: another one follows, or none.
    pub(super) fn try_failed(&mut self, slot: usize, why: &str) {
        self.fault(&format!("could not connect: {why}"));
        self.failed += 1;
        let connection = &mut self.connections[slot];
        connection.close(true);
        connection.tries += 1;
        if connection.passes_by || connection.tries >= TRIES_MAX {
            self.connecting -= 1;
            if connection.passes_by {
                connection.passes_by = false;
                self.free.push_back(slot);
            }
            return;
        }
        let wait_ns = RETRY_NS << (connection.tries - 1);
        self.timers.set(now_ns() + wait_ns, What::Connect(slot));
    }

    /// A connection should be ready by now.
    pub(super) fn deadline(&mut self, slot: usize, generation: u32) {
        let connection = &self.connections[slot];
        if connection.generation == generation && !matches!(connection.stage, Stage::In | Stage::Out) {
            self.try_failed(slot, "not ready in time");
        }
    }
}

/// The worker that an answer of a dispatcher names: authority and id; nothing if it is not all there.
fn worker_of(answer: &[u8], ended: bool) -> Result<Option<(String, String)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let start = match response.parse(answer).map_err(|_| "the dispatcher's answer is no HTTP".to_owned())? {
        httparse::Status::Complete(start) => start,
        httparse::Status::Partial if ended => return Err("the dispatcher hung up".to_owned()),
        httparse::Status::Partial => return Ok(None),
    };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    let body = &answer[start..];
    let whole = length.map_or(ended, |length| body.len() >= length);
    let status = response.code.unwrap_or(0);
    if status != 200 {
        return Err(format!("the dispatcher answers {status}"));
    }
    if !whole {
        return if ended { Err("the dispatcher hung up".to_owned()) } else { Ok(None) };
    }
    #[derive(serde::Deserialize)]
    struct Join {
        host: String,
        id: String,
    }
    let join: Join = serde_json::from_slice(&body[..length.unwrap_or(body.len())])
        .map_err(|error| format!("the dispatcher's answer: {error}"))?;
    let host = join.host.strip_prefix("http://").ok_or_else(|| format!("a worker at {}", join.host))?;
    Ok(Some((host.trim_end_matches('/').to_owned(), join.id)))
}

/// An error in a few words, the same for all of its kind.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispatchers_answer_names_a_worker() {
        let body = r#"{"host":"http://127.0.0.1:9/","id":"w","messages":[]}"#;
        let yes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let worker = Ok(Some(("127.0.0.1:9".to_owned(), "w".to_owned())));
        assert_eq!(worker_of(yes.as_bytes(), false), worker);
        assert_eq!(worker_of(&yes.as_bytes()[..yes.len() - 1], false), Ok(None));
        assert_eq!(worker_of(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes(), true), worker);
        assert_eq!(worker_of(b"", false), Ok(None));
        for (answer, why) in [
            ("HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n", "the dispatcher answers 418"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "the dispatcher hung up"),
            ("HTTP/1.1 20", "the dispatcher hung up"),
        ] {
            assert_eq!(worker_of(answer.as_bytes(), true), Err(why.to_owned()));
        }
        assert!(worker_of(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false).is_err());
        assert!(worker_of(b"SSH-2.0\r\n\r\n", false).is_err());
    }
}
