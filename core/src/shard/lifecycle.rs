//! How connections come and go: accepted, closed for a reason, hung up on, given up, let go.

use crate::http_answer;
use crate::limits::{CONTROL_QUEUE_BYTES_DROP, CONTROL_QUEUE_BYTES_MAX};
use crate::refusal::Refusal;
use crate::websocket;

use super::connection::{Connection, Phase};
use super::slab::Key;
use super::wires::{At, ToSession};
use super::{Outside, Shard};

impl Shard {
    /// A connection has come.
    ///
    /// # Errors
    /// The HTTP answer with which it is to be sent away: the shard is full or stopping.
    pub fn accept(&mut self) -> Result<Key, Vec<u8>> {
        if self.draining || self.connections.len() >= self.rules.limits.connections_per_shard_max as usize {
            return Err(self.turn_away());
        }
        let key = self.connections.insert(Connection::new(self.ticks, self.batch.wrapping_sub(1)));
        self.schedule(key);
        Ok(key)
    }

    /// The HTTP answer to a connection for which there is no room, here or in the process.
    pub fn turn_away(&mut self) -> Vec<u8> {
        self.counters.refused += u64::from(!self.draining);
        self.turned_away()
    }

    pub(super) fn turned_away(&self) -> Vec<u8> {
        let refusal = if self.draining { Refusal::ShuttingDown } else { Refusal::TooManyConnections };
        http_answer::refusal_answer(refusal)
    }

    /// The other end will send nothing more. Somebody who has asked over HTTP may still read the
    /// answer; a WebSocket that ends without a close has ended.
    pub fn input_ended(&mut self, key: Key, outside: &mut impl Outside) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.talk.as_deref().is_some_and(|talk| talk.job.is_some()) {
            connection.half_closed = true;
            return;
        }
        let answering = connection.phase.is_hanging_up();
        if !answering || !connection.has_unsent() {
            self.ended(key, outside);
        }
    }

    /// The other end has gone, or the connection failed.
    pub fn ended(&mut self, key: Key, outside: &mut impl Outside) {
        self.forget(key, outside);
        self.kill(key, outside);
    }

    /// Whether a connection has been given up.
    #[must_use]
    pub fn is_dead(&self, key: Key) -> bool {
        self.connections.get(key).is_none_or(|connection| connection.phase == Phase::Dead)
    }

    /// A connection that has been given up: the caller closes its socket, waits until nothing of
    /// it is in flight, and calls [`Shard::release`].
    pub fn take_dead(&mut self) -> Option<Key> {
        self.dead.pop()
    }

    /// Nothing of the connection is in flight any more.
    pub fn release(&mut self, key: Key) {
        self.connections.remove(key);
    }

    /// Begins to stop: every connection is told when to come back.
    pub fn drain(&mut self, outside: &mut impl Outside) {
        self.draining = true;
        for key in self.connections.keys() {
            match self.connections.get(key).map(|connection| connection.phase) {
                Some(Phase::Head) => self.refuse_head(key, Refusal::ShuttingDown),
                Some(Phase::Open) => self.close(key, Refusal::ShuttingDown, outside),
                Some(Phase::Asked) => self.poll_in_vain(key, outside),
                _ => {}
            }
        }
    }

    /// Closes a connection for a reason, by a close frame.
    pub(super) fn close(&mut self, key: Key, refusal: Refusal, outside: &mut impl Outside) {
        let spread = u128::from(self.rules.limits.retry_spread_ms.max(1));
        let reason = match refusal {
            Refusal::ShuttingDown => {
                format!("{} retry_after_ms={}", refusal.code(), outside.random() % spread)
            }
            _ => refusal.code().into(),
        };
        if self.is_polled(key) {
            return self.end_session(key, refusal, outside);
        }
        if self.end_stream(key, refusal, outside) {
            return;
        }
        self.forget(key, outside);
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        let control = connection.control();
        if refusal == Refusal::SlowReader {
            control.clear();
        }
        websocket::close_frame(refusal.row().close.unwrap_or(websocket::CLOSE_NORMAL), &reason, control);
        connection.phase = Phase::Closing { hang_up: false, pieces: 0 };
        connection.since = now;
        self.make_ready(key);
        self.schedule(key);
    }

    /// Sends an HTTP answer and hangs up.
    pub(super) fn last_words(&mut self, key: Key, answer: &[u8]) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.control().extend_from_slice(answer);
        connection.phase = Phase::HANGING_UP;
        connection.since = self.ticks;
        self.make_ready(key);
        self.schedule(key);
    }

    pub(super) fn refuse_head(&mut self, key: Key, refusal: Refusal) {
        self.last_words(key, &http_answer::refusal_answer(refusal));
    }

    /// Takes a connection out of its channels and its room.
    pub(super) fn forget(&mut self, key: Key, outside: &mut impl Outside) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        // What follows a request that is answered is the next one.
        if connection.phase != Phase::Asked {
            connection.input = None;
        }
        let form = connection.form;
        for subscription in std::mem::take(&mut connection.subscriptions) {
            self.remove_subscriber(subscription.channel, subscription.slot, form);
        }
        let room = self.connections.get(key).and_then(|c| c.talk.as_deref()).and_then(|t| t.session.room());
        if let Some(room) = room.cloned() {
            self.leave(key, room, outside);
        }
        let talk = self.connections.get_mut(key).and_then(|connection| connection.talk.take());
        if let Some(id) = talk.as_deref().and_then(|talk| talk.wire) {
            let at = At { shard: self.shard, key };
            self.tell_session(id, ToSession::Gone(at), outside);
        }
        if let Some(job) = talk.as_deref().and_then(|talk| talk.job.as_deref()) {
            self.let_go_of(job.items());
        }
        for item in talk.into_iter().flat_map(|talk| talk.pending).flat_map(|pending| pending.items) {
            if let Some(channel) = self.channels.at_mut(item.channel) {
                channel.waiters.retain(|waiter| *waiter != key);
            }
            self.let_go_of_channel(item.channel);
        }
    }

    pub(super) fn kill(&mut self, key: Key, outside: &mut impl Outside) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.phase == Phase::Dead {
            return;
        }
        connection.phase = Phase::Dead;
        connection.control = None;
        connection.input = None;
        self.forget(key, outside);
        self.dead.push(key);
    }

    /// A connection that may have become idle: its time begins.
    pub(super) fn note_idle(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.is_idle()
        {
            connection.since = self.ticks;
            self.schedule(key);
        }
    }

    /// After something was added to a connection's answers: sends them, or closes whoever does
    /// not read them.
    pub(super) fn control_added(&mut self, key: Key, outside: &mut impl Outside) {
        if !self.close_if_answers_pile_up(key, outside) {
            self.make_ready(key);
        }
    }

    /// Closes whoever does not read its answers. Only what a full socket holds up counts: a burst
    /// of calls may owe many before the first of them could be sent.
    pub(super) fn close_if_answers_pile_up(&mut self, key: Key, outside: &mut impl Outside) -> bool {
        let Some(connection) = self.connections.get(key).filter(|one| one.blocked) else { return false };
        let waiting = connection.control.as_ref().map_or(0, |control| control.len());
        let unsent = connection.rest.as_ref().map_or(0, |rest| rest.bytes.len() - rest.from) + waiting;
        if unsent <= CONTROL_QUEUE_BYTES_MAX {
            return false;
        }
        self.counters.slow_closed += 1;
        if unsent > CONTROL_QUEUE_BYTES_DROP {
            // Too much to keep for the little while in which a close frame might still be read.
            self.kill(key, outside);
        } else {
            self.close(key, Refusal::SlowReader, outside);
        }
        true
    }
}
