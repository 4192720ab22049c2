//! One server and the way to it: connected, lost, connected again.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use redis::Cmd;
use tokio::time::Sleep;

use super::connect::{ConnectError, Connected, Found, Identity, connect};
use super::link::{Arrived, Link, Purpose};
use super::scripts::Scripts;
use super::settings::Server;
use crate::limits::{REDIS_ANSWER_MS_MAX, REDIS_RETRY_MS_MAX, REDIS_RETRY_MS_MIN};

type Connecting = Pin<Box<dyn Future<Output = Result<Connected, ConnectError>>>>;

/// A connection that lived for so long worked.
const WORKED: Duration = Duration::from_secs(5);

enum State<A> {
    Up(Link<A>),
    Connecting(Connecting),
    Waiting(Pin<Box<Sleep>>),
}

/// A server and what leads to it.
pub(crate) struct Node<A> {
    server: Server,
    scripts: Rc<Scripts>,
    state: State<A>,
    retry_ms: u64,
    /// When it was last reached.
    up_since: Option<Instant>,
    /// Ticks in turn at which an answer was overdue.
    late: u8,
    host: String,
    identity: Option<Identity>,
}

/// What becomes of it.
pub(crate) enum NodeEvent<A> {
    /// It can be asked.
    Up(Found),
    /// It has answered.
    Arrived(Arrived<A>),
    /// It cannot be asked any more. What had been asked may or may not have happened.
    Down { lost: Vec<A>, why: String },
    /// It cannot be asked yet.
    Unreachable(String),
}

impl<A: Purpose> Node<A> {
    pub(crate) fn new(server: Server, scripts: Rc<Scripts>) -> Node<A> {
        let state = State::Waiting(Box::pin(tokio::time::sleep(Duration::ZERO)));
        Node {
            server,
            scripts,
            state,
            retry_ms: REDIS_RETRY_MS_MIN,
            up_since: None,
            late: 0,
            host: String::new(),
            identity: None,
        }
    }

    /// The host under which it was last reached.
    pub(crate) fn host(&self) -> String {
        self.host.clone()
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Questions without an answer, sent or to be sent.
    pub(crate) fn questions(&self) -> usize {
        match &self.state {
            State::Up(link) => link.questions(),
            _ => 0,
        }
    }

    /// Whether something has been asked and not answered.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(&self.state, State::Up(link) if link.waiting_since().is_some())
    }

    /// Asks.
    ///
    /// # Errors
    /// The server cannot be reached now; the purpose comes back.
    pub(crate) fn ask(&mut self, cmd: Cmd, asked: A) -> Result<(), A> {
        match &mut self.state {
            State::Up(link) => {
                link.ask(cmd, asked);
                Ok(())
            }
            _ => Err(asked),
        }
    }

    /// Sends what has been asked.
    pub(crate) fn send(&mut self) {
        if let State::Up(link) = &mut self.state {
            link.send();
        }
    }

    /// Gives the connection up, if there is one.
    pub(crate) fn give_up(&mut self, why: &str) -> Option<NodeEvent<A>> {
        if !self.is_up() {
            return None;
        }
        // What works for a moment only is not tried again at once, for ever.
        let worked = self.up_since.take().is_some_and(|since| since.elapsed() > WORKED);
        self.retry_ms = if worked { REDIS_RETRY_MS_MIN } else { (self.retry_ms * 2).min(REDIS_RETRY_MS_MAX) };
        let pause = Box::pin(tokio::time::sleep(Duration::from_millis(self.retry_ms)));
        match std::mem::replace(&mut self.state, State::Waiting(pause)) {
            State::Up(link) => Some(NodeEvent::Down { lost: link.end().collect(), why: why.to_owned() }),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Gives the connection up if an answer is overdue.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<NodeEvent<A>> {
        let State::Up(link) = &self.state else { return None };
        let patience = Duration::from_millis(REDIS_ANSWER_MS_MAX);
        let late = link.waiting_since().is_some_and(|since| now.saturating_duration_since(since) > patience);
        // What this thread had no time to read is not late: it is read between two ticks.
        self.late = if late { self.late + 1 } else { 0 };
        if self.late < 2 {
            return None;
        }
        self.give_up(&format!("no answer within {REDIS_ANSWER_MS_MAX} ms"))
    }

    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<NodeEvent<A>> {
        loop {
            match &mut self.state {
                State::Up(link) => match link.poll_arrived(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(arrived)) => return Poll::Ready(NodeEvent::Arrived(arrived)),
                    Poll::Ready(Err(error)) => {
                        return match self.give_up(&error.to_string()) {
                            Some(event) => Poll::Ready(event),
                            None => Poll::Pending,
                        };
                    }
                },
                State::Waiting(pause) => match pause.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {
                        let (server, scripts) = (self.server.clone(), Rc::clone(&self.scripts));
                        let before = self.identity.clone();
                        let connecting = async move { connect(&server, &scripts, before).await };
                        self.state = State::Connecting(Box::pin(connecting));
                    }
                },
                State::Connecting(connecting) => match connecting.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(Connected { connection, pushes, found, host, identity })) => {
                        (self.host, self.identity) = (host, Some(identity));
                        (self.up_since, self.late) = (Some(Instant::now()), 0);
                        self.state = State::Up(Link::new(connection, pushes));
                        return Poll::Ready(NodeEvent::Up(found));
                    }
                    Poll::Ready(Err(error)) => {
                        // Not all at once when it comes back.
                        let pause = rand::random_range(self.retry_ms / 2..=self.retry_ms);
                        self.retry_ms = (self.retry_ms * 2).min(REDIS_RETRY_MS_MAX);
                        self.state =
                            State::Waiting(Box::pin(tokio::time::sleep(Duration::from_millis(pause))));
                        return Poll::Ready(NodeEvent::Unreachable(error.to_string()));
                    }
                },
            }
        }
    }
}
