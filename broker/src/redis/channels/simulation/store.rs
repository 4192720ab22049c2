//! A store of one channel in a few lines: what the scripts do, and what is read beside them.

use std::collections::VecDeque;

use chatup_core::position::{Epoch, MessageId, Offset, Position};

use crate::redis::channels::{Entry, Synced};

/// Messages that it keeps.
const KEPT: usize = 6;

/// What Redis has of a channel, and the steps of its scripts.
pub(super) struct Store {
    epoch: u64,
    epochs: u64,
    pub(super) entries: VecDeque<Entry>,
    pub(super) head: Position,
    next_id: u128,
}

impl Store {
    pub(super) fn new() -> Store {
        let head = Position { epoch: Epoch(1), offset: Offset::START, id: MessageId::NONE };
        Store { epoch: 1, epochs: 1, entries: VecDeque::new(), head, next_id: 0 }
    }

    pub(super) fn publish(&mut self) -> Entry {
        self.next_id += 1;
        let id = MessageId::from_random(self.next_id);
        let entry = Entry { offset: self.head.offset.next(), id, payload: b"{}".as_slice().into() };
        self.head = Position { epoch: Epoch(self.epoch), offset: entry.offset, id };
        self.entries.push_back(entry.clone());
        while self.entries.len() > KEPT + 1 {
            self.entries.pop_front();
        }
        entry
    }

    /// As `sync.lua`. Returns whether the position is of this past, and whether the count began anew.
    pub(super) fn sync(&mut self, from: Option<Position>) -> (bool, bool) {
        if let Some(own) = from.filter(|own| own.epoch == self.head.epoch) {
            let first = self.entries.front().map(|entry| entry.offset);
            let there = if own.offset == self.head.offset {
                Some(self.head.id)
            } else if own.offset == Offset::START {
                (first == Some(Offset(1))).then_some(MessageId::NONE)
            } else {
                self.entries.iter().find(|entry| entry.offset == own.offset).map(|entry| entry.id)
            };
            if there == Some(own.id) {
                return (true, false);
            }
            if there.is_some() || own.offset > self.head.offset {
                self.renew();
                return (false, true);
            }
        }
        (false, false)
    }

    /// As the pieces are read: what follows a position, else the last ones; up to where the head was.
    pub(super) fn read(&self, known: Option<Position>, head: Position) -> Synced {
        let upto = |from: Offset| -> Vec<Entry> {
            let within = |entry: &&Entry| entry.offset > from && entry.offset <= head.offset;
            self.entries.iter().filter(within).cloned().collect()
        };
        if let Some(own) = known {
            let entries = upto(own.offset);
            let whole = usize::try_from(head.offset.0 - own.offset.0).expect("few");
            if entries.len() == whole {
                return Synced { head, from: known, entries };
            }
        }
        Synced { head, from: None, entries: upto(Offset::START) }
    }

    /// The first message kept.
    pub(super) fn first(&self) -> Offset {
        self.entries.front().map_or(Offset::START, |entry| entry.offset)
    }

    pub(super) fn renew(&mut self) {
        self.epochs += 1;
        self.epoch = self.epochs;
        self.head.epoch = Epoch(self.epoch);
    }

    pub(super) fn lose_tail(&mut self, count: usize) {
        for _ in 0..count {
            if self.entries.len() < 2 {
                return;
            }
            self.entries.pop_back();
            let last = self.entries.back().expect("one is left");
            self.head = Position { offset: last.offset, id: last.id, ..self.head };
        }
    }
}
