//! A worker: all its shards, from start to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use chatup_broker::contract::BrokerGone;
use chatup_broker::{BrokerClient, BrokerHandle, Inbox};
use chatup_core::exchange::{Event, Operation, Ticket, WorkerId};
use chatup_core::session::Rules;
use chatup_core::shard::{Shard, ShardConfig};
use core_affinity::CoreId;
use glommio::channels::local_channel;
use glommio::{ExecutorJoinHandle, Latency, LocalExecutorBuilder, Placement, Shares};
use socket2::Socket;

use crate::driver::{Driver, Parts};
use crate::epoll::Epoll;
use crate::io::Io;
use crate::limits::{GLOMMIO_IO_MEMORY_BYTES, GLOMMIO_PREEMPT_TIMER};
use crate::listener;
use crate::outside::{Descriptors, Sockets, World};
use crate::preflight::{self, Allowed, PreflightError};
use crate::queues::{ShardReceiver, ShardSender, ToShard, shard_queue};
use crate::report::{Beside, Board, PassOn, Reports};
use crate::ring::Ring;
use crate::settings::Settings;

/// Why a worker does not run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The host does not allow it.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// The address cannot be had.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// A core that this process may not use.
    #[error("worker.cores: core {0} is not among those that this process may use: {1}")]
    NoSuchCore(u16, String),
    /// The broker has ended.
    #[error(transparent)]
    Broker(#[from] BrokerGone),
    /// A shard could not start.
    #[error("shard {0} could not start: {1}")]
    Shard(u16, String),
}

/// A running worker.
pub struct Worker {
    address: SocketAddr,
    board: Arc<Board>,
    senders: Vec<ShardSender>,
    shards: Vec<ShardThread>,
    broker: BrokerClient,
}

/// Called, from the shard's thread, when a shard has failed: what is left is half a worker.
pub type OnFailure = Arc<dyn Fn(u16, &str) + Send + Sync>;

/// For a client that only tells and needs no answer.
struct Deaf;

impl Inbox for Deaf {
    fn deliver(&self, _: Event) -> bool {
        true
    }
}

impl Worker {
    /// Starts all shards; they take connections when this returns.
    ///
    /// # Errors
    /// Why not; nothing is left running.
    pub fn start(
        settings: &Settings,
        broker: &BrokerHandle,
        on_failure: &OnFailure,
    ) -> Result<Worker, WorkerError> {
        let cores = choose_cores(settings)?;
        let count = u16::try_from(cores.len()).unwrap_or(u16::MAX);
        let Allowed { io_uring, connections: descriptors } = preflight::check(count, settings.io)?;
        // Where there are few, the connections get the most of them.
        let descriptors = descriptors - settings.descriptors_reserved.min(descriptors / 4);
        if u64::from(settings.limits.connections_per_shard_max) * u64::from(count) > descriptors {
            tracing::info!(
                connections_max = descriptors,
                "descriptors allow fewer connections than limits.connections_per_shard_max does: raise LimitNOFILE for more"
            );
        }
        // A clear 503 for one too many, instead of a connection that nobody can accept.
        let descriptors = Descriptors::new(descriptors);
        let wanted = SocketAddr::new(settings.listen, settings.port);
        let (address, listeners) = listener::bind(settings.listen, settings.port, count)
            .map_err(|error| WorkerError::Listen(wanted, error))?;
        let host = settings.announce_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let id = WorkerId(rand::random());
        let mut worker = Worker {
            address,
            board: Arc::new(Board::new(id, host, io_uring, count)),
            senders: Vec::new(),
            shards: Vec::new(),
            broker: broker.connect(Box::new(Deaf))?,
        };
        let mut receivers = Vec::new();
        for number in 0..count {
            let (sender, receiver) =
                shard_queue().map_err(|error| WorkerError::Shard(number, error.to_string()))?;
            worker.senders.push(sender);
            receivers.push(receiver);
        }
        let (ready, started) = mpsc::channel();
        for (number, ((listener, receiver), core)) in
            (0..).zip(listeners.into_iter().zip(receivers).zip(cores))
        {
            let shard = worker.shard(settings, &descriptors, number, count, core, broker, listener, receiver);
            let spawned = shard
                .map_err(|error| error.to_string())
                .and_then(|shard| shard.spawn(io_uring, ready.clone(), Arc::clone(on_failure)));
            match spawned {
                Ok(handle) => worker.shards.push(handle),
                Err(error) => {
                    worker.stop();
                    return Err(WorkerError::Shard(number, error));
                }
            }
        }
        drop(ready);
        for _ in 0..count {
            // A shard that fails says so; one that panics drops its end.
            let result = started.recv().unwrap_or(Err((0, "it ended".into())));
            if let Err((number, error)) = result {
                worker.stop();
                return Err(WorkerError::Shard(number, error));
            }
        }
        // In the broker's queue before anything that is asked from now on: whoever is told that the
        // worker is ready finds it there.
        let _ = worker.broker.ask(Ticket(0), Operation::Heartbeat(worker.board.record()));
        Ok(worker)
    }

    #[allow(clippy::too_many_arguments, reason = "all of one shard, in one place")]
    fn shard(
        &self,
        settings: &Settings,
        descriptors: &Descriptors,
        number: u16,
        count: u16,
        core: CoreId,
        broker: &BrokerHandle,
        listener: Socket,
        inbox: ShardReceiver,
    ) -> Result<ShardStart, WorkerError> {
        Ok(ShardStart {
            config: ShardConfig {
                shard: number,
                shards: count,
                worker: self.board.worker,
                rules: Rules {
                    verifier: Arc::clone(&settings.verifier),
                    limits: settings.limits.clone(),
                    anonymous_subscribe: settings.anonymous_subscribe,
                },
                services: settings.services.clone(),
                slow_subscribers: settings.slow_subscribers,
                flush_interval_ms: settings.flush_interval_ms,
                shared_store: broker.is_shared(),
            },
            broker: broker.connect(Box::new(self.senders[usize::from(number)].clone()))?,
            senders: self.senders.clone(),
            board: Arc::clone(&self.board),
            stats_from: settings.stats_from,
            publish_from: settings.publish_from,
            descriptors: descriptors.clone(),
            listener,
            inbox,
            core,
        })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL under which clients reach it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.board.host
    }

    /// Which worker this is.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.board.worker
    }

    /// Shows another part's figures in `/stats`, under this name; once.
    pub fn show_beside(&self, name: &'static str, figures: Beside) {
        let _ = self.board.beside.set((name, figures));
    }

    /// How many shards it has.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Stops: no new connections, every old one told when to come back, in bounded time.
    pub fn stop(self) {
        self.board.draining.store(true, Ordering::Relaxed);
        // Dispatchers should send nobody here from now on.
        let _ = self.broker.ask(Ticket(0), Operation::Heartbeat(self.board.record()));
        for sender in &self.senders {
            sender.put(ToShard::Drain);
        }
        for (number, shard) in self.shards.into_iter().enumerate() {
            if let Err(error) = shard.join() {
                tracing::error!(shard = number, error, "a shard did not end in order");
            }
        }
        let _ = self.broker.ask(Ticket(0), Operation::Retire(self.board.worker));
    }
}

/// The cores for the shards, in their order.
fn choose_cores(settings: &Settings) -> Result<Vec<CoreId>, WorkerError> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    let chosen = if settings.cores.is_empty() {
        allowed
    } else {
        let find = |core: &u16| {
            let list = || allowed.iter().map(|core| core.id.to_string()).collect::<Vec<_>>().join(", ");
            let found = allowed.iter().find(|one| one.id == usize::from(*core));
            found.copied().ok_or_else(|| WorkerError::NoSuchCore(*core, list()))
        };
        settings.cores.iter().map(find).collect::<Result<_, _>>()?
    };
    let count = if settings.shards == 0 { chosen.len().max(1) } else { usize::from(settings.shards) };
    let unknown = [CoreId { id: 0 }];
    if count > chosen.len() {
        tracing::warn!(
            shards = count,
            cores = chosen.len(),
            "shards share cores: good for trying out, not for speed"
        );
    }
    let cores = if chosen.is_empty() { &unknown[..] } else { &chosen[..] };
    Ok(cores.iter().copied().cycle().take(count).collect())
}

/// All that a shard's thread needs.
struct ShardStart {
    config: ShardConfig,
    broker: BrokerClient,
    senders: Vec<ShardSender>,
    board: Arc<Board>,
    stats_from: crate::settings::StatsFrom,
    publish_from: crate::settings::StatsFrom,
    descriptors: Descriptors,
    listener: Socket,
    inbox: ShardReceiver,
    core: CoreId,
}

type Started = Result<u16, (u16, String)>;

impl ShardStart {
    fn spawn(
        self,
        io_uring: bool,
        ready: mpsc::Sender<Started>,
        on_failure: OnFailure,
    ) -> Result<ShardThread, String> {
        let number = self.config.shard;
        let name = format!("shard-{number}");
        let tell = move |result: Result<(), String>| {
            if let Err(error) = &result {
                on_failure(number, error);
            }
            result
        };
        if !io_uring {
            let thread = std::thread::Builder::new().name(name).spawn(move || tell(self.run_alone(&ready)));
            return thread.map(ShardThread::Plain).map_err(|error| error.to_string());
        }
        LocalExecutorBuilder::new(Placement::Unbound)
            .name(&name)
            .io_memory(GLOMMIO_IO_MEMORY_BYTES)
            .preempt_timer(GLOMMIO_PREEMPT_TIMER)
            .spawn(move || async move { tell(self.run(ready).await) })
            .map(ShardThread::Glommio)
            .map_err(|error| error.to_string())
    }

    /// On the shard's thread: its driver.
    fn driver(
        self,
        io: io::Result<Io>,
        reports: Reports,
        ready: &mpsc::Sender<Started>,
    ) -> Result<Driver, String> {
        let number = self.config.shard;
        let pinned = core_affinity::set_for_current(self.core);
        if !pinned {
            tracing::warn!(shard = number, core = self.core.id, "could not be pinned to its core");
        }
        let io = io.map_err(|error| {
            let _ = ready.send(Err((number, error.to_string())));
            error.to_string()
        })?;
        let driver = Driver::new(Parts {
            io,
            shutdown_ms_max: self.config.rules.limits.shutdown_ms_max,
            shard: Shard::new(self.config),
            world: World {
                sockets: Sockets::new(self.descriptors),
                broker: self.broker,
                shards: self.senders,
                board: self.board,
                stats_from: self.stats_from,
                publish_from: self.publish_from,
            },
            listener: self.listener,
            inbox: self.inbox,
            number,
            core: pinned.then_some(self.core.id),
            reports,
        });
        // Whoever waits for the start may have given up.
        let _ = ready.send(Ok(number));
        Ok(driver)
    }

    fn run_alone(self, ready: &mpsc::Sender<Started>) -> Result<(), String> {
        let pass_on = PassOn::new(Arc::clone(&self.board), self.broker.clone());
        let io = Epoll::new().map(|epoll| Io::Epoll(Box::new(epoll)));
        let driver = self.driver(io, Reports::Here(pass_on), ready)?;
        driver.run_alone().map_err(|error| error.to_string())
    }

    async fn run(self, ready: mpsc::Sender<Started>) -> Result<(), String> {
        let (reports, to_pass_on) = local_channel::new_bounded(1);
        let pass_on = PassOn::new(Arc::clone(&self.board), self.broker.clone());
        let io = Ring::new().map(|ring| Io::Ring(Box::new(ring)));
        let driver = self.driver(io, Reports::Task(reports), &ready)?;
        drop(ready);
        let control =
            glommio::executor().create_task_queue(Shares::Static(1), Latency::NotImportant, "control");
        let control =
            glommio::spawn_local_into(pass_on.run(to_pass_on), control).map_err(|error| error.to_string())?;
        // The driver's end of the channel goes with it, and with that the control task: ended by a
        // signal, never cancelled, since a cancelled task of glommio leaks.
        let result = driver.run().await.map_err(|error| error.to_string());
        control.await;
        result
    }
}

/// A shard's thread.
enum ShardThread {
    Glommio(ExecutorJoinHandle<Result<(), String>>),
    Plain(JoinHandle<Result<(), String>>),
}

impl ShardThread {
    /// Waits for its end.
    fn join(self) -> Result<(), String> {
        match self {
            ShardThread::Glommio(thread) => thread.join().map_err(|error| error.to_string())?,
            ShardThread::Plain(thread) => thread.join().map_err(|_| "it panicked".to_owned())?,
        }
    }
}
