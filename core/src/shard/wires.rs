//! Polls, posts and WebSockets of Socket.IO sessions: on whatever shard one comes, its session stays where
//! it began ([`super::polled`]). A request waits here for its answer; a WebSocket passes on what is said.

use crate::http_answer::Asker;
use crate::limits::{FORWARDED_MAX, PACKETS_PER_POST_MAX};
use crate::refusal::Refusal;
use crate::socketio::payload::Encoding;
use crate::socketio::request::{Asked, BadRequest, SessionId};

use super::channels::ShardMessage;
use super::connection::Phase;
use super::slab::Key;
use super::{Outside, Shard};

/// A connection, of all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Its shard.
    pub shard: u16,
    /// Itself.
    pub key: Key,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Its connection.
    pub at: At,
    /// What its answer depends on.
    pub asker: Asker,
}

/// To a session.
#[derive(Clone, Debug)]
pub enum ToSession {
    /// What is there to be said? Its answer's encoding.
    Poll(Asking, Encoding),
    /// Packets of the client, if they can be read.
    Post(Asking, Result<Vec<String>, Refusal>),
    /// A WebSocket has come for it.
    Hello(At),
    /// A packet on a WebSocket.
    Said(At, String),
    /// A connection has ended.
    Gone(At),
}

/// From a session, to one of its connections.
#[derive(Clone, Debug)]
pub enum FromSession {
    /// The whole answer to a request, and whether its connection goes on.
    Answer(Vec<u8>, bool),
    /// Frames of a WebSocket.
    Frames(Vec<u8>),
    /// Its last ones.
    End(Vec<u8>),
}

impl Shard {
    /// A request for a session has come.
    pub(super) fn socketio_asked(
        &mut self,
        key: Key,
        asked: Result<Asked, BadRequest>,
        asker: Asker,
        outside: &mut impl Outside,
    ) {
        let at = At { shard: self.shard, key };
        let asking = Asking { at, asker };
        let (id, what) = match asked {
            Ok(Asked::Open(version, encoding)) => {
                return self.open_session(version, encoding, &asking, outside);
            }
            Ok(Asked::Poll(id, encoding)) => (id, ToSession::Poll(asking, encoding)),
            Ok(Asked::Post(id, packets)) => (id, ToSession::Post(asking, packets)),
            // A WebSocket is no such request.
            Ok(Asked::Socket(..)) => return self.refuse_asking(&asking, BadRequest::Bad, outside),
            Err(bad) => return self.refuse_asking(&asking, bad, outside),
        };
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.phase = Phase::Asked;
        connection.since = now;
        connection.talk().wire = Some(id);
        self.schedule(key);
        self.tell_session(id, what, outside);
    }

    pub(super) fn refuse_asking(&mut self, asking: &Asking, bad: BadRequest, outside: &mut impl Outside) {
        let headers = format!("Content-Type: application/json\r\n{}", asking.asker.with_credentials());
        let answer = asking.asker.answer(400, &headers, bad.body().as_bytes());
        self.tell_wire(asking.at, FromSession::Answer(answer, asking.asker.keep_alive), outside);
    }

    /// A packet has come on a WebSocket that is not the session itself; nothing if it is.
    pub(super) fn wire_said(&mut self, key: Key, text: &[u8], outside: &mut impl Outside) -> bool {
        let wire = self.connections.get(key).and_then(|one| one.talk.as_deref()).and_then(|talk| talk.wire);
        let Some(id) = wire else { return false };
        let waiting = self.shard_backlog.get(usize::from(id.shard)).map_or(0, |backlog| backlog.len());
        match String::from_utf8(text.to_vec()) {
            Err(_) => self.close(key, Refusal::InvalidUtf8, outside),
            Ok(_) if waiting > FORWARDED_MAX => self.close(key, Refusal::Overloaded, outside),
            Ok(text) => {
                let at = At { shard: self.shard, key };
                self.tell_session(id, ToSession::Said(at, text), outside);
            }
        }
        true
    }

    /// To a session, wherever it is.
    pub(super) fn tell_session(&mut self, id: SessionId, what: ToSession, outside: &mut impl Outside) {
        if id.shard == self.shard || id.shard >= self.shards {
            return self.session_told(id, what, outside);
        }
        self.tell_shard(id.shard, ShardMessage::ToSession(Box::new((id, what))), outside);
    }

    /// To a session's connection, wherever that is.
    pub(super) fn tell_wire(&mut self, at: At, what: FromSession, outside: &mut impl Outside) {
        if at.shard == self.shard {
            return self.wire_told(at.key, what, outside);
        }
        self.tell_shard(at.shard, ShardMessage::FromSession(at.key, what), outside);
    }

    /// A session says something to a connection here.
    pub(super) fn wire_told(&mut self, key: Key, what: FromSession, outside: &mut impl Outside) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match what {
            // One that asks for a session is answered at once, before it waits.
            FromSession::Answer(answer, keep_alive)
                if matches!(connection.phase, Phase::Asked | Phase::Head) =>
            {
                if let Some(talk) = connection.talk.as_deref_mut() {
                    talk.wire = None;
                }
                self.answer_request(key, &answer, keep_alive);
            }
            FromSession::Frames(frames) if connection.phase == Phase::Open => {
                connection.control().extend_from_slice(&frames);
                self.control_added(key, outside);
            }
            FromSession::End(frames) if connection.phase == Phase::Open => {
                let now = self.ticks;
                connection.talk().wire = None;
                connection.control().extend_from_slice(&frames);
                connection.phase = Phase::Closing { hang_up: false, pieces: 0 };
                connection.since = now;
                self.forget(key, outside);
                self.make_ready(key);
                self.schedule(key);
            }
            _ => {}
        }
    }
}

/// So many packets may come at once, at most, and wait for their session.
const _: () = assert!(PACKETS_PER_POST_MAX <= FORWARDED_MAX);
