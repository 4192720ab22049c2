//! The queues into a shard. Many put in (other shards, the broker, the worker), one takes out.
//! A sender writes the shard's eventfd only when the shard has said that it sleeps: the flag, a
//! fence on either side, and a second look at the queue make sure that no message is slept on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use chatup_broker::Inbox;
use chatup_core::exchange::Event;
use chatup_core::shard::ShardMessage;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustix::event::{EventfdFlags, eventfd};

use crate::limits::SHARD_QUEUE_MAX;

/// Bytes that a queue takes, empty or full: the places stand ready, each with a word of the queue's own.
pub(crate) const SHARD_QUEUE_BYTES: usize = SHARD_QUEUE_MAX * (size_of::<ToShard>() + size_of::<usize>());

/// What can happen to a shard from inside the process.
#[derive(Debug)]
pub enum ToShard {
    /// From another shard.
    Shard(ShardMessage),
    /// From the broker.
    Broker(Event),
    /// Stop in order.
    Drain,
}

struct Bell {
    sleeping: AtomicBool,
    eventfd: OwnedFd,
}

/// A sender's end.
#[derive(Clone)]
pub struct ShardSender {
    queue: Sender<ToShard>,
    bell: Arc<Bell>,
}

/// The shard's end.
pub struct ShardReceiver {
    queue: Receiver<ToShard>,
    bell: Arc<Bell>,
}

/// A queue into a shard.
///
/// # Errors
/// No eventfd could be had.
pub fn shard_queue() -> std::io::Result<(ShardSender, ShardReceiver)> {
    let (sender, receiver) = bounded(SHARD_QUEUE_MAX);
    let eventfd = eventfd(0, EventfdFlags::CLOEXEC)?;
    let bell = Arc::new(Bell { sleeping: AtomicBool::new(false), eventfd });
    Ok((ShardSender { queue: sender, bell: Arc::clone(&bell) }, ShardReceiver { queue: receiver, bell }))
}

impl ShardSender {
    /// Puts a message in, if there is room.
    ///
    /// # Errors
    /// There is none, or the shard has ended; the message comes back.
    #[allow(clippy::result_large_err, reason = "the message is handed back, not reported")]
    pub fn offer(&self, message: ToShard) -> Result<(), ToShard> {
        self.queue.try_send(message).map_err(|error| {
            let (TrySendError::Full(message) | TrySendError::Disconnected(message)) = error;
            message
        })?;
        self.ring_bell();
        Ok(())
    }

    /// Puts a message in, waiting for room. Returns whether the shard still exists.
    pub fn put(&self, message: ToShard) -> bool {
        let sent = self.queue.send(message).is_ok();
        self.ring_bell();
        sent
    }

    fn ring_bell(&self) {
        fence(Ordering::SeqCst);
        if self.bell.sleeping.load(Ordering::Relaxed) && self.bell.sleeping.swap(false, Ordering::AcqRel) {
            // A full counter means that it has been rung.
            let _ = rustix::io::write(&self.bell.eventfd, &1_u64.to_ne_bytes());
        }
    }
}

impl Inbox for ShardSender {
    fn deliver(&self, event: Event) -> bool {
        self.put(ToShard::Broker(event))
    }

    fn offer(&self, event: Event) -> Result<bool, Event> {
        match self.queue.try_send(ToShard::Broker(event)) {
            Ok(()) => {
                self.ring_bell();
                Ok(true)
            }
            Err(TrySendError::Full(ToShard::Broker(event))) => Err(event),
            Err(_) => Ok(false),
        }
    }
}

impl ShardReceiver {
    /// The next message, if there is one.
    pub fn take(&self) -> Option<ToShard> {
        self.queue.try_recv().ok()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Says that the shard is about to sleep. Returns whether it may: nothing waits.
    pub fn fall_asleep(&self) -> bool {
        self.bell.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.queue.is_empty() {
            return true;
        }
        self.wake_up();
        false
    }

    /// Says that the shard is awake.
    pub fn wake_up(&self) {
        self.bell.sleeping.store(false, Ordering::Relaxed);
    }

    /// What becomes readable when a sender rings.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.eventfd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bell_rung(receiver: &ShardReceiver) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::from_borrowed_fd(receiver.bell(), PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn the_bell_rings_once_and_only_for_sleepers() {
        let (sender, receiver) = shard_queue().unwrap();
        sender.offer(ToShard::Drain).unwrap();
        assert!(!bell_rung(&receiver), "awake");
        assert!(!receiver.fall_asleep(), "something waits");
        assert!(receiver.take().is_some());
        assert!(receiver.fall_asleep());
        sender.offer(ToShard::Drain).unwrap();
        assert!(bell_rung(&receiver));
        let mut rung = [0; 8];
        rustix::io::read(receiver.bell(), &mut rung).unwrap();
        sender.offer(ToShard::Drain).unwrap();
        assert!(!bell_rung(&receiver), "rung already");
    }

    #[test]
    fn a_full_queue_gives_the_message_back() {
        let (sender, receiver) = shard_queue().unwrap();
        for _ in 0..SHARD_QUEUE_MAX {
            sender.offer(ToShard::Drain).unwrap();
        }
        assert!(sender.offer(ToShard::Drain).is_err());
        receiver.take();
        assert!(sender.offer(ToShard::Drain).is_ok());
    }
}
