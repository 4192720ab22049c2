//! What a subscriber asks for: channels in the path, each perhaps with a backtrack, and from when on, by
//! headers or arguments.

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::names::{ChannelName, NameError};

use super::stamp::{Stamp, read_date, read_tag};

/// From where on messages are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// Only what comes.
    Now,
    /// So many of the last ones too.
    Last(u32),
    /// What came behind this place.
    After(Stamp),
    /// What came behind the message published with this id; nothing of before where it is not known.
    Event(String),
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
    /// What is wanted; at least one.
    pub channels: Vec<WantChannel>,
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
        channels_max: usize,
    ) -> Result<Want, BadRequest> {
        let since = read_since(query, headers);
        let path = percent_decode_str(rest).decode_utf8().map_err(|_| BadRequest::BadName)?;
        let mut channels: Vec<WantChannel> = Vec::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let (name, last) = split_backtrack(part);
            if name == "ALL" || name.contains('*') {
                return Err(BadRequest::All);
            }
            let name = ChannelName::new(name).map_err(|error| match error {
                NameError::TooLong(_) => BadRequest::TooLong,
                _ => BadRequest::BadName,
            })?;
            let since = last.map_or_else(|| since.clone(), Since::Last);
            if channels.iter().any(|known| known.name == name) {
                continue;
            }
            if channels.len() == channels_max {
                return Err(BadRequest::TooMany);
            }
            channels.push(WantChannel { name, since });
        }
        if channels.is_empty() { Err(BadRequest::NoChannel) } else { Ok(Want { location, channels }) }
    }
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

/// Arguments go over headers; a message's own id over both, and a tag needs a time.
fn read_since(query: &str, headers: &HeaderMap) -> Since {
    let argument = |wanted: &str| {
        let mut all = form_urlencoded::parse(query.as_bytes());
        all.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let event = argument("eventid").or_else(|| header("last-event-id")).filter(|id| !id.is_empty());
    if let Some(event) = event {
        return Since::Event(event);
    }
    let second = argument("time").or_else(|| header("if-modified-since")).and_then(|text| read_date(&text));
    let tag = argument("tag").or_else(|| header("if-none-match")).and_then(|text| read_tag(&text));
    match second {
        None => Since::Now,
        // Without a tag the whole second counts as seen.
        Some(second) => Since::After(Stamp { second, tag: tag.unwrap_or(u64::MAX) }),
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
        match Want::read(0, path, query, &map, 3) {
            Err(error) => format!("{error:?}"),
            Ok(want) => {
                let shown = want.channels.iter().map(|one| match &one.since {
                    Since::Now => one.name.to_string(),
                    Since::Last(count) => format!("{} last {count}", one.name),
                    Since::After(Stamp { second, tag: u64::MAX }) => format!("{} after {second}", one.name),
                    Since::After(stamp) => format!("{} after {}#{}", one.name, stamp.second, stamp.tag),
                    Since::Event(id) => format!("{} after event {id}", one.name),
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
