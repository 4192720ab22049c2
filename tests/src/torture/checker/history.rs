//! One subscriber's history, event by event.

use std::collections::HashSet;

use super::chain::{Conflict, Sighting};
use super::{Checker, Rule};
use crate::torture::record::{Event, LAST_READER, Position};

/// Where a subscriber is at the end.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Its epoch and the next offset; nothing if it is not subscribed.
    pub(super) at: Option<(String, u64)>,
    /// For good.
    pub(super) left: bool,
    /// What the last reader read.
    pub(super) read: Vec<(u64, String, String)>,
}

/// A stretch in which nothing may be missing.
#[derive(Debug)]
struct Run<'a> {
    epoch: &'a str,
    next: u64,
    /// The id of the message before the next, if it is known.
    before: Option<&'a str>,
    texts: HashSet<&'a str>,
    /// The connection stands.
    live: bool,
}

/// What is being followed.
struct Place<'a> {
    channel: &'a str,
    subscriber: usize,
    event: usize,
    tick: u64,
}

impl<'a> Checker<'a> {
    pub(super) fn follow(&mut self, number: usize) -> End {
        let subscriber = &self.records.subscribers[number];
        let mut run: Option<Run<'a>> = None;
        let mut end = End::default();
        for (index, (tick, event)) in subscriber.events.iter().enumerate() {
            let place = Place { channel: &subscriber.channel, subscriber: number, event: index, tick: *tick };
            match event {
                Event::Subscribed { asked, recovered, position, next } => {
                    let begun =
                        self.subscribed(&place, run.take(), asked.as_ref(), *recovered, position, *next);
                    run = Some(begun);
                }
                Event::Message { offset, id, text } => {
                    let Some(run) = run.as_mut().filter(|run| run.live) else {
                        self.unasked(&place);
                        continue;
                    };
                    self.message(&place, run, *offset, id, text);
                    if subscriber.name == LAST_READER {
                        end.read.push((*offset, id.clone(), text.clone()));
                    }
                }
                Event::Gap { from, to } => match run.as_mut().filter(|run| run.live) {
                    Some(run) => self.gap(&place, run, *from, *to),
                    None => self.unasked(&place),
                },
                Event::Reset { position, next } => match run.take().filter(|run| run.live) {
                    Some(before) => run = Some(self.reset(&place, &before, position, *next)),
                    None => self.unasked(&place),
                },
                Event::Lost(_) => {
                    if let Some(run) = &mut run {
                        run.live = false;
                    }
                }
                Event::Left => {
                    end.left = true;
                    run = None;
                }
            }
        }
        end.at = run.filter(|run| run.live).map(|run| (run.epoch.to_owned(), run.next));
        end
    }

    fn found(&mut self, place: &Place<'a>, rule: Rule, what: String) {
        self.violate(rule, place.channel, Some((place.subscriber, place.event)), what);
    }

    fn unasked(&mut self, place: &Place<'a>) {
        self.found(place, Rule::Unasked, "outside of a subscription".to_owned());
    }

    fn see(&mut self, place: &Place<'a>, seen: Sighting<'a>) {
        let line = self.kept();
        match self.channel(place.channel).chain.see(seen, line) {
            Some(Conflict::Place(what)) => self.found(place, Rule::OneOrder, what),
            Some(Conflict::Past(what)) => self.found(place, Rule::OnePast, what),
            None => {}
        }
    }

    /// The server says where the channel is.
    fn told(&mut self, place: &Place<'a>, position: &'a Position, next: u64) {
        if next == 0 || next > position.offset + 1 {
            let what = format!("the next is {next}, the channel is at {}", position.offset);
            self.found(place, Rule::Contradiction, what);
        }
        let Position { epoch, offset, id } = position;
        self.see(place, Sighting { epoch, offset: *offset, id, text: None, before: None });
    }

    fn subscribed(
        &mut self,
        place: &Place<'a>,
        earlier: Option<Run<'a>>,
        asked: Option<&'a Position>,
        recovered: bool,
        position: &'a Position,
        next: u64,
    ) -> Run<'a> {
        if earlier.as_ref().is_some_and(|run| run.live) {
            self.found(place, Rule::Unasked, "subscribed a second time".to_owned());
        }
        self.told(place, position, next);
        let seen = earlier.as_ref().map_or(u64::MAX, |run| run.next);
        let epoch = earlier.as_ref().map(|run| run.epoch);
        if asked.is_some_and(|asked| epoch == Some(asked.epoch.as_str()) && asked.offset >= seen) {
            let what = format!("comes back from {asked:?}, and has seen nothing from {seen} on");
            self.found(place, Rule::Contradiction, what);
        }
        match asked {
            Some(asked) if recovered => {
                if position.epoch != asked.epoch || next != asked.offset + 1 || position.offset < asked.offset
                {
                    let what = format!("{asked:?} is recovered as {position:?}, next {next}");
                    self.found(place, Rule::WrongRecovery, what);
                }
                // It goes on where it was: what came before counts.
                let same = earlier.filter(|run| run.next == next && run.epoch == asked.epoch);
                let texts = same.map(|run| run.texts).unwrap_or_default();
                Run { epoch: &position.epoch, next, before: Some(&asked.id), texts, live: true }
            }
            Some(asked) => {
                let kept = self.kept_until(place.tick);
                let near = position.offset.saturating_sub(asked.offset) < self.records.window;
                if kept && (near || position.epoch != asked.epoch) {
                    let what = format!("{asked:?} is not recovered, the channel is at {position:?}");
                    self.found(place, Rule::NeedlessLoss, what);
                }
                fresh(position, next)
            }
            None => {
                if recovered {
                    let what = "nothing was asked to be recovered".to_owned();
                    self.found(place, Rule::WrongRecovery, what);
                }
                fresh(position, next)
            }
        }
    }

    fn message(&mut self, place: &Place<'a>, run: &mut Run<'a>, offset: u64, id: &'a str, text: &'a str) {
        if offset != run.next {
            let rule = if offset < run.next { Rule::Duplicate } else { Rule::SilentGap };
            self.found(place, rule, format!("{offset} comes, the next is {}", run.next));
            run.before = None;
        }
        if !text.is_empty() && !run.texts.insert(text) {
            self.found(place, Rule::Duplicate, format!("{text:?} comes twice"));
        }
        let seen = Sighting { epoch: run.epoch, offset, id, text: Some(text), before: run.before };
        self.see(place, seen);
        run.next = offset + 1;
        run.before = Some(id);
    }

    fn gap(&mut self, place: &Place<'a>, run: &mut Run<'a>, from: u64, to: u64) {
        if from != run.next || to < from {
            let what = format!("a gap from {from} to {to}, the next is {}", run.next);
            self.found(place, Rule::Contradiction, what);
        }
        // What is no longer kept is at least a window behind the end.
        let head = self.channel(place.channel).head;
        if self.kept_until(place.tick) && to + self.records.window > head {
            let what = format!("a gap from {from} to {to}, the channel never got further than {head}");
            self.found(place, Rule::NeedlessLoss, what);
        }
        (run.next, run.before) = (to + 1, None);
        run.texts.clear();
    }

    fn reset(&mut self, place: &Place<'a>, before: &Run<'a>, position: &'a Position, next: u64) -> Run<'a> {
        if self.kept_until(place.tick) {
            let what = format!("from {} at {} to {position:?}", before.epoch, before.next - 1);
            self.found(place, Rule::NeedlessLoss, what);
        }
        self.told(place, position, next);
        fresh(position, next)
    }
}

/// Nothing of before counts.
fn fresh(position: &Position, next: u64) -> Run<'_> {
    let before = match next {
        1 => Some(""),
        next if next == position.offset + 1 => Some(position.id.as_str()),
        _ => None,
    };
    Run { epoch: &position.epoch, next, before, texts: HashSet::new(), live: true }
}
