//! The relay's thread: takes what the broker hands it, posts what is due, asks Nginx who listens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chatup_broker::contract::BrokerGone;
use chatup_broker::{BrokerClient, BrokerHandle, Inbox};
use chatup_core::exchange::{Event, Operation, Ticket, WorkerId};
use chatup_core::limits::CLOCK_SKEW_S;
use chatup_core::message::UnixMillis;
use chatup_core::names::ChannelName;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::backlog::{Backlog, Bounds, Outcome};
use crate::complaints::Complaints;
use crate::figures::Figures;
use crate::limits::{DRAIN_MS_MAX, ROUND_MS, ROUND_MS_MAX, ROUND_SHARE, SILENT_MS};
use crate::listed::Listed;
use crate::pace::Pace;
use crate::post::{Nginx, Said};
use crate::settings::Settings;
use crate::viewers::Viewers;
use crate::wanted::Wanted;

/// Why the relay does not run.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The broker has ended.
    #[error(transparent)]
    Broker(#[from] BrokerGone),
    /// No thread.
    #[error("the relay could not start: {0}")]
    Thread(#[from] std::io::Error),
}

/// A running relay.
pub struct Relay {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// What its thread and the broker share.
struct Shared {
    desk: Mutex<Desk>,
    wake: Notify,
    /// Nothing more is asked of the broker.
    leaving: AtomicBool,
    stopping: AtomicBool,
    started: Instant,
}

struct Desk {
    wanted: Wanted,
    backlog: Backlog,
    last_error: String,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        // Whole between any two calls; a panic ends the process anyway.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn take(&self, desk: &mut Desk, event: Event) {
        let now_ms = self.now_ms();
        let mut wake = !matches!(event, Event::Published(_) | Event::Banned { .. });
        let Desk { wanted, backlog, .. } = desk;
        wanted.event(event, now_ms, |channel, message| wake |= backlog.take(channel, message, now_ms));
        if wake {
            self.wake.notify_one();
        }
    }

    fn figures(&self) -> Figures {
        let desk = self.lock();
        Figures {
            channels: desk.wanted.len(),
            channels_left_out: desk.wanted.left_out(),
            missed_messages: desk.wanted.missed(),
            gaps: desk.wanted.gaps(),
            last_error: desk.last_error.clone(),
            ..desk.backlog.figures.clone()
        }
    }
}

/// The broker's end. Never makes the broker wait for Nginx: what is too much is dropped, and counted.
struct Mailbox(Weak<Shared>);

impl Inbox for Mailbox {
    fn deliver(&self, event: Event) -> bool {
        let Some(shared) = self.0.upgrade() else { return false };
        shared.take(&mut shared.lock(), event);
        true
    }

    fn offer(&self, event: Event) -> Result<bool, Event> {
        let Some(shared) = self.0.upgrade() else { return Ok(false) };
        match shared.desk.try_lock() {
            Ok(mut desk) => shared.take(&mut desk, event),
            Err(TryLockError::Poisoned(poisoned)) => shared.take(&mut poisoned.into_inner(), event),
            Err(TryLockError::WouldBlock) => return Err(event),
        }
        Ok(true)
    }
}

impl Relay {
    /// Starts the relay of this worker, which has so many shards.
    ///
    /// # Errors
    /// Why not.
    pub fn start(
        settings: Settings,
        broker: &BrokerHandle,
        worker: WorkerId,
        shards: u16,
    ) -> Result<Relay, RelayError> {
        let bounds = Bounds {
            flush_interval_ms: settings.flush_interval_ms,
            post_bytes_max: settings.post_bytes_max,
            waiting_bytes_max: settings.waiting_bytes_max,
        };
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk {
                wanted: Wanted::new(&settings.channels, settings.kept_back.clone(), unix_now()),
                backlog: Backlog::new(bounds),
                last_error: String::new(),
            }),
            wake: Notify::new(),
            leaving: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            started: Instant::now(),
        });
        let runner = Runner {
            broker: broker.connect(Box::new(Mailbox(Arc::downgrade(&shared))))?,
            nginx: Nginx::new(settings.publisher.clone(), settings.statistics.clone()),
            shared: Arc::clone(&shared),
            pace: Pace::default(),
            viewers: Viewers::default(),
            // Behind the worker's own, so that their counts are told apart.
            as_shard: (worker, shards),
            rounds: Rounds { next_ms: 0, pause_ms: ROUND_MS, answered_ms: 0, answered: unix_now() },
            complaints: Complaints::default(),
            settings,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("relay".into()).spawn(move || {
            runtime.block_on(runner.run());
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Relay { shared, thread })
    }

    /// What it has counted, from any thread.
    pub fn figures(&self) -> impl Fn() -> Figures + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.figures()
    }

    /// Asks nothing more of the broker, for a worker that is about to retire: else it would get viewers again.
    /// What is said is still posted.
    pub fn leave(&self) {
        self.shared.leaving.store(true, Ordering::Release);
    }

    /// Stops: posts what waits, in bounded time, and says what it could not.
    pub fn stop(self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if self.thread.join().is_err() {
            tracing::error!("the relay did not end in order");
        }
    }
}

fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// When Nginx is asked who listens.
struct Rounds {
    next_ms: u64,
    /// How long it was not asked, last.
    pause_ms: u64,
    /// When it last answered.
    answered_ms: u64,
    answered: UnixMillis,
}

struct Runner {
    settings: Settings,
    broker: BrokerClient,
    nginx: Nginx,
    shared: Arc<Shared>,
    pace: Pace,
    viewers: Viewers,
    as_shard: (WorkerId, u16),
    rounds: Rounds,
    complaints: Complaints,
}

type Posted = (ChannelName, Said<()>);
/// What was listed, when the question was asked, and how long the answer took.
type Round = (Said<Vec<Listed>>, UnixMillis, Duration);

impl Runner {
    async fn run(mut self) {
        let mut posts: JoinSet<Posted> = JoinSet::new();
        let mut round: JoinSet<Round> = JoinSet::new();
        let mut end_ms = None;
        loop {
            let now_ms = self.shared.now_ms();
            if self.shared.stopping.load(Ordering::Acquire) {
                if end_ms.is_none() {
                    self.shared.lock().backlog.hurry(now_ms);
                }
                let end_ms = *end_ms.get_or_insert(now_ms + DRAIN_MS_MAX);
                if now_ms >= end_ms || self.shared.lock().backlog.is_empty() {
                    break;
                }
            } else if !self.shared.leaving.load(Ordering::Acquire) {
                self.ask_broker(now_ms);
                if self.settings.statistics.is_some() && round.is_empty() && now_ms >= self.rounds.next_ms {
                    let (nginx, asked, started) = (self.nginx.clone(), unix_now(), Instant::now());
                    round.spawn(async move { (nginx.statistics().await, asked, started.elapsed()) });
                }
            }
            self.begin_posts(&mut posts, now_ms);
            self.complain(now_ms);
            let pause = tokio::time::sleep(self.pause(now_ms, &posts, &round, end_ms));
            tokio::select! {
                Some(done) = posts.join_next(), if !posts.is_empty() => {
                    if let Ok((channel, said)) = done {
                        self.posted(&channel, said);
                    }
                }
                Some(done) = round.join_next(), if !round.is_empty() => {
                    if let Ok(listed) = done {
                        self.listed(listed);
                    }
                }
                () = self.shared.wake.notified() => {}
                () = pause => {}
            }
        }
        self.end();
    }

    /// How long there is nothing to do by itself.
    fn pause(
        &self,
        now_ms: u64,
        posts: &JoinSet<Posted>,
        round: &JoinSet<Round>,
        end_ms: Option<u64>,
    ) -> Duration {
        let desk = self.shared.lock();
        // What is due and may not begin yet begins when a post ends, or when the pace allows it.
        let post = desk.backlog.due().map(|due| due.max(self.pace.due()));
        let post = post.filter(|due| *due > now_ms || self.pace.allows(posts.len(), now_ms));
        let at_work = !self.shared.leaving.load(Ordering::Acquire) && end_ms.is_none();
        let asks = at_work && self.settings.statistics.is_some() && round.is_empty();
        let rounds = asks.then_some(self.rounds.next_ms);
        // At least so often, for what is to be complained of, and for a broker without room.
        let slow = now_ms + ROUND_MS;
        let wanted = desk.wanted.due().filter(|_| at_work).map(|due| due.max(now_ms + 1));
        let dues = [post, rounds, wanted, end_ms];
        let next_ms = dues.into_iter().flatten().fold(slow, u64::min);
        Duration::from_millis(next_ms.saturating_sub(now_ms))
    }

    /// Asks the broker what is to be asked, as far as its queue has room.
    fn ask_broker(&mut self, now_ms: u64) {
        loop {
            // Not while the desk is locked: the answer may come on this thread.
            let Some((ticket, operation)) = self.shared.lock().wanted.next(now_ms) else { break };
            if let Err(operation) = self.broker.ask(ticket, operation) {
                self.shared.lock().wanted.put_back(ticket, operation, now_ms);
                return;
            }
        }
        let silent = now_ms.saturating_sub(self.rounds.answered_ms) > SILENT_MS.max(3 * self.rounds.pause_ms);
        if silent && self.settings.statistics.is_some() {
            self.viewers.listed(&[]);
            self.shared.lock().backlog.figures.subscribers = 0;
        }
        while let Some(counts) = self.viewers.next() {
            let (worker, shard) = self.as_shard;
            let operation = Operation::Viewers { worker, shard, counts: counts.clone() };
            if self.broker.ask(Ticket(0), operation).is_err() {
                return;
            }
            self.viewers.told(counts);
        }
    }

    fn begin_posts(&self, posts: &mut JoinSet<Posted>, now_ms: u64) {
        while self.pace.allows(posts.len(), now_ms) {
            let Some(post) = self.shared.lock().backlog.next(now_ms) else { return };
            let nginx = self.nginx.clone();
            posts.spawn(async move {
                let said = nginx.post(&post).await;
                (post.channel, said)
            });
        }
    }

    fn posted(&mut self, channel: &ChannelName, said: Said<()>) {
        let now_ms = self.shared.now_ms();
        let mut desk = self.shared.lock();
        let outcome = match said {
            Ok(()) => Outcome::Delivered,
            Err((outcome, error)) => {
                desk.last_error = error;
                outcome
            }
        };
        desk.backlog.done(channel, outcome, now_ms);
        if let Outcome::Failed { .. } = outcome {
            if self.pace.failed(now_ms, rand::random()) {
                tracing::warn!(error = desk.last_error, "a post failed: what is said waits here");
                self.complaints.posts_fail(now_ms);
            }
        } else if self.pace.succeeded() {
            tracing::info!(waiting = desk.backlog.figures.waiting_messages, "posts go out again");
        }
    }

    fn listed(&mut self, (said, asked, took): Round) {
        let now_ms = self.shared.now_ms();
        let share =
            u64::try_from(took.as_millis()).unwrap_or(u64::MAX).saturating_mul(u64::from(ROUND_SHARE));
        // What failed is asked again soon; what is long seldom, since reading it costs as much as it is long.
        let pause_ms = if said.is_ok() { share.clamp(ROUND_MS, ROUND_MS_MAX) } else { ROUND_MS };
        (self.rounds.next_ms, self.rounds.pause_ms) = (now_ms + pause_ms, pause_ms);
        match said {
            Ok(listed) => {
                self.complaints.statistics_answer();
                self.viewers.listed(&listed);
                let mut desk = self.shared.lock();
                desk.backlog.figures.subscribers =
                    listed.iter().fold(0, |sum, one| one.subscribers.saturating_add(sum));
                // By whichever worker's clock. (Not at the start: another may have posted until then.)
                let skew_ms = if self.rounds.answered_ms > 0 { CLOCK_SKEW_S * 1_000 } else { 0 };
                let before = UnixMillis(self.rounds.answered.0.saturating_sub(skew_ms));
                desk.wanted.listed(&listed, before, self.settings.keep_ms, now_ms);
                (self.rounds.answered_ms, self.rounds.answered) = (now_ms, asked);
            }
            Err((_, error)) => {
                self.complaints.statistics_fail(&error, now_ms);
                self.shared.lock().last_error = error;
            }
        }
    }

    /// Says what was lost and what goes on failing.
    fn complain(&mut self, now_ms: u64) {
        let posts_fail = self.pace.fails();
        self.complaints.say(now_ms, posts_fail, || self.shared.figures());
    }

    fn end(&mut self) {
        self.shared.lock().backlog.give_up();
        self.complaints.last_words(&self.shared.figures());
    }
}
