//! PushStream's polls: requests that are answered once, with all that is there or else with the next that
//! comes. One that waits is a subscriber like any other; what it is sent is its answer.

use std::sync::Arc;

use crate::http_answer::Asker;
use crate::position::Offset;
use crate::pushstream::stamp::write_places;
use crate::pushstream::{Framing, Location, Mode, Place, Stamp, View, Want, wire};
use crate::refusal::Refusal;

use super::connection::{PendingChannel, Phase, Subscription};
use super::forms::Form;
use super::slab::Key;
use super::timers::Ticks;
use super::{Outside, Shard};

/// A poll, until it is answered.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) location: usize,
    pub(super) asker: Asker,
    pub(super) callback: Option<String>,
    /// The content type that its path names.
    pub(super) kind: Option<&'static str>,
}

/// A channel of a poll, where the poll is in it, and what comes before that.
struct At {
    channel: u32,
    cursor: Offset,
    rest: Vec<Vec<u8>>,
}

/// What a poll is answered with.
#[derive(Default)]
struct Found {
    texts: Vec<Vec<u8>>,
    /// The last of them in time.
    stamp: Option<Stamp>,
    /// Where it then is.
    places: Vec<Place>,
}

/// The number and the text of the message by which a long poll in vain is answered.
const ID_OF_TIMEOUT: i64 = -3;
const TIMED_OUT: &[u8] = b"Timed out";

impl Shard {
    /// Begins the polls whose channels have been opened in this turn.
    pub(super) fn begin_polls(&mut self, outside: &mut impl Outside) {
        for (key, want, items) in std::mem::take(&mut self.polls) {
            let talk = self.connections.get(key).and_then(|connection| connection.talk.as_deref());
            match talk.is_some_and(|talk| talk.poll.is_some()) {
                true => self.begin_poll(key, &want, &items, outside),
                // It has gone, or been answered in vain.
                false => self.let_go_of(&items),
            }
        }
    }

    /// All channels of a poll are open: it is answered, or waits.
    fn begin_poll(&mut self, key: Key, want: &Want, items: &[PendingChannel], outside: &mut impl Outside) {
        let settings = Arc::clone(&self.services.pushstream);
        let Some(location) = settings.locations.get(want.location) else {
            return self.refuse_pushstream(key, Refusal::BadRequest, outside);
        };
        let Some(form) = self.connections.get(key).map(|connection| connection.form) else { return };
        if let Some(bad) = self.unwanted(want, items, location) {
            self.let_go_of(items);
            return self.refuse_wanted(key, bad, outside);
        }
        let mut places = Vec::with_capacity(items.len());
        for (item, wanted) in items.iter().zip(&want.channels) {
            let begun = self.beginning_of(item.channel, (form, location), &wanted.since, usize::MAX);
            let Some((cursor, rest)) = begun else { continue };
            places.push(At { channel: item.channel, cursor, rest });
        }
        let found = self.found(&places, (form, location));
        if !found.texts.is_empty() {
            self.let_go_of(items);
            return self.answer_poll_with(key, location, &found, outside);
        }
        if want.mode == Mode::Polling {
            self.let_go_of(items);
            return self.answer_in_vain(key, location, want, outside);
        }
        for At { channel, cursor, .. } in places {
            let Some(slot) = self.add_subscriber(key, channel) else { continue };
            if let Some(connection) = self.connections.get_mut(key) {
                connection.subscriptions.push(Subscription { channel, slot, cursor });
            }
        }
        self.let_go_of(items);
        self.schedule(key);
    }

    pub(super) fn let_go_of(&mut self, items: &[PendingChannel]) {
        for item in items {
            self.let_go_of_channel(item.channel);
        }
    }

    /// What there is behind these places, in their order.
    fn found(&mut self, places: &[At], (form, location): (Form, &Location)) -> Found {
        let mut found = Found::default();
        for At { channel, cursor, rest } in places {
            let Some(entry) = self.channels.at_mut(*channel) else { continue };
            let Some(log) = &entry.log else { continue };
            let there =
                entry.forms.texts_after(log, &entry.name, (form, location), (*cursor, entry.deleted_at));
            let last = if there.texts.is_empty() { *cursor } else { there.last };
            if !there.texts.is_empty() || !rest.is_empty() {
                found.stamp = found.stamp.max(super::past::stamp_at(log, last));
            }
            found.texts.extend(rest.iter().cloned());
            found.texts.extend(there.texts);
            found.places.push(Place::of(log.head().epoch, last));
        }
        found
    }

    /// Something has come for a poll that waits, or may have; returns whether it has.
    pub(super) fn poll_ready(&mut self, key: Key, outside: &mut impl Outside) -> bool {
        let Some(connection) = self.connections.get(key) else { return false };
        let Some(poll) = connection.talk.as_deref().and_then(|talk| talk.poll.as_deref()) else {
            return false;
        };
        let settings = Arc::clone(&self.services.pushstream);
        let Some(location) = settings.locations.get(poll.location) else { return false };
        let form = connection.form;
        let at = |one: &Subscription| At { channel: one.channel, cursor: one.cursor, rest: Vec::new() };
        let places: Vec<At> = connection.subscriptions.iter().map(at).collect();
        if places.is_empty() {
            return false;
        }
        let found = self.found(&places, (form, location));
        if !found.texts.is_empty() {
            self.answer_poll_with(key, location, &found, outside);
        }
        !found.texts.is_empty()
    }

    fn answer_poll_with(&mut self, key: Key, location: &Location, found: &Found, outside: &mut impl Outside) {
        let stamp = found.stamp.unwrap_or(Stamp { second: 0, tag: 0 });
        // In one channel the tag alone says it all.
        let tag = match found.places.as_slice() {
            [_] => stamp.tag.to_string(),
            places => write_places(stamp.tag, places.iter().copied()),
        };
        self.answer_poll_by(key, location, (stamp, &tag), Some(&found.texts), outside);
    }

    /// A poll has waited long enough, or the worker stops.
    pub(super) fn poll_in_vain(&mut self, key: Key, outside: &mut impl Outside) {
        let Some(connection) = self.connections.get(key) else { return };
        let Some(poll) = connection.talk.as_deref().and_then(|talk| talk.poll.as_deref()) else { return };
        let settings = Arc::clone(&self.services.pushstream);
        let Some(location) = settings.locations.get(poll.location) else { return };
        let place = |one: &Subscription| {
            let log = self.channels.at(one.channel)?.log.as_ref()?;
            Some(Place::of(log.head().epoch, one.cursor))
        };
        let places: Vec<Place> = connection.subscriptions.iter().filter_map(place).collect();
        let now = Stamp { second: self.now.unix.whole_seconds(), tag: 0 };
        let tag = if places.is_empty() { "0".to_owned() } else { write_places(0, places.into_iter()) };
        let settings = &self.services.pushstream;
        if !settings.timeout_with_body {
            return self.answer_poll_by(key, location, (now, &tag), None, outside);
        }
        let view = View {
            id: ID_OF_TIMEOUT,
            stamp: Stamp { second: 0, tag: 0 },
            channel: "",
            text: TIMED_OUT,
            event_id: "",
            event_type: "",
        };
        let mut text = Vec::new();
        wire::message(location, Framing::None, &view, &mut text);
        self.answer_poll_by(key, location, (now, &tag), Some(&[text]), outside);
    }

    /// A poll that does not wait has found nothing: it is told what it said itself.
    fn answer_in_vain(&mut self, key: Key, location: &Location, want: &Want, outside: &mut impl Outside) {
        let mut headers = String::new();
        if let Some(second) = want.asked.time {
            headers.push_str(&format!("Last-Modified: {}\r\n", Stamp { second, tag: 0 }.date()));
        }
        // Nothing but digits is ever sent back.
        let tag = want.asked.tag.as_deref().map(|tag| tag.strip_prefix("W/").unwrap_or(tag));
        if let Some(tag) = tag.filter(|tag| tag.bytes().all(|byte| byte.is_ascii_digit())) {
            headers.push_str(&format!("Etag: W/{tag}\r\n"));
        }
        self.finish_poll(key, location, 304, &headers, b"", outside);
    }

    fn answer_poll_by(
        &mut self,
        key: Key,
        location: &Location,
        (stamp, tag): (Stamp, &str),
        texts: Option<&[Vec<u8>]>,
        outside: &mut impl Outside,
    ) {
        let headers = format!("Last-Modified: {}\r\nEtag: W/{tag}\r\n", stamp.date());
        let Some(texts) = texts else {
            return self.finish_poll(key, location, 304, &headers, b"", outside);
        };
        let poll =
            self.connections.get(key).and_then(|one| one.talk.as_deref()).and_then(|t| t.poll.as_deref());
        let callback = poll.and_then(|poll| poll.callback.as_deref());
        let mut body = Vec::new();
        wire::beginning(location, Framing::None, &mut body);
        match callback {
            Some(callback) => {
                body.extend_from_slice(callback.as_bytes());
                body.extend_from_slice(b"([");
                body.extend_from_slice(&texts.join(&b','));
                body.extend_from_slice(b"]);");
            }
            None => body.extend_from_slice(&texts.concat()),
        }
        wire::footer(location.mode, Framing::None, &location.footer, &mut body);
        self.finish_poll(key, location, 200, &headers, &body, outside);
    }

    fn finish_poll(
        &mut self,
        key: Key,
        location: &Location,
        status: u16,
        headers: &str,
        body: &[u8],
        outside: &mut impl Outside,
    ) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(poll) = connection.talk.as_deref_mut().and_then(|talk| talk.poll.take()) else { return };
        let kind = if poll.callback.is_some() { "application/javascript" } else { location.kind(poll.kind) };
        let headers = format!(
            "Content-Type: {kind}\r\n{headers}{}",
            poll.asker.pushstream("GET", location.allowed_origins.as_deref())
        );
        let answer = poll.asker.answer(status, &headers, body);
        self.counters.deliveries += u64::from(status == 200);
        self.forget(key, outside);
        self.answer_request(key, &answer, poll.asker.keep_alive);
    }

    /// When a poll that waits is answered in vain.
    pub(super) fn poll_deadline(&self, key: Key) -> Option<Ticks> {
        let connection = self.connections.get(key).filter(|one| one.phase == Phase::Asked)?;
        let poll = connection.talk.as_deref()?.poll.as_deref()?;
        let location = self.services.pushstream.locations.get(poll.location)?;
        Some(connection.since.after(location.longpolling_ttl_ms))
    }
}
