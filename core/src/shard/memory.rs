//! What a shard's memory is used for, by kind, in bytes asked of the allocator (which takes a little
//! more). Tables are known at once; what hangs on their entries is walked, a piece at a time, so that
//! nobody waits for it.

use std::collections::VecDeque;

use serde::Serialize;

use crate::exchange::{Operation, Ticket};
use crate::limits::MEMORY_WALK_ENTRIES;
use crate::names::ChannelName;
use crate::room_log::RoomLog;

use super::channels::ShardMessage;
use super::connection::{Connection, PendingJoin, PendingSubscribe, Rest, Subscription, Talk};
use super::deflated::Deflating;
use super::sending::Flight;
use super::{Key, Shard};

/// Bytes, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The table of connections.
    pub connections: usize,
    /// What some of them hold besides: sessions, answers and frames that wait, halves of messages,
    /// the third subscription and more.
    pub sessions: usize,
    /// The table of channels, their names, their index.
    pub channels: usize,
    /// The channels' lists of subscribers.
    pub subscribers: usize,
    /// The channels' last messages, compressed forms included.
    pub logs: usize,
    /// The timer wheel.
    pub timers: usize,
    /// What waits for its turn, and what compression works with.
    pub other: usize,
}

/// How far the walk has come.
#[derive(Debug, Default)]
pub(super) struct Walk {
    at: u32,
    so_far: Memory,
    /// Of the last walk that came to its end.
    whole: Memory,
}

impl Shard {
    /// What its memory is used for now: tables exactly, what hangs on their entries as of the last
    /// walk. Goes on with the walk, for a bounded time.
    pub fn memory(&mut self) -> Memory {
        let places = self.connections.places().max(self.channels.places());
        let end = self.walk.at.saturating_add(MEMORY_WALK_ENTRIES).min(places);
        for index in self.walk.at..end {
            if let Some(connection) = self.connections.at(index) {
                self.walk.so_far.sessions += connection.memory();
            }
            if let Some(channel) = self.channels.at(index) {
                self.walk.so_far.channels += channel.name.as_str().len();
                self.walk.so_far.subscribers += channel.subscribers.capacity() * size_of::<u32>();
                let logs = channel.log.iter().map(RoomLog::memory).sum::<usize>();
                self.walk.so_far.logs += logs + channel.forms.memory();
            }
        }
        self.walk.at = end;
        if end == places {
            self.walk.whole = std::mem::take(&mut self.walk.so_far);
            self.walk.at = 0;
        }
        // An eighth of a hash table's places stays free, and each has a byte of the table's own.
        let index = self.channel_index.capacity() * 8 / 7 * (size_of::<(ChannelName, u32)>() + 1);
        let operations = self.broker_backlog.capacity() * size_of::<(Ticket, Operation)>();
        let messages: usize = self.shard_backlog.iter().map(VecDeque::capacity).sum();
        let waiting = self.flights.capacity() * size_of::<Flight>()
            + (self.ready.capacity() + self.again.capacity() + self.dirty.capacity()) * size_of::<u32>()
            + (self.lingering.capacity() + self.flushing.capacity()) * size_of::<(u64, Key)>();
        let deflating = self.deflating.as_deref().map_or(0, Deflating::memory);
        Memory {
            connections: self.connections.memory(),
            channels: self.channels.memory() + index + self.walk.whole.channels,
            timers: self.wheel.memory(),
            other: operations + messages * size_of::<ShardMessage>() + waiting + deflating,
            ..self.walk.whole
        }
    }
}

impl Connection {
    /// Bytes that it holds outside its table.
    fn memory(&self) -> usize {
        let vector = |bytes: &Vec<u8>| size_of::<Vec<u8>>() + bytes.capacity();
        let talk = self.talk.as_deref().map_or(0, |talk| {
            let public = talk.session.identity().map_or(0, |identity| identity.public.get().len());
            size_of::<Talk>()
                + talk.joins.capacity() * size_of::<PendingJoin>()
                + talk.pending.capacity() * size_of::<PendingSubscribe>()
                + public
        });
        let subscriptions = if self.subscriptions.spilled() { self.subscriptions.capacity() } else { 0 };
        talk + subscriptions * size_of::<Subscription>()
            + self.rest.as_deref().map_or(0, |rest| size_of::<Rest>() + rest.bytes.capacity())
            + self.control.as_deref().map_or(0, vector)
            + self.input.as_deref().map_or(0, vector)
            + self.reader.memory()
    }
}
