//! Holds the records of a run against what is promised. Pure: records in, violations out.
//!
//! A subscriber's history falls into *runs*: stretches in which nothing told it that something may be
//! missing (a gap, a reset, a subscription that recovers nothing). In a run every offset comes once, in
//! order. Every message is chained to the one before it, by all who saw both: where the store keeps
//! everything the chain of a channel is a line, and each store put back to an older copy may make one
//! branch. So a run that silently goes over from one branch to another is found out.

mod banning;
mod chain;
mod history;
mod publishing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use chain::Chain;

use super::record::{Event, LAST_READER, Records};

/// Which promise is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An offset was left out without a word.
    SilentGap,
    /// An offset, or a text, came twice in a run.
    Duplicate,
    /// Something came that no subscription asked for.
    Unasked,
    /// One place has two messages, or one message two places.
    OneOrder,
    /// A message follows another one here than elsewhere.
    OnePast,
    /// `recovered: true` and not so.
    WrongRecovery,
    /// A subscriber was told of a loss, and nothing was lost.
    NeedlessLoss,
    /// A notice or answer that contradicts itself or what came before.
    Contradiction,
    /// A key is published twice, or said to be and is not.
    Key,
    /// A message acknowledged before another was begun comes behind it.
    TimeOrder,
    /// A message that nobody said, or that was refused.
    Invented,
    /// An acknowledged message is not in the history at the end.
    LostMessage,
    /// A subscriber that stays does not get to the end.
    LeftBehind,
    /// Somebody spoke while banned, or was refused as banned without being so.
    Ban,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// Where.
    pub channel: String,
    /// How.
    pub what: String,
    /// Whose history shows it, and at which event.
    pub seen_by: Option<(usize, usize)>,
}

/// Events shown before and after the one in question.
const AROUND: usize = 8;

impl Violation {
    /// The violation with the history around it.
    #[must_use]
    pub fn shown(&self, records: &Records) -> String {
        let mut text = self.to_string();
        let Some((subscriber, event)) = self.seen_by else { return text };
        let subscriber = &records.subscribers[subscriber];
        text.push_str(&format!("\n  the history of {} ({}):", subscriber.name, subscriber.channel));
        let last = subscriber.events.len().min(event + AROUND + 1);
        for (number, (when, event_there)) in subscriber.events.iter().enumerate().take(last) {
            if number + AROUND >= event {
                let mark = if number == event { '>' } else { ' ' };
                text.push_str(&format!("\n  {mark} {number} @{when} {event_there:?}"));
            }
        }
        text
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}: {}", self.rule, self.channel, self.what)
    }
}

/// What is known of one channel.
#[derive(Default)]
struct Channel {
    chain: Chain,
    /// The largest offset that anybody saw.
    head: u64,
}

/// Everything known so far, and what is wrong with it.
struct Checker<'a> {
    records: &'a Records,
    channels: BTreeMap<&'a str, Channel>,
    violations: Vec<Violation>,
}

/// All that is broken.
#[must_use]
pub fn check(records: &Records) -> Vec<Violation> {
    let mut checker = Checker { records, channels: BTreeMap::new(), violations: Vec::new() };
    checker.find_heads();
    let ends: Vec<_> = (0..records.subscribers.len()).map(|number| checker.follow(number)).collect();
    checker.check_publishing();
    checker.check_bans();
    checker.check_branches();
    checker.check_ends(&ends);
    checker.violations
}

impl<'a> Checker<'a> {
    fn channel(&mut self, name: &'a str) -> &mut Channel {
        self.channels.entry(name).or_default()
    }

    fn violate(&mut self, rule: Rule, channel: &str, seen_by: Option<(usize, usize)>, what: String) {
        self.violations.push(Violation { rule, channel: channel.to_owned(), what, seen_by });
    }

    /// Whether the store had kept everything up to this tick.
    fn kept_until(&self, tick: u64) -> bool {
        self.records.losses.iter().all(|loss| *loss > tick)
    }

    fn kept(&self) -> bool {
        self.records.losses.is_empty()
    }

    fn find_heads(&mut self) {
        for subscriber in &self.records.subscribers {
            for (_, event) in &subscriber.events {
                let seen = match event {
                    Event::Subscribed { position, .. } | Event::Reset { position, .. } => position.offset,
                    Event::Message { offset, .. } => *offset,
                    _ => 0,
                };
                let channel = self.channel(&subscriber.channel);
                channel.head = channel.head.max(seen);
            }
        }
    }

    /// Where the store keeps everything there is one line; each loss makes one branch at most.
    fn check_branches(&mut self) {
        let allowed = self.records.losses.len();
        for (name, channel) in std::mem::take(&mut self.channels) {
            let branches = channel.chain.branches();
            if branches.len() > allowed {
                let what = format!("{} messages have more than one successor: {branches:?}", branches.len());
                self.violate(Rule::OneOrder, name, None, what);
            }
            self.channels.insert(name, channel);
        }
    }

    /// What must hold when all is healed.
    fn check_ends(&mut self, ends: &[history::End]) {
        let names: Vec<&'a str> = self.channels.keys().copied().collect();
        for name in names {
            let of = |number: &usize| self.records.subscribers[*number].channel == name;
            let all: Vec<usize> = (0..ends.len()).filter(of).collect();
            let is_last = |number: &usize| self.records.subscribers[*number].name == LAST_READER;
            let Some(last) = all.iter().copied().find(is_last) else { continue };
            let reader = &ends[last];
            let Some((epoch, next)) = reader.at.clone() else {
                self.violate(Rule::LeftBehind, name, None, "the last reader read nothing".to_owned());
                continue;
            };
            self.check_kept(name, reader);
            for number in all {
                let end = &ends[number];
                let event = self.records.subscribers[number].events.len().saturating_sub(1);
                if end.left || number == last {
                    continue;
                }
                // Comings and goings may still be under way: only messages have a last one.
                let behind = match &end.at {
                    None => Some("is not subscribed".to_owned()),
                    Some((of, _)) if *of != epoch => Some(format!("is in epoch {of}, not {epoch}")),
                    Some((_, own)) if *own < next && name.starts_with("m_") => {
                        Some(format!("got as far as {}, the channel is at {}", own - 1, next - 1))
                    }
                    Some(_) => None,
                };
                if let Some(behind) = behind {
                    let what = format!("{} {behind}", self.records.subscribers[number].name);
                    self.violate(Rule::LeftBehind, name, Some((number, event)), what);
                }
            }
        }
    }
}
