//! What one client may do next: who it is, which room it is in, what waits for an answer.
//! Decides on calls; knows neither its connection nor its channels' logs.

use std::sync::Arc;

use crate::limits::{Limits, WRONG_TOKENS_MAX};
use crate::message::UnixMillis;
use crate::names::{ChannelName, IdempotencyKey, RoomName};
use crate::protocol::{Call, Subscribe};
use crate::refusal::{Refusal, Refused};
use crate::token::{Identity, Verifier};

/// What holds for every session of a worker.
#[derive(Clone)]
pub struct Rules {
    /// Who says who a client is.
    pub verifier: Arc<Verifier>,
    /// The operator's limits.
    pub limits: Limits,
    /// Whether one may read without a token.
    pub anonymous_subscribe: bool,
}

/// What follows from a call.
#[derive(Debug)]
pub enum Outcome {
    /// Subscribe, then answer.
    Subscribe(Vec<Subscribe>),
    /// Unsubscribe, then answer.
    Unsubscribe(Vec<ChannelName>),
    /// Answer: now somebody.
    Authenticated,
    /// Ask the broker to let the identity into the room, then answer.
    Join(RoomName),
    /// In that room already: answer.
    JoinedAlready(RoomName),
    /// Have the text published in the room, then answer.
    Say(RoomName, String, Option<IdempotencyKey>),
    /// Tell the broker, and answer.
    Leave(RoomName),
    /// Answer.
    Pong,
}

/// One client.
#[derive(Debug, Default)]
pub struct Session {
    identity: Option<Identity>,
    room: Option<RoomName>,
    in_flight: u32,
    wrong_tokens: u8,
}

impl Session {
    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Which room it is in.
    #[must_use]
    pub fn room(&self) -> Option<&RoomName> {
        self.room.as_ref()
    }

    /// Whether nothing is known of it that would have to be kept.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.identity.is_none() && self.in_flight == 0 && self.wrong_tokens == 0
    }

    /// Whether it has shown so many wrong tokens that it is not worth hearing.
    #[must_use]
    pub fn is_guessing(&self) -> bool {
        self.wrong_tokens >= WRONG_TOKENS_MAX
    }

    /// Decides on a call. `subscribed` is how many channels the connection has or waits for.
    ///
    /// # Errors
    /// The refusal to answer with; nothing has changed.
    pub fn handle(
        &mut self,
        call: Call,
        subscribed: usize,
        rules: &Rules,
        now: UnixMillis,
    ) -> Result<Outcome, Refused> {
        match call {
            Call::Subscribe(channels) => {
                if !rules.anonymous_subscribe {
                    self.current_identity(now)?;
                }
                check_channels(&channels, subscribed, rules)?;
                Ok(Outcome::Subscribe(channels))
            }
            Call::Unsubscribe(channels) => Ok(Outcome::Unsubscribe(channels)),
            Call::Auth(token) => self.authenticate(&token, rules, now),
            Call::Join(room) => {
                self.current_identity(now)?;
                match &self.room {
                    Some(joined) if *joined == room => return Ok(Outcome::JoinedAlready(room)),
                    Some(_) => return Err(Refusal::AlreadyJoined.into()),
                    None => {}
                }
                self.begin_call(rules)?;
                self.room = Some(room.clone());
                Ok(Outcome::Join(room))
            }
            Call::Say(text, key) => {
                let room = self.room.clone().ok_or(Refusal::NeverJoined)?;
                self.current_identity(now)?;
                if text.is_empty() {
                    return Err(Refusal::MessageEmpty.into());
                }
                if text.len() > rules.limits.text_bytes_max as usize {
                    return Err(Refusal::MessageTooLong.into());
                }
                self.begin_call(rules)?;
                Ok(Outcome::Say(room, text, key))
            }
            Call::Leave => self.room.take().map(Outcome::Leave).ok_or(Refusal::NeverJoined.into()),
            Call::Ping => Ok(Outcome::Pong),
        }
    }

    fn authenticate(&mut self, token: &str, rules: &Rules, now: UnixMillis) -> Result<Outcome, Refused> {
        let identity = rules.verifier.user(token, now).inspect_err(|_| {
            self.wrong_tokens = self.wrong_tokens.saturating_add(1);
        })?;
        self.wrong_tokens = 0;
        let same = self.identity.as_ref().is_some_and(|current| current.name == identity.name);
        if self.room.is_some() && !same {
            return Err(Refusal::IdentityLocked.into());
        }
        self.identity = Some(identity);
        Ok(Outcome::Authenticated)
    }

    fn current_identity(&self, now: UnixMillis) -> Result<&Identity, Refused> {
        let identity = self.identity.as_ref().ok_or(Refusal::NotAuthenticated)?;
        if identity.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::TokenExpired.into());
        }
        Ok(identity)
    }

    fn begin_call(&mut self, rules: &Rules) -> Result<(), Refused> {
        if self.in_flight >= rules.limits.calls_in_flight_max {
            return Err(Refusal::TooManyInFlight.into());
        }
        self.in_flight += 1;
        Ok(())
    }

    /// A `say` or `join` has its answer.
    pub fn call_ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A `join` did not reach the broker, or was refused there.
    pub fn join_failed(&mut self, room: &RoomName) {
        if self.room.as_ref() == Some(room) {
            self.room = None;
        }
    }
}

fn check_channels(channels: &[Subscribe], subscribed: usize, rules: &Rules) -> Result<(), Refused> {
    if channels.is_empty() {
        return Err(Refused::field(Refusal::BadField, "channels"));
    }
    if subscribed + channels.len() > rules.limits.channels_per_connection_max as usize {
        return Err(Refusal::TooManyChannels.into());
    }
    let repeated =
        |(index, one): (usize, &Subscribe)| channels[..index].iter().any(|o| o.channel == one.channel);
    if channels.iter().enumerate().any(repeated) {
        return Err(Refusal::AlreadySubscribed.into());
    }
    Ok(())
}
