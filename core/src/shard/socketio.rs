//! Clients that speak Socket.IO: the original's publishers. Their calls are those of the native protocol;
//! only packets and answers are others. They subscribe to nothing here.

use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::socketio::request::SessionId;
use crate::socketio::{self, Packet, Version};
use crate::websocket;

use super::connection::Phase;
use super::forms::Form;
use super::slab::Key;
use super::timers::Ticks;
use super::wires::{At, ToSession};
use super::{Outside, Shard};

impl Form {
    pub(super) fn of_socketio(version: Version) -> Form {
        match version {
            Version::Three => Form::SOCKET_IO_3,
            Version::Four => Form::SOCKET_IO_4,
        }
    }

    /// Whether it is Socket.IO's, and by which engine.
    pub(super) fn socketio(self) -> Option<Version> {
        match self {
            Form::SOCKET_IO_3 => Some(Version::Three),
            Form::SOCKET_IO_4 => Some(Version::Four),
            _ => None,
        }
    }
}

impl Shard {
    /// A WebSocket has been granted to a Socket.IO client, perhaps one that has a session.
    pub(super) fn socketio_requested(
        &mut self,
        key: Key,
        (version, session): (Version, Option<SessionId>),
        outside: &mut impl Outside,
    ) {
        let (limits, now) = (&self.rules.limits, self.ticks);
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.form = Form::of_socketio(version);
        if let Some(id) = session {
            connection.talk().wire = session;
            let at = At { shard: self.shard, key };
            return self.tell_session(id, ToSession::Hello(at), outside);
        }
        connection.talk().pinged_at = now;
        let (after, within) = (limits.ping_after_ms, limits.pong_within_ms);
        let sid = format!("{:032x}", outside.random());
        version.opening(&sid, &[], (after, within), connection.control());
        self.make_ready(key);
        self.schedule(key);
    }

    /// A Socket.IO client has said something.
    pub(super) fn socketio_text(
        &mut self,
        key: Key,
        version: Version,
        text: &[u8],
        outside: &mut impl Outside,
    ) {
        if self.wire_said(key, text, outside) {
            return;
        }
        let packet = match socketio::read(text) {
            Ok(packet) => packet,
            Err(refusal) => {
                self.counters.protocol_errors += 1;
                return self.close(key, refusal, outside);
            }
        };
        let Some(connection) = self.connections.get_mut(key) else { return };
        match packet {
            Packet::Ping(payload) => socketio::pong(payload, connection.control()),
            Packet::Connect => version.connected(outside.random(), connection.control()),
            Packet::Elsewhere(namespace) => version.elsewhere(namespace, connection.control()),
            Packet::Leave => return self.socketio_left(key, outside),
            Packet::Call(call, result) => {
                self.counters.calls += 1;
                return match result {
                    Ok(asked) => self.handle(key, call, asked, outside),
                    Err(refused) => self.answer(key, Some(call), &Err(refused), outside),
                };
            }
            Packet::Nothing | Packet::Unknown => return,
        }
        self.control_added(key, outside);
    }

    /// It has said that it goes.
    fn socketio_left(&mut self, key: Key, outside: &mut impl Outside) {
        if self.is_polled(key) {
            return self.end_session(key, Refusal::ProtocolError, outside);
        }
        self.forget(key, outside);
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key).filter(|one| one.phase == Phase::Open) else {
            return;
        };
        websocket::close_frame(websocket::CLOSE_NORMAL, "", connection.control());
        connection.phase = Phase::Closing { hang_up: false, pieces: 0 };
        connection.since = now;
        self.make_ready(key);
        self.schedule(key);
    }

    /// Its own ping, where it waits for one: whether or not it has said something, it must hear from here.
    pub(super) fn socketio_ping(&mut self, key: Key, now: Ticks) {
        let after = self.rules.limits.ping_after_ms;
        let Some(connection) = self.connections.get_mut(key) else { return };
        let wire = connection.talk.as_deref().is_some_and(|talk| talk.wire.is_some());
        if wire || connection.form != Form::SOCKET_IO_4 || connection.talk().pinged_at.after(after) > now {
            return;
        }
        connection.talk().pinged_at = now;
        connection.control().extend_from_slice(&socketio::PING_FRAME);
        self.make_ready(key);
    }
}

/// When the next ping of its own is due, for a client that waits for one.
pub(super) fn ping_due(connection: &super::connection::Connection, limits: &Limits) -> Option<Ticks> {
    let talk = connection
        .talk
        .as_deref()
        .filter(|talk| connection.form == Form::SOCKET_IO_4 && talk.wire.is_none())?;
    Some(talk.pinged_at.after(limits.ping_after_ms))
}
