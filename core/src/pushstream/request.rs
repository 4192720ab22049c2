//! What a subscriber asks for: channels in the path, each perhaps with a backtrack, and from when on, by
//! headers or arguments.

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::limits::CALLBACK_BYTES_MAX;
use crate::names::{ChannelName, NameError};

use super::settings::{Mode, Settings};
use super::stamp::{Place, Stamp, read_date, read_places, read_tag};
use super::types;

/// From where on messages are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// Only what comes.
    Now,
    /// So many of the last ones too.
    Last(u32),
    /// What came behind whichever is found first.
    After {
        /// The message that its publisher gave this id.
        event: Option<String>,
        /// This place in time.
        stamp: Option<Stamp>,
        /// This very place, if the channel is of this past; then nothing else counts.
        exactly: Option<Place>,
    },
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantChannel {
    /// Which.
    pub name: ChannelName,
    /// From where on.
    pub since: Since,
}

/// A request to subscribe, at the location with this number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The location.
    pub location: usize,
    /// How: the location's mode, or what the request has made of it.
    pub mode: Mode,
    /// What is wanted; at least one.
    pub channels: Vec<WantChannel>,
    /// The function that the answer of a poll calls.
    pub callback: Option<String>,
    /// The content type that the path's ending names.
    pub kind: Option<&'static str>,
    /// The place in time that was asked for, as it was written.
    pub asked: Asked,
}

/// What a poll in vain is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The second.
    pub time: Option<u64>,
    /// The tag, as it was given.
    pub tag: Option<String>,
}

/// Why there is nothing to subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// No channel in the path.
    NoChannel,
    /// A name that no channel can have.
    BadName,
    /// The word, or the sign, that stands for all channels.
    All,
    /// A name over the limit.
    TooLong,
    /// More channels than one may have.
    TooMany,
    /// More wildcard channels than one may have, or nothing else.
    TooManyWildcards,
    /// A channel without messages, where only others may be subscribed to.
    Unauthorized,
    /// The channel has as many subscribers as it may have.
    Crowded,
    /// The events channel, where it may not be subscribed to.
    Events,
    /// The events channel, in which nobody publishes, and which nobody deletes.
    OnlyInternal,
    /// A function's name that is none.
    Callback,
    /// Not enough of a WebSocket.
    Headers,
    /// A version of WebSockets that is not known.
    Version,
}

impl BadRequest {
    /// The HTTP status, and the reason in the module's words.
    #[must_use]
    pub fn explain(self) -> (u16, &'static str) {
        match self {
            BadRequest::NoChannel => (400, "No channel id provided."),
            BadRequest::BadName => (403, "Channel id not allowed."),
            BadRequest::All => (403, "Channel id not authorized for this method."),
            BadRequest::TooLong => (400, "Channel id is too large."),
            BadRequest::TooMany => (403, "Number of channels were exceeded."),
            BadRequest::TooManyWildcards => (403, "Subscribed too much wildcard channels."),
            BadRequest::Unauthorized => (403, "Subscriber could not create channels."),
            BadRequest::Crowded => (403, "Subscribers limit per channel has been exceeded."),
            BadRequest::Events => (403, "Subscription to events channel is not allowed."),
            BadRequest::OnlyInternal => (403, "Only internal routines can change events channel."),
            BadRequest::Callback => (400, "Callback not allowed."),
            BadRequest::Headers => (
                400,
                "Don't have at least one of the mandatory headers: Connection, Upgrade, Sec-WebSocket-Key and \
                 Sec-WebSocket-Version",
            ),
            BadRequest::Version => (400, "Version not supported. Supported versions: 8, 13"),
        }
    }
}

impl Want {
    /// Reads what stands behind the location's prefix, the arguments and the headers. The same channel
    /// named twice is one.
    ///
    /// # Errors
    /// Why nothing can be subscribed to.
    pub fn read(
        location: usize,
        rest: &str,
        query: &str,
        headers: &HeaderMap,
        settings: &Settings,
    ) -> Result<Want, BadRequest> {
        let given = Given::read(query, headers);
        let own = settings.locations.get(location).map_or(Mode::Polling, |location| location.mode);
        let mode = own.turned(headers.get(MODE_HEADER).and_then(|value| value.to_str().ok()));
        let events = settings.locations.get(location).is_some_and(|location| location.events);
        let path = percent_decode_str(rest).decode_utf8().map_err(|_| BadRequest::BadName)?;
        let mut channels: Vec<WantChannel> = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let (name, last) = read_name(part, settings)?;
            if settings.events.as_ref() == Some(&name) && !events {
                return Err(BadRequest::Events);
            }
            let since = last.map_or_else(|| given.since(), Since::Last);
            if channels.iter().any(|known| known.name == name) {
                continue;
            }
            if channels.len() == settings.channels_max {
                return Err(BadRequest::TooMany);
            }
            channels.push(WantChannel { name, since });
        }
        if channels.is_empty() {
            return Err(BadRequest::NoChannel);
        }
        given.places(&mut channels);
        let wildcards = channels.iter().filter(|one| settings.is_wildcard(one.name.as_str())).count();
        let too_many =
            settings.wildcards_max.is_some_and(|max| wildcards > max || wildcards == channels.len());
        if wildcards > 0 && too_many {
            return Err(BadRequest::TooManyWildcards);
        }
        let callback = given.callback.filter(|_| mode.is_poll());
        if callback.as_deref().is_some_and(|name| !is_function(name)) {
            return Err(BadRequest::Callback);
        }
        let asked = Asked { time: given.time.filter(|time| *time > 0), tag: given.tag };
        Ok(Want { location, mode, channels, callback, kind: types::by_ending(&path), asked })
    }
}

/// The header by which a request turns a location's mode into a poll.
const MODE_HEADER: &str = "x-nginx-pushstream-mode";

/// A channel as a path or an argument names it, and its backtrack.
///
/// # Errors
/// Why it cannot be one.
pub fn read_name(part: &str, settings: &Settings) -> Result<(ChannelName, Option<u32>), BadRequest> {
    let (name, last) = split_backtrack(part);
    if name == "ALL" || name.contains('*') {
        return Err(BadRequest::All);
    }
    if name.len() > settings.id_bytes_max {
        return Err(BadRequest::TooLong);
    }
    let name = ChannelName::new(name).map_err(|error| match error {
        NameError::TooLong(_) => BadRequest::TooLong,
        _ => BadRequest::BadName,
    })?;
    Ok((name, last.filter(|last| *last > 0)))
}

/// What an answer may call: nothing that could be anything else than a name.
fn is_function(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.$".contains(&byte);
    (1..=CALLBACK_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// `name.bN`: only the last such ending counts, so that `a.b3.b2` is `a.b3`.
fn split_backtrack(part: &str) -> (&str, Option<u32>) {
    let Some((name, digits)) = part.rsplit_once(".b") else { return (part, None) };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return (part, None);
    }
    // A huge number means all.
    (name, Some(digits.parse().unwrap_or(u32::MAX)))
}

/// What arguments and headers say; arguments go over headers, each by itself.
#[derive(Default)]
struct Given {
    event: Option<String>,
    time: Option<u64>,
    tag: Option<String>,
    callback: Option<String>,
}

impl Given {
    fn read(query: &str, headers: &HeaderMap) -> Given {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (mut event, mut time, mut tag, mut callback) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "eventid" => &mut event,
                "time" => &mut time,
                "tag" => &mut tag,
                "callback" => &mut callback,
                _ => continue,
            };
            place.get_or_insert(value.into_owned());
        }
        // Without its equals sign it is no argument.
        let callback = callback.filter(|_| query.split('&').any(|part| part.starts_with("callback=")));
        let time = time.or_else(|| header("if-modified-since"));
        Given {
            event: event.or_else(|| header("last-event-id")).filter(|id| !id.is_empty()),
            time: time.and_then(|text| read_date(&text)),
            tag: tag.or_else(|| header("if-none-match")).filter(|tag| !tag.is_empty()),
            callback,
        }
    }

    fn since(&self) -> Since {
        let tag = self.tag.as_deref().and_then(read_tag);
        // Without a tag the whole second counts as seen.
        let stamp = self.time.map(|second| Stamp { second, tag: tag.unwrap_or(u64::MAX) });
        let own = self.event.as_deref().and_then(Stamp::read);
        match (self.event.clone(), own.or(stamp)) {
            (None, None) => Since::Now,
            (event, stamp) => Since::After { event, stamp, exactly: None },
        }
    }

    /// A tag of this server's own polls says where each of the channels is.
    fn places(&self, channels: &mut [WantChannel]) {
        let Some(places) = self.tag.as_deref().and_then(|tag| read_places(tag, channels.len())) else {
            return;
        };
        for (channel, place) in channels.iter_mut().zip(places) {
            if let Since::After { exactly, .. } = &mut channel.since {
                *exactly = Some(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, query: &str, headers: &[(&'static str, &'static str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, http::HeaderValue::from_static(value));
        }
        match Want::read(0, path, query, &map, &Settings { channels_max: 3, ..Settings::default() }) {
            Err(error) => format!("{error:?}"),
            Ok(want) => {
                let shown = want.channels.iter().map(|one| match &one.since {
                    Since::Now => one.name.to_string(),
                    Since::Last(count) => format!("{} last {count}", one.name),
                    Since::After { event, stamp, exactly } => {
                        let event = event.as_ref().map_or(String::new(), |id| format!(" event {id}"));
                        let stamp = stamp.map_or(String::new(), |stamp| match stamp.tag {
                            u64::MAX => format!(" {}", stamp.second),
                            tag => format!(" {}#{tag}", stamp.second),
                        });
                        let exactly =
                            exactly.map_or(String::new(), |place| format!(" at {}", place.offset.0));
                        format!("{} after{event}{stamp}{exactly}", one.name)
                    }
                });
                shown.collect::<Vec<_>>().join(", ")
            }
        }
    }

    #[test]
    fn channels_and_where_from() {
        let start = "time=Thu%2C%2001%20Jan%201970%2000%3A00%3A00%20GMT";
        let library = format!("_=1&tag=0&{start}&eventid=");
        let javascript = "time=Sun%20Nov%2022%202026%2012%3A42%3A46%20GMT+0000%20%28UTC%29&tag=0&eventid=";
        type Headers = &'static [(&'static str, &'static str)];
        let table: [(&str, &str, Headers, &str); 18] = [
            ("m_a/e_a", "", &[], "m_a, e_a"),
            ("m_a//e_a/", "", &[], "m_a, e_a"),
            ("m_a%2Fe_a.b2", "", &[], "m_a, e_a last 2"),
            ("m_a.b99999999999", "", &[], "m_a last 4294967295"),
            ("m_a/e_a", &library, &[], "m_a after 0#0, e_a after 0#0"),
            ("m_a.b3/e_a", &library, &[], "m_a last 3, e_a after 0#0"),
            ("m_a", javascript, &[], "m_a after 1795351366#0"),
            ("m_a", start, &[], "m_a after 0"),
            ("m_a", "tag=5", &[], "m_a"),
            ("m_a", "", &[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], "m_a after 784111777"),
            ("m_a", "eventid=7", &[("last-event-id", "8")], "m_a after event 7"),
            ("m_a/m_a", "", &[], "m_a"),
            ("ALL/m_a", "", &[], "All"),
            ("m_*", "", &[], "All"),
            ("a/b/c/a", "", &[], "a, b, c"),
            ("a/b/c/d/*", "", &[], "TooMany"),
            ("m_a%0A", "", &[], "BadName"),
            ("", "", &[], "NoChannel"),
        ];
        for (path, query, headers, expected) in table {
            assert_eq!(read(path, query, headers), expected, "{path} {query}");
        }
    }

    #[test]
    fn the_last_backtrack_counts() {
        let table = [("a.b3.b2", ("a.b3", Some(2))), ("a.b", ("a.b", None)), ("a.bx", ("a.bx", None))];
        for (part, expected) in table {
            assert_eq!(split_backtrack(part), expected);
        }
    }
}
