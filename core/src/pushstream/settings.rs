//! Which paths are served to PushStream clients, and how. What the module calls `push_stream_x` is called
//! `x` here.

use crate::limits::LONGPOLLING_TTL_MS;

use super::Template;

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
        }
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
}

impl Publisher {
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
    /// Where is told how channels are doing.
    pub statistics: Vec<String>,
    /// The machine's name, and the process's number, as statistics tell them.
    pub host: (String, u32),
    /// The first whose prefix fits is taken.
    pub locations: Vec<Location>,
    /// Channels that one request may name, at most.
    pub channels_max: usize,
    /// Bytes of a channel's name, at most.
    pub id_bytes_max: usize,
    /// Subscribers of a channel on one shard, at most.
    pub subscribers_max: usize,
    /// Messages of a channel that newcomers may be sent, at most.
    pub stored_max: u32,
    /// For how long they may be sent one, in milliseconds.
    pub message_ttl_ms: Option<u64>,
    /// What names of wildcard channels begin with; there are none without.
    pub wildcard_prefix: String,
    /// Wildcard channels that one request may name, at most.
    pub wildcards_max: Option<usize>,
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
            statistics: Vec::new(),
            host: (String::new(), 0),
            locations: Vec::new(),
            channels_max: usize::MAX,
            id_bytes_max: usize::MAX,
            subscribers_max: usize::MAX,
            stored_max: u32::MAX,
            message_ttl_ms: None,
            wildcard_prefix: String::new(),
            wildcards_max: None,
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
        let publisher = Publisher {
            path: "/pub".to_owned(),
            admin: true,
            channel_info_on_publish: true,
            allowed_origins: None,
        };
        Settings {
            locations,
            channels_max,
            publishers: vec![publisher],
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

    /// Whether a channel is a wildcard channel.
    #[must_use]
    pub fn is_wildcard(&self, name: &str) -> bool {
        !self.wildcard_prefix.is_empty() && name.starts_with(&self.wildcard_prefix)
    }
}
