//! The Redis thread: its loop, and what time brings.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chatup_core::exchange::{Answer, Event, WorkerId};
use chatup_core::names::ChannelName;
use chatup_core::refusal::Refusal;
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::MissedTickBehavior;

use super::answers::Finished;
use super::asked::{Asked, Asker};
use super::channels::{Ask, Channels, Synced};
use super::connect::Found;
use super::desk::{Desk, REGISTRY};
use super::fetching;
use super::keys::{self, Keys};
use super::nodes::Nodes;
use super::presence::Presence;
use super::registry::{Registry, stored};
use super::scripts::{Keeping, Scripts};
use super::settings::RedisSettings;
use crate::contract::{BrokerHandle, ClientId, Command, Drive, Inbox};
use crate::limits::{
    ASK_AGAIN_MS, CHANGES_MS, CHANNEL_CHECK_MS, CHANNEL_CHECKS_PER_S_MAX, COMMANDS_PER_DRIVE, FETCHES_MAX,
    HEARTBEAT_MS, RECONCILE_AGAIN_MS, REDIS_ANSWER_MS_MAX, REDIS_HOLD_MS, REDIS_TICK_MS,
};

/// Starts a broker over Redis. It connects by itself, and again whenever it has to.
///
/// # Errors
/// The thread could not be started.
pub fn start(settings: RedisSettings) -> io::Result<(BrokerHandle, JoinHandle<()>)> {
    let (handle, commands) = BrokerHandle::new();
    let bell = Arc::new(Bell(Notify::new()));
    let for_thread = Arc::clone(&bell);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        LocalSet::new().block_on(&runtime, async {
            Broker::new(&settings, commands, for_thread).run().await;
        });
    };
    let thread = std::thread::Builder::new().name("redis".into()).spawn(run)?;
    Ok((handle.driven_by(bell).shared(), thread))
}

/// Wakes the thread.
struct Bell(Notify);

impl Drive for Bell {
    fn drive(&self, _: &Sender<Command>) {
        self.0.notify_one();
    }
}

pub(super) struct Broker {
    commands: Receiver<Command>,
    bell: Arc<Bell>,
    pub(super) inboxes: HashMap<ClientId, Box<dyn Inbox>>,
    pub(super) nodes: Nodes<Asked>,
    pub(super) desk: Rc<Desk>,
    pub(super) channels: Channels,
    pub(super) presence: Rc<RefCell<Presence>>,
    pub(super) registry: Registry,
    /// What longer pieces of work have come to.
    pub(super) finished: Rc<RefCell<Vec<Finished>>>,
    /// Questions about channels that wait, and how many are under way.
    asks: VecDeque<Ask>,
    fetches: usize,
    /// What waits for rooms to be listed.
    pub(super) waiting_tellings: usize,
    /// Workers whose people were not all told.
    unsure: HashSet<WorkerId>,
    /// Channels still to be checked in this round.
    unchecked: Vec<ChannelName>,
    times: Times,
    /// Since when a server of Redis cannot be reached.
    pub(super) down_since: Option<Instant>,
    stopping: Option<Instant>,
    pub(super) said_unreachable: bool,
    /// When a refusal was last logged.
    pub(super) complained: Option<Instant>,
    /// What was last found at the other end.
    pub(super) looked_at: Option<Found>,
}

/// When what was last done.
struct Times {
    beats: Instant,
    changes: Instant,
    checks: Instant,
    retries: Instant,
    unsure: Instant,
}

impl Broker {
    fn new(settings: &RedisSettings, commands: Receiver<Command>, bell: Arc<Bell>) -> Broker {
        let keeping = Keeping { messages_max: settings.messages_max, expire_ms: settings.expire_ms };
        let scripts = Rc::new(Scripts::new(keeping));
        let keys = Keys::new(&settings.key_prefix, settings.server.database());
        let now = Instant::now();
        Broker {
            commands,
            bell,
            inboxes: HashMap::new(),
            nodes: Nodes::new(settings.server.clone(), Rc::clone(&scripts)),
            desk: Rc::new(Desk::new(keys, scripts, settings.announced_members_max)),
            channels: Channels::default(),
            presence: Rc::default(),
            registry: Registry::default(),
            finished: Rc::default(),
            asks: VecDeque::new(),
            fetches: 0,
            waiting_tellings: 0,
            unsure: HashSet::new(),
            unchecked: Vec::new(),
            times: Times { beats: now, changes: now, checks: now, retries: now, unsure: now },
            down_since: Some(now),
            stopping: None,
            said_unreachable: false,
            complained: None,
            looked_at: None,
        }
    }

    async fn run(mut self) {
        let (bell, filled) = (Arc::clone(&self.bell), Rc::clone(&self.desk.filled));
        let mut tick = tokio::time::interval(Duration::from_millis(REDIS_TICK_MS));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = poll_fn(|context| self.nodes.poll_event(context)) => self.happened(event),
                () = bell.0.notified() => self.take_commands(),
                () = filled.notified() => {}
                _ = tick.tick() => self.tick(Instant::now()),
            }
            self.take_finished();
            self.send();
            if self.stopping.is_some() && self.is_done() {
                return;
            }
        }
    }

    /// Everything that was asked for is answered, or will not be.
    fn is_done(&self) -> bool {
        let patience = Duration::from_millis(REDIS_ANSWER_MS_MAX);
        // The desk is held by each longer piece of work under way.
        let idle = self.commands.is_empty()
            && self.asks.is_empty()
            && !self.nodes.is_waiting()
            && Rc::strong_count(&self.desk) == 1;
        idle || self.stopping.is_some_and(|since| since.elapsed() > patience)
    }

    fn take_commands(&mut self) {
        if self.is_holding() {
            return;
        }
        for _ in 0..COMMANDS_PER_DRIVE {
            match self.commands.try_recv() {
                Ok(Command::Connect(client, inbox)) => {
                    self.inboxes.insert(client, inbox);
                }
                Ok(Command::Do(client, ticket, operation)) => self.carry_out((client, ticket), operation),
                Ok(Command::Stop) | Err(TryRecvError::Disconnected) => {
                    self.stopping.get_or_insert_with(Instant::now);
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
        // There is more: after what Redis has meanwhile said.
        self.bell.0.notify_one();
    }

    /// Redis may be back in a moment: what is asked waits in the queue.
    fn is_holding(&self) -> bool {
        let hold = Duration::from_millis(REDIS_HOLD_MS);
        self.down_since.is_some_and(|since| since.elapsed() < hold) && self.stopping.is_none()
    }

    /// Takes what longer pieces of work have come to.
    fn take_finished(&mut self) {
        for finished in self.finished.take() {
            match finished {
                Finished::Banned(room, name, banned) => self.banned(room, name, banned),
                Finished::Retired(asker) => {
                    self.registry.changed();
                    self.answer(asker, Answer::Done);
                }
                Finished::History(asker, Some(history)) => self.answer(asker, Answer::History(history)),
                Finished::History(asker, None) => {
                    self.answer(asker, Answer::Refused(Refusal::Unavailable.into()));
                }
                Finished::Fetched(ask, synced) => self.fetched(&ask, synced),
                Finished::Reconciled(worker, Some(left)) => {
                    let mut presence = self.presence.borrow_mut();
                    left.into_iter().for_each(|room| presence.doubt_room(worker, room));
                }
                Finished::Reconciled(worker, None) => {
                    self.unsure.insert(worker);
                }
            }
        }
    }

    /// Looks at what waits, soon.
    pub(super) fn ring(&self) {
        self.bell.0.notify_one();
    }

    /// Whether what lies under a hash tag can be asked for.
    pub(super) fn is_up(&self, tag: &str) -> bool {
        self.nodes.is_up(tag)
    }

    /// Puts what has been asked for into the next batch.
    fn send(&mut self) {
        loop {
            self.ask_channels();
            for (client, event) in self.channels.take_events() {
                self.deliver(client, event);
            }
            let outbox = self.desk.take_outbox();
            if outbox.is_empty() {
                break;
            }
            for (tag, cmd, asked) in outbox {
                if let Err(asked) = self.nodes.ask(&tag, cmd, asked) {
                    self.lost(asked);
                }
            }
        }
        self.nodes.send();
    }

    /// Asks about channels, of which only so many at once.
    pub(super) fn ask_channels(&mut self) {
        self.asks.extend(self.channels.take_asks());
        while self.fetches < FETCHES_MAX
            && let Some(ask) = self.asks.pop_front()
        {
            if self.channels.is_current(&ask) {
                self.fetch(ask);
            } else if let Some(asker) = ask.asker {
                if ask.subscribe {
                    self.channels.unsubscribed(&ask.channel);
                }
                self.refuse_open(&ask, asker);
            }
        }
    }

    /// Asks about a channel; subscribes to its topic first where that is new.
    fn fetch(&mut self, ask: Ask) {
        if ask.subscribe {
            let topic = self.desk.keys.channel(&ask.channel).topic;
            let cmd = self.desk.subscription(true, &topic);
            self.desk.ask(keys::tag(&ask.channel), cmd, Asked::Subscription(Some(ask.channel.clone())));
        }
        self.fetches += 1;
        let (desk, finished) = (Rc::clone(&self.desk), Rc::clone(&self.finished));
        tokio::task::spawn_local(async move {
            let synced = fetching::fetch(Rc::clone(&desk), &ask).await;
            finished.borrow_mut().push(Finished::Fetched(ask, synced.ok()));
            desk.filled.notify_one();
        });
    }

    /// What was asked about a channel has come, or will not.
    fn fetched(&mut self, ask: &Ask, synced: Option<Synced>) {
        self.fetches -= 1;
        match (ask.asker, synced) {
            (Some(asker), Some(synced)) => self.channels.opened(&ask.channel, ask.question, asker, &synced),
            (None, Some(synced)) => self.channels.synced(&ask.channel, ask.question, &synced),
            (Some(asker), None) => self.refuse_open(ask, asker),
            (None, None) => self.channels.unanswered(&ask.channel, ask.question),
        }
    }

    fn refuse_open(&mut self, ask: &Ask, asker: Asker) {
        if self.channels.refused(&ask.channel, ask.question, asker) {
            self.unsubscribe(&ask.channel);
        }
        self.answer(asker, Answer::Refused(Refusal::Unavailable.into()));
    }

    /// Hands an event over, however long that takes: until there is room, nothing more is taken.
    pub(super) fn deliver(&mut self, client: ClientId, event: Event) {
        if self.inboxes.get(&client).is_some_and(|inbox| !inbox.deliver(event)) {
            self.inboxes.remove(&client);
            for channel in self.channels.disconnect(client) {
                self.unsubscribe(&channel);
            }
        }
    }

    pub(super) fn deliver_to_all(&mut self, event: &Event) {
        for client in self.inboxes.keys().copied().collect::<Vec<_>>() {
            self.deliver(client, event.clone());
        }
    }

    fn tick(&mut self, now: Instant) {
        for event in self.nodes.tick(now) {
            self.happened(event);
        }
        self.ask_map(now);
        if self.down_since.is_some() {
            // What has waited for long enough is refused.
            self.take_commands();
        }
        self.check_channels(now);
        if due(&mut self.times.changes, CHANGES_MS, now) {
            for room in self.presence.borrow_mut().changed.drain() {
                self.desk.ask(room.as_str(), self.desk.changes(&room), Asked::Changes(room.clone()));
            }
        }
        if !self.is_up(REGISTRY) {
            return;
        }
        if due(&mut self.times.beats, HEARTBEAT_MS, now) {
            self.beat(false);
            self.desk.ask(REGISTRY, self.desk.roster(), Asked::Roster(None));
        }
        if due(&mut self.times.unsure, RECONCILE_AGAIN_MS, now) {
            for worker in std::mem::take(&mut self.unsure) {
                self.reconcile(worker, None);
            }
            let doubtful = self.presence.borrow_mut().take_doubtful();
            for (worker, rooms) in doubtful {
                self.reconcile(worker, Some(rooms));
            }
        }
    }

    /// Holds each channel against Redis once in a while.
    fn check_channels(&mut self, now: Instant) {
        if self.unchecked.is_empty() && due(&mut self.times.checks, CHANNEL_CHECK_MS, now) {
            self.unchecked = self.channels.names().cloned().collect();
        }
        let ticks_per_s = usize::try_from(1_000 / REDIS_TICK_MS).unwrap_or(1);
        let some = (CHANNEL_CHECKS_PER_S_MAX / ticks_per_s).max(1).min(self.unchecked.len());
        for name in self.unchecked.drain(..some) {
            if self.nodes.is_up(keys::tag(&name)) {
                self.channels.doubt(&name);
            }
        }
        if due(&mut self.times.retries, ASK_AGAIN_MS, now) {
            let nodes = &self.nodes;
            self.channels.retry(CHANNEL_CHECKS_PER_S_MAX, |channel| nodes.is_up(keys::tag(channel)));
        }
    }

    /// Workers that tell no heartbeat of their own are alive as long as this process; after a cut, all of
    /// them are told of at once.
    pub(super) fn beat(&self, all: bool) {
        let presence = self.presence.borrow();
        for (worker, own) in presence.workers().filter(|(_, own)| all || own.record.is_none()) {
            let record = own.record.as_ref().map(stored).unwrap_or_default();
            let cmd = self.desk.beat(own.lease, &record, !own.registered);
            self.desk.ask(REGISTRY, cmd, Asked::Beat(None, worker, own.lease));
        }
    }

    pub(super) fn unsubscribe(&self, channel: &ChannelName) {
        let topic = self.desk.keys.channel(channel).topic;
        self.desk.ask(keys::tag(channel), self.desk.subscription(false, &topic), Asked::Subscription(None));
    }
}

/// Whether it is time again.
fn due(last: &mut Instant, every_ms: u64, now: Instant) -> bool {
    let due = now.saturating_duration_since(*last) >= Duration::from_millis(every_ms);
    if due {
        *last = now;
    }
    due
}
