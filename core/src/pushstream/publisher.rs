//! What is asked of channels over HTTP: to publish in them, to tell of them, to delete them.

use http::{HeaderMap, Method};

use crate::message::Posted;
use crate::names::ChannelName;

use super::info::Format;
use super::request::{BadRequest, read_name};
use super::settings::{Publisher, Settings};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Publish this in all of the channels.
    Publish(Posted<'static>),
    /// Delete them; their subscribers are sent this.
    Delete(Posted<'static>),
    /// Tell of them.
    Tell,
}

/// Of which channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// Of these.
    Named(Vec<ChannelName>),
    /// Of all whose names begin like this.
    Prefix(String),
    /// Of all together.
    Summary,
}

/// At which location something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desk {
    /// The publisher with this number.
    Publisher(usize),
    /// Statistics.
    Statistics,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub verb: Verb,
    /// Where.
    pub of: Of,
    /// How its answer is written.
    pub format: Format,
}

/// How a relay names itself (`User-Agent`), its version behind it: who relays lets none publish, since what
/// came back would go round without end.
pub const RELAY_AGENT: &str = concat!("chatup-relay/", env!("CARGO_PKG_VERSION"));
const RELAY_AGENT_BEGINNING: &[u8] = b"chatup-relay/";

/// Why there is nothing to be done: a status and a reason, if there is one, and the methods that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As a subscriber would be refused.
    Channel(BadRequest),
    /// Nothing to be published.
    Empty,
    /// What is to be published is no UTF-8.
    NotText,
    /// No such method.
    Method,
    /// A relay, where what it posts might come back to it.
    Loop,
}

impl Refused {
    /// The status, and the reason in the module's words.
    #[must_use]
    pub fn explain(self) -> (u16, &'static str) {
        match self {
            Refused::Channel(bad) => bad.explain(),
            Refused::Empty => (400, "Empty post requests are not allowed."),
            Refused::NotText => (400, "Only UTF-8 can be published."),
            Refused::Method => (405, ""),
            Refused::Loop => (403, "No relay may publish here: what it posts might come back to it."),
        }
    }
}

fn argument(query: &str, wanted: &str) -> Option<String> {
    let mut all = form_urlencoded::parse(query.as_bytes());
    all.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

/// Channels as `?id=a/b` names them. A plus sign there is one, not a space.
fn named(query: &str, settings: &Settings) -> Result<Vec<ChannelName>, BadRequest> {
    let id = argument(&query.replace('+', "%2B"), "id").unwrap_or_default();
    let mut channels = Vec::new();
    for part in id.split('/').filter(|part| !part.is_empty()) {
        let (name, _) = read_name(part, settings)?;
        if channels.contains(&name) {
            continue;
        }
        if channels.len() == settings.channels_max {
            return Err(BadRequest::TooMany);
        }
        channels.push(name);
    }
    if channels.is_empty() { Err(BadRequest::NoChannel) } else { Ok(channels) }
}

fn format_of(headers: &HeaderMap) -> Format {
    Format::accepted(headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or(""))
}

/// Reads a request to a publisher's location.
///
/// # Errors
/// Why there is nothing to be done.
pub fn read(
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
    publisher: &Publisher,
    settings: &Settings,
) -> Result<Request, Refused> {
    let publishes = matches!(*method, Method::POST | Method::PUT);
    let deletes = publisher.admin && *method == Method::DELETE;
    if !publishes && !deletes && *method != Method::GET {
        return Err(Refused::Method);
    }
    let agent = headers.get(http::header::USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
    if settings.refuses_relays && agent.starts_with(RELAY_AGENT_BEGINNING) {
        return Err(Refused::Loop);
    }
    let channels = named(query, settings).map_err(Refused::Channel)?;
    let events = settings.events.as_ref().filter(|_| publishes || deletes);
    if events.is_some_and(|events| channels.contains(events)) {
        return Err(Refused::Channel(BadRequest::OnlyInternal));
    }
    let text = std::str::from_utf8(body).map_err(|_| Refused::NotText)?;
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.filter(|value| !value.is_empty()).map(|value| value.to_owned().into())
    };
    let verb = if publishes {
        if text.is_empty() {
            return Err(Refused::Empty);
        }
        let posted = Posted { unstored: !publisher.store_messages, ..Posted::default() };
        let (event_id, event_type) = (header("event-id"), header("event-type"));
        Verb::Publish(Posted { text: text.to_owned().into(), event_id, event_type, ..posted })
    } else if deletes {
        let text = if text.is_empty() { settings.deleted_text.clone() } else { text.to_owned() };
        Verb::Delete(Posted { text: text.into(), deletes: true, ..Posted::default() })
    } else {
        Verb::Tell
    };
    Ok(Request { verb, of: Of::Named(channels), format: format_of(headers) })
}

/// Reads a request for statistics.
///
/// # Errors
/// Why there is nothing to tell.
pub fn read_statistics(
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    settings: &Settings,
) -> Result<Request, Refused> {
    if *method != Method::GET {
        return Err(Refused::Method);
    }
    let id = argument(&query.replace('+', "%2B"), "id").unwrap_or_default();
    let parts = || id.split('/').filter(|part| !part.is_empty());
    if parts().any(|part| part.len() > settings.id_bytes_max) {
        return Err(Refused::Channel(BadRequest::TooLong));
    }
    let is_all = |part: &str| part == "ALL" || part.starts_with("ALL.b");
    let of = if id.is_empty() {
        Of::Summary
    } else if let Some(prefix) = parts().find_map(|part| part.split_once('*')).map(|(prefix, _)| prefix) {
        Of::Prefix(prefix.to_owned())
    } else if parts().any(is_all) {
        Of::Prefix(String::new())
    } else {
        Of::Named(named(query, settings).map_err(Refused::Channel)?)
    };
    Ok(Request { verb: Verb::Tell, of, format: format_of(headers) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let settings = Settings { id_bytes_max: 5, ..Settings::default() };
        let shown = |method: &str, query: &str, body: &[u8]| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            match read(&method, query, &HeaderMap::new(), body, &Publisher::new("/pub"), &settings) {
                Err(refused) => refused.explain().1.to_owned(),
                Ok(request) => {
                    let Of::Named(names) = request.of else { panic!("named") };
                    let names = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(",");
                    let verb = match request.verb {
                        Verb::Publish(posted) => format!("publish {}", posted.text),
                        Verb::Delete(posted) => format!("delete {}", posted.text),
                        Verb::Tell => "tell".to_owned(),
                    };
                    format!("{verb} in {names}")
                }
            }
        };
        let all = "Channel id not authorized for this method.";
        let table: [(&str, &str, &[u8], &str); 16] = [
            ("POST", "id=a", b"x", "publish x in a"),
            ("PUT", "id=a/b.b4/a", b"x", "publish x in a,b"),
            ("POST", "id=/a&_=1", b"x", "publish x in a"),
            ("POST", "id=a%20b+c", b"x", "publish x in a b+c"),
            ("POST", "id=x%2541", b"x", "publish x in x%41"),
            ("POST", "id=a%2Fb", b"x", "publish x in a,b"),
            ("POST", "id=a", b"", "Empty post requests are not allowed."),
            ("POST", "id=a", b"\xff", "Only UTF-8 can be published."),
            ("POST", "", b"x", "No channel id provided."),
            ("POST", "id=", b"x", "No channel id provided."),
            ("POST", "id=ALL", b"x", all),
            ("GET", "id=a*b", b"", all),
            ("POST", "id=123456", b"x", "Channel id is too large."),
            ("POST", "id=a%0A", b"x", "Channel id not allowed."),
            ("DELETE", "id=a/b", b"", "delete Channel deleted in a,b"),
            ("DELETE", "id=a", b"bye", "delete bye in a"),
        ];
        for (method, query, body, expected) in table {
            assert_eq!(shown(method, query, body), expected, "{method} {query}");
        }
        let wide = Settings::default();
        let normal = Publisher { admin: false, ..Publisher::new("/pub") };
        let no = read(&Method::DELETE, "id=a", &HeaderMap::new(), b"", &normal, &wide);
        assert_eq!(no, Err(Refused::Method));
    }

    #[test]
    fn statistics() {
        let settings = Settings { id_bytes_max: 9, ..Settings::default() };
        let of = |query: &str| {
            let headers = HeaderMap::new();
            match read_statistics(&Method::GET, query, &headers, &settings).map(|request| request.of) {
                Ok(of) => format!("{of:?}"),
                Err(refused) => refused.explain().1.to_owned(),
            }
        };
        let table = [
            ("", "Summary"),
            ("id=a", "Named([\"a\"])"),
            ("id=x/nope/a", "Named([\"x\", \"nope\", \"a\"])"),
            ("id=ch*zzz/x", "Prefix(\"ch\")"),
            ("id=*", "Prefix(\"\")"),
            ("id=nope/ALL", "Prefix(\"\")"),
            ("id=ALL.b3", "Prefix(\"\")"),
            ("id=1234567890", "Channel id is too large."),
        ];
        for (query, expected) in table {
            assert_eq!(of(query), expected, "{query}");
        }
    }
}
