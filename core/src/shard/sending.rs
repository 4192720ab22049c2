//! What a connection is sent next, and what follows when it took all, some or none of it.
//!
//! Order on a connection: the rest of a cut frame, then answers and notices, then each channel's
//! new messages. A subscriber that took only a part keeps a copy of the rest of the one frame that
//! was cut, and its cursor: nothing else of it is held anywhere.

use crate::limits::{CONTROL_QUEUE_BYTES_DROP, CONTROL_QUEUE_BYTES_MAX};
use crate::protocol::{self, Notice};
use crate::refusal::Refusal;
use crate::room_log::Run;

use super::connection::{Connection, Out, Phase};
use super::slab::Key;
use super::{Outside, Shard, SlowSubscriberPolicy};

/// Bytes to be sent. They stay valid and unchanged until [`Shard::sent`] or [`Shard::release`] is
/// called for the connection.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// The first.
    pub address: *const u8,
    /// How many.
    pub len: usize,
}

/// What to do after a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterSend {
    /// Nothing; [`Shard::take_ready`] tells if there is more.
    Nothing,
    /// Call [`Shard::writable`] when the socket takes bytes again.
    WaitWritable,
}

impl Shard {
    /// The next connection that may have something to send.
    pub fn take_ready(&mut self) -> Option<Key> {
        loop {
            let index = self.ready.pop_front()?;
            let Some(connection) = self.connections.at_mut(index) else { continue };
            connection.queued = false;
            if matches!(connection.out, Out::Idle | Out::Rest(..)) {
                return self.connections.key_at(index);
            }
        }
    }

    pub(super) fn make_ready(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.queued
        {
            connection.queued = true;
            self.ready.push_back(key.index);
        }
    }

    /// Begins a send: what to send, or nothing. Until [`Shard::sent`] no other send may begin.
    pub fn begin_send(&mut self, key: Key, outside: &mut impl Outside) -> Option<Outgoing> {
        // Not a loop over messages: a gap adds a notice, which the second round sends.
        for _ in 0..2 {
            let connection = self.connections.get_mut(key)?;
            if connection.phase == Phase::Dead || !matches!(connection.out, Out::Idle | Out::Rest(..)) {
                return None;
            }
            if let Out::Rest(bytes, from) = std::mem::replace(&mut connection.out, Out::Idle) {
                return Some(start(connection, bytes, from));
            }
            if let Some(control) = connection.control.take().filter(|control| !control.is_empty()) {
                return Some(start(connection, control.into_boxed_slice(), 0));
            }
            if connection.phase == (Phase::Closing { hang_up: true }) {
                self.kill(key, outside);
                return None;
            }
            match self.next_messages(key) {
                Next::Nothing => return None,
                Next::Messages(outgoing) => return Some(outgoing),
                Next::Told => {}
                Next::FellOut => {
                    self.counters.slow_closed += 1;
                    self.close(key, Refusal::SlowSubscriber, outside);
                }
            }
        }
        self.make_ready(key);
        None
    }

    fn next_messages(&mut self, key: Key) -> Next {
        let Some(connection) = self.connections.get_mut(key) else { return Next::Nothing };
        if connection.phase != Phase::Open {
            return Next::Nothing;
        }
        for index in 0..connection.subscriptions.len() {
            let subscription = connection.subscriptions[index];
            let Some(channel) = self.channels.at(subscription.channel) else { continue };
            let Some(log) = &channel.log else { continue };
            match log.after(subscription.cursor) {
                Run::UpToDate => {}
                Run::Frames(slice, last) => {
                    let outgoing = Outgoing { address: slice.address(), len: slice.len() };
                    connection.out = Out::Log(slice, Some(subscription.channel), last);
                    // The next send begins with the next channel: none starves behind a busy one.
                    connection.subscriptions.rotate_left(index + 1);
                    return Next::Messages(outgoing);
                }
                Run::Gap { .. } if self.slow_subscribers == SlowSubscriberPolicy::Close => {
                    return Next::FellOut;
                }
                Run::Gap { from, to } => {
                    self.counters.gaps += 1;
                    connection.subscriptions[index].cursor = to;
                    protocol::notice(&Notice::Gap { channel: &channel.name, from, to }, connection.control());
                    return Next::Told;
                }
            }
        }
        Next::Nothing
    }

    /// The bytes that are in flight, for callers without pointers.
    pub fn in_flight<R>(&self, key: Key, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match &self.connections.get(key)?.out {
            Out::Bytes(bytes, from) => Some(read(&bytes[*from as usize..])),
            Out::Log(slice, ..) => Some(slice.read(read)),
            _ => None,
        }
    }

    /// The send has ended: the socket took so many bytes, perhaps none.
    pub fn sent(&mut self, key: Key, bytes: usize, outside: &mut impl Outside) -> AfterSend {
        let Some(connection) = self.connections.get_mut(key) else { return AfterSend::Nothing };
        self.counters.bytes_out += bytes as u64;
        let blocked = match std::mem::replace(&mut connection.out, Out::Idle) {
            Out::Bytes(all, from) => {
                let from = from + u32::try_from(bytes).unwrap_or(u32::MAX);
                ((from as usize) < all.len()).then_some((all, from))
            }
            Out::Log(slice, channel, last) => {
                let whole = bytes >= slice.len();
                let (last, rest) = if whole { (last, Box::default()) } else { slice.cut(bytes) };
                let subscription = connection.subscriptions.iter_mut().find(|s| Some(s.channel) == channel);
                if let Some(subscription) = subscription {
                    self.counters.deliveries += last.0.saturating_sub(subscription.cursor.0);
                    subscription.cursor = subscription.cursor.max(last);
                }
                (!whole).then_some((rest, 0))
            }
            other => {
                connection.out = other;
                return AfterSend::Nothing;
            }
        };
        if connection.phase == Phase::Dead {
            return AfterSend::Nothing;
        }
        if let Some((rest, from)) = blocked {
            connection.out = Out::Blocked(rest, from);
            if connection.phase == Phase::Open {
                connection.since = self.ticks;
                self.counters.blocked += 1;
                self.schedule(key);
                self.close_if_answers_pile_up(key, outside);
            }
            return AfterSend::WaitWritable;
        }
        let hang_up = connection.phase == (Phase::Closing { hang_up: true }) && connection.control.is_none();
        if hang_up {
            self.kill(key, outside);
        } else if self.has_more(key) {
            self.catching_up = true;
            self.make_ready(key);
        }
        AfterSend::Nothing
    }

    fn has_more(&self, key: Key) -> bool {
        let Some(connection) = self.connections.get(key) else { return false };
        connection.control.is_some()
            || connection.subscriptions.iter().any(|subscription| {
                let log = self.channels.at(subscription.channel).and_then(|channel| channel.log.as_ref());
                log.is_some_and(|log| log.head_offset() > subscription.cursor)
            })
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.out = match std::mem::replace(&mut connection.out, Out::Idle) {
            Out::Blocked(rest, from) if (from as usize) < rest.len() => Out::Rest(rest, from),
            Out::Blocked(..) => Out::Idle,
            other => other,
        };
        self.make_ready(key);
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
    fn close_if_answers_pile_up(&mut self, key: Key, outside: &mut impl Outside) -> bool {
        let Some(connection) = self.connections.get(key) else { return false };
        let Out::Blocked(rest, from) = &connection.out else { return false };
        let waiting = connection.control.as_ref().map_or(0, |control| control.len());
        let unsent = rest.len() - *from as usize + waiting;
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

enum Next {
    Nothing,
    Messages(Outgoing),
    /// A notice of a gap waits among the answers.
    Told,
    /// Its next message is no longer kept, and it is to be closed for that.
    FellOut,
}

fn start(connection: &mut Connection, bytes: Box<[u8]>, from: u32) -> Outgoing {
    let unsent = &bytes[from as usize..];
    let outgoing = Outgoing { address: unsent.as_ptr(), len: unsent.len() };
    // Moving the box moves no byte.
    connection.out = Out::Bytes(bytes, from);
    outgoing
}
