//! What a request under the path asks for: a WebSocket or a poll, of a new session or one that there is.

use std::fmt;

use crate::refusal::Refusal;

use super::Version;
use super::payload::{self, Encoding};

/// A session's name: where it is, and that the client has been told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionId {
    /// The shard that has it.
    pub shard: u16,
    /// Its place there.
    pub place: u64,
    /// Random.
    pub secret: u128,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}{:016x}{:032x}", self.shard, self.place, self.secret)
    }
}

impl SessionId {
    /// Reads one as it is written.
    #[must_use]
    pub fn read(text: &str) -> Option<SessionId> {
        let hex = text.len() == 52 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let part = |from: usize, to: usize| u128::from_str_radix(text.get(from..to)?, 16).ok();
        let shard = u16::try_from(part(0, 4)?).ok()?;
        let place = u64::try_from(part(4, 20)?).ok()?;
        hex.then_some(SessionId { shard, place, secret: part(20, 52)? })
    }
}

/// Why there is no answer, in engine.io's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// Neither a WebSocket nor a poll.
    Transport,
    /// No session of that name.
    Session,
    /// A first request that is no GET.
    Method,
    /// Something else.
    Bad,
    /// Another engine.io.
    Version,
}

impl BadRequest {
    /// The body of the answer, of status 400.
    #[must_use]
    pub fn body(self) -> &'static str {
        match self {
            BadRequest::Transport => r#"{"code":0,"message":"Transport unknown"}"#,
            BadRequest::Session => r#"{"code":1,"message":"Session ID unknown"}"#,
            BadRequest::Method => r#"{"code":2,"message":"Bad handshake method"}"#,
            BadRequest::Bad => r#"{"code":3,"message":"Bad request"}"#,
            BadRequest::Version => r#"{"code":5,"message":"Unsupported protocol version"}"#,
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A WebSocket, perhaps for a session that there is.
    Socket(Version, Option<SessionId>),
    /// A new session by polls.
    Open(Version, Encoding),
    /// What the server has to say; held until there is something.
    Poll(SessionId, Encoding),
    /// What the client has to say.
    Post(SessionId, Result<Vec<String>, Refusal>),
}

/// Reads a request: its arguments, whether it is a POST, and its body.
///
/// # Errors
/// It asks for nothing that there is.
pub fn read(query: &str, body: Option<&[u8]>) -> Result<Asked, BadRequest> {
    let (mut version, mut transport, mut session, mut text_only) = (None, None, None, false);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "EIO" => version = version.or(Some(value)),
            "transport" => transport = transport.or(Some(value)),
            "sid" => session = session.or(Some(value)),
            "b64" => text_only = true,
            _ => {}
        }
    }
    let session = session.map(|text| SessionId::read(&text).ok_or(BadRequest::Session)).transpose()?;
    let version = match version.as_deref() {
        Some("3") => Version::Three,
        Some("4") => Version::Four,
        _ => return Err(BadRequest::Version),
    };
    let encoding = match version {
        Version::Four => Encoding::Separated,
        Version::Three if text_only => Encoding::Lengths,
        Version::Three => Encoding::Binary,
    };
    match (transport.as_deref(), session, body) {
        (Some("websocket"), session, None) => Ok(Asked::Socket(version, session)),
        (Some("polling"), None, None) => Ok(Asked::Open(version, encoding)),
        (Some("polling"), Some(session), None) => Ok(Asked::Poll(session, encoding)),
        (Some("polling"), Some(session), Some(body)) => {
            Ok(Asked::Post(session, payload::read(version, body)))
        }
        (Some("polling"), None, Some(_)) => Err(BadRequest::Method),
        (Some("websocket"), _, Some(_)) => Err(BadRequest::Bad),
        _ => Err(BadRequest::Transport),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let id = SessionId { shard: 3, place: (7 << 32) | 9, secret: 0xabc };
        let sid = id.to_string();
        assert_eq!(SessionId::read(&sid), Some(id));
        for bad in ["", "x", &sid[1..], &sid.to_uppercase(), &sid.replace('0', "+"), &"\u{e9}".repeat(26)] {
            assert_eq!(SessionId::read(bad), None, "{bad}");
        }
        let old = format!("EIO=3&transport=polling&sid={sid}");
        let table = [
            ("EIO=3&transport=websocket", None, Ok(Asked::Socket(Version::Three, None))),
            ("transport=websocket&EIO=4&t=x", None, Ok(Asked::Socket(Version::Four, None))),
            ("EIO=3&transport=polling&t=1", None, Ok(Asked::Open(Version::Three, Encoding::Binary))),
            ("EIO=3&transport=polling&b64=1", None, Ok(Asked::Open(Version::Three, Encoding::Lengths))),
            ("EIO=4&transport=polling", None, Ok(Asked::Open(Version::Four, Encoding::Separated))),
            (&old, None, Ok(Asked::Poll(id, Encoding::Binary))),
            (&old, Some("1:2"), Ok(Asked::Post(id, Ok(vec!["2".into()])))),
            (&old, Some("rubbish"), Ok(Asked::Post(id, Err(Refusal::BadRequest)))),
            ("EIO=3&transport=polling&sid=x", None, Err(BadRequest::Session)),
            ("EIO=3&transport=polling", Some(""), Err(BadRequest::Method)),
            ("EIO=3&transport=websocket", Some(""), Err(BadRequest::Bad)),
            ("EIO=2&transport=websocket", None, Err(BadRequest::Version)),
            ("transport=websocket", None, Err(BadRequest::Version)),
            ("EIO=3&transport=flashsocket", None, Err(BadRequest::Transport)),
            ("EIO=3", None, Err(BadRequest::Transport)),
        ];
        for (query, body, expected) in table {
            assert_eq!(read(query, body.map(str::as_bytes)), expected, "{query} {body:?}");
        }
    }
}
