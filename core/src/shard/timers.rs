//! Deadlines of a hundred thousand connections: one coarse wheel, one entry a connection, looked
//! at lazily. Activity moves no entry; an entry that comes up asks its connection what is due.

use crate::http_answer::refusal_answer;
use crate::limits::{ASKED_MS_MAX, CLOSE_LINGER_MS, TIMER_TICK_MS, TIMER_WHEEL_SLOTS};
use crate::refusal::Refusal;
use crate::websocket::PING_FRAME;

use super::connection::Phase;
use super::slab::Key;
use super::socketio::ping_due;
use super::{Outside, Shard};

/// Coarse time: ticks of [`TIMER_TICK_MS`] since the shard began; four bytes last 17 years.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ticks(pub(super) u32);

impl Ticks {
    pub(super) fn at(milliseconds: u64) -> Ticks {
        Ticks(u32::try_from(milliseconds / TIMER_TICK_MS).unwrap_or(u32::MAX))
    }

    fn before(self, milliseconds: u64) -> Ticks {
        Ticks(self.0.saturating_sub(Ticks::at(milliseconds).0))
    }

    /// Rounded up, so that no deadline comes early.
    pub(super) fn after(self, milliseconds: u64) -> Ticks {
        let ticks = milliseconds.div_ceil(TIMER_TICK_MS) + 1;
        Ticks(self.0.saturating_add(u32::try_from(ticks).unwrap_or(u32::MAX)))
    }
}

/// The wheel.
pub(super) struct Wheel {
    slots: Vec<Vec<Key>>,
    now: Ticks,
}

impl Wheel {
    pub(super) fn new() -> Wheel {
        Wheel { slots: (0..TIMER_WHEEL_SLOTS).map(|_| Vec::new()).collect(), now: Ticks(0) }
    }

    /// Bytes that it takes.
    pub(super) fn memory(&self) -> usize {
        let entries = |slot: &Vec<Key>| size_of::<Vec<Key>>() + slot.capacity() * size_of::<Key>();
        self.slots.iter().map(entries).sum()
    }

    /// Enters a key; returns the tick at which it comes up: the deadline, or the end of the wheel.
    fn enter(&mut self, key: Key, deadline: Ticks) -> Ticks {
        let span = u32::try_from(TIMER_WHEEL_SLOTS).unwrap_or(u32::MAX) - 1;
        let at = Ticks(deadline.0.clamp(self.now.0 + 1, self.now.0.saturating_add(span)));
        self.slots[at.0 as usize % TIMER_WHEEL_SLOTS].push(key);
        at
    }

    /// Moves one tick on, if it is time, and gives what comes up.
    fn turn(&mut self, now: Ticks) -> Option<(Ticks, Vec<Key>)> {
        if self.now >= now {
            return None;
        }
        self.now = Ticks(self.now.0 + 1);
        Some((self.now, std::mem::take(&mut self.slots[self.now.0 as usize % TIMER_WHEEL_SLOTS])))
    }
}

impl Shard {
    /// Lets time pass: what is due is done. To be called at least once a tick.
    pub fn tick(&mut self, outside: &mut impl Outside) {
        let (ticks, before) = (self.ticks, self.wheel.now);
        while let Some((at, keys)) = self.wheel.turn(ticks) {
            for key in keys {
                // Entries that a nearer one has replaced are stale.
                if self.connections.get(key).is_some_and(|connection| connection.timer == at) {
                    self.due(key, ticks, outside);
                    self.schedule(key);
                }
            }
        }
        self.close_idle_channels(outside);
        // Once a tick, not once a turn: a broker that refuses is not asked in a circle.
        if self.wheel.now > before {
            self.catch_up(outside);
            self.hold_events(outside);
        }
    }

    /// Enters the connection's next deadline into the wheel.
    pub(super) fn schedule(&mut self, key: Key) {
        let (ticks, poll) = (self.ticks, self.poll_deadline(key));
        let ping_after_ms = self.connections.get(key).map_or(0, |one| self.ping_after_ms(one));
        let limits = &self.rules.limits;
        let Some(connection) = self.connections.get_mut(key) else { return };
        let deadline = match connection.phase {
            Phase::Dead => return,
            // An answer is on its way.
            Phase::Head | Phase::HANGING_UP if connection.blocked => {
                connection.since.after(limits.write_stall_ms_max)
            }
            Phase::Head => connection.since.after(limits.handshake_ms_max),
            Phase::Asked => poll.unwrap_or(connection.since.after(ASKED_MS_MAX)),
            Phase::Closing { .. } => connection.since.after(CLOSE_LINGER_MS),
            Phase::Open => {
                let ping = connection.heard.after(ping_after_ms);
                // Whoever answers is to be pinged again in time, though its answer enters no deadline.
                let again = connection.heard.after(ping_after_ms.saturating_mul(2));
                let lost = connection.heard.after(ping_after_ms + limits.pong_within_ms);
                let silence = match connection.pinged {
                    false => ping,
                    true if again > ticks => again.min(lost),
                    true => lost,
                };
                let silence = ping_due(connection, limits).map_or(silence, |ping| silence.min(ping));
                // A session that nobody has come for yet.
                let unused = connection.is_polled() && !connection.answered;
                let silence = if unused { connection.since.after(limits.handshake_ms_max) } else { silence };
                let until = connection.talk.as_deref().and_then(|talk| talk.until);
                let silence = until.map_or(silence, |until| silence.min(until));
                if connection.blocked {
                    silence.min(connection.since.after(limits.write_stall_ms_max))
                } else if connection.is_idle() {
                    silence.min(connection.since.after(limits.idle_ms_max))
                } else {
                    silence
                }
            }
        };
        // An entry that comes up earlier asks again anyway.
        if connection.timer <= self.wheel.now || deadline < connection.timer {
            connection.timer = self.wheel.enter(key, deadline);
        }
    }

    fn due(&mut self, key: Key, now: Ticks, outside: &mut impl Outside) {
        let poll = self.poll_deadline(key);
        let limits = &self.rules.limits;
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.phase {
            Phase::Dead => {}
            Phase::Head | Phase::HANGING_UP if connection.blocked => {
                if connection.since.after(limits.write_stall_ms_max) <= now {
                    self.counters.slow_closed += 1;
                    self.kill(key, outside);
                }
            }
            Phase::Head if connection.since.after(limits.handshake_ms_max) <= now => {
                if connection.answered && connection.input.is_none() {
                    // It has asked for nothing more.
                    return self.kill(key, outside);
                }
                self.refuse_head(key, Refusal::HandshakeTimeout);
            }
            Phase::Closing { .. } if connection.since.after(CLOSE_LINGER_MS) <= now => {
                self.kill(key, outside);
            }
            Phase::Asked if poll.is_some() => {
                if poll.is_some_and(|deadline| deadline <= now) {
                    self.poll_in_vain(key, outside);
                }
            }
            Phase::Asked if connection.since.after(ASKED_MS_MAX) <= now => {
                self.last_words(key, &refusal_answer(Refusal::Overloaded));
                self.forget(key, outside);
            }
            Phase::Head | Phase::Asked | Phase::Closing { .. } => {}
            Phase::Open => {
                if connection.form.socketio().is_some() {
                    self.socketio_ping(key, now);
                }
                let streams = self.connections.get(key).is_some_and(|one| self.streams(one).is_some());
                let ping_after_ms = self.connections.get(key).map_or(0, |one| self.ping_after_ms(one));
                let limits = &self.rules.limits;
                let Some(connection) = self.connections.get_mut(key) else { return };
                let over = connection.talk.as_deref().and_then(|talk| talk.until).is_some_and(|u| u <= now);
                let stalled = connection.blocked && connection.since.after(limits.write_stall_ms_max) <= now;
                let idle = connection.is_idle() && connection.since.after(limits.idle_ms_max) <= now;
                let silent = connection.heard.after(ping_after_ms) <= now;
                let lost = connection.heard.after(ping_after_ms + limits.pong_within_ms) <= now;
                let unused = connection.is_polled()
                    && !connection.answered
                    && connection.since.after(limits.handshake_ms_max) <= now;
                if unused {
                    self.close(key, Refusal::HandshakeTimeout, outside);
                } else if stalled {
                    self.counters.slow_closed += 1;
                    self.close(key, Refusal::SlowSubscriber, outside);
                } else if over {
                    self.pushstream_over(key, outside);
                } else if lost && connection.pinged {
                    self.close(key, Refusal::PingTimeout, outside);
                } else if idle {
                    self.close(key, Refusal::IdleTooLong, outside);
                } else if silent && streams {
                    self.ping_stream(key, now);
                } else if silent && !connection.pinged {
                    connection.pinged = true;
                    // After a pause of the whole process the time to answer begins now, not then.
                    let silent_since = now.before(ping_after_ms);
                    connection.heard = connection.heard.max(silent_since);
                    if !connection.is_polled() {
                        connection.control().extend_from_slice(&PING_FRAME);
                        self.make_ready(key);
                    }
                }
            }
        }
    }
}
