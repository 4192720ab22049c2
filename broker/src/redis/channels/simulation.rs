//! Channels against a store in a few lines, with everything that can come between: other publishers,
//! cuts, tails lost, refusals, subscriptions that the server takes away, answers and publications that
//! arrive in any order that a connection allows, messages read later than their channel was asked about.

mod store;

use std::collections::{HashMap, VecDeque};

use chatup_core::exchange::{Answer, Event, Ticket};
use chatup_core::message::Publication;
use chatup_core::names::ChannelName;
use chatup_core::position::{MessageId, Offset, Position};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Ask, Channels, Synced};
use crate::contract::ClientId;
use store::Store;

const CLIENTS: u32 = 3;
const STEPS: usize = 400;
/// The last of them, in which nobody publishes.
const QUIET: usize = 60;

/// What comes over the connection.
enum Wire {
    Message(Publication),
    Renewed,
    /// The server has taken the subscription away.
    Dropped,
    /// With the first message that was kept then.
    Synced(Ask, Position, bool, Offset),
    Answer(Ask, Synced),
}

/// What is asked over it.
enum Question {
    Unsubscribe,
    Sync(Ask),
    /// The messages, given what the first answer was.
    Read(Ask, Position, bool, Offset),
}

/// What a client has been told.
#[derive(Default)]
struct Told {
    open: bool,
    at: Option<Position>,
    seen: HashMap<Offset, MessageId>,
    asked: Vec<Ticket>,
    /// Asked before it closed the channel: answered, but worth nothing.
    void: Vec<Ticket>,
}

struct World {
    random: StdRng,
    seed: u64,
    name: ChannelName,
    store: Store,
    channels: Channels,
    up: bool,
    subscribed: bool,
    to_server: VecDeque<Question>,
    /// Whose messages are still to be asked for.
    reading: Vec<(Ask, Position, bool, Offset)>,
    /// All goes well from now on.
    kind: bool,
    from_server: VecDeque<Wire>,
    clients: HashMap<ClientId, Told>,
    tickets: u128,
    lost_tail: bool,
    trimmed: bool,
    resets: usize,
}

impl World {
    fn publish(&mut self) {
        let entry = self.store.publish();
        if self.subscribed {
            self.from_server.push_back(Wire::Message(Publication {
                channel: self.name.clone(),
                epoch: self.store.head.epoch,
                offset: entry.offset,
                id: entry.id,
                payload: entry.payload,
            }));
        }
    }

    fn server_step(&mut self) {
        let question = match self.to_server.pop_front() {
            None => return,
            Some(Question::Unsubscribe) => {
                self.subscribed = false;
                return;
            }
            Some(question) => question,
        };
        let behind = self.channels.head_of(&self.name);
        // Whose last message is not kept any more cannot be told whether it is of this past.
        self.trimmed |= behind.is_some_and(|head| {
            self.store.entries.front().is_some_and(|first| first.offset > head.offset.max(Offset(1)))
        });
        match question {
            Question::Sync(ask) => {
                self.subscribed |= ask.subscribe;
                let (known, renewed) = self.store.sync(ask.from);
                if renewed && self.subscribed {
                    self.from_server.push_back(Wire::Renewed);
                }
                self.from_server.push_back(Wire::Synced(ask, self.store.head, known, self.store.first()));
            }
            Question::Read(ask, head, known, first) => {
                let synced = self.store.read(ask.from.filter(|_| known), head);
                // What was to be read was there when it was asked for.
                self.trimmed |= synced.from.is_none() && self.store.first() > first;
                self.from_server.push_back(Wire::Answer(ask, synced));
            }
            Question::Unsubscribe => {}
        }
    }

    /// Asks for the messages of one of those whose turn it is.
    fn read_one(&mut self) {
        if !self.reading.is_empty() {
            let one = self.random.random_range(0..self.reading.len());
            let (ask, head, known, first) = self.reading.swap_remove(one);
            self.to_server.push_back(Question::Read(ask, head, known, first));
        }
    }

    /// The server does not answer this one.
    fn refuse(&mut self, ask: &Ask) {
        let Some((client, ticket)) = ask.asker else {
            self.channels.unanswered(&ask.channel, ask.question);
            return;
        };
        if self.channels.refused(&ask.channel, ask.question, (client, ticket)) {
            self.to_server.push_back(Question::Unsubscribe);
        }
        let told = self.clients.entry(client).or_default();
        told.void.retain(|asked| *asked != ticket);
        told.asked.retain(|asked| *asked != ticket);
        told.open &= told.at.is_some() || !told.asked.is_empty();
    }

    /// A part of what is on its way arrives: publications are taken before answers.
    fn arrive(&mut self, count: usize) {
        let some: Vec<Wire> = self.from_server.drain(..count.min(self.from_server.len())).collect();
        let (answers, pushes): (Vec<_>, Vec<_>) =
            some.into_iter().partition(|one| matches!(one, Wire::Answer(..) | Wire::Synced(..)));
        for push in pushes {
            match push {
                Wire::Message(publication) => self.channels.published(publication),
                Wire::Dropped => self.channels.unsubscribed(&self.name),
                _ => self.channels.doubt(&self.name),
            }
        }
        for answer in answers {
            let refused = !self.kind && self.random.random_range(0..20) == 0;
            let (ask, synced) = match answer {
                Wire::Synced(ask, ..) | Wire::Answer(ask, _) if refused => {
                    self.refuse(&ask);
                    continue;
                }
                Wire::Synced(ask, head, true, _) if ask.from == Some(head) => {
                    let synced = Synced { head, from: ask.from, entries: Vec::new() };
                    (ask, synced)
                }
                Wire::Synced(ask, head, known, first) => {
                    self.reading.push((ask, head, known, first));
                    continue;
                }
                Wire::Answer(ask, synced) => (ask, synced),
                _ => continue,
            };
            match ask.asker {
                Some(asker) => self.channels.opened(&ask.channel, ask.question, asker, &synced),
                None => self.channels.synced(&ask.channel, ask.question, &synced),
            }
        }
        self.pump();
    }

    /// Takes what the channels want said.
    fn pump(&mut self) {
        let asks = self.channels.take_asks();
        assert!(self.up || asks.is_empty(), "seed {}: asked while cut off", self.seed);
        self.to_server.extend(asks.into_iter().map(Question::Sync));
        for (client, event) in self.channels.take_events() {
            self.tell(client, event);
        }
    }

    fn tell(&mut self, client: ClientId, event: Event) {
        let seed = self.seed;
        let told = self.clients.entry(client).or_default();
        let tail = match event {
            Event::Published(one) => {
                let at =
                    told.at.unwrap_or_else(|| panic!("seed {seed}: a message before the channel is open"));
                assert!(told.open, "seed {seed}: a message of a closed channel");
                assert_eq!(
                    (one.epoch, one.offset),
                    (at.epoch, at.offset.next()),
                    "seed {seed}: not the next"
                );
                told.at = Some(Position { epoch: one.epoch, offset: one.offset, id: one.id });
                told.seen.insert(one.offset, one.id);
                return;
            }
            Event::Answer(ticket, Answer::Refused(_)) => {
                // Of a life of the channel that is over.
                let place = told.void.iter().position(|asked| *asked == ticket);
                told.void.remove(place.unwrap_or_else(|| panic!("seed {seed}: refused for nothing")));
                return;
            }
            Event::Answer(ticket, Answer::Opened(tail)) => {
                if let Some(place) = told.void.iter().position(|asked| *asked == ticket) {
                    told.void.remove(place);
                    return;
                }
                let place = told.asked.iter().position(|asked| *asked == ticket);
                told.asked.remove(place.unwrap_or_else(|| panic!("seed {seed}: an answer to nothing")));
                tail
            }
            Event::Renewed(tail) => {
                self.resets += 1;
                assert!(told.open, "seed {seed}: a closed channel begins anew");
                assert!(self.lost_tail || self.trimmed, "seed {seed}: begun anew for nothing");
                tail
            }
            other => panic!("seed {seed}: {other:?}"),
        };
        told.seen.clear();
        let mut at = tail.before;
        for one in &tail.messages {
            assert_eq!(
                (one.epoch, one.offset),
                (at.epoch, at.offset.next()),
                "seed {seed}: a tail with a hole"
            );
            at = Position { epoch: one.epoch, offset: one.offset, id: one.id };
            told.seen.insert(one.offset, one.id);
        }
        told.at = Some(at);
    }

    fn cut(&mut self) {
        self.up = false;
        self.subscribed = false;
        self.from_server.clear();
        let questions = self.to_server.drain(..).filter_map(|question| match question {
            Question::Sync(ask) | Question::Read(ask, ..) => Some(ask),
            Question::Unsubscribe => None,
        });
        let lost: Vec<Ask> = questions.chain(self.reading.drain(..).map(|(ask, ..)| ask)).collect();
        self.channels.cut(|_| true);
        for ask in lost {
            match ask.asker {
                Some(asker) => drop(self.channels.refused(&ask.channel, ask.question, asker)),
                None => self.channels.unanswered(&ask.channel, ask.question),
            }
        }
        // Whoever waited is told that it cannot be had.
        for told in self.clients.values_mut() {
            if !told.asked.is_empty() && told.at.is_none() {
                told.open = false;
            }
            told.asked.clear();
            told.void.clear();
        }
        self.pump();
    }

    fn step(&mut self, step: usize) {
        let client = ClientId(self.random.random_range(0..CLIENTS));
        match self.random.random_range(0..100) {
            // In the end nothing is said any more that would show what is missing.
            0..30 if step < STEPS - QUIET => self.publish(),
            30..50 => self.server_step(),
            50..57 => self.read_one(),
            57..59 if self.subscribed => {
                self.subscribed = false;
                self.from_server.push_back(Wire::Dropped);
            }
            59..63 if self.up => {
                self.channels.retry(1, |_| true);
                self.pump();
            }
            63..75 => {
                let count = self.random.random_range(1..6);
                self.arrive(count);
            }
            75..85 if self.up => {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                let told = self.clients.entry(client).or_default();
                told.asked.push(ticket);
                told.open = true;
                self.channels.open(client, ticket, &self.name);
                self.pump();
            }
            85..90 => {
                if self.channels.close(client, &self.name) && self.up {
                    self.to_server.push_back(Question::Unsubscribe);
                }
                let told = self.clients.entry(client).or_default();
                (told.open, told.at) = (false, None);
                let void = std::mem::take(&mut told.asked);
                told.void.extend(void);
                self.pump();
            }
            90..94 if self.up => self.cut(),
            94..96 if !self.up => {
                self.lost_tail = true;
                let count = self.random.random_range(1..4);
                self.store.lose_tail(count);
            }
            96.. if !self.up => self.heal(),
            _ => {}
        }
    }

    fn heal(&mut self) {
        self.up = true;
        self.channels.resume(|_| true);
        self.pump();
    }

    /// Everything on its way arrives; then everybody has what the store has.
    fn settle(&mut self) {
        if !self.up {
            self.heal();
        }
        self.kind = true;
        loop {
            while !self.to_server.is_empty() || !self.from_server.is_empty() || !self.reading.is_empty() {
                self.server_step();
                self.read_one();
                self.arrive(usize::MAX);
            }
            self.channels.retry(9, |_| true);
            self.pump();
            if self.to_server.is_empty() {
                break;
            }
        }
        for (client, told) in &self.clients {
            let seed = self.seed;
            assert!(told.asked.is_empty() && told.void.is_empty(), "seed {seed}: {client:?} has no answer");
            if !told.open {
                continue;
            }
            assert_eq!(told.at, Some(self.store.head), "seed {seed}: {client:?} is not up to date");
            for entry in &self.store.entries {
                if let Some(seen) = told.seen.get(&entry.offset) {
                    assert_eq!(
                        *seen, entry.id,
                        "seed {seed}: {client:?} was told another message {:?}",
                        entry.offset
                    );
                }
            }
        }
    }
}

fn run(seed: u64) -> usize {
    let mut world = World {
        random: StdRng::seed_from_u64(seed),
        seed,
        name: ChannelName::new("m_a").expect("a name"),
        store: Store::new(),
        channels: Channels::default(),
        up: true,
        subscribed: false,
        to_server: VecDeque::new(),
        reading: Vec::new(),
        kind: false,
        from_server: VecDeque::new(),
        clients: HashMap::new(),
        tickets: 0,
        lost_tail: false,
        trimmed: false,
        resets: 0,
    };
    (0..STEPS).for_each(|step| world.step(step));
    world.settle();
    world.resets
}

#[test]
fn everybody_is_told_everything_in_order_or_that_it_begins_anew() {
    let resets: usize = (0..20_000).map(run).sum();
    assert!(resets > 100, "only {resets} times did a channel begin anew: the dice do not reach it");
}
