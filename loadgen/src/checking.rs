//! Checks every delivery: what was lost, doubled, out of order.
//!
//! A *lane* is one channel of one server as this process sees it. The first subscriber that hears
//! a message puts it in the lane's order; each subscriber is a cursor into that order. As long as
//! all hear the same, a delivery costs one comparison. The order of one publisher's messages is
//! known beforehand (they are counted), so whoever hears them otherwise is at fault; between
//! publishers the first subscriber's order is the measure for the others.
//!
//! Knows no socket and no clock.

use std::collections::{BTreeSet, HashMap};

use crate::limits::SKIPPED_MAX;
use crate::plan::mix;
use crate::stamp::Identity;

/// Where a message stands that was skipped by whoever heard its successor first.
const FLOATING: u32 = u32::MAX;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Arrived at a subscriber again.
    pub duplicated: u64,
    /// Arrived after a message that should have come later.
    pub reordered: u64,
    /// Had another offset than with another subscriber.
    pub order_conflicts: u64,
    /// Numbered so far beyond anything heard that it cannot have been published: a broken text.
    pub impossible: u64,
}

/// One channel of one server.
#[derive(Debug, Default)]
pub struct Lane {
    order: Vec<Identity>,
    /// The server's numbers, where it gives any; else 0.
    offsets: Vec<u64>,
    publishers: HashMap<u32, Vec<u32>>,
    /// Messages that nobody has heard in their place: the message and the place in the order before
    /// which it belongs.
    floating: HashMap<Identity, u32>,
    /// Messages that the server refused.
    refused: BTreeSet<Identity>,
}

/// Where one subscriber is in its lane.
#[derive(Debug, Default)]
pub struct Track {
    cursor: u32,
    started: bool,
    faults: Option<Box<Faults>>,
}

#[derive(Debug, Default)]
struct Faults {
    /// Where it began, if it came in the middle.
    first: Option<u32>,
    /// Places that it passed over.
    missing: BTreeSet<u32>,
    /// Floating messages that it has heard.
    floating: BTreeSet<Identity>,
    /// Lost before its first message, by the server's own numbers.
    missing_first: u64,
    /// Gaps that the server told it of.
    told: u64,
    /// The first offset that the server promised it.
    promised: Option<u64>,
}

/// What one subscriber has and has not got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Different messages that it heard.
    pub heard: u64,
    /// Messages that it passed over, as far as anybody in this process knows of them.
    pub missing: u64,
    /// Holes: messages in a row that it did not get, with something after them.
    pub holes: u64,
    /// Gaps that it was told of.
    pub told: u64,
}

impl Track {
    /// Of a subscriber that is there before the first message.
    #[must_use]
    pub fn from_the_start() -> Track {
        Track { cursor: 0, started: true, faults: None }
    }

    /// Of one that comes in the middle: what it hears first is its beginning. With `promised`, the
    /// server's number of what must come first.
    #[must_use]
    pub fn from_now(promised: Option<u64>) -> Track {
        let faults = promised.map(|_| Box::new(Faults { promised, ..Faults::default() }));
        Track { cursor: 0, started: false, faults }
    }

    /// The server says that a gap follows.
    pub fn told(&mut self) {
        self.faults().told += 1;
    }

    /// Whether it has heard a later message of the same publisher that has no place.
    fn floated_past(&self, message: Identity) -> bool {
        let later = self.faults.as_ref().and_then(|faults| faults.floating.range(message..).next());
        later.is_some_and(|later| later.publisher == message.publisher)
    }

    fn faults(&mut self) -> &mut Faults {
        self.faults.get_or_insert_default()
    }
}

impl Lane {
    /// A subscriber hears a message. Whether it was new to it.
    pub fn hear(
        &mut self,
        track: &mut Track,
        message: Identity,
        offset: Option<u64>,
        found: &mut Findings,
    ) -> bool {
        let cursor = track.cursor as usize;
        if track.started && self.order.get(cursor) == Some(&message) {
            if offset.is_some_and(|offset| offset != self.offsets[cursor]) {
                found.order_conflicts += 1;
            }
            track.cursor += 1;
            found.reordered += u64::from(track.floated_past(message));
            return true;
        }
        self.hear_out_of_line(track, message, offset, found)
    }

    /// Messages that have been heard in their place.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "nobody asks whether nothing was heard")]
    pub fn len(&self) -> u32 {
        u32::try_from(self.order.len()).unwrap_or(FLOATING - 1)
    }

    /// The place of the message that a subscriber must hear next, if it has heard all others in their
    /// places.
    #[must_use]
    pub fn next_place(&self, track: &Track) -> Option<u32> {
        (track.started && track.faults.is_none()).then_some(track.cursor)
    }

    /// A subscriber of whom [`Lane::next_place`] is known hears so many messages in their places.
    pub fn hear_again(&self, track: &mut Track, count: u32) {
        track.cursor += count;
        debug_assert!(track.cursor <= self.len());
    }

    fn hear_out_of_line(
        &mut self,
        track: &mut Track,
        message: Identity,
        offset: Option<u64>,
        found: &mut Findings,
    ) -> bool {
        let known = self.publishers.get(&message.publisher).map_or(0, Vec::len);
        let sequence = message.sequence as usize;
        if sequence - known.min(sequence) > SKIPPED_MAX {
            found.impossible += 1;
            return false;
        }
        if sequence >= known {
            let place = self.append(message, known, offset.unwrap_or(0));
            pass(track, place, offset);
            return true;
        }
        let place = self.publishers[&message.publisher][sequence];
        if place == FLOATING {
            let new = track.faults().floating.insert(message);
            found.duplicated += u64::from(!new);
            found.reordered += u64::from(new && self.is_overtaken(track, message));
            return new;
        }
        if offset.is_some_and(|offset| offset != self.offsets[place as usize]) {
            found.order_conflicts += 1;
        }
        if !track.started || place >= track.cursor {
            pass(track, place, offset);
            found.reordered += u64::from(track.floated_past(message));
            return true;
        }
        let late = track.faults.as_mut().is_some_and(|faults| faults.missing.remove(&place));
        found.reordered += u64::from(late && self.is_overtaken(track, message));
        found.duplicated += u64::from(!late);
        late
    }

    /// Whether a subscriber has heard a later message of the same publisher. Only that is out of
    /// order for sure: the order between publishers is that of whoever heard of them first, and who
    /// loses messages may hear of others' sooner.
    fn is_overtaken(&self, track: &Track, message: Identity) -> bool {
        let later = self.publishers[&message.publisher].iter().zip(0..).skip(message.sequence as usize + 1);
        later.into_iter().any(|(place, sequence)| {
            if *place == FLOATING {
                let message = Identity { sequence, ..message };
                return track.faults.as_ref().is_some_and(|faults| faults.floating.contains(&message));
            }
            let faults = track.faults.as_ref();
            let passed = track.started && *place < track.cursor;
            passed
                && faults.is_none_or(|faults| {
                    faults.first.is_none_or(|first| *place >= first) && !faults.missing.contains(place)
                })
        })
    }

    /// Puts a message at the end of the order; those that its publisher said before it and nobody has
    /// heard float in front of it.
    fn append(&mut self, message: Identity, known: usize, offset: u64) -> u32 {
        let place = u32::try_from(self.order.len()).unwrap_or(FLOATING - 1);
        self.order.push(message);
        self.offsets.push(offset);
        let places = self.publishers.entry(message.publisher).or_default();
        for sequence in known..message.sequence as usize {
            places.push(FLOATING);
            let sequence = u32::try_from(sequence).unwrap_or(u32::MAX);
            let skipped = Identity { publisher: message.publisher, sequence };
            if !self.refused.contains(&skipped) {
                self.floating.insert(skipped, place);
            }
        }
        places.push(place);
        place
    }

    /// The server refused a message: nobody is owed it.
    pub fn refused(&mut self, message: Identity) {
        self.floating.remove(&message);
        self.refused.insert(message);
    }

    /// How many messages were heard in their place, and a sum over what had which number: the same
    /// wherever all of them were heard. Of servers that give no numbers: 0.
    #[must_use]
    pub fn digest(&self) -> (u64, u64) {
        let sum = self.order.iter().zip(&self.offsets).filter(|(_, offset)| **offset > 0).fold(
            0u64,
            |sum, (message, offset)| {
                let identity = u64::from(message.publisher) << 32 | u64::from(message.sequence);
                sum.wrapping_add(mix(mix(identity) ^ offset))
            },
        );
        (self.order.len() as u64, sum)
    }

    /// What a subscriber has got.
    #[must_use]
    pub fn account(&self, track: &Track) -> Account {
        let Some(faults) = &track.faults else {
            // The common case, and nothing floats in front of it: all is well.
            if self.floating.is_empty() {
                return Account { heard: u64::from(track.cursor), ..Account::default() };
            }
            return self.account_of(track, &Faults::default());
        };
        self.account_of(track, faults)
    }

    fn account_of(&self, track: &Track, faults: &Faults) -> Account {
        // Place i has the key 2i + 1; what floats in front of place i has the key 2i, and one
        // publisher's messages among these are in their own order.
        let none = Identity { publisher: 0, sequence: 0 };
        let mut missing: Vec<(u64, Identity)> =
            faults.missing.iter().map(|place| (u64::from(*place) * 2 + 1, none)).collect();
        let key = |message: &Identity, before: &u32| (u64::from(*before) * 2, *message);
        let mut heard_floating: Vec<(u64, Identity)> = Vec::new();
        for message in &faults.floating {
            heard_floating.extend(self.floating.get(message).map(|before| key(message, before)));
        }
        heard_floating.sort_unstable();
        let last_floating = heard_floating.last().copied();
        // Places that were not passed but by a floating one.
        let behind = last_floating.map_or(0, |(key, _)| u32::try_from(key / 2).unwrap_or(0));
        missing.extend((track.cursor..behind).map(|place| (u64::from(place) * 2 + 1, none)));
        for (message, before) in &self.floating {
            let passed =
                track.started && *before < track.cursor && faults.first.is_none_or(|first| *before > first);
            let overtaken = last_floating.is_some_and(|last| last > key(message, before));
            if (passed || overtaken) && !faults.floating.contains(message) {
                missing.push(key(message, before));
            }
        }
        missing.sort_unstable();
        let mut holes = 0;
        let mut last: Option<(u64, Identity)> = None;
        for at in missing.iter().copied() {
            // Two in a row are one hole unless something heard lies between: a place, or a floating one.
            let joined = last.is_some_and(|last| {
                let next_place = last.0 + 1 + last.0 % 2;
                let next_heard = heard_floating.partition_point(|heard| *heard <= last);
                next_place >= at.0 && heard_floating.get(next_heard).is_none_or(|heard| *heard > at)
            });
            holes += u64::from(!joined);
            last = Some(at);
        }
        let passed = u64::from(track.cursor - faults.first.unwrap_or(0));
        Account {
            heard: passed - faults.missing.len() as u64 + faults.floating.len() as u64,
            missing: missing.len() as u64 + faults.missing_first,
            holes: holes + u64::from(faults.missing_first > 0),
            told: faults.told,
        }
    }
}

/// The cursor moves behind a place of the order.
fn pass(track: &mut Track, place: u32, offset: Option<u64>) {
    if track.started {
        if place > track.cursor {
            let skipped = track.cursor..place;
            track.faults().missing.extend(skipped);
        }
    } else {
        track.started = true;
        let faults = track.faults();
        faults.first = Some(place);
        if let (Some(promised), Some(offset)) = (faults.promised, offset) {
            faults.missing_first = offset.saturating_sub(promised);
        }
    }
    track.cursor = place + 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn message(publisher: u32, sequence: u32) -> Identity {
        Identity { publisher, sequence }
    }

    /// Several subscribers hear, in turns as written, messages of publisher 0 (`5`) or 1 (`b5`).
    /// Expected of each: heard, missing, holes; and of all: duplicated, reordered.
    fn check(what: &str, hearings: &[(usize, &str)], expected: &[(u64, u64, u64)], found: (u64, u64)) {
        let mut lane = Lane::default();
        let mut findings = Findings::default();
        let mut tracks: Vec<Track> = expected.iter().map(|_| Track::from_the_start()).collect();
        for (subscriber, heard) in hearings {
            for word in heard.split_whitespace() {
                let (publisher, sequence) = match word.strip_prefix('b') {
                    Some(sequence) => (1, sequence),
                    None => (0, word),
                };
                let message = message(publisher, sequence.parse().expect("a number"));
                lane.hear(&mut tracks[*subscriber], message, None, &mut findings);
            }
        }
        for (subscriber, (track, (heard, missing, holes))) in tracks.iter().zip(expected).enumerate() {
            let expected = Account { heard: *heard, missing: *missing, holes: *holes, told: 0 };
            assert_eq!(lane.account(track), expected, "{what}: subscriber {subscriber}");
        }
        assert_eq!((findings.duplicated, findings.reordered), found, "{what}");
    }

    #[test]
    fn faults_are_found_with_whoever_has_them() {
        check("all is well", &[(0, "0 1 2"), (1, "0 1 2")], &[(3, 0, 0), (3, 0, 0)], (0, 0));
        check("the first loses one", &[(0, "0 2 3"), (1, "0 1 2 3")], &[(3, 1, 1), (4, 0, 0)], (0, 0));
        check("the second loses one", &[(0, "0 1 2 3"), (1, "0 2 3")], &[(4, 0, 0), (3, 1, 1)], (0, 0));
        check("both lose the same", &[(0, "0 2"), (1, "0 2")], &[(2, 1, 1), (2, 1, 1)], (0, 0));
        check("two in a row are one hole", &[(0, "0 3"), (1, "0 1 2 3")], &[(2, 2, 1), (4, 0, 0)], (0, 0));
        check("two apart are two", &[(0, "0 2 4"), (1, "0 1 2 3 4")], &[(3, 2, 2), (5, 0, 0)], (0, 0));
        check("the very first", &[(0, "1 2"), (1, "0 1 2")], &[(2, 1, 1), (3, 0, 0)], (0, 0));
        check("the last leaves no hole", &[(0, "0 1 2"), (1, "0 1")], &[(3, 0, 0), (2, 0, 0)], (0, 0));
        check("doubled", &[(0, "0 1 1 2"), (1, "0 0 1 2 0")], &[(3, 0, 0), (3, 0, 0)], (3, 0));
        check("a late one of the first", &[(0, "0 2 1 3"), (1, "0 1 2 3")], &[(4, 0, 0), (4, 0, 0)], (0, 1));
        check("a late one of the second", &[(0, "0 1 2 3"), (1, "0 2 1 3")], &[(4, 0, 0), (4, 0, 0)], (0, 1));
        check("late with both", &[(0, "0 2 1"), (1, "0 2 1")], &[(3, 0, 0), (3, 0, 0)], (0, 2));
        check("late and doubled", &[(0, "0 2 1 1"), (1, "0 1 2")], &[(3, 0, 0), (3, 0, 0)], (1, 1));
        check("a floating one doubled", &[(0, "0 2"), (1, "0 1 1 2")], &[(2, 1, 1), (3, 0, 0)], (1, 0));
        check("two publishers, one order", &[(0, "0 b0 1"), (1, "0 b0 1")], &[(3, 0, 0), (3, 0, 0)], (0, 0));
        check("two publishers, two orders", &[(0, "0 b0 1"), (1, "b0 0 1")], &[(3, 0, 0), (3, 0, 0)], (0, 0));
        check("late among floating ones", &[(0, "4"), (1, "0 2 1 3 4")], &[(1, 4, 1), (5, 0, 0)], (0, 1));
        check("holes among floating ones", &[(0, "4"), (1, "0 2 4")], &[(1, 4, 1), (3, 2, 2)], (0, 0));
        check("a placed one behind a floating", &[(0, "0 4"), (1, "2 0 4")], &[(2, 3, 1), (3, 2, 2)], (0, 1));
        check("nothing but a floating one", &[(0, "0 4"), (1, "2")], &[(2, 3, 1), (1, 2, 1)], (0, 0));
        check("nothing behind floating ones", &[(0, "4"), (1, "0 2")], &[(1, 4, 1), (2, 1, 1)], (0, 0));
        check(
            "another publisher's are heard of first",
            &[(0, "0 b1 1"), (1, "0 b0 b1 1"), (0, "2 b2 3"), (1, "2 b2 3")],
            &[(6, 1, 1), (7, 0, 0)],
            (0, 0),
        );
        check(
            "the first hears not of all publishers",
            &[(0, "0 1"), (1, "0 b0 1")],
            &[(2, 0, 0), (3, 0, 0)],
            (0, 0),
        );
        check(
            "one lost of two publishers",
            &[(0, "0 b1 1"), (1, "0 b0 b1 1")],
            &[(3, 1, 1), (4, 0, 0)],
            (0, 0),
        );
        check(
            "holes of both kinds touch",
            &[(0, "0 1 3 4"), (1, "0 4"), (0, "5"), (1, "5")],
            &[(5, 1, 1), (3, 3, 1)],
            (0, 0),
        );
        check(
            "something heard between two holes",
            &[(0, "0 1 3 4"), (1, "0 2 4")],
            &[(4, 1, 1), (3, 2, 2)],
            (0, 0),
        );
    }

    #[test]
    fn a_number_beyond_reason_takes_no_memory() {
        let mut lane = Lane::default();
        let mut found = Findings::default();
        let mut track = Track::from_the_start();
        assert!(!lane.hear(&mut track, message(0, u32::MAX), None, &mut found));
        assert!(lane.hear(&mut track, message(0, 0), None, &mut found));
        assert_eq!((found.impossible, lane.account(&track).heard, lane.floating.len()), (1, 1, 0));
    }

    #[test]
    fn a_refused_message_is_no_hole() {
        for refused_first in [true, false] {
            let mut lane = Lane::default();
            let mut found = Findings::default();
            let mut track = Track::from_the_start();
            if refused_first {
                lane.refused(message(0, 1));
            }
            for sequence in [0, 2] {
                lane.hear(&mut track, message(0, sequence), None, &mut found);
            }
            if !refused_first {
                assert_eq!(lane.account(&track).holes, 1, "not known yet");
                lane.refused(message(0, 1));
            }
            assert_eq!(lane.account(&track), Account { heard: 2, ..Account::default() });
        }
    }

    #[test]
    fn who_comes_in_the_middle_is_owed_nothing_from_before() {
        let mut lane = Lane::default();
        let mut found = Findings::default();
        let mut first = Track::from_the_start();
        for sequence in [0, 2, 3] {
            lane.hear(&mut first, message(0, sequence), None, &mut found);
        }
        let mut later = Track::from_now(None);
        assert_eq!(lane.account(&later), Account::default());
        lane.hear(&mut later, message(0, 2), None, &mut found);
        assert_eq!(lane.account(&later), Account { heard: 1, ..Account::default() });
        lane.hear(&mut later, message(0, 4), None, &mut found);
        assert_eq!(lane.account(&later), Account { heard: 2, missing: 1, holes: 1, told: 0 });
        assert_eq!(found, Findings::default());
    }

    #[test]
    fn a_promised_beginning_is_owed() {
        for (promised, heard, missing) in [(5, 5, 0), (5, 7, 2), (5, 4, 0)] {
            let mut lane = Lane::default();
            let mut found = Findings::default();
            let mut track = Track::from_now(Some(promised));
            lane.hear(&mut track, message(0, 9), Some(heard), &mut found);
            assert_eq!(lane.account(&track).missing, missing, "{promised} promised, {heard} heard");
        }
    }

    #[test]
    fn the_same_number_for_different_messages_is_a_conflict() {
        let mut lane = Lane::default();
        let mut found = Findings::default();
        let (mut one, mut other) = (Track::from_the_start(), Track::from_the_start());
        for (sequence, offset) in [(0, 1), (1, 2)] {
            lane.hear(&mut one, message(0, sequence), Some(offset), &mut found);
        }
        lane.hear(&mut other, message(0, 0), Some(1), &mut found);
        assert_eq!(found.order_conflicts, 0);
        lane.hear(&mut other, message(0, 1), Some(3), &mut found);
        assert_eq!(found.order_conflicts, 1);
    }
}
