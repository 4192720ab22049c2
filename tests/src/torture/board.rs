//! What all clients of a run, and whoever makes the faults, know of each other: the clock, who got how
//! far, and when to stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use super::cluster::Addresses;
use super::record::{Attempt, Ban};
use super::wire::{Place, ask_dispatcher};

/// Counted for the figures at the end, which no record holds.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Refusals of all calls, by code.
    pub refusals: BTreeMap<String, u64>,
    /// Faults made, by kind.
    pub faults: BTreeMap<String, u64>,
}

/// What is known at a time.
#[derive(Default)]
pub struct State {
    /// Of each room: the tick at which the latest acknowledged message was begun.
    pub acknowledged: Vec<u64>,
    /// Of each subscriber: its room, and the tick at which the latest message it has seen was begun.
    pub seen: Vec<(usize, u64)>,
    /// Counted so far.
    pub figures: Figures,
    attempts: Vec<Attempt>,
    /// Bans made so far.
    pub bans: Vec<Ban>,
}

/// The board.
pub struct Board {
    addresses: Addresses,
    clock: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
    quiet: AtomicBool,
    stop: AtomicBool,
}

impl Board {
    /// For so many rooms and subscribers, the latter spread over the rooms in turn.
    #[must_use]
    pub fn new(addresses: Addresses, rooms: usize, subscribers: usize) -> Board {
        let state = State {
            acknowledged: vec![0; rooms],
            seen: (0..subscribers).map(|number| (number % rooms, 0)).collect(),
            ..State::default()
        };
        Board {
            addresses,
            clock: AtomicU64::new(1),
            state: Mutex::new(state),
            changed: Condvar::new(),
            quiet: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    /// The next tick.
    pub fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known.
    pub fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Writes an attempt down.
    pub fn attempted(&self, attempt: Attempt) {
        self.lock().attempts.push(attempt);
    }

    /// All attempts, at the end.
    pub fn take_attempts(&self) -> Vec<Attempt> {
        std::mem::take(&mut self.lock().attempts)
    }

    /// All bans, at the end.
    pub fn take_bans(&self) -> Vec<Ban> {
        std::mem::take(&mut self.lock().bans)
    }

    /// A call was refused.
    pub fn refused(&self, code: &str) {
        *self.lock().figures.refusals.entry(code.to_owned()).or_default() += 1;
    }

    /// A fault was made.
    pub fn fault(&self, kind: &str) {
        *self.lock().figures.faults.entry(kind.to_owned()).or_default() += 1;
    }

    /// What has been counted.
    pub fn figures(&self) -> Figures {
        self.lock().figures.clone()
    }

    /// Waits until it is as wished, at most so long; whether it is.
    pub fn wait(&self, at_most: Duration, wished: impl Fn(&State) -> bool) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        while !wished(&state) {
            let Some(left) = at_most.checked_sub(start.elapsed()) else { return false };
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// From now on nobody says anything new, and nobody leaves.
    pub fn be_quiet(&self) {
        self.quiet.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Whether that is so.
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::SeqCst)
    }

    /// Everybody is to end.
    pub fn stop(&self) {
        self.be_quiet();
        self.stop.store(true, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Whether that is so.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A worker for a room, by way of any dispatcher.
    ///
    /// # Errors
    /// The dispatcher that was asked has none.
    pub fn find(&self, room: &str, failed: Option<&str>, random: &mut StdRng) -> Result<Place, String> {
        ask_dispatcher(&self.dispatcher(random), room, failed)
    }

    /// Any dispatcher's address.
    pub fn dispatcher(&self, random: &mut StdRng) -> String {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses[random.random_range(0..addresses.len())].clone()
    }
}
