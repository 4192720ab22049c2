//! Which paths are served to PushStream clients, and how.

use super::Template;

/// A path under which channels are subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// What its paths begin with, the last slash included: the channels follow.
    pub prefix: String,
    /// How messages are written.
    pub template: Template,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Of WebSockets; the first whose prefix fits is taken.
    pub locations: Vec<Location>,
}

impl Settings {
    /// ChatUp's own: WebSockets under `/ws/`.
    #[must_use]
    pub fn chatup(template: &str) -> Settings {
        let location = Location { prefix: "/ws/".to_owned(), template: Template::new(template) };
        Settings { locations: vec![location] }
    }

    /// The location of a path: its number, and the rest of the path.
    #[must_use]
    pub fn find<'a>(&self, path: &'a str) -> Option<(usize, &'a str)> {
        let fits = |(number, location): (usize, &Location)| {
            Some((number, path.strip_prefix(location.prefix.as_str())?))
        };
        self.locations.iter().enumerate().find_map(fits)
    }
}
