//! Which paths are served to PushStream clients, and how.

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
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The first whose prefix fits is taken.
    pub locations: Vec<Location>,
    /// Channels that one request may name, at most.
    pub channels_max: usize,
}

impl Settings {
    /// ChatUp's own: WebSockets under `/ws/`, event sources under `/ev/`, streams under `/sub/`.
    #[must_use]
    pub fn chatup(template: &str, channels_max: usize) -> Settings {
        let modes = [("/ws/", Mode::WebSocket), ("/ev/", Mode::EventSource), ("/sub/", Mode::Streaming)];
        let location = |(prefix, mode): (&str, Mode)| Location {
            prefix: prefix.to_owned(),
            mode,
            template: Template::new(template),
        };
        Settings { locations: modes.map(location).into(), channels_max }
    }

    /// The location of a path: its number, and the rest of the path.
    #[must_use]
    pub fn find<'a>(&self, path: &'a str) -> Option<(usize, &'a str)> {
        let fits = |(number, location): (usize, &Location)| {
            Some((number, path.strip_prefix(location.prefix.as_str())?))
        };
        self.locations.iter().enumerate().find_map(fits)
    }

    /// How the messages of the location with this number come.
    #[must_use]
    pub fn mode(&self, location: usize) -> Option<Mode> {
        self.locations.get(location).map(|location| location.mode)
    }
}
