//! Subscribers that speak PushStream: what they want stands in their request, and what they are refused
//! comes as the end of the WebSocket.

use serde::Serialize;

use crate::http_answer;
use crate::http_head::Stream;
use crate::protocol::Subscribe;
use crate::pushstream::{BadRequest, Framing, Mode, Stamp, View, Want, wire};
use crate::refusal::Refusal;
use crate::websocket;

use super::connection::{Connection, PendingChannel, PendingSubscribe, Phase, Subscription};
use super::forms::Form;
use super::slab::Key;
use super::timers::Ticks;
use super::{Outside, Shard};

/// Why a WebSocket is closed, in the module's words and under its code.
#[derive(Serialize)]
struct Explained<'a> {
    http_status: u16,
    explain: &'a str,
}

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

    /// An answer without end is asked for.
    pub(super) fn stream_requested(&mut self, key: Key, mut stream: Stream, outside: &mut impl Outside) {
        let framing = stream.framing;
        let want = match std::mem::replace(&mut stream.want, Err(BadRequest::NoChannel)) {
            Ok(want) => want,
            Err(bad) => {
                let (status, explain) = bad.explain();
                return self.last_words(key, &http_answer::explained(status, explain));
            }
        };
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.phase = Phase::Open;
        connection.since = now;
        connection.talk().stream = Some(stream);
        self.schedule(key);
        self.pushstream_wanted(key, want, framing, outside);
    }

    fn pushstream_wanted(&mut self, key: Key, want: Want, framing: Framing, outside: &mut impl Outside) {
        let form = Form::of_location(want.location, framing);
        if let (Some(connection), Some(form)) = (self.connections.get_mut(key), form) {
            connection.form = form;
        }
        if !self.rules.anonymous_subscribe {
            return self.refuse_pushstream(key, Refusal::NotAuthenticated, outside);
        }
        let open = |name: &crate::names::ChannelName| Subscribe {
            channel: name.clone(),
            position: None,
            history: 0,
        };
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
        let Some(location) = self.services.pushstream.locations.get(want.location).cloned() else {
            return self.refuse_pushstream(key, Refusal::BadRequest, outside);
        };
        let Some(connection) = self.connections.get_mut(key) else { return };
        let form = connection.form;
        if let Some(stream) = connection.talk.as_deref_mut().and_then(|talk| talk.stream.take()) {
            let (mode, framing) = (location.mode, stream.framing);
            let control = connection.control();
            let head = http_answer::stream_head(mode, framing, stream.origin.as_deref());
            control.extend_from_slice(head.as_bytes());
            wire::beginning(mode, framing, control);
        }
        for (item, wanted) in items.iter().zip(&want.channels) {
            let Some(entry) = self.channels.at_mut(item.channel) else { continue };
            let Some(log) = &entry.log else { continue };
            let cursor = entry.forms.begin(
                log,
                &entry.name,
                (form, &location),
                (&wanted.since, self.flush_interval_ms),
            );
            let Some(slot) = self.add_subscriber(key, item.channel) else { continue };
            if let Some(connection) = self.connections.get_mut(key) {
                connection.subscriptions.push(Subscription { channel: item.channel, slot, cursor });
            }
            self.let_go_of_channel(item.channel);
        }
        self.make_ready(key);
    }

    /// It cannot have what it wants.
    pub(super) fn refuse_pushstream(&mut self, key: Key, refusal: Refusal, outside: &mut impl Outside) {
        let row = refusal.row();
        self.close_explained(key, row.http.unwrap_or(403), row.message, outside);
    }

    /// The mode of an answer without end.
    pub(super) fn streams(&self, connection: &Connection) -> Option<Mode> {
        let mode = self.services.pushstream.mode(connection.form.location()?)?;
        (mode != Mode::WebSocket).then_some(mode)
    }

    /// Ends an answer without end, if it is one: by an HTTP status where it has not begun.
    pub(super) fn end_stream(&mut self, key: Key, refusal: Refusal, outside: &mut impl Outside) -> bool {
        let Some(connection) = self.connections.get(key).filter(|one| one.phase == Phase::Open) else {
            return false;
        };
        let Some(mode) = self.streams(connection) else { return false };
        let (framing, begun) = (connection.form.framing(mode), !connection.is_unanswered());
        self.forget(key, outside);
        let mut end = Vec::new();
        if begun {
            wire::end(framing, &mut end);
        } else {
            end = http_answer::explained(refusal.row().http.unwrap_or(503), refusal.row().message);
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
        let stamp = Stamp { second: self.now.unix.whole_seconds(), tag: 0 };
        let view = View { id: -1, stamp, channel: "", text: b" ", event_id: "", event_type: "" };
        let mut ping = Vec::new();
        wire::ping(
            location.mode,
            connection.form.framing(location.mode),
            &location.template,
            &view,
            &mut ping,
        );
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.heard = now;
        connection.control().extend_from_slice(&ping);
        self.make_ready(key);
    }

    fn close_explained(&mut self, key: Key, http_status: u16, explain: &str, outside: &mut impl Outside) {
        let waiting = self.connections.get(key).is_some_and(Connection::is_unanswered);
        self.forget(key, outside);
        if waiting {
            return self.last_words(key, &http_answer::explained(http_status, explain));
        }
        let now = self.ticks;
        let Some(connection) = self.connections.get_mut(key).filter(|one| one.phase == Phase::Open) else {
            return;
        };
        let reason = serde_json::to_string(&Explained { http_status, explain }).unwrap_or_default();
        websocket::close_frame(websocket::CLOSE_POLICY, &reason, connection.control());
        connection.phase = Phase::Closing { hang_up: false, pieces: 0 };
        connection.since = now;
        self.make_ready(key);
        self.schedule(key);
    }
}
