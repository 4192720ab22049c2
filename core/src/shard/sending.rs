//! What a connection is sent next, and what follows when its socket did not take all of it.
//!
//! Order on a connection: the rest of a cut frame, then answers and notices, then each channel's
//! new messages. A send counts as taken whole from the moment it is begun; the few that were not are
//! told before anything else happens (`taken_short`), and only they cost a second look. Such a
//! subscriber keeps a copy of the rest of the one frame that was cut, and its cursor: nothing else of
//! it is held anywhere.

use crate::position::Offset;
use crate::protocol::{self, Notice};
use crate::refusal::Refusal;
use crate::room_log::{RoomLog, Run, WireSlice};

use super::connection::{Phase, Rest};
use super::forms::Tools;
use super::slab::Key;
use super::{Outside, Shard, SlowSubscriberPolicy};

/// Bytes to be sent. They stay valid and unchanged until [`Shard::settle`].
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// The first.
    pub address: *const u8,
    /// How many.
    pub len: usize,
}

/// A send to be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// Its number, until [`Shard::settle`].
    pub flight: u32,
    /// Whose socket.
    pub key: Key,
    /// What.
    pub outgoing: Outgoing,
}

/// What to do after a send that was not taken whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterSend {
    /// Nothing.
    Nothing,
    /// Call [`Shard::writable`] when the socket takes bytes again.
    WaitWritable,
}

/// A send that has begun and is not settled.
#[derive(Debug)]
pub(super) struct Flight {
    key: Key,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Bytes of this connection alone, from this one on.
    Bytes(Vec<u8>, usize),
    /// Messages: of which channel, and the cursor before and after them.
    Log { slice: WireSlice, channel: u32, before: Offset, after: Offset },
    /// It has been dealt with.
    Short,
}

/// The messages that the last subscriber of a pass was sent: most others are at the same place.
#[derive(Debug)]
pub(super) struct Memo {
    channel: u32,
    before: Offset,
    slice: WireSlice,
    after: Offset,
}

impl Shard {
    pub(super) fn make_ready(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key)
            && !connection.queued
        {
            connection.queued = true;
            self.push_ready(key.index);
        }
    }

    /// Begins the send of whatever this connection is owed first.
    pub(super) fn begin_send(&mut self, index: u32, outside: &mut impl Outside) -> Option<Begun> {
        let key = self.connections.key_at(index)?;
        self.connections.get_mut(key)?.queued = false;
        // Not a loop over messages: a gap adds a notice, which the second round sends.
        for _ in 0..2 {
            let connection = self.connections.get_mut(key)?;
            if connection.batch == self.batch {
                self.ask_again(index);
                return None;
            }
            if connection.phase == Phase::Dead || connection.blocked {
                return None;
            }
            if connection.is_polled() {
                self.deliver(key, outside);
                return None;
            }
            if let Some(rest) = connection.rest.take() {
                return Some(self.begin_bytes(key, rest.bytes, rest.from));
            }
            if let Some(control) = connection.control.take().filter(|control| !control.is_empty()) {
                return Some(self.begin_bytes(key, *control, 0));
            }
            if connection.phase == Phase::Head && connection.answered {
                self.go_on(key, outside);
                return None;
            }
            if connection.phase == Phase::Asked {
                if !self.poll_ready(key, outside) {
                    return None;
                }
                // Its answer waits now.
                continue;
            }
            if connection.phase.is_hanging_up() {
                self.kill(key, outside);
                return None;
            }
            match self.next_messages(key) {
                Next::Nothing => return None,
                Next::Messages(begun) => return Some(begun),
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

    fn begin_bytes(&mut self, key: Key, bytes: Vec<u8>, from: usize) -> Begun {
        let unsent = &bytes[from..];
        let outgoing = Outgoing { address: unsent.as_ptr(), len: unsent.len() };
        if self.has_more(key) {
            self.ask_again(key.index);
        }
        // Moving the vector moves no byte.
        self.begin(key, What::Bytes(bytes, from), outgoing)
    }

    fn begin(&mut self, key: Key, what: What, outgoing: Outgoing) -> Begun {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.batch = self.batch;
        }
        self.counters.bytes_out += outgoing.len as u64;
        let flight = u32::try_from(self.flights.len()).unwrap_or(u32::MAX);
        self.flights.push(Flight { key, what });
        Begun { flight, key, outgoing }
    }

    /// It is looked at again once the sends of now are settled.
    fn ask_again(&mut self, index: u32) {
        if let Some(connection) = self.connections.at_mut(index)
            && !connection.queued
        {
            connection.queued = true;
            self.again.push(index);
        }
    }

    fn next_messages(&mut self, key: Key) -> Next {
        let Some(connection) = self.connections.get_mut(key) else { return Next::Nothing };
        if connection.phase != Phase::Open {
            return Next::Nothing;
        }
        for index in 0..connection.subscriptions.len() {
            let subscription = &mut connection.subscriptions[index];
            let (number, before) = (subscription.channel, subscription.cursor);
            let Some(channel) = self.channels.at_mut(number) else { continue };
            let Some(log) = &channel.log else { continue };
            let deflating = self.deflating.as_deref_mut();
            let locations = &self.services.pushstream.locations;
            let tools = Tools { deleted: channel.deleted_at, deflating, locations };
            let wire = channel.forms.or(log, &channel.name, before, connection.form, tools);
            match wire.after(before) {
                Run::UpToDate => {}
                Run::Frames(slice, after) => {
                    subscription.cursor = after;
                    if before < channel.deleted_at && channel.deleted_at <= after {
                        self.ended.push((key, number));
                    }
                    self.counters.deliveries += after.0 - before.0;
                    // The next send begins with the next channel: none starves behind a busy one.
                    connection.subscriptions.rotate_left(index + 1);
                    let outgoing = Outgoing { address: slice.address(), len: slice.len() };
                    let far_behind = after < log.head_offset() && is_far_behind(log, before);
                    self.catching_up |= far_behind;
                    if self.has_more(key) {
                        self.ask_again(key.index);
                    }
                    let what = What::Log { slice, channel: number, before, after };
                    return Next::Messages(self.begin(key, what, outgoing));
                }
                Run::Gap { .. } if self.slow_subscribers == SlowSubscriberPolicy::Close => {
                    return Next::FellOut;
                }
                Run::Gap { from, to } => {
                    self.counters.gaps += 1;
                    subscription.cursor = to;
                    if connection.form.location().is_some() {
                        // There is no word for it: it goes on with what is kept.
                        return Next::Told;
                    }
                    protocol::notice(&Notice::Gap { channel: &channel.name, from, to }, connection.control());
                    return Next::Told;
                }
            }
        }
        Next::Nothing
    }

    fn has_more(&self, key: Key) -> bool {
        let Some(connection) = self.connections.get(key) else { return false };
        connection.control.is_some()
            || connection.phase.is_hanging_up()
            || (connection.phase == Phase::Head && connection.input.is_some())
            || connection.subscriptions.iter().any(|subscription| {
                let log = self.channels.at(subscription.channel).and_then(|channel| channel.log.as_ref());
                log.is_some_and(|log| log.head_offset() > subscription.cursor)
            })
    }

    /// One step of a channel's pass: its next subscriber is sent what is new, if it is new to it.
    /// Whoever is owed something else, too, is looked at by itself ([`Shard::begin_send`]).
    pub(super) fn begin_of_pass(&mut self, index: u32) -> Option<Begun> {
        let channel = self.channels.at_mut(index)?;
        let place = channel.pass.step(&channel.subscribers)?;
        let log = channel.log.as_ref()?;
        if channel.pass.lap(channel.subscribers.len(), log.head_offset()) {
            self.crowded -= usize::from(std::mem::take(&mut channel.pass.crowded));
        }
        let connection = self.connections.at_mut(place)?;
        if connection.queued || connection.blocked || connection.phase != Phase::Open {
            // A poll that waits is answered by itself.
            if connection.phase == Phase::Asked
                && let Some(key) = self.connections.key_at(place)
            {
                self.make_ready(key);
            }
            return None;
        }
        let key = self.connections.key_at(place)?;
        let connection = self.connections.at_mut(place)?;
        if connection.batch == self.batch {
            connection.queued = true;
            self.again.push(place);
            return None;
        }
        let subscription = connection.subscriptions.iter_mut().find(|one| one.channel == index)?;
        let before = subscription.cursor;
        let memo = self.memos.get_mut(connection.form.index())?;
        if !matches!(memo, Some(memo) if memo.channel == index && memo.before == before) {
            let deflating = self.deflating.as_deref_mut();
            let locations = &self.services.pushstream.locations;
            let tools = Tools { deleted: channel.deleted_at, deflating, locations };
            let wire = channel.forms.or(log, &channel.name, before, connection.form, tools);
            match wire.after(before) {
                Run::UpToDate => return None,
                Run::Frames(slice, after) => {
                    *memo = Some(Memo { channel: index, before, slice, after });
                }
                Run::Gap { .. } => {
                    self.make_ready(key);
                    return None;
                }
            }
        }
        let memo = memo.as_ref()?;
        let (slice, after) = (memo.slice.clone(), memo.after);
        subscription.cursor = after;
        if before < channel.deleted_at && channel.deleted_at <= after {
            self.ended.push((key, index));
        }
        connection.batch = self.batch;
        if after < log.head_offset() {
            connection.queued = true;
            self.again.push(place);
            self.catching_up |= is_far_behind(log, before);
        }
        self.counters.deliveries += after.0 - before.0;
        let outgoing = Outgoing { address: slice.address(), len: slice.len() };
        Some(self.begin(key, What::Log { slice, channel: index, before, after }, outgoing))
    }

    /// The bytes of a send, for callers without pointers.
    pub fn in_flight<R>(&self, flight: u32, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match &self.flights.get(flight as usize)?.what {
            What::Bytes(bytes, from) => Some(read(&bytes[*from..])),
            What::Log { slice, .. } => Some(slice.read(read)),
            What::Short => None,
        }
    }

    /// Whose send it is.
    #[must_use]
    pub fn flight_key(&self, flight: u32) -> Option<Key> {
        self.flights.get(flight as usize).map(|flight| flight.key)
    }

    /// The socket took only so many of the bytes, perhaps none. To be told before [`Shard::settle`].
    pub fn taken_short(&mut self, flight: u32, bytes: usize, outside: &mut impl Outside) -> AfterSend {
        let Some(flight) = self.flights.get_mut(flight as usize) else { return AfterSend::Nothing };
        let (key, what) = (flight.key, std::mem::replace(&mut flight.what, What::Short));
        let Some(connection) = self.connections.get_mut(key) else { return AfterSend::Nothing };
        let (untaken, rest) = match what {
            What::Bytes(all, from) => {
                let from = (from + bytes).min(all.len());
                (all.len() - from, Rest { bytes: all, from })
            }
            What::Log { slice, channel, before, after } => {
                let (reached, rest) = slice.cut(bytes);
                // Nothing taken is nothing reached, however many messages without bytes of their own follow.
                let reached = if bytes == 0 { before } else { reached.max(before) };
                self.counters.deliveries -= after.0 - reached.0;
                if let Some(one) = connection.subscriptions.iter_mut().find(|one| one.channel == channel) {
                    one.cursor = reached;
                }
                (slice.len() - bytes.min(slice.len()), Rest { bytes: rest.into(), from: 0 })
            }
            What::Short => return AfterSend::Nothing,
        };
        self.counters.bytes_out -= untaken as u64;
        if connection.phase == Phase::Dead || untaken == 0 {
            return AfterSend::Nothing;
        }
        connection.rest = (rest.from < rest.bytes.len()).then(|| Box::new(rest));
        connection.blocked = true;
        let open = connection.phase == Phase::Open;
        // Since when it has taken nothing; of a close frame it is given no longer than that.
        if !matches!(connection.phase, Phase::Closing { hang_up: false, .. }) {
            connection.since = self.ticks;
            self.schedule(key);
        }
        if open {
            self.counters.blocked += 1;
            self.close_if_answers_pile_up(key, outside);
        }
        AfterSend::WaitWritable
    }

    /// All other sends that were begun have been taken whole. To be called after every batch of
    /// sends, before anything else is told.
    pub fn settle(&mut self) {
        self.flights.clear();
        self.memos.fill_with(|| None);
        // Comes round after four billion batches; a connection that has not sent since waits for
        // one more.
        self.batch = self.batch.wrapping_add(1);
        for index in std::mem::take(&mut self.again) {
            self.push_ready(index);
        }
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, key: Key) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.blocked = false;
            self.make_ready(key);
        }
    }
}

/// So far that the log could lose what comes next to it while it is being sent the rest.
fn is_far_behind(log: &RoomLog, cursor: Offset) -> bool {
    log.head_offset().0.saturating_sub(cursor.0) >= log.capacity() as u64 / 2
}

enum Next {
    Nothing,
    Messages(Begun),
    /// A notice of a gap waits among the answers.
    Told,
    /// Its next message is no longer kept, and it is to be closed for that.
    FellOut,
}
