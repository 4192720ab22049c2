//! The messages of one channel as everybody saw them, each chained to the one before it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Somebody knows of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting<'a> {
    pub(super) epoch: &'a str,
    pub(super) offset: u64,
    pub(super) id: &'a str,
    /// Where it is known.
    pub(super) text: Option<&'a str>,
    /// The id of the message before it, where it is known: empty before the first.
    pub(super) before: Option<&'a str>,
}

#[derive(Debug, Default)]
struct Message {
    offset: u64,
    text: Option<String>,
    before: Option<String>,
}

/// What two sightings disagree about.
pub(super) enum Conflict {
    /// The place, or the text.
    Place(String),
    /// The message before.
    Past(String),
}

/// All messages of a channel, by id.
#[derive(Debug, Default)]
pub(super) struct Chain {
    messages: HashMap<String, Message>,
    /// Which messages have been seen at a place.
    places: BTreeMap<(String, u64), BTreeSet<String>>,
    /// Under which ids a text was published.
    texts: BTreeMap<String, BTreeSet<String>>,
}

impl Chain {
    /// Takes in what somebody saw. With `line`, the store has kept everything: one message a place.
    pub(super) fn see(&mut self, seen: Sighting<'_>, line: bool) -> Option<Conflict> {
        if seen.id.is_empty() {
            let wrong = seen.offset != 0;
            return wrong.then(|| Conflict::Place(format!("offset {} without an id", seen.offset)));
        }
        let message = self.messages.entry(seen.id.to_owned()).or_default();
        if message.offset == 0 {
            message.offset = seen.offset;
        }
        if message.offset != seen.offset {
            let what = format!("{} stands at {} and at {}", seen.id, message.offset, seen.offset);
            return Some(Conflict::Place(what));
        }
        if let Some(text) = seen.text {
            let known = message.text.get_or_insert_with(|| text.to_owned());
            if known != text {
                return Some(Conflict::Place(format!("{} says {known:?} and {text:?}", seen.id)));
            }
            if !text.is_empty() {
                self.texts.entry(text.to_owned()).or_default().insert(seen.id.to_owned());
            }
        }
        let at = self.places.entry((seen.epoch.to_owned(), seen.offset)).or_default();
        at.insert(seen.id.to_owned());
        if line && at.len() > 1 {
            return Some(Conflict::Place(format!("{}:{} is {at:?}", seen.epoch, seen.offset)));
        }
        if let Some(before) = seen.before {
            let known = message.before.get_or_insert_with(|| before.to_owned());
            if known != before {
                let what = format!("{} at {} follows {known:?} and {before:?}", seen.id, seen.offset);
                return Some(Conflict::Past(what));
            }
        }
        None
    }

    /// Messages that several follow, and those.
    pub(super) fn branches(&self) -> Vec<(&str, Vec<&str>)> {
        let mut after: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, message) in &self.messages {
            if let Some(before) = &message.before {
                after.entry(before).or_default().push(id);
            }
        }
        let several = after.into_iter().filter(|(_, ids)| ids.len() > 1);
        // Three that follow one are two branches.
        several.flat_map(|(before, ids)| std::iter::repeat_n((before, ids.clone()), ids.len() - 1)).collect()
    }

    /// Each text and the ids under which it was published.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.texts.iter().map(|(text, ids)| (text.as_str(), ids))
    }
}
