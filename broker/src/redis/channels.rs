//! The channels that somebody here has open: what has been handed over, and what to do with what comes.
//! No I/O: what Redis says goes in, events for clients and questions to Redis come out.
//!
//! A channel is *synced*: first subscribed to, then asked for. What is published between is in the
//! answer or comes behind it, perhaps both, so that offsets alone tell what is new. While a question is
//! under way everything that comes is held. After a cut, and whenever an offset is missing, the channel is
//! asked for again from where it is here.

mod catching_up;
#[cfg(test)]
mod simulation;

use std::collections::{HashMap, VecDeque};

use chatup_core::exchange::{Answer, Event, Ticket};
use chatup_core::message::Publication;
use chatup_core::names::ChannelName;
use chatup_core::position::Position;
use chatup_core::refusal::Refusal;

pub(crate) use catching_up::{Entry, Synced};
use catching_up::{following, publication, tail};

use crate::contract::ClientId;
use crate::limits::HELD_MESSAGES_MAX;

/// A question under way, told apart from those of an earlier life of the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question(u64);

/// What is to be asked about a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) channel: ChannelName,
    pub(crate) question: Question,
    /// Subscribe first.
    pub(crate) subscribe: bool,
    /// Who opens it; else it is a question of ours.
    pub(crate) asker: Option<(ClientId, Ticket)>,
    /// From here on; else for the last messages.
    pub(crate) from: Option<Position>,
}

#[derive(Debug)]
struct Channel {
    life: Question,
    clients: Vec<ClientId>,
    /// Who waits for the channel, each with one question under way.
    opening: Vec<(ClientId, Ticket)>,
    /// The last message handed over. Nothing before the first answer.
    head: Option<Position>,
    questions: u32,
    /// Its topic is subscribed to, or is about to be.
    subscribed: bool,
    /// The store has the past of `head`, as it said since the last cut.
    known: bool,
    /// What came while questions were under way.
    held: Vec<Publication>,
    /// Something is missing: to be asked again once all is answered.
    again: bool,
    /// To be asked again after a pause.
    stale: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    all: HashMap<ChannelName, Channel>,
    lives: u64,
    /// Those to be asked again after a pause; some may have been since.
    stale: VecDeque<ChannelName>,
    asks: Vec<Ask>,
    events: Vec<(ClientId, Event)>,
}

impl Channels {
    /// What is to be asked since the last call, in order.
    pub(crate) fn take_asks(&mut self) -> Vec<Ask> {
        std::mem::take(&mut self.asks)
    }

    /// What is to be handed over since the last call, in order.
    pub(crate) fn take_events(&mut self) -> Vec<(ClientId, Event)> {
        std::mem::take(&mut self.events)
    }

    /// A client opens a channel, perhaps once more, to see that it has everything. The ask with that
    /// question is to be handed to [`Channels::opened`] or [`Channels::refused`].
    pub(crate) fn open(&mut self, client: ClientId, ticket: Ticket, name: &ChannelName) {
        let lives = &mut self.lives;
        let channel = self.all.entry(name.clone()).or_insert_with(|| {
            *lives += 1;
            Channel::new(Question(*lives))
        });
        let again = channel.clients.contains(&client);
        // For somebody new here: first whether the store still has what was handed over.
        if channel.head.is_some() && !again {
            let ask = channel.ask(name, channel.head);
            self.asks.push(ask);
        }
        channel.opening.push((client, ticket));
        let ask = channel.ask(name, channel.head.filter(|_| again));
        self.asks.push(Ask { asker: Some((client, ticket)), ..ask });
    }

    /// A client closes a channel. Returns whether nobody has it any more.
    pub(crate) fn close(&mut self, client: ClientId, name: &ChannelName) -> bool {
        let Some(channel) = self.all.get_mut(name) else { return false };
        channel.clients.retain(|one| *one != client);
        channel.opening.retain(|(one, _)| *one != client);
        self.drop_if_unused(name)
    }

    /// A client is gone. Returns the channels that nobody has any more.
    pub(crate) fn disconnect(&mut self, client: ClientId) -> Vec<ChannelName> {
        let names: Vec<ChannelName> = self.all.keys().cloned().collect();
        names.into_iter().filter(|name| self.close(client, name)).collect()
    }

    fn drop_if_unused(&mut self, name: &ChannelName) -> bool {
        let unused = self.all.get(name).is_some_and(|one| one.clients.is_empty() && one.opening.is_empty());
        unused && self.all.remove(name).is_some()
    }

    /// The answer to somebody who opens a channel.
    pub(crate) fn opened(
        &mut self,
        name: &ChannelName,
        question: Question,
        asker: (ClientId, Ticket),
        synced: &Synced,
    ) {
        let tail = tail(name, synced);
        let event = (asker.0, Event::Answer(asker.1, Answer::Opened(tail)));
        let Some(channel) = self.all.get_mut(name).filter(|channel| channel.life == question) else {
            // It has been closed since, or cut off: nothing will follow.
            let refused = Answer::Refused(Refusal::Unavailable.into());
            self.events.push((asker.0, Event::Answer(asker.1, refused)));
            return;
        };
        if channel.is_ahead(synced) {
            // What he would be told is not where the others are.
            let again = channel.clients.contains(&asker.0);
            // Unless the store has lost its tail, which the first of these finds out.
            let ours = channel.ask(name, channel.head);
            let his = channel.ask(name, channel.head.filter(|_| again));
            self.asks.extend([ours, Ask { asker: Some(asker), ..his }]);
            self.answered(name);
            return;
        }
        channel.caught_up(name, synced, &mut self.events);
        self.events.push(event);
        let wanted = channel.opening.iter().position(|one| *one == asker);
        if let Some(place) = wanted {
            channel.opening.remove(place);
            if !channel.clients.contains(&asker.0) {
                channel.clients.push(asker.0);
            }
        }
        self.answered(name);
    }

    /// The answer to a question of ours.
    pub(crate) fn synced(&mut self, name: &ChannelName, question: Question, synced: &Synced) {
        let Some(channel) = self.all.get_mut(name).filter(|channel| channel.life == question) else { return };
        channel.caught_up(name, synced, &mut self.events);
        self.answered(name);
    }

    /// A question of somebody who opens a channel has no answer; he is to be told.
    pub(crate) fn refused(
        &mut self,
        name: &ChannelName,
        question: Question,
        asker: (ClientId, Ticket),
    ) -> bool {
        let Some(channel) = self.all.get_mut(name).filter(|channel| channel.life == question) else {
            return false;
        };
        channel.opening.retain(|one| *one != asker);
        self.answered(name);
        self.drop_if_unused(name)
    }

    /// A question of ours has no answer: it is asked again later.
    pub(crate) fn unanswered(&mut self, name: &ChannelName, question: Question) {
        if let Some(channel) = self.all.get_mut(name).filter(|channel| channel.life == question) {
            if !std::mem::replace(&mut channel.stale, true) {
                self.stale.push_back(name.clone());
            }
            self.answered(name);
        }
    }

    /// The server says that a topic is not subscribed to: it is tried again later.
    pub(crate) fn unsubscribed(&mut self, name: &ChannelName) {
        if let Some(channel) = self.all.get_mut(name) {
            // Else it is known already.
            if std::mem::take(&mut channel.subscribed) && !std::mem::replace(&mut channel.stale, true) {
                self.stale.push_back(name.clone());
            }
        }
    }

    /// Asks again what had no answer, where somebody can be asked: so many at most, in turn.
    pub(crate) fn retry(&mut self, at_most: usize, of: impl Fn(&ChannelName) -> bool) {
        for _ in 0..self.stale.len().min(at_most) {
            let Some(name) = self.stale.pop_front() else { return };
            let Some(channel) = self.all.get_mut(&name).filter(|channel| channel.stale) else { continue };
            if channel.questions == 0 && channel.head.is_some() && of(&name) {
                channel.stale = false;
                let ask = channel.ask(&name, channel.head);
                self.asks.push(ask);
            } else {
                self.stale.push_back(name);
            }
        }
    }

    /// Whether somebody still waits for the answer to this question.
    pub(crate) fn is_current(&self, ask: &Ask) -> bool {
        let channel = self.all.get(&ask.channel).filter(|channel| channel.life == ask.question);
        channel.is_some_and(|channel| ask.asker.is_none_or(|asker| channel.opening.contains(&asker)))
    }

    /// Once nothing is under way: what was held goes on.
    fn answered(&mut self, name: &ChannelName) {
        let Some(channel) = self.all.get_mut(name) else { return };
        channel.questions = channel.questions.saturating_sub(1);
        if channel.questions > 0 {
            return;
        }
        for publication in std::mem::take(&mut channel.held) {
            channel.take(&publication, &mut self.events);
        }
        if std::mem::take(&mut channel.again) && channel.head.is_some() {
            let ask = channel.ask(name, channel.head);
            self.asks.push(ask);
        }
    }

    /// A message has come.
    pub(crate) fn published(&mut self, publication: Publication) {
        let Some(channel) = self.all.get_mut(&publication.channel) else { return };
        if channel.questions > 0 {
            channel.hold(publication);
            return;
        }
        let name = publication.channel.clone();
        channel.take(&publication, &mut self.events);
        if std::mem::take(&mut channel.again) && channel.head.is_some() {
            let ask = channel.ask(&name, channel.head);
            self.asks.push(ask);
        }
    }

    /// Somebody has to look again: the count has begun anew, messages may have been lost on the way, or
    /// it is time to make sure.
    pub(crate) fn doubt(&mut self, name: &ChannelName) {
        let Some(channel) = self.all.get_mut(name) else { return };
        if channel.questions > 0 {
            channel.again = true;
        } else if channel.head.is_some() {
            let ask = channel.ask(name, channel.head);
            self.asks.push(ask);
        }
    }

    /// The way to these channels is cut: nothing under way will be answered. Who waited has been told.
    pub(crate) fn cut(&mut self, of: impl Fn(&ChannelName) -> bool) {
        self.asks.retain(|ask| !of(&ask.channel));
        self.all.retain(|name, channel| {
            if !of(name) {
                return true;
            }
            channel.opening.clear();
            channel.questions = 0;
            channel.subscribed = false;
            channel.known = false;
            channel.held.clear();
            channel.again = false;
            channel.stale = false;
            // Answers of before are none: the channel lives anew.
            self.lives += 1;
            channel.life = Question(self.lives);
            !channel.clients.is_empty()
        });
    }

    /// There is a way again: all of them are subscribed to and caught up.
    pub(crate) fn resume(&mut self, of: impl Fn(&ChannelName) -> bool) {
        for (name, channel) in self.all.iter_mut().filter(|(name, _)| of(name)) {
            if channel.head.is_some() && channel.questions == 0 {
                let ask = Ask { subscribe: true, ..channel.ask(name, channel.head) };
                self.asks.push(ask);
            }
        }
    }

    pub(crate) fn is_open(&self, name: &ChannelName) -> bool {
        self.all.contains_key(name)
    }

    /// The last message of a channel that was handed over.
    #[cfg(test)]
    fn head_of(&self, name: &ChannelName) -> Option<Position> {
        self.all.get(name)?.head
    }

    /// Those that somebody has open.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ChannelName> {
        self.all.keys()
    }
}

impl Channel {
    fn new(life: Question) -> Channel {
        Channel {
            life,
            clients: Vec::new(),
            opening: Vec::new(),
            head: None,
            questions: 0,
            subscribed: false,
            known: false,
            held: Vec::new(),
            again: false,
            stale: false,
        }
    }

    fn ask(&mut self, name: &ChannelName, from: Option<Position>) -> Ask {
        let subscribe = !std::mem::replace(&mut self.subscribed, true);
        self.questions += 1;
        Ask { channel: name.clone(), question: self.life, subscribe, asker: None, from }
    }

    fn hold(&mut self, publication: Publication) {
        if self.held.len() < HELD_MESSAGES_MAX {
            self.held.push(publication);
        } else {
            // The store has them, too.
            self.again = true;
        }
    }

    /// Hands a message over if it is the next; asks again if one is missing.
    fn take(&mut self, publication: &Publication, events: &mut Vec<(ClientId, Event)>) {
        let Some(head) = self.head else { return };
        let same = publication.epoch == head.epoch;
        if same && publication.offset == head.offset.next() {
            self.head = Some(Position { offset: publication.offset, id: publication.id, ..head });
            for client in &self.clients {
                events.push((*client, Event::Published(publication.clone())));
            }
        } else if !same || publication.offset > head.offset {
            self.again = true;
        } else if publication.offset == head.offset && publication.id != head.id {
            // The same number given out twice: the store has lost its tail.
            self.again = true;
        }
    }

    /// Whether a later question was answered before this one.
    fn is_ahead(&self, synced: &Synced) -> bool {
        let ahead = |own: Position| own.epoch == synced.head.epoch && own.offset > synced.head.offset;
        self.known && self.head.is_some_and(ahead)
    }

    /// Hands over what follows here, or the whole channel anew where that cannot be told.
    fn caught_up(&mut self, name: &ChannelName, synced: &Synced, events: &mut Vec<(ClientId, Event)>) {
        if self.is_ahead(synced) {
            return;
        }
        if self.known && self.head.is_some_and(|own| following(own, synced).is_none()) {
            // So much came meanwhile that the answer does not reach back: but it is here.
            let upto = synced.head.offset;
            let (before, behind) =
                std::mem::take(&mut self.held).into_iter().partition(|one| one.offset <= upto);
            self.held = behind;
            let before: Vec<Publication> = before;
            before.iter().for_each(|publication| self.take(publication, events));
        }
        if let Some(own) = self.head {
            match following(own, synced) {
                Some(entries) => {
                    for entry in entries {
                        let event = Event::Published(publication(name, own, entry));
                        events.extend(self.clients.iter().map(|client| (*client, event.clone())));
                    }
                }
                None => {
                    let event = Event::Renewed(tail(name, synced));
                    events.extend(self.clients.iter().map(|client| (*client, event.clone())));
                }
            }
        }
        self.head = Some(synced.head);
        self.known = true;
    }
}
