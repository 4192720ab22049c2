//! Socket.IO sessions whose client comes by polls, perhaps until it changes to a WebSocket. Such a session is
//! a connection without a socket: what it has to say waits as frames, and a poll takes them apart.

use crate::limits::{CONTROL_QUEUE_BYTES_MAX, POLLED_PART};
use crate::refusal::Refusal;
use crate::socketio::Version;
use crate::socketio::payload::Encoding;
use crate::socketio::request::{BadRequest, SessionId};
use crate::websocket;

use super::connection::{Connection, Phase};
use super::forms::Form;
use super::slab::Key;
use super::wires::{Asking, At, FromSession, ToSession};
use super::{Outside, Shard};

/// Nothing to be done.
const NOOP: &[u8] = b"6";
/// The session has ended.
const CLOSE: &[u8] = b"1";

/// What such a session has instead of a socket.
#[derive(Debug)]
pub(super) struct Polled {
    secret: u128,
    /// A poll that is held until there is something to say.
    poll: Option<(Asking, Encoding)>,
    /// A WebSocket that asks whether it may follow.
    probing: Option<At>,
    /// The WebSocket that has followed.
    socket: Option<At>,
}

fn place(key: Key) -> u64 {
    (u64::from(key.generation) << 32) | u64::from(key.index)
}

fn key_of(id: SessionId) -> Key {
    let part = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    Key { index: part(id.place), generation: part(id.place >> 32) }
}

impl Shard {
    /// Begins a session for a client that polls.
    pub(super) fn open_session(
        &mut self,
        version: Version,
        encoding: Encoding,
        asking: &Asking,
        outside: &mut impl Outside,
    ) {
        let limits = &self.rules.limits;
        let most = limits.connections_per_shard_max as usize;
        if self.draining || self.connections.len() >= most || self.sessions >= most.div_ceil(POLLED_PART) {
            return self.last_words(asking.at.key, &self.turned_away());
        }
        let (after, within) = (limits.ping_after_ms, limits.pong_within_ms);
        let mut connection = Connection::new(self.ticks, self.batch.wrapping_sub(1));
        connection.phase = Phase::Open;
        connection.form = Form::of_socketio(version);
        let secret = outside.random();
        connection.talk().pinged_at = self.ticks;
        connection.talk().polled = Some(Box::new(Polled { secret, poll: None, probing: None, socket: None }));
        let key = self.connections.insert(connection);
        self.sessions += 1;
        let id = SessionId { shard: self.shard, place: place(key), secret };
        let mut frames = Vec::new();
        version.opening(&id.to_string(), &["websocket"], (after, within), &mut frames);
        self.schedule(key);
        self.answer_poll(asking, encoding, &frames, outside);
    }

    fn polled(&mut self, key: Key) -> Option<&mut Polled> {
        self.connections.get_mut(key)?.talk.as_deref_mut()?.polled.as_deref_mut()
    }

    pub(super) fn is_polled(&self, key: Key) -> bool {
        self.connections.get(key).is_some_and(Connection::is_polled)
    }

    /// A connection of a session says something, or has gone.
    pub(super) fn session_told(&mut self, id: SessionId, what: ToSession, outside: &mut impl Outside) {
        let key = key_of(id);
        let known = id.shard == self.shard && self.polled(key).is_some_and(|one| one.secret == id.secret);
        if !known {
            return match what {
                ToSession::Poll(asking, _) | ToSession::Post(asking, _) => {
                    self.refuse_asking(&asking, BadRequest::Session, outside);
                }
                ToSession::Said(at, _) | ToSession::Hello(at) => self.end_wire(at, outside),
                ToSession::Gone(_) => {}
            };
        }
        if let ToSession::Gone(at) = what {
            return self.wire_gone(key, at, outside);
        }
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.heard = now;
        connection.pinged = false;
        connection.answered = true;
        match what {
            ToSession::Poll(asking, encoding) => self.hold(key, asking, encoding, outside),
            ToSession::Post(asking, Ok(packets)) => {
                for packet in packets {
                    self.session_text(key, packet.as_bytes(), outside);
                }
                let headers = format!("Content-Type: text/html\r\n{}", asking.asker.with_credentials());
                let answer = asking.asker.answer(200, &headers, b"ok");
                self.tell_wire(asking.at, FromSession::Answer(answer, asking.asker.keep_alive), outside);
            }
            ToSession::Post(asking, Err(_)) => {
                self.counters.protocol_errors += 1;
                self.refuse_asking(&asking, BadRequest::Bad, outside);
                self.end_session(key, Refusal::ProtocolError, outside);
            }
            ToSession::Said(at, text) => self.said_on_socket(key, at, &text, outside),
            ToSession::Hello(_) | ToSession::Gone(_) => {}
        }
    }

    fn session_text(&mut self, key: Key, packet: &[u8], outside: &mut impl Outside) {
        let version = self.connections.get(key).and_then(|connection| connection.form.socketio());
        if let Some(version) = version {
            self.socketio_text(key, version, packet, outside);
        }
    }

    fn hold(&mut self, key: Key, asking: Asking, encoding: Encoding, outside: &mut impl Outside) {
        let Some(polled) = self.polled(key) else { return };
        // Who changes, or has changed, needs no poll; of two the older one is given up.
        let leaving = polled.probing.is_some() || polled.socket.is_some();
        let before = polled.poll.replace((asking, encoding));
        if let Some((asking, encoding)) = before {
            self.answer_poll(&asking, encoding, &frame(NOOP), outside);
        }
        if leaving {
            self.release_poll(key, outside);
        }
        self.make_ready(key);
    }

    fn said_on_socket(&mut self, key: Key, at: At, text: &str, outside: &mut impl Outside) {
        let Some(polled) = self.polled(key) else { return };
        if polled.socket == Some(at) {
            return self.session_text(key, text.as_bytes(), outside);
        }
        if polled.socket.is_none() && text == "2probe" {
            let before = polled.probing.replace(at).filter(|before| *before != at);
            if let Some(before) = before {
                self.end_wire(before, outside);
            }
            self.tell_wire(at, FromSession::Frames(frame(b"3probe")), outside);
            self.release_poll(key, outside);
        } else if polled.probing == Some(at) && text == "5" {
            (polled.probing, polled.socket) = (None, Some(at));
            self.release_poll(key, outside);
            self.make_ready(key);
        } else {
            self.counters.protocol_errors += 1;
            self.end_wire(at, outside);
        }
    }

    fn wire_gone(&mut self, key: Key, at: At, outside: &mut impl Outside) {
        let Some(polled) = self.polled(key) else { return };
        if polled.socket == Some(at) {
            return self.end_session(key, Refusal::ProtocolError, outside);
        }
        polled.probing = polled.probing.filter(|probing| *probing != at);
        if polled.poll.as_ref().is_some_and(|(asking, _)| asking.at == at) {
            polled.poll = None;
        }
    }

    /// Whoever polls has something else to do.
    fn release_poll(&mut self, key: Key, outside: &mut impl Outside) {
        let Some((asking, encoding)) = self.polled(key).and_then(|polled| polled.poll.take()) else { return };
        self.answer_poll(&asking, encoding, &frame(NOOP), outside);
    }

    /// Hands on what a session has to say, if somebody takes it.
    pub(super) fn deliver(&mut self, key: Key, outside: &mut impl Outside) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let waiting = connection.control.as_ref().map_or(0, |control| control.len());
        let Some(polled) = connection.talk.as_deref_mut().and_then(|talk| talk.polled.as_deref_mut()) else {
            return;
        };
        if waiting == 0 {
            return;
        }
        let socket = polled.socket;
        let poll = if socket.is_none() { polled.poll.take() } else { None };
        if socket.is_none() && poll.is_none() {
            if waiting > CONTROL_QUEUE_BYTES_MAX {
                self.counters.slow_closed += 1;
                self.end_session(key, Refusal::SlowReader, outside);
            }
            return;
        }
        let frames = connection.control.take().map(|frames| *frames).unwrap_or_default();
        self.counters.bytes_out += frames.len() as u64;
        match (socket, poll) {
            (Some(at), _) => self.tell_wire(at, FromSession::Frames(frames), outside),
            (None, Some((asking, encoding))) => self.answer_poll(&asking, encoding, &frames, outside),
            (None, None) => {}
        }
    }

    fn answer_poll(
        &mut self,
        asking: &Asking,
        encoding: Encoding,
        frames: &[u8],
        outside: &mut impl Outside,
    ) {
        let body = encoding.body(websocket::texts(frames));
        let headers = format!(
            "Content-Type: {}\r\nCache-Control: no-store\r\n{}",
            encoding.content_type(),
            asking.asker.with_credentials()
        );
        let answer = asking.asker.answer(200, &headers, &body);
        self.tell_wire(asking.at, FromSession::Answer(answer, asking.asker.keep_alive), outside);
    }

    fn end_wire(&mut self, at: At, outside: &mut impl Outside) {
        let mut close = Vec::new();
        let code = Refusal::ProtocolError.row().close.unwrap_or(websocket::CLOSE_NORMAL);
        websocket::close_frame(code, Refusal::ProtocolError.code(), &mut close);
        self.tell_wire(at, FromSession::End(close), outside);
    }

    /// Ends a session: its client is told on whatever it has open.
    pub(super) fn end_session(&mut self, key: Key, refusal: Refusal, outside: &mut impl Outside) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(polled) = connection.talk.as_deref_mut().and_then(|talk| talk.polled.take()) else { return };
        let mut frames = connection.control.take().map(|frames| *frames).unwrap_or_default();
        self.forget(key, outside);
        self.connections.remove(key);
        self.sessions -= 1;
        if let Some((asking, encoding)) = polled.poll {
            websocket::text_frame(CLOSE, &mut frames);
            self.answer_poll(&asking, encoding, &frames, outside);
            frames.clear();
        }
        let code = refusal.row().close.unwrap_or(websocket::CLOSE_NORMAL);
        websocket::close_frame(code, refusal.code(), &mut frames);
        for at in polled.socket.into_iter().chain(polled.probing) {
            self.tell_wire(at, FromSession::End(frames.clone()), outside);
        }
    }
}

fn frame(packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    websocket::text_frame(packet, &mut frame);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socketio;

    #[test]
    fn a_sessions_name_leads_to_its_place() {
        let key = Key { index: u32::MAX - 1, generation: 7 };
        let id = SessionId { shard: 1, place: place(key), secret: 5 };
        assert_eq!(key_of(id), key);
        assert_eq!(SessionId::read(&id.to_string()), Some(id));
        assert_eq!(socketio::PING_FRAME.to_vec(), frame(b"2"));
    }
}
