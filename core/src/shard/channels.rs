//! Channels on a shard: opening and closing them, handing their messages from the shard that owns
//! them to the shards that have subscribers, and waking those subscribers.
//!
//! The owner (by hash of the name) has the channel open at the broker and keeps its log; every
//! other shard with subscribers keeps a copy, fed by runs of messages. To the owner such a shard
//! is a cursor, like a subscriber: when its queue is full it simply gets a longer run later.

use std::sync::Arc;

use crate::message::{self, Publication};
use crate::names::{ChannelName, RoomName};
use crate::position::{Epoch, MessageId, Offset, Position};
use crate::protocol::{BroadcastFrame, message_of};
use crate::pushstream::publisher::Of;
use crate::refusal::{Refusal, Refused};
use crate::room_log::{FrameRun, RoomLog};
use crate::socketio::request::SessionId;

use super::events::Happened;
use super::fanout::Pass;
use super::forms::{Form, Forms};
use super::past;
use super::slab::Key;
use super::surveys::Survey;
use super::syncing::{StoreSyncs, SyncNumber, Syncing};
use super::unstored::Unstored;
use super::wires::{At, FromSession, ToSession};
use super::{Outside, Shard};

/// Between shards.
#[derive(Clone, Debug)]
pub enum ShardMessage {
    /// To the owner: this shard has subscribers of the channel now.
    Attach(ChannelName, u16),
    /// To the owner: it has no more.
    Detach(ChannelName, u16),
    /// To the owner: hand this shard what it lacks of the channel now, and say when that is done.
    Sync(ChannelName, u16, SyncNumber),
    /// From the owner: that is done.
    Synced(ChannelName, SyncNumber),
    /// From the owner: messages; `fresh` ones begin a copy anew.
    Run {
        /// The channel.
        channel: ChannelName,
        /// Whether what is there is to be replaced.
        fresh: bool,
        /// The messages.
        run: Arc<FrameRun>,
    },
    /// From the owner: the broker did not open the channel.
    OpenFailed(ChannelName, Refused),
    /// What is there of these channels? To be told to the connection there.
    Survey(Box<(Of, At)>),
    /// The answer.
    Surveyed(Key, Box<Survey>),
    /// To the owner of this channel: what has happened to it.
    Happened(Happened, ChannelName),
    /// To a session whose client has come here.
    ToSession(Box<(SessionId, ToSession)>),
    /// From a session, to a connection of its client's.
    FromSession(Key, FromSession),
}

/// Another shard that has subscribers of a channel owned here.
pub(super) struct AttachedShard {
    pub(super) shard: u16,
    /// It is to be told when it has everything: which question that answers.
    pub(super) wants_sync: Option<SyncNumber>,
    /// The last message handed to it; nothing yet without.
    pub(super) cursor: Option<Offset>,
}

pub(super) struct Channel {
    pub(super) name: ChannelName,
    /// The room whose messages it carries: its subscribers are the room's viewers.
    pub(super) room: Option<RoomName>,
    /// Nothing until it is open.
    pub(super) log: Option<RoomLog>,
    /// The same in other forms, while somebody subscribes who wants them.
    pub(super) forms: Forms,
    /// The message by which it was last deleted, while it was open here.
    pub(super) deleted_at: Offset,
    /// The messages that newcomers are not shown.
    pub(super) unstored: Unstored,
    /// Places of connections.
    pub(super) subscribers: Vec<u32>,
    /// Connections with a `subscribe` that waits for the channel to open.
    pub(super) waiters: Vec<Key>,
    /// How many waiting `subscribe`s name it, open or not: they hold it by its place.
    pub(super) holds: u32,
    /// The broker, or its owner, has been asked for it and has not answered: once is enough.
    pub(super) fetching: bool,
    pub(super) sync: Syncing,
    /// Who waits here, at the owner, for what the broker says of it.
    pub(super) store_syncs: Option<Box<StoreSyncs>>,
    pub(super) attached: Vec<AttachedShard>,
    pub(super) dirty: bool,
    pub(super) pass: Pass,
    /// Its flush window is open.
    pub(super) flushing: bool,
    /// Messages that have come since the end of the last turn.
    pub(super) fresh: usize,
    /// In the list of those that nobody uses, which will be closed.
    pub(super) lingering: bool,
    /// When it was last found unused, in the shard's milliseconds.
    pub(super) unused_since_ms: u64,
    pub(super) count_changed: bool,
    /// At its owner, where there is an events channel: its creation has been told, or was no news.
    pub(super) exists: bool,
}

impl Channel {
    pub(super) fn is_unused(&self) -> bool {
        self.subscribers.is_empty()
            && self.waiters.is_empty()
            && self.holds == 0
            && self.attached.is_empty()
            && self.log.is_some()
    }
}

impl Shard {
    /// The channel's place in the table; opened if it is new here.
    pub(super) fn open_channel(&mut self, name: &ChannelName, outside: &mut impl Outside) -> u32 {
        if let Some(index) = self.channel_index.get(name) {
            return *index;
        }
        let channel = Channel {
            name: name.clone(),
            room: name.room_of_messages(),
            log: None,
            forms: Forms::default(),
            deleted_at: Offset::START,
            unstored: Unstored::default(),
            subscribers: Vec::new(),
            waiters: Vec::new(),
            holds: 0,
            fetching: false,
            sync: Syncing::default(),
            store_syncs: None,
            attached: Vec::new(),
            dirty: false,
            pass: Pass::default(),
            flushing: false,
            fresh: 0,
            lingering: false,
            unused_since_ms: 0,
            count_changed: false,
            exists: false,
        };
        let index = self.channels.insert(channel).index;
        let (owned, wildcard) = (name.owner(self.shards) == self.shard, self.is_wildcard(name));
        self.channels_owned += usize::from(owned);
        self.wildcards_open += usize::from(wildcard);
        self.wildcards_owned += usize::from(owned && wildcard);
        self.channel_index.insert(name.clone(), index);
        self.fetch_channel(name, outside);
        index
    }

    /// Something from another shard.
    pub fn shard_message(&mut self, message: ShardMessage, outside: &mut impl Outside) {
        match message {
            ShardMessage::Attach(name, shard)
                if !self.channel_index.contains_key(&name) && !self.make_room(1, outside) =>
            {
                let full = Refusal::ChannelsFull.into();
                self.tell_shard(shard, ShardMessage::OpenFailed(name, full), outside);
            }
            ShardMessage::Attach(name, shard) => {
                let index = self.open_channel(&name, outside);
                let Some(channel) = self.channels.at_mut(index) else { return };
                let wants_sync = channel.attached.iter().find(|one| one.shard == shard);
                let wants_sync = wants_sync.and_then(|one| one.wants_sync);
                channel.attached.retain(|attached| attached.shard != shard);
                channel.attached.push(AttachedShard { shard, cursor: None, wants_sync });
                self.mark_dirty(index);
            }
            ShardMessage::Detach(name, shard) => {
                let Some(index) = self.channel_index.get(&name).copied() else { return };
                if let Some(channel) = self.channels.at_mut(index) {
                    channel.attached.retain(|attached| attached.shard != shard);
                }
                self.linger_if_unused(index);
            }
            ShardMessage::Sync(name, shard, number) => {
                let index = self.channel_index.get(&name).copied();
                let channel = index.and_then(|index| self.channels.at_mut(index));
                let attached = channel.and_then(|c| c.attached.iter_mut().find(|one| one.shard == shard));
                match (index, attached) {
                    (Some(_), Some(_)) if self.shared_store => self.ask_store(&name, shard, number, outside),
                    (Some(index), Some(attached)) => {
                        attached.wants_sync = Some(number);
                        self.mark_dirty(index);
                    }
                    _ => self.tell_shard(shard, ShardMessage::Synced(name, number), outside),
                }
            }
            ShardMessage::Synced(name, number) => self.synced(&name, number, outside),
            ShardMessage::Run { channel, fresh, run } => self.take_run(&channel, fresh, &run, outside),
            ShardMessage::OpenFailed(name, refused) => self.open_failed(&name, refused, outside),
            ShardMessage::Survey(asked) => {
                let survey = Box::new(self.survey(&asked.0));
                let at = asked.1;
                self.tell_shard(at.shard, ShardMessage::Surveyed(at.key, survey), outside);
            }
            ShardMessage::Surveyed(key, survey) => self.surveyed(key, *survey, outside),
            ShardMessage::Happened(what, name) => self.happened_somewhere(what, name),
            ShardMessage::ToSession(told) => self.session_told(told.0, told.1, outside),
            ShardMessage::FromSession(key, what) => self.wire_told(key, what, outside),
        }
    }

    fn take_run(&mut self, name: &ChannelName, fresh: bool, run: &FrameRun, outside: &mut impl Outside) {
        let Some(index) = self.channel_index.get(name).copied() else { return };
        let limits = self.log_limits;
        let Some(channel) = self.channels.at_mut(index) else { return };
        if fresh {
            channel.fetching = false;
            let before = Position { epoch: run.epoch, offset: run.before, id: run.before_id };
            let mut log = RoomLog::new(before, limits);
            log.extend(run);
            self.replace_log(index, log, outside);
        } else if let Some(log) = &mut channel.log {
            // What does not fit comes again, fresh: the owner saw this shard detach and attach.
            if log.extend(run) {
                if self.has_unstored {
                    channel.unstored.add_all(run, log);
                }
                self.came(index, run.ids.len());
                self.deleted_by(index, run);
            }
        }
    }

    /// A message of a channel that this shard owns.
    pub(super) fn published(&mut self, publication: &Publication, outside: &mut impl Outside) {
        let Some(index) = self.channel_index.get(&publication.channel).copied() else { return };
        let Some(log) = self.channels.at_mut(index).and_then(|channel| channel.log.as_mut()) else { return };
        let head = log.head();
        if publication.epoch == head.epoch && publication.offset <= head.offset {
            return;
        }
        if publication.epoch == head.epoch && publication.offset == head.offset.next() {
            append(log, publication);
            self.counters.messages += 1;
            self.came(index, 1);
            match message::read_posted(&publication.payload) {
                Some(posted) if posted.deletes => self.deleted(index, publication.offset),
                posted => {
                    if posted.is_some_and(|posted| posted.unstored) {
                        self.not_stored(index, publication.offset);
                    }
                    self.has_messages(index, true);
                }
            }
            self.linger_if_unused(index);
        } else {
            // Something is missing between: the broker's own log has it.
            self.fetch_channel(&publication.channel, outside);
        }
    }

    /// Looks for a deletion among messages that have come.
    fn deleted_by(&mut self, index: u32, run: &FrameRun) {
        // In nearly all runs nothing of the kind is found.
        if memchr::memmem::find(&run.bytes, message::DELETION_MARK).is_none() {
            return;
        }
        let deletes = |place: &usize| message::is_deletion(message_of(run.frame(*place)));
        if let Some(last) = (0..run.ids.len()).rev().find(deletes) {
            self.deleted(index, Offset(run.before.0 + last as u64 + 1));
        }
    }

    /// A message takes the place of all before it: whoever comes from now on is sent none of them.
    fn deleted(&mut self, index: u32, at: Offset) {
        if let Some(channel) = self.channels.at_mut(index) {
            channel.deleted_at = at;
            channel.exists = false;
        }
    }

    /// A message is for those only who are there.
    fn not_stored(&mut self, index: u32, at: Offset) {
        let channel = self.channels.at_mut(index).filter(|_| self.has_unstored);
        if let Some(Channel { unstored, log: Some(log), .. }) = channel {
            unstored.add(at, log);
        }
    }

    /// Puts a log into its channel; tells subscribers of another epoch, lets waiters in.
    pub(super) fn replace_log(&mut self, index: u32, log: RoomLog, outside: &mut impl Outside) {
        let Some(channel) = self.channels.at_mut(index) else { return };
        let (epoch, head) = (log.head().epoch, log.head());
        let lost = channel.log.as_ref().is_some_and(|old| old.head().epoch != epoch);
        let first = log.back(u32::MAX);
        // What came meanwhile may have been a deletion.
        let seen = channel.log.as_ref().map(RoomLog::head).filter(|old| old.epoch == epoch);
        let kept = channel.deleted_at.min(head.offset);
        let since = seen.map_or(Offset::START, |old| old.offset);
        channel.deleted_at =
            past::last_deletion(&log, since).unwrap_or(if lost { Offset::START } else { kept });
        if self.has_unstored {
            channel.unstored = Unstored::of(&log);
        }
        let old = channel.log.replace(log);
        if old.is_none() && head.offset > channel.deleted_at {
            self.has_messages(index, false);
        }
        let Some(channel) = self.channels.at_mut(index) else { return };
        channel.pass.restart(head.offset);
        for attached in &mut channel.attached {
            attached.cursor = None;
        }
        if lost {
            let (name, subscribers) = (channel.name.clone(), channel.subscribers.clone());
            for place in subscribers {
                if self.keep_place(place, index, old.as_ref()) {
                    continue;
                }
                self.reset_subscriber(place, index, &name, head, first, outside);
            }
        }
        let waiters = self.channels.at_mut(index).map(|channel| std::mem::take(&mut channel.waiters));
        for key in waiters.unwrap_or_default() {
            self.channel_arrived(key, index, outside);
        }
        self.begin_pass(index);
        self.mark_dirty(index);
        self.linger_if_unused(index);
    }

    pub(super) fn add_subscriber(&mut self, key: Key, channel: u32) -> Option<u32> {
        let entry = self.channels.at_mut(channel)?;
        let slot = u32::try_from(entry.subscribers.len()).ok()?;
        entry.subscribers.push(key.index);
        entry.pass.joined();
        if let Some(connection) = self.connections.get(key) {
            entry.forms.joined(connection.form);
        }
        self.count_changed(channel);
        self.happened_to(Happened::Subscribed, channel);
        self.counters.subscriptions += 1;
        Some(slot)
    }

    pub(super) fn remove_subscriber(&mut self, channel: u32, slot: u32, form: Form) {
        let Some(entry) = self.channels.at_mut(channel) else { return };
        entry.forms.left(form);
        entry.subscribers.swap_remove(slot as usize);
        let under_way = entry.pass.is_under_way();
        // Whoever was last in the list has taken the place.
        let moved = entry.subscribers.get(slot as usize).and_then(|place| self.connections.key_at(*place));
        if let Some(key) = moved
            && let Some(moved) = self.connections.get_mut(key)
            && let Some(subscription) = moved.subscriptions.iter_mut().find(|one| one.channel == channel)
        {
            subscription.slot = slot;
            if under_way {
                // The pass may have been at this place already.
                self.make_ready(key);
            }
        }
        self.counters.subscriptions -= 1;
        self.count_changed(channel);
        self.happened_to(Happened::Unsubscribed, channel);
        self.linger_if_unused(channel);
    }

    /// How many channels are open here, and how many of them are owned here.
    #[must_use]
    pub fn channel_counts(&self) -> (usize, usize) {
        (self.channels.len(), self.channels_owned)
    }
}

pub(super) fn append(log: &mut RoomLog, publication: &Publication) {
    let frame = BroadcastFrame::new(publication);
    log.append(publication.id, frame.len(), |out| frame.write(out));
}

/// The position before everything, of an epoch.
#[must_use]
pub fn beginning(epoch: Epoch) -> Position {
    Position { epoch, offset: Offset::START, id: MessageId::NONE }
}
