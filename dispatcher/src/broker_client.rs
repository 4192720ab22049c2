//! Asks the broker and waits for the answer, for a bounded time. Knows nothing of HTTP.
//!
//! The broker answers through an inbox, from whichever thread it works on; a ticket says to which question.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use chatup_broker::contract::BrokerGone;
use chatup_broker::{BrokerClient, BrokerHandle, Inbox};
use chatup_core::exchange::{Answer, Event, Operation, Ticket};
use chatup_core::refusal::{Refusal, Refused};
use tokio::sync::oneshot;

use crate::limits::{ASKED_MAX, BROKER_MS_MAX};

/// A client of the broker.
pub(crate) struct Broker {
    client: BrokerClient,
    waiting: Arc<Waiting>,
    next: AtomicU64,
}

/// Who waits for which answer.
#[derive(Default)]
struct Waiting(Mutex<HashMap<Ticket, oneshot::Sender<Answer>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<Ticket, oneshot::Sender<Answer>>> {
        // The map is whole between any two of its calls, so a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The broker's end. Holds nothing alive: without the dispatcher it says that the client is gone.
struct Answers(Weak<Waiting>);

impl Answers {
    fn hand_over(waiting: &mut HashMap<Ticket, oneshot::Sender<Answer>>, event: Event) {
        if let Event::Answer(ticket, answer) = event
            && let Some(asker) = waiting.remove(&ticket)
        {
            // Who has given up waiting needs no answer.
            let _ = asker.send(answer);
        }
    }
}

impl Inbox for Answers {
    fn deliver(&self, event: Event) -> bool {
        let Some(waiting) = self.0.upgrade() else { return false };
        Answers::hand_over(&mut waiting.lock(), event);
        true
    }

    /// A shard's thread may be the one that delivers: it does not wait for one that asks.
    fn offer(&self, event: Event) -> Result<bool, Event> {
        let Some(waiting) = self.0.upgrade() else { return Ok(false) };
        match waiting.0.try_lock() {
            Ok(mut waiting) => Answers::hand_over(&mut waiting, event),
            Err(TryLockError::Poisoned(poisoned)) => Answers::hand_over(&mut poisoned.into_inner(), event),
            Err(TryLockError::WouldBlock) => return Err(event),
        }
        Ok(true)
    }
}

impl Drop for Answers {
    /// The broker has ended: nobody will answer, so nobody need wait.
    fn drop(&mut self) {
        if let Some(waiting) = self.0.upgrade() {
            waiting.lock().clear();
        }
    }
}

/// A question under way. Given up when dropped; the operation takes effect all the same.
pub(crate) struct Asked {
    ticket: Ticket,
    answer: oneshot::Receiver<Answer>,
    waiting: Arc<Waiting>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.ticket);
    }
}

impl Asked {
    /// The answer.
    ///
    /// # Errors
    /// The broker refuses, has ended, or takes longer than [`BROKER_MS_MAX`]. The refusal is one
    /// of those that have the HTTP status 503: a dispatcher's operations are nobody's in
    /// particular, so whatever the broker has against them is its own inability.
    pub(crate) async fn answer(mut self) -> Result<Answer, Refused> {
        match tokio::time::timeout(Duration::from_millis(BROKER_MS_MAX), &mut self.answer).await {
            Ok(Ok(Answer::Refused(refused))) if refused.refusal.row().http == Some(503) => Err(refused),
            Ok(Ok(Answer::Refused(refused))) => {
                tracing::warn!(code = refused.refusal.code(), "the broker refuses an operation");
                Err(Refusal::Unavailable.into())
            }
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Refusal::Unavailable.into()),
        }
    }
}

impl Broker {
    /// Becomes a client.
    ///
    /// # Errors
    /// The broker has ended.
    pub(crate) fn connect(handle: &BrokerHandle) -> Result<Broker, BrokerGone> {
        let waiting = Arc::new(Waiting::default());
        let client = handle.connect(Box::new(Answers(Arc::downgrade(&waiting))))?;
        Ok(Broker { client, waiting, next: AtomicU64::new(0) })
    }

    /// Asks without waiting. What is asked in turn takes effect in turn.
    ///
    /// # Errors
    /// Too much is asked already.
    pub(crate) fn begin(&self, operation: Operation) -> Result<Asked, Refused> {
        let ticket = Ticket(self.next.fetch_add(1, Ordering::Relaxed).into());
        let (asker, answer) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= ASKED_MAX {
                return Err(Refusal::Overloaded.into());
            }
            waiting.insert(ticket, asker);
        }
        let asked = Asked { ticket, answer, waiting: Arc::clone(&self.waiting) };
        match self.client.ask(ticket, operation) {
            Ok(()) => Ok(asked),
            Err(_) => Err(Refusal::Overloaded.into()),
        }
    }

    /// Asks and waits.
    ///
    /// # Errors
    /// As [`Broker::begin`] and [`Asked::answer`].
    pub(crate) async fn ask(&self, operation: Operation) -> Result<Answer, Refused> {
        self.begin(operation)?.answer().await
    }
}

/// For an answer of another kind than the question's: the broker breaks its contract.
pub(crate) fn unexpected(answer: &Answer) -> Refused {
    tracing::error!(?answer, "the broker's answer does not fit the question");
    Refusal::Unavailable.into()
}

#[cfg(test)]
mod tests {
    use chatup_broker::contract::Command;
    use chatup_broker::limits::BROKER_QUEUE_MAX;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_broker_is_given_up_and_nothing_of_it_stays() {
        let (handle, commands) = BrokerHandle::new();
        let broker = Broker::connect(&handle).unwrap();
        let asked_at = tokio::time::Instant::now();
        let refused = broker.ask(Operation::Workers).await.unwrap_err();
        assert_eq!(refused.refusal, Refusal::Unavailable);
        assert_eq!(asked_at.elapsed().as_millis(), u128::from(BROKER_MS_MAX));
        drop(broker.begin(Operation::Workers).unwrap());
        assert_eq!(broker.waiting.lock().len(), 0);
        drop(commands);
    }

    #[tokio::test]
    async fn a_full_queue_is_overload() {
        let (handle, _commands) = BrokerHandle::new();
        let broker = Broker::connect(&handle).unwrap();
        // One place is taken by the command to connect.
        let asked: Vec<_> =
            (1..BROKER_QUEUE_MAX).map(|_| broker.begin(Operation::Workers).unwrap()).collect();
        let refused = broker.begin(Operation::Workers).map(|_| ()).unwrap_err();
        assert_eq!(refused.refusal, Refusal::Overloaded);
        assert_eq!(broker.waiting.lock().len(), asked.len());
    }

    #[tokio::test]
    async fn answers_go_to_whom_they_are_for_and_an_ending_broker_lets_everybody_go() {
        let (handle, commands) = BrokerHandle::new();
        let broker = Broker::connect(&handle).unwrap();
        let Ok(Command::Connect(_, inbox)) = commands.recv() else { panic!("no client") };
        let asked = [(); 3].map(|()| broker.begin(Operation::Workers).unwrap());
        let tickets = [(); 3].map(|()| match commands.recv() {
            Ok(Command::Do(_, ticket, _)) => ticket,
            _ => panic!("no question"),
        });
        assert!(inbox.deliver(Event::Answer(tickets[1], Answer::Was(true))));
        assert!(inbox.deliver(Event::Answer(
            tickets[0],
            Answer::Refused(Refused::banned(chatup_core::refusal::BanTtl::FOREVER))
        )));
        assert!(inbox.deliver(Event::Answer(Ticket(99), Answer::Done)));
        let [first, second, third] = asked;
        assert!(matches!(second.answer().await, Ok(Answer::Was(true))));
        assert_eq!(first.answer().await.unwrap_err().refusal, Refusal::Unavailable);
        drop(inbox);
        assert_eq!(third.answer().await.unwrap_err().refusal, Refusal::Unavailable);
    }

    #[test]
    fn the_broker_learns_that_the_dispatcher_is_gone() {
        let (handle, commands) = BrokerHandle::new();
        let broker = Broker::connect(&handle).unwrap();
        let Ok(Command::Connect(_, inbox)) = commands.recv() else { panic!("no client") };
        assert!(inbox.deliver(Event::Answer(Ticket(0), Answer::Done)));
        drop(broker);
        assert!(!inbox.deliver(Event::Answer(Ticket(0), Answer::Done)));
    }
}
