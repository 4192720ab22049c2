//! Subscribing and unsubscribing: a call names channels that may have to be opened first, by another
//! shard and the broker; all of it takes effect at once, with its answer.

use crate::names::ChannelName;
use crate::position::Offset;
use crate::protocol::{Done, Subscribe, Subscribed};
use crate::refusal::{Refusal, Refused};

use super::connection::{PendingChannel, PendingSubscribe, Subscription};
use super::slab::Key;
use super::{Outside, Shard};

impl Shard {
    pub(super) fn subscribe(
        &mut self,
        key: Key,
        call: u64,
        asked: Vec<Subscribe>,
        outside: &mut impl Outside,
    ) {
        if self.events.is_some() && asked.iter().any(|one| self.is_events(&one.channel)) {
            let refused = Refused::field(Refusal::BadField, "channels");
            return self.answer(key, Some(call), &Err(refused), outside);
        }
        let refusal = if !self.make_room_for(&asked, outside) {
            Some(Refusal::ChannelsFull)
        } else {
            let known = asked.iter().filter_map(|one| self.channel_index.get(&one.channel));
            let connection = self.connections.get(key);
            let mut twice = known.filter(|index| connection.is_some_and(|c| c.waits_for(**index)));
            twice.next().map(|_| Refusal::AlreadySubscribed)
        };
        if let Some(refusal) = refusal {
            return self.answer(key, Some(call), &Err(refusal.into()), outside);
        }
        self.open_for(key, PendingSubscribe::of_call(call), asked, outside);
    }

    /// Opens what is asked for, and subscribes to it once it is open.
    pub(super) fn open_for(
        &mut self,
        key: Key,
        mut pending: PendingSubscribe,
        asked: Vec<Subscribe>,
        outside: &mut impl Outside,
    ) {
        for Subscribe { channel, position, history } in asked {
            let index = self.open_channel(&channel, outside);
            pending.items.push(PendingChannel { channel: index, position, history, answer: None });
            let Some(entry) = self.channels.at_mut(index) else { continue };
            entry.holds += 1;
            if entry.log.is_none() {
                entry.waiters.push(key);
                pending.missing += 1;
            }
        }
        if pending.missing == 0 {
            self.complete_subscribe(key, pending, outside);
        } else if let Some(connection) = self.connections.get_mut(key) {
            connection.talk().pending.push(pending);
        }
    }

    pub(super) fn make_room_for(&mut self, asked: &[Subscribe], outside: &mut impl Outside) -> bool {
        let new =
            |shard: &Self| asked.iter().filter(|one| !shard.channel_index.contains_key(&one.channel)).count();
        let wildcard = |one: &&Subscribe| {
            self.is_wildcard(&one.channel) && !self.channel_index.contains_key(&one.channel)
        };
        let wildcards = asked.iter().filter(wildcard).count();
        if !self.has_room_for_wildcards(wildcards) {
            return false;
        }
        let before = new(self);
        // Among those that had to go may be some that are asked for.
        self.make_room(before, outside) && (new(self) == before || self.make_room(new(self), outside))
    }

    /// A channel for which a connection has waited is open.
    pub(super) fn channel_arrived(&mut self, key: Key, channel: u32, outside: &mut impl Outside) {
        let Some(talk) = self.connections.get_mut(key).and_then(|c| c.talk.as_deref_mut()) else { return };
        let waits = |pending: &PendingSubscribe| pending.items.iter().any(|item| item.channel == channel);
        let Some(place) = talk.pending.iter().position(waits) else { return };
        talk.pending[place].missing -= 1;
        if talk.pending[place].missing == 0 {
            let pending = talk.pending.remove(place);
            self.complete_subscribe(key, pending, outside);
        }
        if let Some(connection) = self.connections.get_mut(key) {
            connection.tidy();
        }
    }

    /// A channel for which a connection has waited cannot be opened: the whole call is refused.
    pub(super) fn subscribe_failed(
        &mut self,
        key: Key,
        channel: u32,
        refused: Refused,
        outside: &mut impl Outside,
    ) {
        let Some(talk) = self.connections.get_mut(key).and_then(|c| c.talk.as_deref_mut()) else { return };
        let waits = |pending: &PendingSubscribe| pending.items.iter().any(|item| item.channel == channel);
        let Some(place) = talk.pending.iter().position(waits) else { return };
        let pending = talk.pending.remove(place);
        for item in &pending.items {
            if let Some(channel) = self.channels.at_mut(item.channel) {
                channel.waiters.retain(|waiter| *waiter != key);
            }
            self.let_go_of_channel(item.channel);
        }
        match pending.call {
            None if pending.job => self.job_failed(key, refused.refusal),
            Some(call) => self.answer(key, Some(call), &Err(refused), outside),
            None => self.refuse_pushstream(key, refused.refusal, outside),
        }
    }

    fn complete_subscribe(&mut self, key: Key, mut pending: PendingSubscribe, outside: &mut impl Outside) {
        if self.catch_up_first(key, &mut pending, outside) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.talk().pending.push(pending);
            }
            return;
        }
        if pending.job {
            return self.begin_job(key, pending.items, outside);
        }
        if let Some(want) = pending.want {
            if want.mode.is_poll() {
                // Behind what has come for its channels in this turn.
                return self.polls.push((key, want, pending.items));
            }
            return self.begin_pushstream(key, &want, &pending.items, outside);
        }
        let mut answer = Vec::with_capacity(pending.items.len());
        for PendingChannel { channel, position, history, .. } in pending.items {
            let Some(entry) = self.channels.at(channel) else { continue };
            let Some(log) = &entry.log else { continue };
            // What was deleted is sent to nobody who comes now.
            let first = Offset(entry.deleted_at.0.saturating_sub(1));
            let resumed = position.and_then(|position| log.resume(position)).filter(|at| *at >= first);
            let cursor = resumed.unwrap_or_else(|| log.back(history).max(first));
            answer.push(Subscribed {
                channel: entry.name.clone(),
                position: log.head(),
                next: cursor.next(),
                recovered: resumed.is_some(),
            });
            let Some(slot) = self.add_subscriber(key, channel) else { continue };
            if let Some(connection) = self.connections.get_mut(key) {
                connection.subscriptions.push(Subscription { channel, slot, cursor });
            }
            self.let_go_of_channel(channel);
        }
        self.answer(key, pending.call, &Ok(Done::Subscribed { channels: &answer }), outside);
    }

    pub(super) fn unsubscribe(
        &mut self,
        key: Key,
        call: u64,
        names: &[ChannelName],
        outside: &mut impl Outside,
    ) {
        let Some(connection) = self.connections.get(key) else { return };
        let place = |name: &ChannelName| {
            let index = self.channel_index.get(name)?;
            connection.subscriptions.iter().find(|one| one.channel == *index).map(|one| one.channel)
        };
        let Some(channels) = names.iter().map(place).collect::<Option<Vec<u32>>>() else {
            return self.answer(key, Some(call), &Err(Refusal::NotSubscribed.into()), outside);
        };
        for channel in channels {
            let Some(connection) = self.connections.get_mut(key) else { return };
            let Some(index) = connection.subscriptions.iter().position(|one| one.channel == channel) else {
                continue;
            };
            let slot = connection.subscriptions.swap_remove(index).slot;
            let form = connection.form;
            self.remove_subscriber(channel, slot, form);
        }
        self.note_idle(key);
        self.answer(key, Some(call), &Ok(Done::Empty {}), outside);
    }
}
