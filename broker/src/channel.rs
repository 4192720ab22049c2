//! One channel of the memory broker: its count, the messages kept, who has it open, and the
//! idempotency keys of its publications.

use std::collections::{HashMap, VecDeque};

use chatup_core::limits::{IDEMPOTENCY_KEYS_PER_CHANNEL_MAX, IDEMPOTENCY_TTL_MS};
use chatup_core::message::{Publication, UnixMillis};
use chatup_core::names::{IdempotencyKey, UserName};
use chatup_core::position::{Epoch, MessageId, Offset, Position};

use crate::contract::ClientId;

/// A publication's sender and key.
pub(crate) type KeyOwner = (Option<UserName>, IdempotencyKey);

pub(crate) struct Channel {
    pub(crate) epoch: Epoch,
    pub(crate) messages: VecDeque<Publication>,
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
            head: Offset::START,
            before: (Offset::START, MessageId::NONE),
            last_published: now,
            open_at: Vec::new(),
            keys: HashMap::new(),
            keys_by_age: VecDeque::new(),
        }
    }

    pub(crate) fn keep(&mut self, messages_max: usize) {
        while self.messages.len() > messages_max {
            if let Some(oldest) = self.messages.pop_front() {
                self.before = (oldest.offset, oldest.id);
            }
        }
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
