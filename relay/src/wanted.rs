//! Which channels are relayed, and from which message on: those that were named, and those that somebody
//! listens to at Nginx. Opens them at the broker and takes what comes. No I/O, no clock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use chatup_core::exchange::{Answer, ChannelTail, Event, Operation, Ticket};
use chatup_core::message::{Publication, UnixMillis, is_deletion, is_unstored, time_of};
use chatup_core::names::ChannelName;
use chatup_core::position::Position;

use crate::limits::{CHANNELS_MAX, OPEN_AGAIN_MS, OPENINGS_MAX};
use crate::listed::{Listed, can_be_posted_to};

/// From where on a channel's messages are posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// All that are kept: Nginx has never had one of them. Said since then, they are missed if they are not kept.
    Beginning(UnixMillis),
    /// Those said from then on.
    Time(UnixMillis),
    /// Those behind this one, said then.
    Message(Position, Option<UnixMillis>),
}

#[derive(Debug)]
enum Stage {
    /// To be opened, not before this time in milliseconds.
    Closed(u64),
    /// The broker has been asked to open it.
    Asked,
    Open,
}

#[derive(Debug)]
struct Channel {
    stage: Stage,
    since: Since,
    /// It was named, and stays.
    named: bool,
    /// When somebody was last seen to listen, in milliseconds.
    heard_ms: u64,
    /// When it was opened, more had been said than was kept: how much more is not known.
    gap: bool,
}

/// The channels, and what the broker has to be asked.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    channels: HashMap<ChannelName, Channel>,
    kept_back: Option<ChannelName>,
    /// Which channel a question of opening is about.
    asked: HashMap<Ticket, ChannelName>,
    next_ticket: u128,
    to_open: VecDeque<ChannelName>,
    to_close: VecDeque<ChannelName>,
    left_out: u64,
    missed: u64,
    gaps: u64,
}

impl Wanted {
    /// With the channels that were named: what is said from now on.
    pub(crate) fn new(named: &[ChannelName], kept_back: Option<ChannelName>, now: UnixMillis) -> Wanted {
        let mut wanted = Wanted { kept_back, ..Wanted::default() };
        for name in named {
            wanted.begin(name, Since::Time(now), true, 0);
        }
        wanted
    }

    fn begin(&mut self, name: &ChannelName, since: Since, named: bool, now_ms: u64) {
        if !can_be_posted_to(name) || self.kept_back.as_ref() == Some(name) {
            return;
        }
        let channel = Channel { stage: Stage::Closed(now_ms), since, named, heard_ms: now_ms, gap: false };
        self.channels.insert(name.clone(), channel);
        self.to_open.push_back(name.clone());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    /// Channels that found no room, each as often as it was listed.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Messages that were no longer kept when they could be had again.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// How often a channel was opened too late for all that was said in it.
    pub(crate) fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Takes what Nginx tells of its channels. `before` is when it had told the last time: what was said in a
    /// channel since then is posted to it, if it is new here; all that is kept, if Nginx has never been posted
    /// anything in it. Those without a subscriber for `keep_ms` go.
    pub(crate) fn listed(&mut self, listed: &[Listed], before: UnixMillis, keep_ms: u64, now_ms: u64) {
        for Listed { channel: name, published, subscribers } in listed {
            if *subscribers == 0 {
                continue;
            }
            if let Some(channel) = self.channels.get_mut(name) {
                channel.heard_ms = now_ms;
            } else if self.channels.len() >= CHANNELS_MAX {
                self.left_out += 1;
            } else {
                let since = if *published == 0 { Since::Beginning(before) } else { Since::Time(before) };
                self.begin(name, since, false, now_ms);
            }
        }
        let to_close = &mut self.to_close;
        self.channels.retain(|name, channel| {
            let silent = !channel.named && now_ms - channel.heard_ms > keep_ms;
            match channel.stage {
                Stage::Open if silent => {
                    to_close.push_back(name.clone());
                    false
                }
                // The answer comes first.
                Stage::Asked => true,
                _ => !silent,
            }
        });
    }

    /// When the broker has to be asked again, in milliseconds.
    pub(crate) fn due(&self) -> Option<u64> {
        if !self.to_close.is_empty() {
            return Some(0);
        }
        let first = self.to_open.front().filter(|_| self.asked.len() < OPENINGS_MAX)?;
        match self.channels.get(first)?.stage {
            Stage::Closed(not_before) => Some(not_before),
            _ => Some(0),
        }
    }

    /// The next question for the broker.
    pub(crate) fn next(&mut self, now_ms: u64) -> Option<(Ticket, Operation)> {
        if let Some(name) = self.to_close.pop_front() {
            return Some((Ticket(0), Operation::Close(name)));
        }
        while self.asked.len() < OPENINGS_MAX {
            let name = self.to_open.front()?;
            match self.channels.get_mut(name) {
                Some(Channel { stage: stage @ Stage::Closed(_), .. }) => {
                    if matches!(stage, Stage::Closed(not_before) if *not_before > now_ms) {
                        return None;
                    }
                    *stage = Stage::Asked;
                    self.next_ticket += 1;
                    let (ticket, name) = (Ticket(self.next_ticket), name.clone());
                    self.to_open.pop_front();
                    self.asked.insert(ticket, name.clone());
                    return Some((ticket, Operation::Open(name)));
                }
                // It has gone meanwhile, or stood here twice.
                _ => drop(self.to_open.pop_front()),
            }
        }
        None
    }

    /// The broker's queue had no room for it.
    pub(crate) fn put_back(&mut self, ticket: Ticket, operation: Operation, now_ms: u64) {
        match operation {
            Operation::Close(name) => self.to_close.push_front(name),
            _ => self.refused(ticket, now_ms),
        }
    }

    fn refused(&mut self, ticket: Ticket, now_ms: u64) {
        let Some(name) = self.asked.remove(&ticket) else { return };
        if let Some(channel) = self.channels.get_mut(&name) {
            channel.stage = Stage::Closed(now_ms + OPEN_AGAIN_MS);
            self.to_open.push_back(name);
        }
    }

    /// Takes what the broker says, and hands on what is to be posted.
    pub(crate) fn event(&mut self, event: Event, now_ms: u64, mut post: impl FnMut(&ChannelName, Arc<[u8]>)) {
        match event {
            Event::Answer(ticket, Answer::Opened(tail)) => {
                self.asked.remove(&ticket);
                if let Some(channel) = self.channels.get_mut(&tail.channel) {
                    channel.stage = Stage::Open;
                    self.missed += channel.catch_up(tail, &mut post);
                    self.gaps += u64::from(std::mem::take(&mut channel.gap));
                }
            }
            Event::Answer(ticket, _) => self.refused(ticket, now_ms),
            Event::Renewed(tail) => {
                if let Some(channel) = self.channels.get_mut(&tail.channel) {
                    self.missed += channel.catch_up(tail, &mut post);
                }
            }
            Event::Published(publication) => {
                // What still comes of a channel that was closed is no longer asked for.
                if let Some(channel) = self.channels.get_mut(&publication.channel)
                    && matches!(channel.stage, Stage::Open)
                {
                    channel.since = Since::Message(position(&publication), time_of(&publication.payload));
                    post(&publication.channel, publication.payload);
                }
            }
            Event::Banned { .. } => {}
        }
    }
}

fn position(publication: &Publication) -> Position {
    Position { epoch: publication.epoch, offset: publication.offset, id: publication.id }
}

impl Channel {
    /// Posts of a channel's last messages what it lacks. Returns how many are no longer kept.
    fn catch_up(&mut self, tail: ChannelTail, post: &mut impl FnMut(&ChannelName, Arc<[u8]>)) -> u64 {
        let mut missed = 0;
        // What stands before a deletion is gone. Nginx is told of that, unless it has nothing yet.
        let deleted = tail.messages.iter().rposition(|one| is_deletion(&one.payload));
        let kept = deleted.unwrap_or(0);
        let mut live_from = 0;
        let from = match self.since {
            Since::Beginning(time) | Since::Time(time) => {
                let old = |one: &Publication| time_of(&one.payload).is_none_or(|said| said < time);
                let newer = tail.messages.iter().rposition(old).map(|at| at + 1);
                // All that is kept was said since then: so may more have been.
                self.gap = newer.is_none() && !tail.messages.is_empty() && tail.before.offset.0 > 0;
                live_from = newer.unwrap_or(0);
                match self.since {
                    Since::Time(_) => live_from.max(kept),
                    _ => deleted.map_or(0, |at| at + 1),
                }
            }
            Since::Message(last, said) => {
                let same_epoch = last.epoch == tail.before.epoch;
                // An id stands for its message, whatever number a renewed channel gives it. Where that is lost,
                // what was said later is new.
                let had = |one: &Publication| {
                    let earlier = || time_of(&one.payload).zip(said).is_some_and(|(time, said)| time <= said);
                    one.id == last.id || if same_epoch { one.offset <= last.offset } else { earlier() }
                };
                if same_epoch {
                    missed = tail.before.offset.0.saturating_sub(last.offset.0);
                }
                tail.messages.iter().rposition(had).map_or(0, |at| at + 1).max(kept)
            }
        };
        let said = tail.messages.last().and_then(|one| time_of(&one.payload));
        self.since = Since::Message(tail.messages.last().map_or(tail.before, position), said);
        for (at, publication) in tail.messages.into_iter().enumerate().skip(from) {
            // What is not stored is only for those who were there.
            if at >= live_from || !is_unstored(&publication.payload) {
                post(&tail.channel, publication.payload);
            }
        }
        missed
    }
}

#[cfg(test)]
mod tests;
