//! One connection to one server, on which everything of its rooms goes: questions in batches, answers and
//! publications in one order.
//!
//! That order is what recovery stands on: what was published before a question was answered has come
//! before the answer. So whoever reads an answer first takes all publications that are there.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, PushInfo, PushKind, RedisError, RedisResult, Value};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use crate::limits::{BATCH_COMMANDS_MAX, BATCHES_IN_FLIGHT_MAX};

type Answers = Pin<Box<dyn Future<Output = RedisResult<Vec<Value>>>>>;

/// A batch under way; `A` says what each answer is for.
struct Flight<A> {
    answers: Answers,
    arrived: Option<RedisResult<Vec<Value>>>,
    asked: Vec<A>,
    since: Instant,
}

/// What a question is for.
pub(crate) trait Purpose {
    /// Whether it subscribes to a topic, or ends that: such a question is answered by a push.
    fn is_subscription(&self) -> bool;
}

/// A connection that works.
pub(crate) struct Link<A> {
    connection: MultiplexedConnection,
    pushes: UnboundedReceiver<PushInfo>,
    gathered: VecDeque<(Cmd, A)>,
    flights: VecDeque<Flight<A>>,
    ended: Option<Ended>,
    /// When something last came.
    heard: Instant,
}

/// What has come, to be taken in this order.
pub(crate) struct Arrived<A> {
    pub(crate) pushes: Vec<PushInfo>,
    pub(crate) answers: Vec<(A, Value)>,
}

/// The connection is at its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Error(#[from] RedisError),
    #[error("the server closed the connection")]
    Closed,
    #[error("answers and questions do not fit")]
    OutOfStep,
}

impl<A: Purpose> Link<A> {
    pub(crate) fn new(connection: MultiplexedConnection, pushes: UnboundedReceiver<PushInfo>) -> Link<A> {
        Link {
            connection,
            pushes,
            gathered: VecDeque::new(),
            flights: VecDeque::new(),
            ended: None,
            heard: Instant::now(),
        }
    }

    /// Asks, with the next batch.
    pub(crate) fn ask(&mut self, cmd: Cmd, asked: A) {
        self.gathered.push_back((cmd, asked));
    }

    /// Sends what has been gathered, as far as there is room under way.
    pub(crate) fn send(&mut self) {
        while !self.gathered.is_empty() && self.flights.len() < BATCHES_IN_FLIGHT_MAX {
            let count = self.gathered.len().min(BATCH_COMMANDS_MAX);
            let mut pipeline = Pipeline::with_capacity(count);
            let mut asked = Vec::with_capacity(count);
            for (cmd, of) in self.gathered.drain(..count) {
                pipeline.add_command(cmd);
                asked.push(of);
            }
            let mut connection = self.connection.clone();
            // Not to be held up by the runtime's sense of fairness: see below.
            let mut answers: Answers = Box::pin(tokio::task::unconstrained(async move {
                connection.send_packed_commands(&pipeline, 0, count).await
            }));
            // A batch takes its place in the connection's queue, which has room for all that may be
            // under way, when its future is first polled: so they are sent in the order of this loop.
            let arrived = match answers.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            };
            self.flights.push_back(Flight { answers, arrived, asked, since: Instant::now() });
        }
    }

    /// Questions without an answer, sent or to be sent.
    pub(crate) fn questions(&self) -> usize {
        self.gathered.len() + self.flights.iter().map(|flight| flight.asked.len()).sum::<usize>()
    }

    /// Since when nothing has come although something was asked: a long batch is no silence.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.flights.front().map(|flight| flight.since.max(self.heard))
    }

    /// What has come, if something has.
    pub(crate) fn poll_arrived(&mut self, context: &mut Context<'_>) -> Poll<Result<Arrived<A>, Ended>> {
        let mut answers = Vec::new();
        while self.ended.is_none() {
            let Some(flight) = self.flights.front_mut() else { break };
            let arrived = match flight.arrived.take() {
                Some(result) => result,
                None => match flight.answers.as_mut().poll(context) {
                    Poll::Ready(result) => result,
                    Poll::Pending => break,
                },
            };
            match arrived {
                // A push that belongs to no question has been taken for an answer: from there on
                // they are out of step.
                Ok(values) if fit(&flight.asked, &values) => {
                    let asked = std::mem::take(&mut flight.asked);
                    self.flights.pop_front();
                    answers.extend(asked.into_iter().zip(values));
                }
                Ok(_) => self.ended = Some(Ended::OutOfStep),
                Err(error) => self.ended = Some(error.into()),
            }
        }
        // All of them: some came before those answers. (Being woken for them is a matter of the runtime's
        // sense of fairness, which may say that there is nothing; taking them is not.)
        let mut pushes = Vec::new();
        loop {
            let push = match self.pushes.try_recv() {
                Err(TryRecvError::Empty) => match self.pushes.poll_recv(context) {
                    Poll::Ready(push) => push,
                    Poll::Pending => break,
                },
                push => push.ok(),
            };
            match push {
                Some(push) if push.kind != PushKind::Disconnection => pushes.push(push),
                _ => {
                    self.ended.get_or_insert(Ended::Closed);
                    break;
                }
            }
        }
        // What came before the end counts.
        if !answers.is_empty() || !pushes.is_empty() {
            self.heard = Instant::now();
            return Poll::Ready(Ok(Arrived { pushes, answers }));
        }
        match self.ended.take() {
            Some(ended) => Poll::Ready(Err(ended)),
            None => Poll::Pending,
        }
    }

    /// Ends it; what was asked and not answered may or may not have happened, or was never sent.
    pub(crate) fn end(self) -> impl Iterator<Item = A> {
        let gathered = self.gathered.into_iter().map(|(_, asked)| asked);
        self.flights.into_iter().flat_map(|flight| flight.asked).chain(gathered)
    }
}

/// Whether each question has an answer of its kind.
fn fit<A: Purpose>(asked: &[A], values: &[Value]) -> bool {
    let fits = |(asked, value): (&A, &Value)| match value {
        Value::Push { .. } => asked.is_subscription(),
        Value::ServerError(_) => true,
        _ => !asked.is_subscription(),
    };
    asked.len() == values.len() && asked.iter().zip(values).all(fits)
}
