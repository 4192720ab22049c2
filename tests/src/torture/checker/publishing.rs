//! What publishers were told, against what everybody saw.

use std::collections::{BTreeMap, HashMap};

use super::chain::{Conflict, Sighting};
use super::{Checker, Rule, history};
use crate::torture::record::{Attempt, Outcome};

/// All attempts with one key, in order.
type Tries<'a> = Vec<&'a Attempt>;

fn acknowledged<'a>(
    tries: &[&'a Attempt],
) -> impl Iterator<Item = (&'a Attempt, &'a super::super::record::Position, bool)> {
    tries.iter().filter_map(|attempt| match &attempt.outcome {
        Outcome::Acknowledged { position, duplicate } => Some((*attempt, position, *duplicate)),
        _ => None,
    })
}

impl<'a> Checker<'a> {
    fn by_key(&self) -> BTreeMap<(&'a str, &'a str), Tries<'a>> {
        let mut by_key: BTreeMap<(&str, &str), Tries<'_>> = BTreeMap::new();
        for attempt in &self.records.attempts {
            by_key.entry((&attempt.channel, &attempt.key)).or_default().push(attempt);
        }
        for tries in by_key.values_mut() {
            tries.sort_by_key(|attempt| attempt.begun);
        }
        by_key
    }

    pub(super) fn check_publishing(&mut self) {
        let by_key = self.by_key();
        for ((channel, key), tries) in &by_key {
            self.check_key(channel, key, tries);
        }
        self.check_texts(&by_key);
        if self.kept() {
            self.check_time_order(&by_key);
        }
    }

    /// What one publisher was told about one message.
    fn check_key(&mut self, channel: &'a str, key: &'a str, tries: &[&'a Attempt]) {
        let kept = self.kept();
        let mut first = None;
        for (attempt, position, duplicate) in acknowledged(tries) {
            let seen = Sighting {
                epoch: &position.epoch,
                offset: position.offset,
                id: &position.id,
                text: Some(key),
                before: None,
            };
            let conflict = self.channel(channel).chain.see(seen, kept);
            if let Some(Conflict::Place(what) | Conflict::Past(what)) = conflict {
                self.violate(Rule::OneOrder, channel, None, format!("{key:?} was acknowledged, but {what}"));
            }
            let alone = tries.iter().all(|other| other.begun >= attempt.begun);
            if duplicate && alone {
                let what = format!("{key:?} is called a duplicate at its first attempt");
                self.violate(Rule::Key, channel, None, what);
            }
            let Some(earlier) = first else {
                first = Some(position);
                continue;
            };
            if kept && (!duplicate || earlier != position) {
                let what = format!("{key:?} is at {earlier:?} and (duplicate: {duplicate}) at {position:?}");
                self.violate(Rule::Key, channel, None, what);
            }
        }
    }

    /// Every text was said by somebody, published once, and not refused.
    fn check_texts(&mut self, by_key: &BTreeMap<(&'a str, &'a str), Tries<'a>>) {
        let copies_max = 1 + self.records.losses.len();
        let mut found = Vec::new();
        for (name, channel) in &self.channels {
            for (text, ids) in channel.chain.texts() {
                let refused =
                    |attempt: &&Attempt| matches!(attempt.outcome, Outcome::Refused { perhaps: false, .. });
                match by_key.get(&(*name, text)) {
                    None => found.push((Rule::Invented, *name, format!("nobody said {text:?}"))),
                    Some(tries) if tries.iter().all(refused) => {
                        found.push((Rule::Invented, *name, format!("{text:?} was refused, and is there")));
                    }
                    Some(_) if ids.len() > copies_max => {
                        found.push((Rule::Key, *name, format!("{text:?} is published as {ids:?}")));
                    }
                    Some(_) => {}
                }
            }
        }
        for (rule, name, what) in found {
            self.violate(rule, name, None, what);
        }
    }

    /// What was acknowledged before something else was begun comes before it.
    fn check_time_order(&mut self, by_key: &BTreeMap<(&'a str, &'a str), Tries<'a>>) {
        // Of each channel: ticks at which a message was first begun or acknowledged.
        let mut ticks: BTreeMap<&str, Vec<(u64, bool, &str, u64)>> = BTreeMap::new();
        for ((channel, key), tries) in by_key {
            let Some((attempt, position, _)) = acknowledged(tries).next() else { continue };
            let of = ticks.entry(channel).or_default();
            of.push((tries[0].begun, false, key, position.offset));
            of.push((attempt.ended, true, key, position.offset));
        }
        for (channel, mut ticks) in ticks {
            ticks.sort_unstable();
            let (mut latest, mut latest_key) = (0, "");
            for (_, acknowledged, key, offset) in ticks {
                if acknowledged {
                    if offset > latest {
                        (latest, latest_key) = (offset, key);
                    }
                } else if offset < latest {
                    let what = format!(
                        "{key:?} was begun after {latest_key:?} was acknowledged at {latest}, and is at {offset}"
                    );
                    self.violate(Rule::TimeOrder, channel, None, what);
                }
            }
        }
    }

    /// Whatever was acknowledged, and was not lost with the store's tail, is there at the end.
    pub(super) fn check_kept(&mut self, channel: &'a str, reader: &history::End) {
        let first = reader.read.first().map_or(1, |(offset, ..)| *offset);
        let by_text: HashMap<&str, (u64, &str)> =
            reader.read.iter().map(|(offset, id, text)| (text.as_str(), (*offset, id.as_str()))).collect();
        let last_loss = self.records.losses.iter().copied().max();
        for attempt in self.records.attempts.iter().filter(|attempt| attempt.channel == channel) {
            let Outcome::Acknowledged { position, .. } = &attempt.outcome else { continue };
            let lost = last_loss.is_some_and(|loss| attempt.begun < loss);
            if lost || position.offset < first {
                continue;
            }
            let there = by_text.get(attempt.key.as_str()).copied();
            if there != Some((position.offset, position.id.as_str())) {
                let what =
                    format!("{:?} was acknowledged at {position:?}; at the end it is {there:?}", attempt.key);
                self.violate(Rule::LostMessage, channel, None, what);
            }
        }
    }
}
