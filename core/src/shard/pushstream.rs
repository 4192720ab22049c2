//! Subscribers that speak PushStream: what they want stands in their request, and what they are refused
//! comes as the end of the WebSocket.

use serde::Serialize;

use crate::protocol::Subscribe;
use crate::pushstream::{BadRequest, Want};
use crate::refusal::Refusal;
use crate::websocket;

use super::connection::{PendingChannel, PendingSubscribe, Phase, Subscription};
use super::forms::Form;
use super::slab::Key;
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
        if let (Some(connection), Some(form)) =
            (self.connections.get_mut(key), Form::of_location(want.location))
        {
            connection.form = form;
        }
        if !self.rules.anonymous_subscribe {
            return self.refuse_pushstream(key, Refusal::NotAuthenticated, outside);
        }
        if want.channels.len() > self.rules.limits.channels_per_connection_max as usize {
            return self.refuse_pushstream(key, Refusal::TooManyChannels, outside);
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
        let Some(template) =
            self.services.pushstream.locations.get(want.location).map(|one| one.template.clone())
        else {
            return self.refuse_pushstream(key, Refusal::BadRequest, outside);
        };
        for (item, wanted) in items.iter().zip(&want.channels) {
            let Some(entry) = self.channels.at_mut(item.channel) else { continue };
            let Some(log) = &entry.log else { continue };
            let cursor = entry.forms.begin(log, &entry.name, (want.location, &template), &wanted.since);
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

    fn close_explained(&mut self, key: Key, http_status: u16, explain: &str, outside: &mut impl Outside) {
        self.forget(key, outside);
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
