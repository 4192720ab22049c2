//! What clients say and what the broker answers: bytes to calls, calls to outcomes, answers.

use std::sync::Arc;

use crate::exchange::{Answer, Event, MemberKey, Operation, Publish, Ticket};
use crate::limits::{CHUNK_OVERHEAD_BYTES_MAX, CLOSE_PIECE_BYTES, CLOSE_PIECES_MAX};
use crate::message::{self, Body};
use crate::names::{IdempotencyKey, RoomName, UserName};
use crate::position::{MessageId, Offset};
use crate::protocol::{self, Ban, Call, Done, Notice};
use crate::refusal::{BanTtl, Refusal, Refused};
use crate::session::Outcome;
use crate::socketio;
use crate::websocket::{self, CLOSE_NORMAL, Incoming, Step};

use super::connection::{PendingJoin, Phase};
use super::events::Happened;
use super::forms::Form;
use super::slab::Key;
use super::tickets::{Kind, NO_TICKET, from_ticket, ticket};
use super::{Outside, Shard};

/// Where a call stood.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    InFrame,
    InUrl,
}

impl Shard {
    /// Bytes have come; they may be written over.
    pub fn received(&mut self, key: Key, bytes: &mut [u8], outside: &mut impl Outside) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.heard = self.ticks;
        connection.pinged = false;
        if let Phase::Closing { pieces, .. } = &mut connection.phase
            && bytes.len() >= CLOSE_PIECE_BYTES
        {
            *pieces += 1;
            if *pieces == CLOSE_PIECES_MAX {
                return self.kill(key, outside);
            }
        }
        let limits = &self.rules.limits;
        let waiting = connection.input.as_ref().map_or(0, |input| input.len()) + bytes.len();
        let most =
            (limits.handshake_bytes_max + limits.message_bytes_max) as usize + CHUNK_OVERHEAD_BYTES_MAX;
        let waits = matches!(connection.phase, Phase::Head | Phase::Asked) && connection.input.is_some();
        if waits && waiting > most {
            return self.kill(key, outside);
        }
        let Some(mut kept) = connection.input.take() else {
            let used = self.process(key, bytes, outside);
            if let Some(connection) = self.connections.get_mut(key)
                && used < bytes.len()
            {
                connection.input = Some(Box::new(bytes[used..].to_vec()));
            }
            return;
        };
        kept.extend_from_slice(bytes);
        let used = self.process(key, &mut kept, outside);
        if let Some(connection) = self.connections.get_mut(key)
            && used < kept.len()
        {
            kept.drain(..used);
            connection.input = Some(kept);
        }
    }

    /// Works off what has waited for an answer to be sent.
    pub(super) fn go_on(&mut self, key: Key, outside: &mut impl Outside) {
        let Some(mut kept) = self.connections.get_mut(key).and_then(|one| one.input.take()) else { return };
        let used = self.process(key, &mut kept, outside);
        if let Some(connection) = self.connections.get_mut(key)
            && used < kept.len()
        {
            kept.drain(..used);
            connection.input = Some(kept);
        }
    }

    /// Works off what is whole; returns how many bytes that were.
    fn process(&mut self, key: Key, bytes: &mut [u8], outside: &mut impl Outside) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            let Some(connection) = self.connections.get(key) else { return bytes.len() };
            let more = match connection.phase {
                // Behind an answer that is not sent, the next request waits.
                Phase::Head if connection.answered && connection.has_unsent() => break,
                Phase::Head => self.process_head(key, &bytes[used..], outside),
                // Nothing more is to be asked on it.
                Phase::Open if self.streams(connection).is_some() => return bytes.len(),
                Phase::Open | Phase::Closing { hang_up: false, .. } => {
                    self.process_frame(key, &mut bytes[used..], outside)
                }
                // The next request waits for the answer to this one.
                Phase::Asked => break,
                // What comes after the last word is not heard.
                Phase::Dead | Phase::Closing { hang_up: true, .. } => return bytes.len(),
            };
            match more {
                0 => break,
                more => used += more,
            }
        }
        used
    }

    fn process_frame(&mut self, key: Key, bytes: &mut [u8], outside: &mut impl Outside) -> usize {
        let Some(connection) = self.connections.get_mut(key) else { return 0 };
        let open = connection.phase == Phase::Open;
        let form = connection.form;
        let mut reader = std::mem::take(&mut connection.reader);
        let inflater = self
            .deflating
            .as_mut()
            .filter(|_| connection.form == Form::DEFLATED)
            .map(|both| &mut both.inflater);
        let step = reader.read(bytes, self.rules.limits.message_bytes_max as usize, inflater);
        connection.reader = reader;
        match step {
            Ok(Step::NeedMore) => 0,
            Ok(Step::Frame(used, incoming)) => {
                match incoming {
                    Some(Incoming::Close(code)) => self.close_received(key, code, outside),
                    Some(Incoming::Text(text)) if open => match (form.location(), form.socketio()) {
                        (None, None) => self.text(key, &text, Said::InFrame, outside),
                        (_, Some(version)) => self.socketio_text(key, version, &text, outside),
                        (Some(_), None) => self.pushstream_said(key, &text, outside),
                    },
                    Some(Incoming::Ping(payload)) if open => {
                        websocket::pong_frame(payload, connection.control());
                        self.control_added(key, outside);
                    }
                    _ => {}
                }
                used
            }
            Err(refusal) if open => {
                self.counters.protocol_errors += 1;
                self.close(key, refusal, outside);
                bytes.len()
            }
            // Rubbish behind our close, as the rest of a frame that was too large: to hang up now
            // would take the close frame, and with it the reason, from the client.
            Err(_) => bytes.len(),
        }
    }

    fn close_received(&mut self, key: Key, code: Option<u16>, outside: &mut impl Outside) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.phase == Phase::Open {
            websocket::close_frame(code.unwrap_or(CLOSE_NORMAL), "", connection.control());
            connection.phase = Phase::HANGING_UP;
            connection.since = self.ticks;
            self.forget(key, outside);
            self.make_ready(key);
            self.schedule(key);
        } else {
            // Both have said it: what waits, our close frame perhaps, goes before the end.
            connection.phase = Phase::HANGING_UP;
            if connection.has_unsent() { self.make_ready(key) } else { self.kill(key, outside) }
        }
    }

    pub(super) fn text(&mut self, key: Key, text: &[u8], said: Said, outside: &mut impl Outside) {
        self.counters.calls += 1;
        let (call_id, call) = match self.call_reader.read(text) {
            Ok(call) => call,
            Err((id, refused)) => return self.answer(key, id, &Err(refused), outside),
        };
        // URLs are kept in logs and histories: nothing secret may be said there, nothing done twice.
        if said == Said::InUrl && !matches!(call, Call::Subscribe(_)) {
            let refused = Refused::field(Refusal::BadField, "call");
            return self.answer(key, Some(call_id), &Err(refused), outside);
        }
        if call == Call::Ping {
            return self.answer(key, Some(call_id), &Ok(Done::Empty {}), outside);
        }
        self.handle(key, call_id, call, outside);
    }

    /// A call that can be understood, in whatever protocol it came.
    pub(super) fn handle(&mut self, key: Key, call_id: u64, call: Call, outside: &mut impl Outside) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let subscribed = connection.channels();
        let outcome = connection.talk().session.handle(call, subscribed, &self.rules, self.now.unix);
        match outcome {
            Err(refused) => {
                let guessing = connection.talk().session.is_guessing();
                self.answer(key, Some(call_id), &Err(refused), outside);
                if guessing {
                    self.close(key, Refusal::WrongTokens, outside);
                }
            }
            Ok(outcome) => self.carry_out(key, call_id, outcome, outside),
        }
        if let Some(connection) = self.connections.get_mut(key) {
            connection.tidy();
        }
    }

    fn carry_out(&mut self, key: Key, call: u64, outcome: Outcome, outside: &mut impl Outside) {
        match outcome {
            Outcome::Subscribe(channels) => self.subscribe(key, call, channels, outside),
            Outcome::Unsubscribe(channels) => self.unsubscribe(key, call, &channels, outside),
            Outcome::Join(room) => self.join(key, call, &room, outside),
            Outcome::JoinedAlready(room) => {
                self.answer(key, Some(call), &Ok(Done::Joined { room: &room, banned: None }), outside);
            }
            Outcome::Say(room, text, say_key) => self.say(key, call, room, &text, say_key, outside),
            Outcome::Leave(room) => {
                self.leave(key, room, outside);
                self.note_idle(key);
                self.answer(key, Some(call), &Ok(Done::Empty {}), outside);
            }
            Outcome::Authenticated => {
                let Some(talk) = self.connections.get(key).and_then(|c| c.talk.as_deref()) else { return };
                let Some(identity) = talk.session.identity() else { return };
                let (user, expires) = (Arc::clone(&identity.public), identity.expires);
                let expires = expires.map(|expires| expires.whole_seconds());
                self.answer(key, Some(call), &Ok(Done::Authenticated { user: &user, expires }), outside);
            }
            Outcome::Pong => self.answer(key, Some(call), &Ok(Done::Empty {}), outside),
        }
    }

    pub(super) fn answer(
        &mut self,
        key: Key,
        call: Option<u64>,
        result: &Result<Done<'_>, Refused>,

        outside: &mut impl Outside,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.phase == Phase::Open {
            match (connection.form.socketio(), call) {
                (None, call) => protocol::answer(call, result, connection.control()),
                (Some(_), Some(call)) => socketio::answer(call, result, connection.control()),
                (Some(_), None) => return,
            }
            self.control_added(key, outside);
        }
    }

    fn join(&mut self, key: Key, call: u64, room: &RoomName, outside: &mut impl Outside) {
        self.member_sequence += 1;
        let connection = (u64::from(self.shard) << 48) | self.member_sequence;
        let member = MemberKey { worker: self.worker, connection };
        let Some(talk) = self.connections.get_mut(key).and_then(|c| c.talk.as_deref_mut()) else { return };
        let Some(identity) = talk.session.identity() else { return };
        let (name, public) = (identity.name.clone(), Arc::clone(&identity.public));
        talk.member = connection;
        talk.joins.push(PendingJoin { call, room: room.clone(), member: connection });
        let operation = Operation::Join { room: room.clone(), member, name, public };
        if self.try_broker(ticket(Kind::Join, key, call), operation, outside).is_err() {
            self.broker_answer(
                ticket(Kind::Join, key, call),
                Answer::Refused(Refusal::Overloaded.into()),
                outside,
            );
        }
    }

    #[allow(clippy::too_many_arguments, reason = "all of one say, in one place")]
    fn say(
        &mut self,
        key: Key,
        call: u64,
        room: RoomName,
        text: &str,
        say_key: Option<IdempotencyKey>,

        outside: &mut impl Outside,
    ) {
        let Some(talk) = self.connections.get(key).and_then(|c| c.talk.as_deref()) else { return };
        let Some(identity) = talk.session.identity() else { return };
        let id = MessageId::from_random(outside.random());
        let publish = Publish {
            channel: room.messages(),
            sender: Some((room, identity.name.clone())),
            key: say_key,
            id,
            payload: message::payload(Some(&identity.public), &Body::Text(text), id, self.now.unix),
        };
        self.counters.says += 1;
        if self.try_broker(ticket(Kind::Say, key, call), Operation::Publish(publish), outside).is_err() {
            self.broker_answer(
                ticket(Kind::Say, key, call),
                Answer::Refused(Refusal::Overloaded.into()),
                outside,
            );
        }
    }

    pub(super) fn leave(&mut self, key: Key, room: RoomName, outside: &mut impl Outside) {
        let Some(talk) = self.connections.get(key).and_then(|c| c.talk.as_deref()) else { return };
        let member = MemberKey { worker: self.worker, connection: talk.member };
        self.ask_broker(NO_TICKET, Operation::Leave { room, member }, outside);
    }

    /// Something from the broker.
    pub fn broker_event(&mut self, event: Event, outside: &mut impl Outside) {
        match event {
            Event::Published(publication) => self.published(&publication, outside),
            Event::Renewed(tail) => self.renewed(&tail, outside),
            Event::Banned { room, name, ttl } => self.banned(&room, &name, ttl, outside),
            Event::Answer(_, Answer::Opened(tail)) => self.opened(&tail, outside),
            Event::Answer(ticket, answer) => self.broker_answer(ticket, answer, outside),
        }
    }

    fn broker_answer(&mut self, ticket: Ticket, answer: Answer, outside: &mut impl Outside) {
        let Some((kind, key, call)) = from_ticket(ticket) else { return };
        if kind == Kind::Open {
            if let Answer::Refused(refused) = answer {
                self.open_refused(key, refused, outside);
            }
            return;
        }
        if kind == Kind::Job {
            return self.job_answered(key, call, &answer, outside);
        }
        let Some(talk) = self.connections.get_mut(key).and_then(|c| c.talk.as_deref_mut()) else { return };
        talk.session.call_ended();
        // By the membership, not by the room of now: one may have left and joined again by then.
        let place = talk.joins.iter().position(|join| kind == Kind::Join && join.call == call);
        let join = place.map(|place| talk.joins.remove(place));
        match (join, answer) {
            (Some(join), Answer::Joined(ban)) => {
                let banned = ban.map(|ttl_s| Ban { ttl_s });
                self.answer(key, Some(call), &Ok(Done::Joined { room: &join.room, banned }), outside);
            }
            (None, Answer::Published { position, duplicate }) => {
                let first = self.events.is_some() && position.offset == Offset(1) && !duplicate;
                if let Some(room) = talk.session.room().filter(|_| first).map(RoomName::messages) {
                    self.happened(Happened::Created, &room);
                }
                self.answer(key, Some(call), &Ok(Done::Said { position, duplicate }), outside);
            }
            (join, Answer::Refused(refused)) => {
                if let Some(join) = join.filter(|join| join.member == talk.member) {
                    talk.session.join_failed(&join.room);
                }
                self.answer(key, Some(call), &Err(refused), outside);
            }
            _ => {}
        }
    }

    fn banned(&mut self, room: &RoomName, name: &UserName, ttl: BanTtl, outside: &mut impl Outside) {
        for key in self.connections.keys() {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let Some(talk) = connection.talk.as_deref() else { continue };
            let here = talk.session.room() == Some(room);
            if here && talk.session.identity().is_some_and(|identity| identity.name == *name) {
                // A Socket.IO client learns of it by the room's event, and when it next speaks.
                if connection.form.socketio().is_none() {
                    protocol::notice(&Notice::Banned { room, ttl_s: ttl }, connection.control());
                    self.control_added(key, outside);
                }
            }
        }
    }
}
