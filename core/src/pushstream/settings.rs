//! Which paths are served to PushStream clients, and how. What the module calls `push_stream_x` is called
//! `x` here.

use crate::limits::LONGPOLLING_TTL_MS;
use crate::names::ChannelName;

use super::Template;
use super::padding::{Agents, Padding};

/// How a location's messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each in a text frame.
    WebSocket,
    /// As a browser's `EventSource` reads them.
    EventSource,
    /// One behind the other in an answer without end.
    Streaming,
    /// All that is there, or else the next one, in an answer of its own.
    LongPolling,
    /// All that is there, if anything is.
    Polling,
}

impl Mode {
    /// The mode that a request's `X-Nginx-PushStream-Mode` turns this one into: only into a poll, and
    /// neither a WebSocket nor a long poll.
    #[must_use]
    pub fn turned(self, header: Option<&str>) -> Mode {
        let wanted = match header.map(str::to_ascii_lowercase).as_deref() {
            Some("polling") => Mode::Polling,
            Some("long-polling") => Mode::LongPolling,
            _ => return self,
        };
        if matches!(self, Mode::WebSocket | Mode::LongPolling) { self } else { wanted }
    }

    /// Whether some need more of it than there is to be shown anything.
    #[must_use]
    pub fn is_padded(self) -> bool {
        matches!(self, Mode::Streaming | Mode::EventSource)
    }

    /// Whether it is answered once.
    #[must_use]
    pub fn is_poll(self) -> bool {
        matches!(self, Mode::LongPolling | Mode::Polling)
    }
}

/// A path under which channels are subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// What its paths begin with, the last slash included: the channels follow.
    pub prefix: String,
    /// How messages come.
    pub mode: Mode,
    /// How each is written.
    pub template: Template,
    /// What stands before the first.
    pub header: String,
    /// What stands behind the last.
    pub footer: String,
    /// After so much silence something is sent, in milliseconds.
    pub ping_interval_ms: Option<u64>,
    /// How long a subscriber is served, in milliseconds; without end if not said.
    pub connection_ttl_ms: Option<u64>,
    /// The same for a long poll.
    pub longpolling_ttl_ms: u64,
    /// Whether only channels that have messages may be subscribed to.
    pub authorized_channels_only: bool,
    /// Whether what a client says on its WebSocket is published in its channels.
    pub websocket_allow_publish: bool,
    /// What answers say of the pages that may read them, instead of the page that asks.
    pub allowed_origins: Option<String>,
    /// Whose answers are padded, and by which of the locations each group is then served.
    pub padded: Vec<(Agents, usize)>,
    /// How much, where they all are.
    pub padding: Option<Padding>,
    /// The content type of what is sent, but for event sources and scripts.
    pub default_type: String,
    /// Whether a path's ending goes over that.
    pub types_by_ending: bool,
    /// Whether the events channel may be subscribed to.
    pub events: bool,
    /// Whether what is published there is shown to those who come later.
    pub store_messages: bool,
}

impl Location {
    /// With nothing special.
    #[must_use]
    pub fn new(prefix: &str, mode: Mode, template: &str) -> Location {
        Location {
            prefix: prefix.to_owned(),
            mode,
            template: Template::new(template),
            header: String::new(),
            footer: String::new(),
            ping_interval_ms: None,
            connection_ttl_ms: None,
            longpolling_ttl_ms: LONGPOLLING_TTL_MS,
            authorized_channels_only: false,
            websocket_allow_publish: false,
            allowed_origins: None,
            padded: Vec::new(),
            padding: None,
            default_type: "text/plain".to_owned(),
            types_by_ending: false,
            events: false,
            store_messages: true,
        }
    }

    /// The content type of messages, where the path's ending names one.
    #[must_use]
    pub fn kind(&self, by_ending: Option<&'static str>) -> &str {
        by_ending.filter(|_| self.types_by_ending).unwrap_or(&self.default_type)
    }
}

/// A path under which is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// The whole path.
    pub path: String,
    /// Whether channels may be deleted.
    pub admin: bool,
    /// Whether who publishes is told how the channels are doing.
    pub channel_info_on_publish: bool,
    /// As [`Location::allowed_origins`].
    pub allowed_origins: Option<String>,
    /// As [`Location::store_messages`].
    pub store_messages: bool,
}

impl Publisher {
    /// With nothing special: channels may be deleted, and messages are stored.
    #[must_use]
    pub fn new(path: &str) -> Publisher {
        Publisher {
            path: path.to_owned(),
            admin: true,
            channel_info_on_publish: true,
            allowed_origins: None,
            store_messages: true,
        }
    }

    /// The methods that it takes.
    #[must_use]
    pub fn methods(&self) -> &'static str {
        if self.admin { "GET, POST, PUT, DELETE" } else { "GET, POST, PUT" }
    }
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where is published.
    pub publishers: Vec<Publisher>,
    /// Whether no relay may publish here: what it posts might come back to it.
    pub refuses_relays: bool,
    /// Where is told how channels are doing.
    pub statistics: Vec<String>,
    /// The machine's name, and the process's number, as statistics tell them.
    pub host: (String, u32),
    /// The first whose prefix fits is taken.
    pub locations: Vec<Location>,
    /// Channels that one request may name, at most.
    pub channels_max: usize,
    /// Channels that may be open on one shard, native clients' too, if there is such a bound.
    pub channels_open_max: Option<usize>,
    /// The same of wildcard channels.
    pub wildcards_open_max: Option<usize>,
    /// How long a channel stays open that nobody uses, in milliseconds, if that was said.
    pub inactivity_ms: Option<u64>,
    /// Bytes of a channel's name, at most.
    pub id_bytes_max: usize,
    /// Subscribers of a channel on one shard, at most.
    pub subscribers_max: usize,
    /// Messages of a channel that newcomers may be sent, at most.
    pub stored_max: u32,
    /// Of these, what is sent at most to a WebSocket that asks from the beginning of time: the original's pages
    /// have had as many from the dispatcher, and show what is older behind them.
    pub newcomers_max: u32,
    /// For how long they may be sent one, in milliseconds.
    pub message_ttl_ms: Option<u64>,
    /// What names of wildcard channels begin with; there are none without.
    pub wildcard_prefix: String,
    /// Wildcard channels that one request may name, at most.
    pub wildcards_max: Option<usize>,
    /// The channel in which is told what becomes of channels; there is none without.
    pub events: Option<ChannelName>,
    /// Whether a long poll in vain is answered with a message.
    pub timeout_with_body: bool,
    /// The text of a ping.
    pub ping_text: String,
    /// The text of a channel's deletion.
    pub deleted_text: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            publishers: Vec::new(),
            refuses_relays: false,
            statistics: Vec::new(),
            host: (String::new(), 0),
            locations: Vec::new(),
            channels_max: usize::MAX,
            channels_open_max: None,
            wildcards_open_max: None,
            inactivity_ms: None,
            id_bytes_max: usize::MAX,
            subscribers_max: usize::MAX,
            stored_max: u32::MAX,
            newcomers_max: u32::MAX,
            message_ttl_ms: None,
            wildcard_prefix: String::new(),
            wildcards_max: None,
            events: None,
            timeout_with_body: false,
            ping_text: " ".to_owned(),
            deleted_text: "Channel deleted".to_owned(),
        }
    }
}

impl Settings {
    /// ChatUp's own locations, under the names that the original's had.
    #[must_use]
    pub fn chatup(template: &str, channels_max: usize) -> Settings {
        let modes = [
            ("/ws/", Mode::WebSocket),
            ("/ev/", Mode::EventSource),
            ("/sub/", Mode::Streaming),
            ("/lp/", Mode::LongPolling),
            ("/jsonp/", Mode::LongPolling),
            ("/poll/", Mode::Polling),
        ];
        let locations = modes.map(|(prefix, mode)| Location::new(prefix, mode, template)).into();
        Settings {
            locations,
            channels_max,
            publishers: vec![Publisher::new("/pub")],
            statistics: vec!["/channels-stats".to_owned()],
            ..Settings::default()
        }
    }

    /// The location of a path: its number, and the rest of the path.
    #[must_use]
    pub fn find<'a>(&self, path: &'a str) -> Option<(usize, &'a str)> {
        let fits = |(number, location): (usize, &Location)| {
            Some((number, path.strip_prefix(location.prefix.as_str())?))
        };
        self.locations.iter().enumerate().find_map(fits)
    }

    /// Has some user agents' answers padded at the location with this number. Each group is served by a
    /// location of its own, which no path leads to: so what it is sent is made once for all of it.
    pub fn pad(&mut self, number: usize, groups: Vec<Agents>) {
        let Some(own) = self.locations.get(number).cloned() else { return };
        for agents in groups {
            let padding = Some(agents.padding);
            let place = self.locations.len();
            self.locations.push(Location { padding, padded: Vec::new(), ..own.clone() });
            self.locations[number].padded.push((agents, place));
        }
    }

    /// The location that serves a user agent which asks for an answer without end at this one.
    #[must_use]
    pub fn padded_for(&self, number: usize, user_agent: Option<&str>) -> usize {
        let padded = self.locations.get(number).map_or(&[][..], |location| &location.padded);
        let (Some(name), false) = (user_agent, padded.is_empty()) else { return number };
        padded.iter().find(|(agents, _)| agents.are(name)).map_or(number, |(_, place)| *place)
    }

    /// Whether some messages are not stored.
    #[must_use]
    pub fn has_unstored(&self) -> bool {
        self.publishers.iter().any(|one| !one.store_messages)
            || self.locations.iter().any(|one| !one.store_messages)
    }

    /// Whether a channel is a wildcard channel.
    #[must_use]
    pub fn is_wildcard(&self, name: &str) -> bool {
        !self.wildcard_prefix.is_empty() && name.starts_with(&self.wildcard_prefix)
    }
}
