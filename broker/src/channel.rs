//! One channel of the memory broker: its count, the messages kept, who has it open, and the
//! idempotency keys of its publications.

use std::collections::{HashMap, VecDeque};

use chatup_core::limits::{IDEMPOTENCY_KEYS_PER_CHANNEL_MAX, IDEMPOTENCY_TTL_MS};
use chatup_core::message::{Publication, UnixMillis};
use chatup_core::names::{IdempotencyKey, UserName};
use chatup_core::position::{Epoch, MessageId, Offset, Position};

use crate::contract::ClientId;
use crate::limits::CHANNEL_BYTES_MAX;

/// What a remembered key takes, in bytes: itself, its sender, its places in a table and a queue.
const KEY_BYTES: usize = 256;

/// A publication's sender and key.
pub(crate) type KeyOwner = (Option<UserName>, IdempotencyKey);

pub(crate) struct Channel {
    pub(crate) epoch: Epoch,
    pub(crate) messages: VecDeque<Publication>,
    /// What the messages kept take, in bytes.
    pub(crate) bytes: usize,
    /// When something was last published, in the order of all publications of the store.
    pub(crate) last_touch: u64,
    pub(crate) head: Offset,
    /// Position of the message before the oldest kept.
    pub(crate) before: (Offset, MessageId),
    pub(crate) last_published: UnixMillis,
    pub(crate) open_at: Vec<ClientId>,
    pub(crate) keys: HashMap<KeyOwner, Position>,
    pub(crate) keys_by_age: VecDeque<(UnixMillis, KeyOwner)>,
}

impl Channel {
    pub(crate) fn new(epoch: Epoch, now: UnixMillis) -> Channel {
        Channel {
            epoch,
            messages: VecDeque::new(),
            bytes: 0,
            last_touch: 0,
            head: Offset::START,
            before: (Offset::START, MessageId::NONE),
            last_published: now,
            open_at: Vec::new(),
            keys: HashMap::new(),
            keys_by_age: VecDeque::new(),
        }
    }

    /// Keeps a message; then lets go of the oldest beyond the bounds, but never of the newest.
    pub(crate) fn keep(&mut self, publication: Publication, messages_max: usize) {
        self.bytes += cost(&publication);
        self.messages.push_back(publication);
        while self.messages.len() > 1
            && (self.messages.len() > messages_max || self.bytes > CHANNEL_BYTES_MAX)
        {
            self.drop_oldest();
        }
    }

    /// Lets go of all messages but the newest `count`; the numbering goes on.
    pub(crate) fn keep_only(&mut self, count: usize) {
        while self.messages.len() > count {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.messages.pop_front() {
            self.bytes -= cost(&oldest);
            self.before = (oldest.offset, oldest.id);
        }
    }

    /// What the channel takes in all, in bytes.
    pub(crate) fn total_bytes(&self) -> usize {
        self.bytes + self.keys_by_age.len() * KEY_BYTES
    }

    pub(crate) fn remember(&mut self, owner: KeyOwner, position: Position, now: UnixMillis) {
        self.keys.insert(owner.clone(), position);
        self.keys_by_age.push_back((now, owner));
        while self.keys_by_age.len() > IDEMPOTENCY_KEYS_PER_CHANNEL_MAX {
            if let Some((_, owner)) = self.keys_by_age.pop_front() {
                self.keys.remove(&owner);
            }
        }
    }

    pub(crate) fn expire_keys(&mut self, now: UnixMillis) {
        while self.keys_by_age.front().is_some_and(|(since, _)| since.0 + IDEMPOTENCY_TTL_MS <= now.0) {
            if let Some((_, owner)) = self.keys_by_age.pop_front() {
                self.keys.remove(&owner);
            }
        }
    }
}

/// What a kept message takes, in bytes: its text, and about what is around it.
fn cost(publication: &Publication) -> usize {
    publication.payload.len() + size_of::<Publication>() + 2 * size_of::<usize>()
}
