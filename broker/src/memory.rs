//! The broker inside one process: the store behind the same queue as any other broker, worked off by
//! whichever client's thread finds it free.
//!
//! Two changes of thread a message cost more than the whole step. So whoever asks puts its command
//! into the queue and, if nobody holds the store, carries out what waits there; who finds it held
//! leaves its command to the holder, which looks once more after it has let go. A client's thread
//! never waits: when an inbox is full, the broker's own thread takes over and waits for room, and
//! until then everybody's commands stay in the queue, which is the back-pressure on publishers.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chatup_core::exchange::Event;
use chatup_core::message::UnixMillis;
use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::contract::{BrokerHandle, ClientId, Command, Drive, Inbox};
use crate::limits::{COMMANDS_PER_DRIVE, ROUNDS_PER_DRIVE};
use crate::store::{Recipient, Store, StoreSettings};

/// How often what has run out is forgotten.
const SWEEP: Duration = Duration::from_secs(1);
/// How many sweeps there are to one of the channels, which may be many.
const SWEEPS_PER_CHANNEL_SWEEP: u32 = 30;

/// Starts a memory broker.
///
/// # Errors
/// The thread could not be started.
pub fn start(settings: StoreSettings) -> io::Result<(BrokerHandle, JoinHandle<()>)> {
    let (handle, commands) = BrokerHandle::new();
    let state = State {
        store: Store::new(settings, Box::new(rand::random::<u128>)),
        inboxes: HashMap::new(),
        commands: Some(commands.clone()),
        undelivered: VecDeque::new(),
    };
    let memory = Arc::new(Memory { state: Mutex::new(state), thread: OnceLock::new() });
    let for_thread = Arc::clone(&memory);
    let thread =
        std::thread::Builder::new().name("broker".into()).spawn(move || for_thread.run(&commands))?;
    let _ = memory.thread.set(thread.thread().clone());
    Ok((handle.driven_by(memory), thread))
}

struct Memory {
    state: Mutex<State>,
    /// The broker's own.
    thread: OnceLock<Thread>,
}

struct State {
    store: Store,
    inboxes: HashMap<ClientId, Box<dyn Inbox>>,
    /// None once stopped.
    commands: Option<Receiver<Command>>,
    /// Events, oldest first, the first of which found no room. Nothing else is done before these.
    undelivered: VecDeque<(ClientId, Event)>,
}

/// Why the work ended.
#[derive(PartialEq, Eq)]
enum Ended {
    /// Nothing is left.
    Idle,
    /// It has done enough for once.
    Enough,
    /// An inbox is full.
    Stuck,
    /// For good.
    Stopped,
}

impl Drive for Memory {
    fn drive(&self, queue: &Sender<Command>) {
        for _ in 0..ROUNDS_PER_DRIVE {
            // Either this sees the lock free, or its holder sees, after letting go, what was put in.
            fence(Ordering::SeqCst);
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let ended = state.work(COMMANDS_PER_DRIVE);
            drop(state);
            if ended != Ended::Idle {
                return self.wake_thread();
            }
            fence(Ordering::SeqCst);
            if queue.is_empty() {
                return;
            }
        }
        // Others keep bringing more: a client has its own to do.
        self.wake_thread();
    }
}

impl Memory {
    fn wake_thread(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker's own thread: forgets what has run out, and waits where nobody else may.
    fn run(&self, commands: &Receiver<Command>) {
        let mut sweeps = 0;
        let mut next_sweep = Instant::now() + SWEEP;
        loop {
            if commands.is_empty() {
                std::thread::park_timeout(next_sweep.saturating_duration_since(Instant::now()));
            }
            let mut state = self.lock();
            state.deliver_waiting();
            if state.work(COMMANDS_PER_DRIVE) == Ended::Stopped {
                return;
            }
            if next_sweep <= Instant::now() {
                // However late: a process that was stopped heard nobody meanwhile.
                state.store.sweep(wall_clock(), u64::try_from(SWEEP.as_millis()).unwrap_or(u64::MAX));
                state.store.tell_changes(wall_clock());
                sweeps = (sweeps + 1) % SWEEPS_PER_CHANNEL_SWEEP;
                if sweeps == 0 {
                    state.store.sweep_channels(wall_clock());
                }
                state.gather_events();
                next_sweep = Instant::now() + SWEEP;
            }
            state.deliver_waiting();
            drop(state);
            fence(Ordering::SeqCst);
        }
    }
}

impl State {
    /// Carries out commands in their order, without waiting.
    fn work(&mut self, commands_max: usize) -> Ended {
        for _ in 0..commands_max {
            if !self.offer_waiting() {
                return Ended::Stuck;
            }
            let Some(commands) = &self.commands else { return Ended::Stopped };
            match commands.try_recv() {
                Ok(Command::Connect(client, inbox)) => {
                    self.inboxes.insert(client, inbox);
                }
                Ok(Command::Do(client, ticket, operation)) => {
                    let answer = self.store.handle(client, operation, wall_clock());
                    // Before the events: what is published behind an `Open` comes behind its answer.
                    self.undelivered.push_back((client, Event::Answer(ticket, answer)));
                    self.gather_events();
                }
                Err(TryRecvError::Empty) => return Ended::Idle,
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    self.inboxes.clear();
                    self.commands = None;
                    return Ended::Stopped;
                }
            }
        }
        if self.offer_waiting() { Ended::Enough } else { Ended::Stuck }
    }

    /// Makes the store's events ready for delivery.
    fn gather_events(&mut self) {
        for (recipient, event) in self.store.take_events() {
            match recipient {
                Recipient::Client(client) => self.undelivered.push_back((client, event)),
                Recipient::Everyone => {
                    let clients = self.inboxes.keys();
                    self.undelivered.extend(clients.map(|client| (*client, event.clone())));
                }
            }
        }
    }

    /// Delivers what waits as far as there is room; returns whether that was all.
    fn offer_waiting(&mut self) -> bool {
        while let Some((client, event)) = self.undelivered.pop_front() {
            let Some(inbox) = self.inboxes.get(&client) else { continue };
            match inbox.offer(event) {
                Ok(true) => {}
                Ok(false) => self.gone(client),
                Err(event) => {
                    self.undelivered.push_front((client, event));
                    return false;
                }
            }
        }
        true
    }

    /// Delivers what waits, however long that takes.
    fn deliver_waiting(&mut self) {
        while let Some((client, event)) = self.undelivered.pop_front() {
            if self.inboxes.get(&client).is_some_and(|inbox| !inbox.deliver(event)) {
                self.gone(client);
            }
        }
    }

    fn gone(&mut self, client: ClientId) {
        self.inboxes.remove(&client);
        self.store.disconnect(client);
    }
}

fn wall_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
