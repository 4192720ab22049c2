//! The `[pushstream]` table: what the Nginx module's directives say, under their names without
//! `push_stream_`; times are in seconds.

use std::fmt;

use chatup_core::limits::{CHANNEL_NAME_BYTES_MAX, LONGPOLLING_TTL_MS, Limits};
use chatup_core::names::ChannelName;
use chatup_core::pushstream::padding::Agents;
use chatup_core::pushstream::settings::Publisher;
use chatup_core::pushstream::{Location as Served, Mode, Settings, Template};
use serde::{Deserialize, Serialize};

use super::tables::StatsFrom;

/// Longest template of a message, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 1_024;
/// Longest text before the first or behind the last message, in bytes.
pub const PAGE_BYTES_MAX: usize = 16 * 1_024;
/// Most locations, the groups of user agents that they pad for included.
pub const LOCATIONS_MAX: usize = 64;

/// The `[pushstream]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PushStream {
    /// Whether the worker serves the Nginx PushStream module's clients, by default under the original's
    /// paths: subscribers under /ws/, /ev/, /sub/, /lp/, /jsonp/ and /poll/, publishers at /pub and
    /// statistics at /channels-stats.
    pub enabled: bool,
    /// How a message is written: ~id~, ~time~, ~tag~, ~channel~, ~text~, ~size~, ~event-id~ and
    /// ~event-type~ stand for what the message says; the text of what was said in a room is a JSON list
    /// of messages. ChatUp's own pages need the one that is the default.
    pub message_template: String,
    /// Who may publish over HTTP, and read the statistics: "loopback" (this machine; behind a proxy
    /// on it, by the last address of X-Forwarded-For), "anyone" or "nobody".
    pub publish_from: StatsFrom,
    /// Other paths than the original's, only in a file: a table [[pushstream.locations]] for each, with
    /// path and mode ("websocket", "eventsource", "streaming", "long-polling", "polling", "publisher",
    /// "publisher-admin" or "statistics"), and what else the module's directives say of a location.
    pub locations: Vec<Location>,
    /// For how long a message may be sent to newcomers, in seconds. 0: for as long as it is kept.
    pub message_ttl_s: u64,
    /// Messages of a channel that newcomers may be sent, at most. 0: all that are kept.
    pub max_messages_stored_per_channel: u32,
    /// Subscribers of a channel on one shard, at most. 0: any number.
    pub max_subscribers_per_channel: u32,
    /// Channels that may be open on one shard at a time, native clients' too, at most: beside
    /// limits.channels_per_shard_max. 0: no other bound than that.
    pub max_number_of_channels: u32,
    /// Of these, wildcard channels, those that nobody uses any more included. 0: any number.
    pub max_number_of_wildcard_channels: u32,
    /// How long a channel with messages stays open that nobody uses any more, in seconds. 0: 5. One
    /// without messages goes at once.
    pub channel_inactivity_time_s: u64,
    /// Bytes of a channel's name, at most.
    pub max_channel_id_length: usize,
    /// What the names of wildcard channels begin with. Empty: there are none.
    pub wildcard_channel_prefix: String,
    /// Wildcard channels that one request may name, beside at least one other. 0: any number.
    pub wildcard_channel_max_qtd: usize,
    /// The channel in which is told, as the module does, that channels are created and destroyed, and that
    /// clients subscribe to them and go. It can be subscribed to only where a location has
    /// allow_connections_to_events_channel. Empty: there is none.
    pub events_channel_id: String,
    /// Whether a long poll in vain is answered with a message (id -3) instead of status 304.
    pub timeout_with_body: bool,
    /// The text of a message that keeps a stream open.
    pub ping_message_text: String,
    /// The text of the message by which subscribers learn that a channel was deleted.
    pub channel_deleted_message_text: String,
}

impl Default for PushStream {
    fn default() -> Self {
        let own = Settings::default();
        PushStream {
            enabled: false,
            message_template: "~time~.~channel~.~text~".to_owned(),
            publish_from: StatsFrom::Loopback,
            locations: Vec::new(),
            message_ttl_s: 0,
            max_messages_stored_per_channel: 0,
            max_subscribers_per_channel: 0,
            max_number_of_channels: 0,
            max_number_of_wildcard_channels: 0,
            channel_inactivity_time_s: 0,
            max_channel_id_length: CHANNEL_NAME_BYTES_MAX,
            wildcard_channel_prefix: String::new(),
            wildcard_channel_max_qtd: 0,
            events_channel_id: String::new(),
            timeout_with_body: false,
            ping_message_text: own.ping_text,
            channel_deleted_message_text: own.deleted_text,
        }
    }
}

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is the module's own word")]
pub enum LocationMode {
    #[serde(rename = "websocket")]
    WebSocket,
    #[serde(rename = "eventsource")]
    EventSource,
    Streaming,
    LongPolling,
    Polling,
    Publisher,
    PublisherAdmin,
    Statistics,
}

/// A `[[pushstream.locations]]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// What its paths begin with, the last slash included; of publishers and statistics the whole path.
    pub path: String,
    /// What it is for.
    pub mode: LocationMode,
    /// How a message is written; `~text~` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_template: Option<String>,
    /// What stands before the first message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub header_template: String,
    /// What stands behind the last one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub footer_template: String,
    /// Silence after which something is sent, in seconds; as `limits.ping_after_ms` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_message_interval_s: Option<u64>,
    /// How long a subscriber is served, in seconds; without end if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriber_connection_ttl_s: Option<u64>,
    /// How long a long poll is held, in seconds; 30 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longpolling_connection_ttl_s: Option<u64>,
    /// Whether only channels that have messages may be subscribed to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub authorized_channels_only: bool,
    /// Whether what clients say on their WebSockets is published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub websocket_allow_publish: bool,
    /// Whether who publishes is told how the channels are doing.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub channel_info_on_publish: bool,
    /// What answers say of the pages that may read them (`Access-Control-Allow-Origin`); the page that
    /// asks, if it is let in, if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<String>,
    /// Which user agents are sent more than there is, so that they show it: `PATTERN,HEADER,MESSAGE`, more
    /// of them behind colons. What stands before the first message of a stream or an event source is
    /// padded to HEADER bytes, each message to MESSAGE bytes. PATTERN is a regular expression.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub padding_by_user_agent: String,
    /// The content type of streams and polls: "text/html", say, for streams into an iframe.
    #[serde(default = "plain", skip_serializing_if = "is_plain")]
    pub default_type: String,
    /// Whether the ending of a path goes over that: then any room's messages can be shown as a page of that
    /// origin, by a path such as /poll/m_lobby/x.html.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub types_by_ending: bool,
    /// Whether what is published there, or said on its WebSockets, is sent to those who come later, too.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub store_messages: bool,
    /// Whether the events channel may be subscribed to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_connections_to_events_channel: bool,
}

fn plain() -> String {
    "text/plain".to_owned()
}

fn is_plain(kind: &str) -> bool {
    kind == "text/plain"
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.path)
    }
}

impl Location {
    /// With what holds if nothing is said, but for the path.
    pub(crate) fn new(mode: LocationMode) -> Location {
        Location {
            path: String::new(),
            mode,
            message_template: None,
            header_template: String::new(),
            footer_template: String::new(),
            ping_message_interval_s: None,
            subscriber_connection_ttl_s: None,
            longpolling_connection_ttl_s: None,
            authorized_channels_only: false,
            websocket_allow_publish: false,
            channel_info_on_publish: true,
            allowed_origins: None,
            padding_by_user_agent: String::new(),
            default_type: plain(),
            types_by_ending: false,
            store_messages: true,
            allow_connections_to_events_channel: false,
        }
    }

    /// The subscribers' mode, if it is one.
    fn served(&self) -> Option<Mode> {
        match self.mode {
            LocationMode::WebSocket => Some(Mode::WebSocket),
            LocationMode::EventSource => Some(Mode::EventSource),
            LocationMode::Streaming => Some(Mode::Streaming),
            LocationMode::LongPolling => Some(Mode::LongPolling),
            LocationMode::Polling => Some(Mode::Polling),
            LocationMode::Publisher | LocationMode::PublisherAdmin | LocationMode::Statistics => None,
        }
    }

    /// What of it is wrong.
    fn wrong(&self) -> Option<&'static str> {
        let zero = |time: Option<u64>| time == Some(0);
        let header_safe = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let whole = self.served().is_none();
        let template = self.message_template.as_deref().unwrap_or("~text~");
        if !self.path.starts_with('/') || self.path.contains(['?', '#', ' ']) {
            Some("path begins with a slash and holds no space, ? or #")
        } else if !whole && !self.path.ends_with('/') {
            Some("the path of subscribers ends with a slash")
        } else if template.is_empty() || template.len() > TEMPLATE_BYTES_MAX {
            Some("message_template is not empty, and has up to 1024 bytes")
        } else if self.header_template.len().max(self.footer_template.len()) > PAGE_BYTES_MAX {
            Some("header_template and footer_template have up to 16384 bytes")
        } else if zero(self.ping_message_interval_s)
            || zero(self.subscriber_connection_ttl_s)
            || zero(self.longpolling_connection_ttl_s)
        {
            Some("a time of 0 means nothing: leave it out")
        } else if self.allowed_origins.as_deref().is_some_and(|text| !header_safe(text)) {
            Some("allowed_origins holds only what a header may")
        } else if !header_safe(&self.default_type) || !self.default_type.contains('/') {
            Some("default_type is a content type, such as text/html; charset=utf-8")
        } else if self.padded().is_none() {
            Some(
                "padding_by_user_agent is PATTERN,HEADER,MESSAGE, more of them behind colons: a regular \
                 expression without colons, and two numbers up to 65536",
            )
        } else {
            None
        }
    }

    /// The user agents that it pads for.
    fn padded(&self) -> Option<Vec<Agents>> {
        let text = self.padding_by_user_agent.as_str();
        if text.is_empty() { Some(Vec::new()) } else { Agents::read(text) }
    }

    fn location(&self, mode: Mode) -> Served {
        let ms = |seconds: u64| seconds.saturating_mul(1_000);
        let ttl = self.subscriber_connection_ttl_s.map(ms);
        Served {
            template: Template::new(self.message_template.as_deref().unwrap_or("~text~")),
            header: self.header_template.clone(),
            footer: self.footer_template.clone(),
            ping_interval_ms: self.ping_message_interval_s.map(ms),
            connection_ttl_ms: ttl,
            longpolling_ttl_ms: self
                .longpolling_connection_ttl_s
                .map(ms)
                .or(ttl)
                .unwrap_or(LONGPOLLING_TTL_MS),
            authorized_channels_only: self.authorized_channels_only,
            websocket_allow_publish: self.websocket_allow_publish,
            allowed_origins: self.allowed_origins.clone(),
            default_type: self.default_type.clone(),
            types_by_ending: self.types_by_ending,
            events: self.allow_connections_to_events_channel,
            store_messages: self.store_messages,
            ..Served::new(&self.path, mode, "")
        }
    }
}

impl PushStream {
    /// What is wrong with the locations: which, and what they must be.
    pub(crate) fn wrong_location(&self) -> Option<(String, &'static str)> {
        let groups = self.locations.iter().filter_map(Location::padded).map(|groups| groups.len());
        let served = self.locations.len() + groups.sum::<usize>();
        if served > LOCATIONS_MAX {
            return Some((served.to_string(), "64 at most, user agents that are padded for included"));
        }
        for (number, location) in self.locations.iter().enumerate() {
            let same = self.locations[..number].iter().any(|other| other.path == location.path);
            let wrong = location.wrong().or_else(|| same.then_some("each path stands once"));
            if let Some(wrong) = wrong {
                return Some((location.to_string(), wrong));
            }
        }
        None
    }

    /// Has answers padded for those who need it.
    fn pad(&self, settings: &mut Settings) {
        let subscribers = self.locations.iter().filter(|location| location.served().is_some());
        let padded: Vec<Vec<Agents>> =
            subscribers.map(|location| location.padded().unwrap_or_default()).collect();
        let greatest = padded.iter().flatten().map(|agents| agents.padding.greatest).max().unwrap_or(0);
        for (number, mut groups) in padded.into_iter().enumerate() {
            groups.iter_mut().for_each(|agents| agents.padding.greatest = greatest);
            settings.pad(number, groups);
        }
    }

    /// What the worker serves.
    #[must_use]
    pub fn settings(&self, limits: &Limits, host: (String, u32)) -> Settings {
        if !self.enabled {
            return Settings::default();
        }
        let or = |number: u32, default: usize| if number == 0 { default } else { number as usize };
        let bound = |number: u32| (number > 0).then_some(number as usize);
        let channels_max = limits.channels_per_connection_max as usize;
        let mut settings = Settings {
            host,
            channels_open_max: bound(self.max_number_of_channels),
            wildcards_open_max: bound(self.max_number_of_wildcard_channels),
            inactivity_ms: (self.channel_inactivity_time_s > 0)
                .then(|| self.channel_inactivity_time_s.saturating_mul(1_000)),
            id_bytes_max: self.max_channel_id_length,
            subscribers_max: or(self.max_subscribers_per_channel, usize::MAX),
            stored_max: match self.max_messages_stored_per_channel {
                0 => u32::MAX,
                stored => stored,
            },
            message_ttl_ms: (self.message_ttl_s > 0).then(|| self.message_ttl_s.saturating_mul(1_000)),
            wildcard_prefix: self.wildcard_channel_prefix.clone(),
            wildcards_max: (self.wildcard_channel_max_qtd > 0).then_some(self.wildcard_channel_max_qtd),
            events: ChannelName::new(&self.events_channel_id).ok(),
            timeout_with_body: self.timeout_with_body,
            ping_text: self.ping_message_text.clone(),
            deleted_text: self.channel_deleted_message_text.clone(),
            ..Settings::chatup(&self.message_template, channels_max)
        };
        if self.locations.is_empty() {
            return settings;
        }
        (settings.locations, settings.publishers, settings.statistics) = Default::default();
        for location in &self.locations {
            match (location.served(), location.mode) {
                (Some(mode), _) => settings.locations.push(location.location(mode)),
                (None, LocationMode::Statistics) => settings.statistics.push(location.path.clone()),
                (None, mode) => settings.publishers.push(Publisher {
                    admin: mode == LocationMode::PublisherAdmin,
                    channel_info_on_publish: location.channel_info_on_publish,
                    allowed_origins: location.allowed_origins.clone(),
                    store_messages: location.store_messages,
                    ..Publisher::new(&location.path)
                }),
            }
        }
        self.pad(&mut settings);
        settings
    }
}
