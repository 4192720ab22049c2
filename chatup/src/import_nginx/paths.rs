//! The worker's paths: one for each kind of location, so that no channel's name under one of them can be read
//! as another's path. Channels stand behind the paths of subscribers; those of others are whole.

use chatup_core::pushstream::padding::Agents;

use crate::config::pushstream::{LOCATIONS_MAX, Location, LocationMode};

/// What a worker serves besides.
const TAKEN: [&str; 4] = ["/chatup/v1", "/socket.io/", "/stats", "/health"];
/// Names with numbers that are tried, at most.
const NUMBERS_MAX: usize = 2 * LOCATIONS_MAX;

/// The locations so far, and where each is from.
#[derive(Debug, Default)]
pub(super) struct Paths {
    pub(super) locations: Vec<Location>,
    pub(super) origins: Vec<String>,
}

/// Whether channels are named by an argument there, and not behind the path.
pub(super) fn is_whole(mode: LocationMode) -> bool {
    matches!(mode, LocationMode::Publisher | LocationMode::PublisherAdmin | LocationMode::Statistics)
}

impl Paths {
    /// The path of a location: the beginning of what it matched, if that can be. Two that are served alike
    /// have one path.
    pub(super) fn add(&mut self, stem: &str, location: &Location, origin: String) -> Option<String> {
        let whole = is_whole(location.mode);
        let candidates = candidates(stem, location.mode);
        for path in candidates {
            let wanted = Location { path: path.clone(), ..location.clone() };
            if let Some(number) = self.locations.iter().position(|known| *known == wanted) {
                self.origins[number].push_str(&format!(", {origin}"));
                return Some(path);
            }
            if self.locations.len() < LOCATIONS_MAX && self.is_free(&path, whole) {
                self.locations.push(wanted);
                self.origins.push(origin);
                return Some(path);
            }
        }
        None
    }

    /// Takes the padding of locations away that are too many with it, and says which.
    pub(super) fn without_padding(&mut self) -> Vec<String> {
        let mut left = LOCATIONS_MAX.saturating_sub(self.locations.len());
        let mut without = Vec::new();
        for location in self.locations.iter_mut().filter(|one| !one.padding_by_user_agent.is_empty()) {
            let groups = Agents::read(&location.padding_by_user_agent).map_or(0, |groups| groups.len());
            match left.checked_sub(groups) {
                Some(rest) => left = rest,
                None => {
                    location.padding_by_user_agent.clear();
                    without.push(location.path.clone());
                }
            }
        }
        without
    }

    fn is_free(&self, path: &str, whole: bool) -> bool {
        let known = self.locations.iter().map(|known| (known.path.as_str(), is_whole(known.mode)));
        let taken = TAKEN.iter().map(|path| (*path, !path.ends_with('/')));
        !known.chain(taken).any(|(other, other_whole)| match (whole, other_whole) {
            (true, true) => path == other,
            (true, false) => path.starts_with(other),
            (false, true) => other.starts_with(path),
            (false, false) => path.starts_with(other) || other.starts_with(path),
        })
    }
}

/// Paths in the order in which they are tried.
fn candidates(stem: &str, mode: LocationMode) -> impl Iterator<Item = String> {
    let own = match mode {
        LocationMode::WebSocket => "ws",
        LocationMode::EventSource => "ev",
        LocationMode::Streaming => "sub",
        LocationMode::LongPolling => "lp",
        LocationMode::Polling => "poll",
        LocationMode::Publisher | LocationMode::PublisherAdmin => "pub",
        LocationMode::Statistics => "channels-stats",
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let natural = stem.trim_end_matches(['/', '-', '_', '.']);
    let natural = (!natural.is_empty() && natural.starts_with('/') && natural.bytes().all(allowed))
        .then(|| natural.trim_start_matches('/').to_owned())
        .filter(|path| !path.contains("//") && !path.contains("..") && !path.is_empty());
    let end = if is_whole(mode) { "" } else { "/" };
    let base = natural.as_deref().unwrap_or(own).replace('/', "-");
    let first = natural.unwrap_or_else(|| own.to_owned());
    let numbered = (2..NUMBERS_MAX).map({
        let base = base.clone();
        move |number| format!("{base}-{number}")
    });
    [first, base].into_iter().chain(numbered).map(move |path| format!("/{path}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_part_of_another() {
        let mut paths = Paths::default();
        let mut add = |stem: &str, mode, template: &str| {
            let text = format!(
                "path = \"\"\nmode = \"polling\"\n{}",
                if template.is_empty() {
                    String::new()
                } else {
                    format!("message_template = \"{template}\"")
                }
            );
            let location = Location { mode, ..toml::from_str(&text).unwrap() };
            paths.add(stem, &location, String::new()).unwrap_or_default()
        };
        use LocationMode::{Polling, Publisher, Statistics, WebSocket};
        let table = [
            ("/sub/", WebSocket, "", "/sub/"),
            ("/sub/", WebSocket, "", "/sub/"),
            ("/sub/", WebSocket, "x", "/sub-2/"),
            ("/sub/deep/", WebSocket, "x", "/sub-deep/"),
            ("/sub", Publisher, "", "/sub"),
            ("/sub/x", Publisher, "", "/sub-x"),
            ("/", WebSocket, "", "/ws/"),
            ("", Polling, "", "/poll/"),
            ("/stats", Statistics, "", "/stats-2"),
            ("/chatup/", WebSocket, "", "/chatup-2/"),
            ("/ä/", WebSocket, "", "/ws/"),
            ("/user-", WebSocket, "", "/user/"),
        ];
        for (stem, mode, template, expected) in table {
            assert_eq!(add(stem, mode, template), expected, "{stem}");
        }
    }
}
