//! What the server read and what it handed to whom, in order; and what was wrong with that, counted
//! from it afterwards in the plainest way there is.

use std::collections::BTreeSet;

use rustix::time::{ClockId, clock_gettime};

/// All that happened.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) channels: Vec<Channel>,
    pub(crate) members: Vec<Member>,
    /// Handshakes refused.
    pub(crate) refused: u64,
}

/// One path.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) path: String,
    /// What was said, in the order in which the server read it.
    pub(crate) said: Vec<Said>,
    /// Its connections (places in `Record::members`), in the order in which they came.
    pub(crate) members: Vec<usize>,
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Who said it: a place in `Record::members`.
    pub(crate) by: usize,
    pub(crate) text: tungstenite::Utf8Bytes,
    /// When it was read, on the machine's monotonic clock, in nanoseconds.
    pub(crate) read_ns: u64,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Member {
    /// A place in `Record::channels`.
    pub(crate) channel: usize,
    /// Its number among the connections of its path.
    pub(crate) ordinal: u64,
    /// It has said something: a publisher, which is owed nothing.
    pub(crate) spoke: bool,
    /// The server cut it off.
    pub(crate) cut: bool,
    /// What was handed to it, in order.
    pub(crate) handed: Vec<Handed>,
}

/// A message handed to the kernel for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handed {
    /// A place in `Channel::said`.
    pub(crate) message: usize,
    /// A moment at which it had not yet been handed over, so nobody can have read it before.
    pub(crate) after_ns: u64,
}

/// What was right and wrong, over all subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) subscribers: u64,
    pub(crate) publishers: u64,
    pub(crate) published: u64,
    /// Each message once for each subscriber of its path.
    pub(crate) expected: u64,
    /// Of those, handed over at least once.
    pub(crate) received: u64,
    pub(crate) lost: u64,
    /// Handed over again.
    pub(crate) duplicated: u64,
    /// Handed over for the first time when a later one had been before.
    pub(crate) reordered: u64,
    /// Losses in a row at one subscriber, with something received after them.
    pub(crate) holes: u64,
    pub(crate) cut: u64,
    pub(crate) refused: u64,
}

impl Record {
    /// Connections that never said anything.
    pub(crate) fn subscribers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.spoke)
    }

    /// Counts.
    pub(crate) fn truth(&self) -> Truth {
        let sum = |of: fn(&Member) -> bool| self.members.iter().filter(|m| of(m)).count() as u64;
        let mut truth = Truth {
            subscribers: sum(|member| !member.spoke),
            publishers: sum(|member| member.spoke),
            published: self.channels.iter().map(|channel| channel.said.len() as u64).sum(),
            cut: sum(|member| member.cut),
            refused: self.refused,
            ..Truth::default()
        };
        for member in self.subscribers() {
            count(member, self.channels[member.channel].said.len(), &mut truth);
        }
        truth
    }
}

/// What was due after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) published: u64,
    pub(crate) expected: u64,
    pub(crate) received: u64,
}

impl Record {
    /// Counts what was due when the first message had been due for so long.
    pub(crate) fn measured(&self, warmup_ns: u64) -> Measured {
        let due = |said: &Said| said.stamp().map_or(0, |stamp| stamp.due_ns);
        let first = self.channels.iter().flat_map(|channel| &channel.said).map(due).min();
        // Times that are no whole nanoseconds may have been rounded down.
        let from = first.unwrap_or(0) + warmup_ns.saturating_sub(1_000);
        let measured = |channel: usize, message: usize| due(&self.channels[channel].said[message]) >= from;
        let published = |channel: usize| {
            (0..self.channels[channel].said.len()).filter(|message| measured(channel, *message)).count()
                as u64
        };
        let received = |member: &Member| {
            let got: BTreeSet<usize> = member.handed.iter().map(|handed| handed.message).collect();
            got.into_iter().filter(|message| measured(member.channel, *message)).count() as u64
        };
        Measured {
            published: (0..self.channels.len()).map(published).sum(),
            expected: self.subscribers().map(|member| published(member.channel)).sum(),
            received: self.subscribers().map(received).sum(),
        }
    }
}

fn count(member: &Member, published: usize, truth: &mut Truth) {
    let mut got = BTreeSet::new();
    for handed in &member.handed {
        let overtaken = got.last().is_some_and(|last| *last > handed.message);
        if !got.insert(handed.message) {
            truth.duplicated += 1;
        } else if overtaken {
            truth.reordered += 1;
        }
    }
    truth.expected += published as u64;
    truth.received += got.len() as u64;
    truth.lost += (published - got.len()) as u64;
    // Whatever was received and comes not right after another that was received ends a hole.
    let ends_a_hole = |message: &&usize| **message > 0 && !got.contains(&(**message - 1));
    truth.holes += got.iter().filter(ends_a_hole).count() as u64;
}

/// What a text begins with, by the contract: `~lg`, run, publisher, sequence, due, `~`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) run: u64,
    pub(crate) publisher: u64,
    pub(crate) sequence: u64,
    pub(crate) due_ns: u64,
}

impl Said {
    /// Its stamp. Read with means of its own: the generator's must not be its own judge.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let text = self.text.as_str();
        if text.get(..3)? != "~lg"
            || text.get(43..44)? != "~"
            || !text.get(3..43)?.bytes().all(lower_hexadecimal)
        {
            return None;
        }
        let number = |from, to| u64::from_str_radix(text.get(from..to)?, 16).ok();
        Some(Stamp {
            run: number(3, 11)?,
            publisher: number(11, 19)?,
            sequence: number(19, 27)?,
            due_ns: number(27, 43)?,
        })
    }
}

/// The machine's monotonic clock, in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).expect("it counts up from 0")
}

fn lower_hexadecimal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
