//! The events channel (`events_channel_id`): what becomes of channels and of who subscribes to them, each a
//! text published in a channel of its own. Where something happens it is noted; the shard that owns the
//! channel it happened to tells it, so that each channel's events come in their order. Nothing waits for it:
//! what finds no room is not told.

use std::collections::VecDeque;

use crate::exchange::{Operation, Publish};
use crate::limits::{EVENTS_PER_S_MAX, EVENTS_WAITING_MAX, EVENTS_WINDOW_MS, GONE_TOLD_AFTER_MS};
use crate::message::{self, Posted};
use crate::names::ChannelName;
use crate::position::MessageId;

use super::channels::ShardMessage;
use super::slab::Key;
use super::tickets::NO_TICKET;
use super::{Outside, Shard};

/// What has happened to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It has its first message, or its first subscriber without one.
    Created,
    /// It has been deleted, or nobody uses it any more and it has no messages.
    Destroyed,
    /// Somebody subscribes to it.
    Subscribed,
    /// Somebody does no more.
    Unsubscribed,
}

impl Happened {
    /// In the module's word.
    fn kind(self) -> &'static str {
        match self {
            Happened::Created => "channel_created",
            Happened::Destroyed => "channel_destroyed",
            Happened::Subscribed => "client_subscribed",
            Happened::Unsubscribed => "client_unsubscribed",
        }
    }
}

/// A shard's part in it.
#[derive(Debug)]
pub(super) struct Events {
    channel: ChannelName,
    /// The channel's place, where it is owned here: it is there from the start, and stays.
    held: Option<Key>,
    /// What has happened here, for the shards that tell it.
    noted: VecDeque<(Happened, ChannelName)>,
    /// What is to be told here.
    telling: VecDeque<(Happened, ChannelName)>,
    /// Channels that were deleted, and when that is told: when all have gone who subscribed to them.
    gone: VecDeque<(u64, ChannelName)>,
    /// The present window of time, and how many have been told in it.
    window: (u64, u64),
}

impl Events {
    pub(super) fn new(channel: ChannelName) -> Events {
        let (noted, telling, gone, window) = Default::default();
        Events { channel, held: None, noted, telling, gone, window }
    }

    fn tell(&mut self, what: Happened, name: ChannelName) {
        if self.telling.len() < EVENTS_WAITING_MAX {
            self.telling.push_back((what, name));
        }
    }
}

impl Shard {
    /// Whether it is the events channel.
    pub(super) fn is_events(&self, name: &ChannelName) -> bool {
        self.events.as_deref().is_some_and(|events| events.channel == *name)
    }

    /// Notes what has happened to a channel here.
    pub(super) fn happened(&mut self, what: Happened, name: &ChannelName) {
        let Some(events) = self.events.as_deref_mut() else { return };
        if events.channel != *name && events.noted.len() < EVENTS_WAITING_MAX {
            events.noted.push_back((what, name.clone()));
        }
    }

    /// The same, of a channel in the table.
    pub(super) fn happened_to(&mut self, what: Happened, channel: u32) {
        if self.events.is_none() {
            return;
        }
        if let Some(name) = self.channels.at(channel).map(|channel| channel.name.clone()) {
            self.happened(what, &name);
        }
    }

    /// Something has happened to a channel that this shard owns.
    pub(super) fn happened_somewhere(&mut self, what: Happened, name: ChannelName) {
        let index = self.channel_index.get(&name).copied();
        let channel = index.and_then(|index| self.channels.at_mut(index));
        let Some(events) = self.events.as_deref_mut() else { return };
        // Of one that is not open here all is new.
        let exists = |there: bool| channel.is_some_and(|one| std::mem::replace(&mut one.exists, there));
        match what {
            Happened::Created | Happened::Subscribed => {
                if !exists(true) && (index.is_some() || what == Happened::Created) {
                    if let Some(place) = events.gone.iter().position(|(_, gone)| *gone == name) {
                        events.gone.remove(place);
                        events.tell(Happened::Destroyed, name.clone());
                    }
                    events.tell(Happened::Created, name.clone());
                }
                if what == Happened::Subscribed {
                    events.tell(what, name);
                }
            }
            Happened::Unsubscribed => events.tell(what, name),
            Happened::Destroyed => {
                exists(false);
                if events.gone.len() < EVENTS_WAITING_MAX {
                    events.gone.push_back((self.now.mono_ms + GONE_TOLD_AFTER_MS, name));
                }
            }
        }
    }

    /// A channel that this shard owns has a message, or had some when it was opened: then it is no news.
    pub(super) fn has_messages(&mut self, index: u32, news: bool) {
        if self.events.is_none() || self.channels.at(index).is_none_or(|channel| channel.exists) {
            return;
        }
        let Some(channel) = self.channels.at_mut(index) else { return };
        if news {
            let name = channel.name.clone();
            if !self.is_events(&name) {
                self.happened_somewhere(Happened::Created, name);
            }
        } else {
            channel.exists = true;
        }
    }

    /// A channel is closed, since nobody uses it.
    pub(super) fn closes(&mut self, index: u32) {
        if self.events.is_none() {
            return;
        }
        let Some(channel) = self.channels.at(index).filter(|channel| channel.exists) else { return };
        let name = channel.name.clone();
        let ends = name.owner(self.shards) == self.shard && self.stored_and_published(index).0 == 0;
        if let Some(events) = self.events.as_deref_mut().filter(|_| ends) {
            events.tell(Happened::Destroyed, name);
        }
    }

    /// Keeps the events channel open where it is owned.
    pub(super) fn hold_events(&mut self, outside: &mut impl Outside) {
        let Some(events) = self.events.as_deref() else { return };
        let there = events.held.is_some_and(|key| self.channels.get(key).is_some());
        let name = events.channel.clone();
        if there || name.owner(self.shards) != self.shard {
            return;
        }
        let index = self.open_channel(&name, outside);
        if let Some(channel) = self.channels.at_mut(index) {
            channel.holds += 1;
        }
        let held = self.channels.key_at(index);
        if let Some(events) = self.events.as_deref_mut() {
            events.held = held;
        }
    }

    /// Tells what has happened since the last turn, as far as there is room.
    pub(super) fn tell_events(&mut self, outside: &mut impl Outside) {
        if self.events.as_deref().is_some_and(|events| events.held.is_none()) {
            self.hold_events(outside);
        }
        let Some(events) = self.events.as_deref_mut() else { return };
        let noted = std::mem::take(&mut events.noted);
        for (what, name) in noted {
            let owner = name.owner(self.shards);
            if owner == self.shard {
                self.happened_somewhere(what, name);
            } else if self.shard_backlog.get(usize::from(owner)).is_some_and(VecDeque::is_empty) {
                let _ = outside.to_shard(owner, ShardMessage::Happened(what, name));
            }
        }
        let now_ms = self.now.mono_ms;
        let Some(events) = self.events.as_deref_mut() else { return };
        while let Some((_, name)) = events.gone.pop_front_if(|(due_ms, _)| *due_ms <= now_ms) {
            events.tell(Happened::Destroyed, name);
        }
        let mut telling = std::mem::take(&mut events.telling);
        let channel = events.channel.clone();
        let (window, told) = events.window;
        let now = now_ms / EVENTS_WINDOW_MS;
        let mut told = if window == now { told } else { 0 };
        while told < EVENTS_PER_S_MAX * EVENTS_WINDOW_MS / 1_000 {
            let Some((what, name)) = telling.front() else { break };
            let id = MessageId::from_random(outside.random());
            let payload = message::posted(&event(*what, name), id, self.now.unix);
            let publish = Publish { channel: channel.clone(), sender: None, key: None, id, payload };
            if self.try_broker(NO_TICKET, Operation::Publish(publish), outside).is_err() {
                self.behind = true;
                break;
            }
            telling.pop_front();
            told += 1;
        }
        if let Some(events) = self.events.as_deref_mut() {
            events.telling = telling;
            events.window = (now, told);
        }
    }
}

/// In the module's form; names are escaped.
fn event(what: Happened, name: &ChannelName) -> Posted<'static> {
    let name = serde_json::Value::from(name.as_str());
    let text = format!("{{\"type\": \"{}\", \"channel\": {name}}}", what.kind());
    Posted { text: text.into(), event_type: Some(what.kind().into()), ..Posted::default() }
}
