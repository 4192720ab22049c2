//! Subscribers that speak PushStream: what they want stands in their request, and what they are refused
//! comes as the end of the WebSocket.

use std::sync::Arc;

use crate::exchange::{Operation, Publish};
use crate::http_answer::{self, Asker, NEVER_KEPT};
use crate::http_head::Stream;
use crate::limits::OWN_BEGINNING_BYTES_MAX;
use crate::message::{self, Posted};
use crate::names::ChannelName;
use crate::position::{MessageId, Offset};
use crate::protocol::Subscribe;
use crate::pushstream::{BadRequest, Framing, Location, Mode, Since, Stamp, View, Want, wire};
use crate::refusal::Refusal;
use crate::websocket;

use super::connection::{Connection, PendingChannel, PendingSubscribe, Phase, Subscription};
use super::forms::Form;
use super::past::{self, Wanted};
use super::polls::Poll;
use super::slab::Key;
use super::tickets::NO_TICKET;
use super::timers::Ticks;
use super::{Outside, Shard};

impl Shard {
    /// A WebSocket has been granted to a PushStream client.
    pub(super) fn pushstream_requested(
        &mut self,
        key: Key,
        want: Result<Want, BadRequest>,
        outside: &mut impl Outside,
    ) {
        let want = match want {
            Ok(want) => want,
            Err(bad) => {
                let (status, explain) = bad.explain();
                return self.close_explained(key, status, explain, outside);
            }
        };
        self.pushstream_wanted(key, want, Framing::WebSocket, outside);
    }

    /// Messages are asked for over HTTP.
    pub(super) fn stream_requested(&mut self, key: Key, stream: Stream, outside: &mut impl Outside) {
        let Stream { location, want, framing, asker, .. } = stream;
        let want = match want {
            Ok(want) => want,
            Err(bad) => return self.refuse_stream(key, location, &asker, bad),
        };
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.since = now;
        let framing = if want.mode.is_poll() {
            connection.phase = Phase::Asked;
            let (callback, kind) = (want.callback.clone(), want.kind);
            connection.talk().poll = Some(Box::new(Poll { location, asker, callback, kind }));
            Framing::None
        } else {
            connection.phase = Phase::Open;
            connection.talk().stream = Some(Box::new((asker, framing)));
            framing
        };
        self.schedule(key);
        self.pushstream_wanted(key, want, framing, outside);
    }

    /// It cannot be had, as its very request says.
    fn refuse_stream(&mut self, key: Key, location: usize, asker: &Asker, bad: BadRequest) {
        let location = self.services.pushstream.locations.get(location);
        let allowed = location.and_then(|location| location.allowed_origins.as_deref());
        let versions = if bad == BadRequest::Version { "Sec-WebSocket-Version: 8, 13\r\n" } else { "" };
        let headers = format!("{}{versions}", asker.pushstream("GET", allowed));
        let (status, explain) = bad.explain();
        let answer = asker.explained(status, explain, &headers);
        self.answer_request(key, &answer, asker.keep_alive);
    }

    fn pushstream_wanted(&mut self, key: Key, want: Want, framing: Framing, outside: &mut impl Outside) {
        let form = Form::of_location(want.location, framing);
        if let (Some(connection), Some(form)) = (self.connections.get_mut(key), form) {
            connection.form = form;
        }
        if !self.rules.anonymous_subscribe {
            return self.refuse_pushstream(key, Refusal::NotAuthenticated, outside);
        }
        let open = |name: &ChannelName| Subscribe { channel: name.clone(), position: None, history: 0 };
        let asked: Vec<Subscribe> = want.channels.iter().map(|one| open(&one.name)).collect();
        if !self.make_room_for(&asked, outside) {
            return self.refuse_pushstream(key, Refusal::ChannelsFull, outside);
        }
        self.open_for(key, PendingSubscribe::of_request(want), asked, outside);
    }

    /// All channels are open: it begins.
    pub(super) fn begin_pushstream(
        &mut self,
        key: Key,
        want: &Want,
        items: &[PendingChannel],
        outside: &mut impl Outside,
    ) {
        let settings = Arc::clone(&self.services.pushstream);
        let Some(location) = settings.locations.get(want.location) else {
            return self.refuse_pushstream(key, Refusal::BadRequest, outside);
        };
        if let Some(bad) = self.unwanted(want, items, location) {
            self.let_go_of(items);
            return self.refuse_wanted(key, bad, outside);
        }
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key) else { return };
        let form = connection.form;
        if let Some(ttl) = location.connection_ttl_ms {
            connection.talk().until = Some(now.after(ttl));
        }
        let stream = connection.talk.as_deref_mut().and_then(|talk| talk.stream.take());
        let framing = form.framing(location.mode);
        let control = connection.control();
        if let Some((asker, framing)) = stream.as_deref() {
            let allowed = location.allowed_origins.as_deref();
            let kind = match location.mode {
                Mode::EventSource => http_answer::EVENT_STREAM,
                _ => location.kind(want.kind),
            };
            let head = http_answer::stream_head(kind, *framing, asker, allowed);
            control.extend_from_slice(head.as_bytes());
        }
        wire::beginning(location, framing, control);
        for (item, wanted) in items.iter().zip(&want.channels) {
            let own_max = OWN_BEGINNING_BYTES_MAX;
            let begun = self.beginning_of(item.channel, (form, location), &wanted.since, own_max);
            let Some((cursor, rest)) = begun else { continue };
            if let Some(connection) = self.connections.get_mut(key) {
                rest.iter().for_each(|text| connection.control().extend_from_slice(text));
            }
            let Some(slot) = self.add_subscriber(key, item.channel) else { continue };
            if let Some(connection) = self.connections.get_mut(key) {
                connection.subscriptions.push(Subscription { channel: item.channel, slot, cursor });
            }
            self.let_go_of_channel(item.channel);
        }
        self.make_ready(key);
        self.schedule(key);
    }

    /// Why it may not have all of these channels, now that they are open.
    pub(super) fn unwanted(
        &self,
        want: &Want,
        items: &[PendingChannel],
        location: &Location,
    ) -> Option<BadRequest> {
        for (item, wanted) in items.iter().zip(&want.channels) {
            let settings = &self.services.pushstream;
            let now = self.now.unix.0;
            let wildcard = settings.is_wildcard(wanted.name.as_str());
            let entry = self.channels.at(item.channel)?;
            let gone = (entry.deleted_at, &entry.unstored);
            let by = Wanted::of(settings, &Since::Now, (self.flush_interval_ms, now), gone);
            let log = entry.log.as_ref()?;
            if location.authorized_channels_only && !wildcard && past::counts(log, &by).1 == 0 {
                return Some(BadRequest::Unauthorized);
            }
            if entry.subscribers.len() >= settings.subscribers_max {
                return Some(BadRequest::Crowded);
            }
        }
        None
    }

    /// Where in a channel somebody begins, for whom so many bytes may be written alone.
    pub(super) fn beginning_of(
        &mut self,
        channel: u32,
        (form, location): (Form, &Location),
        since: &Since,
        own_bytes_max: usize,
    ) -> Option<(Offset, Vec<Vec<u8>>)> {
        let entry = self.channels.at_mut(channel)?;
        let times = (self.flush_interval_ms, self.now.unix.0);
        let gone = (entry.deleted_at, &entry.unstored);
        let mut wanted = Wanted::of(&self.services.pushstream, since, times, gone);
        // The original's pages come by WebSocket. A poll in vain is told its own place again: who asks from the
        // beginning of time may have been here before.
        if location.mode != Mode::WebSocket {
            wanted.newcomers_max = u32::MAX;
        }
        let log = entry.log.as_ref()?;
        Some(entry.forms.begin(log, &entry.name, (form, location), &wanted, own_bytes_max))
    }

    /// It cannot have what it wants, in the module's words.
    pub(super) fn refuse_wanted(&mut self, key: Key, bad: BadRequest, outside: &mut impl Outside) {
        let (status, explain) = bad.explain();
        self.close_explained(key, status, explain, outside);
    }

    /// Lets those go that have been sent the deletion of their last channel.
    pub(super) fn end_deleted(&mut self, outside: &mut impl Outside) {
        for (key, channel) in std::mem::take(&mut self.ended) {
            let deleted_at = self.channels.at(channel).map_or(Offset::START, |one| one.deleted_at);
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let form = connection.form;
            let sent = |one: &Subscription| one.channel == channel && one.cursor >= deleted_at;
            let place = connection.subscriptions.iter().position(sent);
            // Others are not told in this way, and whose socket was full is sent it again.
            let Some(place) = place.filter(|_| form.location().is_some()) else { continue };
            let slot = connection.subscriptions.remove(place).slot;
            let last = connection.subscriptions.is_empty();
            self.remove_subscriber(channel, slot, form);
            if last {
                self.pushstream_over(key, outside);
            }
        }
    }

    /// It has been served for as long as it may be.
    pub(super) fn pushstream_over(&mut self, key: Key, outside: &mut impl Outside) {
        if self.end_stream(key, Refusal::ShuttingDown, outside) {
            return;
        }
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key).filter(|one| one.phase == Phase::Open) else {
            return;
        };
        let location = connection.form.location();
        let location = location.and_then(|number| self.services.pushstream.locations.get(number));
        let footer = location.map_or("", |location| location.footer.as_str());
        wire::footer(Mode::WebSocket, Framing::WebSocket, footer, connection.control());
        websocket::close_frame(websocket::CLOSE_NORMAL, "", connection.control());
        connection.phase = Phase::Closing { hang_up: false, pieces: 0 };
        connection.since = now;
        self.forget(key, outside);
        self.make_ready(key);
        self.schedule(key);
    }

    /// A client has said something on its WebSocket: it is published in its channels, where that is allowed.
    pub(super) fn pushstream_said(&mut self, key: Key, text: &[u8], outside: &mut impl Outside) {
        let Some(connection) = self.connections.get(key) else { return };
        let location = connection.form.location();
        let location = location.and_then(|number| self.services.pushstream.locations.get(number));
        let Some(location) = location.filter(|one| one.websocket_allow_publish && !text.is_empty()) else {
            return;
        };
        let unstored = !location.store_messages;
        let Ok(text) = std::str::from_utf8(text) else {
            return self.close(key, Refusal::InvalidUtf8, outside);
        };
        let name = |one: &Subscription| self.channels.at(one.channel).map(|channel| channel.name.clone());
        let channels = connection.subscriptions.iter().filter_map(name);
        let channels: Vec<ChannelName> = channels.filter(|name| !self.is_events(name)).collect();
        let posted = Posted { text: text.into(), unstored, ..Posted::default() };
        for channel in channels {
            let id = MessageId::from_random(outside.random());
            let payload = message::posted(&posted, id, self.now.unix);
            let publish = Publish { channel, sender: None, key: None, id, payload };
            if self.try_broker(NO_TICKET, Operation::Publish(publish), outside).is_err() {
                // There is no other word for it.
                return self.close(key, Refusal::Overloaded, outside);
            }
        }
    }

    /// After how much silence a connection is pinged, in milliseconds.
    pub(super) fn ping_after_ms(&self, connection: &Connection) -> u64 {
        let location = connection.form.location();
        let location = location.and_then(|number| self.services.pushstream.locations.get(number));
        let own = location.and_then(|location| location.ping_interval_ms);
        own.unwrap_or(self.rules.limits.ping_after_ms)
    }

    /// It cannot have what it wants.
    pub(super) fn refuse_pushstream(&mut self, key: Key, refusal: Refusal, outside: &mut impl Outside) {
        let row = refusal.row();
        let (status, explain) = match refusal {
            Refusal::ChannelsFull => BadRequest::TooMany.explain(),
            _ => (row.http.unwrap_or(403), row.message),
        };
        self.close_explained(key, status, explain, outside);
    }

    /// The mode of an answer without end.
    pub(super) fn streams(&self, connection: &Connection) -> Option<Mode> {
        let mode = self.services.pushstream.locations.get(connection.form.location()?)?.mode;
        (mode != Mode::WebSocket).then_some(mode)
    }

    /// Ends an answer without end, if it is one: by an HTTP status where it has not begun.
    pub(super) fn end_stream(&mut self, key: Key, refusal: Refusal, outside: &mut impl Outside) -> bool {
        let Some(connection) = self.connections.get(key).filter(|one| one.phase == Phase::Open) else {
            return false;
        };
        let Some(mode) = self.streams(connection) else { return false };
        let (form, framing) = (connection.form, connection.form.framing(mode));
        let begun = !connection.is_unanswered();
        self.forget(key, outside);
        let mut end = Vec::new();
        if begun {
            let location = form.location().and_then(|number| self.services.pushstream.locations.get(number));
            let footer = location.map_or("", |location| location.footer.as_str());
            wire::footer(mode, framing, footer, &mut end);
            wire::end(framing, &mut end);
        } else {
            let (status, explain) = (refusal.row().http.unwrap_or(503), refusal.row().message);
            end = Asker::default().explained(status, explain, NEVER_KEPT);
        }
        self.last_words(key, &end);
        true
    }

    /// Something by which an answer without end stays open; nobody answers it.
    pub(super) fn ping_stream(&mut self, key: Key, now: Ticks) {
        let Some(connection) = self.connections.get(key) else { return };
        let location =
            connection.form.location().and_then(|number| self.services.pushstream.locations.get(number));
        let Some(location) = location.filter(|_| !connection.is_unanswered()) else { return };
        let stamp = Stamp { second: 0, tag: 0 };
        let text = self.services.pushstream.ping_text.as_bytes();
        let view = View { id: -1, stamp, channel: "", text, event_id: "", event_type: "" };
        let mut ping = Vec::new();
        wire::ping(location, connection.form.framing(location.mode), &view, &mut ping);
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.heard = now;
        connection.control().extend_from_slice(&ping);
        self.make_ready(key);
    }

    fn close_explained(&mut self, key: Key, http_status: u16, explain: &str, outside: &mut impl Outside) {
        let talk = self.connections.get_mut(key).and_then(|connection| connection.talk.as_deref_mut());
        let asker = talk.and_then(|talk| match (talk.poll.take(), talk.stream.take()) {
            (Some(poll), _) => Some(poll.asker),
            (None, stream) => stream.map(|stream| stream.0),
        });
        if let Some(asker) = asker {
            let location = self.connections.get(key).and_then(|connection| connection.form.location());
            let location = location.and_then(|number| self.services.pushstream.locations.get(number));
            let allowed = location.and_then(|location| location.allowed_origins.as_deref());
            let headers = asker.pushstream("GET", allowed);
            let answer = asker.explained(http_status, explain, &headers);
            self.forget(key, outside);
            return self.answer_request(key, &answer, asker.keep_alive);
        }
        self.forget(key, outside);
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key).filter(|one| one.phase == Phase::Open) else {
            return;
        };
        // In the module's very bytes: all of its texts are plain.
        let reason = format!("{{\"http_status\": {http_status}, \"explain\":\"{explain}\"}}");
        websocket::close_frame(websocket::CLOSE_POLICY, &reason, connection.control());
        connection.phase = Phase::Closing { hang_up: false, pieces: 0 };
        connection.since = now;
        self.make_ready(key);
        self.schedule(key);
    }
}
