//! What a broker promises, and the queues between it and its clients.
//!
//! A *client* is whoever asks: each shard is one, each dispatcher is one. Clients put operations
//! into the broker's queue and never wait; the broker puts events into each client's inbox. A
//! broker may work on the thread of whoever asks ([`Drive`]), on its own, or both.
//!
//! The promises ([`conformance`](crate::conformance) checks each):
//! 1. Every operation gets exactly one answer, carrying its ticket. A client's operations take
//!    effect in the order in which they were put in.
//! 2. `Publish` is one step: ban check, idempotency key, next offset, keeping, publishing. It is
//!    answered after that step. A refused one leaves no trace.
//! 3. A channel's offsets are 1, 2, 3… in one epoch, without a hole; a channel that has lost its
//!    past, for whatever reason, begins another epoch.
//! 4. After `Open`, the answer has the channel's last messages, and every later one is handed to
//!    the client exactly once, in order, beginning behind the answer; until `Close`.
//! 5. A message published again under the same key by the same sender in the same channel within
//!    `IDEMPOTENCY_TTL_MS` is not published: the answer has the first one's position.
//! 6. `Ban` takes effect at the next `Publish` and `Join` anywhere; it publishes `rmUserMsg` in the
//!    same step and tells every client.
//! 7. `Join` announces a member on `e_R` unless it is banned; `Leave` announces its going if its
//!    coming was announced. A worker that retires, or is not heard of for `WORKER_EXPIRY_MS`, takes
//!    its members (announced) and viewers with it.
//! 8. `Claim` grants an id once until the time given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chatup_core::exchange::{Event, Operation, Ticket};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::limits::BROKER_QUEUE_MAX;

/// Where a client's events go.
pub trait Inbox: Send {
    /// Takes an event. May block while the client has no room: that holds the broker up, and with
    /// it, through its queue, whoever publishes. Returns whether the client still exists.
    fn deliver(&self, event: Event) -> bool;

    /// Takes an event if that needs no waiting. Returns whether the client still exists. To be
    /// written out wherever [`Inbox::deliver`] may block.
    ///
    /// # Errors
    /// There is no room now; the event comes back.
    #[allow(clippy::result_large_err, reason = "the event is handed back, not reported")]
    fn offer(&self, event: Event) -> Result<bool, Event> {
        Ok(self.deliver(event))
    }
}

/// A broker that can work on any thread.
pub trait Drive: Send + Sync {
    /// Carries out what waits in the queue, unless another thread is doing so already and will see
    /// it. Never waits.
    fn drive(&self, queue: &Sender<Command>);
}

/// A client, as the broker knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ClientId(pub u32);

/// What goes into a broker's queue.
pub enum Command {
    /// A client comes.
    Connect(ClientId, Box<dyn Inbox>),
    /// A client asks.
    Do(ClientId, Ticket, Operation),
    /// The broker ends.
    Stop,
}

/// The way to a broker.
#[derive(Clone)]
pub struct BrokerHandle {
    queue: Sender<Command>,
    next: Arc<AtomicU32>,
    driver: Option<Arc<dyn Drive>>,
    shared: bool,
}

/// The broker has ended.
#[derive(Debug, thiserror::Error)]
#[error("the broker has ended")]
pub struct BrokerGone;

impl BrokerHandle {
    /// A queue: the handle for clients, the other end for the broker.
    #[must_use]
    pub fn new() -> (BrokerHandle, Receiver<Command>) {
        let (queue, commands) = bounded(BROKER_QUEUE_MAX);
        (BrokerHandle { queue, next: Arc::new(AtomicU32::new(0)), driver: None, shared: false }, commands)
    }

    /// The same, for a broker that works on the threads of its clients.
    #[must_use]
    pub fn driven_by(self, driver: Arc<dyn Drive>) -> BrokerHandle {
        BrokerHandle { driver: Some(driver), ..self }
    }

    /// The same, for a broker through which other processes publish, too.
    #[must_use]
    pub fn shared(self) -> BrokerHandle {
        BrokerHandle { shared: true, ..self }
    }

    /// Whether other processes publish through this broker, so that it may know more of a channel than
    /// all its clients in this one.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Becomes a client.
    ///
    /// # Errors
    /// The broker has ended.
    pub fn connect(&self, inbox: Box<dyn Inbox>) -> Result<BrokerClient, BrokerGone> {
        let id = ClientId(self.next.fetch_add(1, Ordering::Relaxed));
        self.queue.send(Command::Connect(id, inbox)).map_err(|_| BrokerGone)?;
        self.drive();
        Ok(BrokerClient { id, queue: self.queue.clone(), driver: self.driver.clone() })
    }

    fn drive(&self) {
        if let Some(driver) = &self.driver {
            driver.drive(&self.queue);
        }
    }

    /// Ends the broker, once it has worked off what is in its queue.
    pub fn stop(&self) {
        // Gone already is as good.
        let _ = self.queue.send(Command::Stop);
        self.drive();
    }
}

/// A client's end of the queue.
#[derive(Clone)]
pub struct BrokerClient {
    id: ClientId,
    queue: Sender<Command>,
    driver: Option<Arc<dyn Drive>>,
}

impl BrokerClient {
    /// Asks, without waiting. The answer may be in the inbox when this returns.
    ///
    /// # Errors
    /// The queue is full, or the broker has ended; the operation comes back.
    pub fn ask(&self, ticket: Ticket, operation: Operation) -> Result<(), Operation> {
        self.queue.try_send(Command::Do(self.id, ticket, operation)).map_err(|error| {
            let (TrySendError::Full(command) | TrySendError::Disconnected(command)) = error;
            match command {
                Command::Do(_, _, operation) => operation,
                Command::Connect(..) | Command::Stop => unreachable!("what was put in comes back"),
            }
        })?;
        if let Some(driver) = &self.driver {
            driver.drive(&self.queue);
        }
        Ok(())
    }
}
