//! What waits to be posted, channel by channel: gathers it into posts, keeps each channel's order, drops the
//! oldest where it becomes too much, and counts all of it. No I/O, no clock.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chatup_core::message::{is_posted, read_posted};
use chatup_core::names::ChannelName;

use crate::figures::Figures;
use crate::limits::{
    ATTEMPTS_BESIDE_OTHERS_MAX, ATTEMPTS_MAX, MESSAGE_OVERHEAD_BYTES, RETRY_MS_MAX, RETRY_MS_MIN,
    SINGLE_FROM_ATTEMPT,
};

/// What it may take, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) flush_interval_ms: u64,
    pub(crate) post_bytes_max: usize,
    pub(crate) waiting_bytes_max: usize,
}

/// One request to Nginx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Post {
    pub(crate) channel: ChannelName,
    pub(crate) deletes: bool,
    pub(crate) event_id: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nginx has it.
    Delivered,
    /// Nginx will never have it.
    Refused,
    /// Perhaps later; whether Nginx was there to take it at all.
    Failed { taken: bool },
}

/// A channel with something to post.
#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// So many of them, the first, are in the post under way.
    under_way: usize,
    /// Its place among those that are due.
    due: Option<u64>,
    attempts: u32,
    /// Those of them for which Nginx was there.
    taken: u32,
    delivered_before: u64,
}

/// All that waits.
#[derive(Debug)]
pub(crate) struct Backlog {
    bounds: Bounds,
    channels: HashMap<ChannelName, Waiting>,
    /// When and which, of those without a post under way.
    due: BTreeSet<(u64, ChannelName)>,
    pub(crate) figures: Figures,
}

fn size(message: &[u8]) -> usize {
    message.len() + MESSAGE_OVERHEAD_BYTES
}

impl Backlog {
    pub(crate) fn new(bounds: Bounds) -> Backlog {
        Backlog { bounds, channels: HashMap::new(), due: BTreeSet::new(), figures: Figures::default() }
    }

    /// Takes a message of a channel, in the channel's order. Returns whether something is due earlier than
    /// before.
    pub(crate) fn take(&mut self, channel: &ChannelName, message: Arc<[u8]>, now_ms: u64) -> bool {
        let size = size(&message);
        if self.figures.waiting_bytes + size > self.bounds.waiting_bytes_max {
            self.make_room(size);
        }
        if self.figures.waiting_bytes + size > self.bounds.waiting_bytes_max {
            self.figures.dropped_messages += 1;
            return false;
        }
        self.figures.waiting_bytes += size;
        self.figures.waiting_messages += 1;
        let waiting = self.channels.entry(channel.clone()).or_default();
        waiting.bytes += size;
        waiting.messages.push_back(message);
        if waiting.under_way > 0 || waiting.attempts > 0 {
            return false;
        }
        let first = self.due.first().map(|(at, _)| *at);
        let full = waiting.bytes >= self.bounds.post_bytes_max;
        let at = if full { now_ms } else { now_ms + self.bounds.flush_interval_ms };
        if waiting.due.is_none_or(|due| at < due) {
            self.be_due(channel, at);
        }
        first.is_none_or(|first| at < first)
    }

    fn be_due(&mut self, channel: &ChannelName, at: u64) {
        let Some(waiting) = self.channels.get_mut(channel) else { return };
        if let Some(before) = waiting.due.replace(at) {
            self.due.remove(&(before, channel.clone()));
        }
        self.due.insert((at, channel.clone()));
    }

    /// When the next post is due.
    pub(crate) fn due(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// From now on nothing is gathered any longer: what waits is due.
    pub(crate) fn hurry(&mut self, now_ms: u64) {
        self.bounds.flush_interval_ms = 0;
        let first =
            self.channels.iter().filter(|(_, waiting)| waiting.due.is_some() && waiting.attempts == 0);
        let names: Vec<ChannelName> = first.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.be_due(&name, now_ms);
        }
    }

    /// Whether nothing waits and nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// The next post, if one is due: as many messages of one channel as fit, one at least. [`Backlog::done`] has
    /// to be told what became of it; until then its channel has no other.
    pub(crate) fn next(&mut self, now_ms: u64) -> Option<Post> {
        let (at, channel) = self.due.first().filter(|(at, _)| *at <= now_ms)?.clone();
        self.due.remove(&(at, channel.clone()));
        let waiting = self.channels.get_mut(&channel)?;
        waiting.due = None;
        let mut post = Post { channel, deletes: false, event_id: None, event_type: None, body: Vec::new() };
        let first = waiting.messages.front()?;
        if let Some(posted) = read_posted(first) {
            // What was published as it is goes on as it is.
            post.deletes = posted.deletes;
            post.event_id = posted.event_id.map(std::borrow::Cow::into_owned);
            post.event_type = posted.event_type.map(std::borrow::Cow::into_owned);
            post.body = posted.text.into_owned().into_bytes();
            waiting.under_way = 1;
            return Some(post);
        }
        post.body.push(b'[');
        // Of several, one may be what Nginx stumbles over.
        let single = waiting.taken >= SINGLE_FROM_ATTEMPT;
        for message in waiting.messages.iter().take_while(|message| !is_posted(message)) {
            let first = waiting.under_way == 0;
            if !first && (single || post.body.len() + message.len() + 2 > self.bounds.post_bytes_max) {
                break;
            }
            if !first {
                post.body.push(b',');
            }
            post.body.extend_from_slice(message);
            waiting.under_way += 1;
        }
        post.body.push(b']');
        Some(post)
    }

    /// Says what became of the post of a channel.
    pub(crate) fn done(&mut self, channel: &ChannelName, outcome: Outcome, now_ms: u64) {
        let flush_interval_ms = self.bounds.flush_interval_ms;
        let Some(waiting) = self.channels.get_mut(channel) else { return };
        let under_way = std::mem::take(&mut waiting.under_way);
        let outcome = match outcome {
            Outcome::Failed { taken } => {
                if waiting.attempts == 0 {
                    waiting.delivered_before = self.figures.posts;
                }
                waiting.attempts += 1;
                waiting.taken += u32::from(taken);
                // While others are taken, it is this one; else it may be all of Nginx.
                let others = self.figures.posts > waiting.delivered_before;
                let most = if others { ATTEMPTS_BESIDE_OTHERS_MAX } else { ATTEMPTS_MAX };
                if under_way == 1 && waiting.taken >= most { Outcome::Refused } else { outcome }
            }
            other => other,
        };
        if let Outcome::Failed { .. } = outcome {
            self.figures.failed_posts += 1;
            let doubled = RETRY_MS_MIN.saturating_mul(1 << (waiting.attempts - 1).min(16));
            return self.be_due(channel, now_ms + doubled.min(RETRY_MS_MAX));
        }
        (waiting.attempts, waiting.taken) = (0, 0);
        let bytes: usize = waiting.messages.drain(..under_way).map(|message| size(&message)).sum();
        waiting.bytes -= bytes;
        self.figures.waiting_bytes -= bytes;
        self.figures.waiting_messages -= under_way as u64;
        if outcome == Outcome::Delivered {
            self.figures.posts += 1;
            self.figures.posted_messages += under_way as u64;
        } else {
            self.figures.refused_messages += under_way as u64;
        }
        if waiting.messages.is_empty() {
            self.channels.remove(channel);
        } else {
            let full = waiting.bytes >= self.bounds.post_bytes_max;
            self.be_due(channel, if full { now_ms } else { now_ms + flush_interval_ms });
        }
    }

    /// Drops the oldest of the channels that take most, until an eighth of all is free: seldom, then much.
    fn make_room(&mut self, wanted: usize) {
        let goal = (self.bounds.waiting_bytes_max - self.bounds.waiting_bytes_max / 8)
            .min(self.bounds.waiting_bytes_max.saturating_sub(wanted));
        let mut largest: Vec<(usize, ChannelName)> =
            self.channels.iter().map(|(name, waiting)| (waiting.bytes, name.clone())).collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        let mut dropped = true;
        while dropped && self.figures.waiting_bytes > goal {
            dropped = false;
            for (_, name) in &largest {
                if self.figures.waiting_bytes <= goal {
                    break;
                }
                dropped |= self.drop_oldest(name, self.figures.waiting_bytes - goal);
            }
        }
    }

    /// Drops so many bytes of what a channel has waiting, but no more than the older half, and nothing of what
    /// is under way.
    fn drop_oldest(&mut self, channel: &ChannelName, wanted: usize) -> bool {
        let Some(waiting) = self.channels.get_mut(channel) else { return false };
        let half = (waiting.messages.len() - waiting.under_way).div_ceil(2);
        let mut bytes = 0;
        let enough = |message: &&Arc<[u8]>| {
            let more = bytes < wanted;
            bytes += size(message);
            more
        };
        let count = waiting.messages.iter().skip(waiting.under_way).take(half).take_while(enough).count();
        let range = waiting.under_way..waiting.under_way + count;
        let bytes: usize = waiting.messages.drain(range).map(|message| size(&message)).sum();
        waiting.bytes -= bytes;
        self.figures.waiting_bytes -= bytes;
        self.figures.waiting_messages -= count as u64;
        self.figures.dropped_messages += count as u64;
        if waiting.messages.is_empty() {
            let due = waiting.due;
            self.channels.remove(channel);
            if let Some(at) = due {
                self.due.remove(&(at, channel.clone()));
            }
        }
        count > 0
    }

    /// Whatever still waits is lost: the relay ends.
    pub(crate) fn give_up(&mut self) {
        self.figures.dropped_messages += self.figures.waiting_messages;
        (self.figures.waiting_messages, self.figures.waiting_bytes) = (0, 0);
        self.channels.clear();
        self.due.clear();
    }
}

#[cfg(test)]
mod tests;
