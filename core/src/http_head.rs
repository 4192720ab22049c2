//! An HTTP request to a worker: a WebSocket upgrade, a question, something to be done, or a no.
//!
//! tungstenite checks and answers the upgrade; what is decided here is which request it is, how
//! large it may be, and whose pages may make it.

mod body;
mod route;

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Version};

use crate::http_answer::Asker;
use crate::limits::HTTP_HEADERS_MAX;
use crate::origins::Origins;
use crate::pushstream::publisher::{self, Desk};
use crate::pushstream::request::BadRequest;
use crate::pushstream::{Framing, Settings, Want};
use crate::refusal::Refusal;
use crate::socketio;
use crate::socketio::request::SessionId;

use body::{Body, Length};

/// What stands at the start of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// Not yet whole.
    NeedMore,
    /// An upgrade to the native protocol.
    Upgrade(Upgrade),
    /// A question.
    Get(Get),
    /// Messages for a PushStream client.
    Stream(Stream),
    /// To be answered once its answer is there.
    Ask(Ask),
    /// No.
    Refuse(Refusal),
}

/// A question.
#[derive(Debug, PartialEq, Eq)]
pub struct Get {
    /// Of what.
    pub path: String,
    /// Its arguments.
    pub query: String,
    /// For whom, as a proxy says.
    pub forwarded_for: Option<String>,
}

/// A request that is answered once its answer is there; another may follow on its connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Ask {
    /// Bytes of head and body.
    pub used: usize,
    /// What the answer depends on.
    pub asker: Asker,
    /// What is asked.
    pub what: What,
}

/// What is asked over HTTP.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    /// Whether a page may ask.
    Preflight,
    /// Whether a page may ask at a location of PushStream subscribers; else something that cannot be.
    Subscriber(usize, bool),
    /// Whether a page may ask something of channels.
    MayPublish(Desk),
    /// Something of channels, for whom, as a proxy says.
    Job(Desk, Result<publisher::Request, publisher::Refused>, Option<String>),
    /// Something of a Socket.IO session.
    SocketIo(Result<socketio::request::Asked, socketio::request::BadRequest>),
}

/// A request of a PushStream client over HTTP: for an answer without end, or a poll.
#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    /// Bytes of the head.
    pub used: usize,
    /// At which location.
    pub location: usize,
    /// What is subscribed to.
    pub want: Result<Want, BadRequest>,
    /// How the pieces of an answer without end are told apart.
    pub framing: Framing,
    /// What the answer depends on.
    pub asker: Asker,
}

/// A request to become a WebSocket, granted.
#[derive(Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// Bytes of the head.
    pub used: usize,
    /// The answer to it.
    pub answer: Vec<u8>,
    /// What is spoken.
    pub dialect: Dialect,
}

/// What is spoken on a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The native protocol.
    Native {
        /// A first call, in JSON, that came in the URL (`?call=`): it saves its round trip.
        call: Option<String>,
        /// Messages may be compressed.
        deflates: bool,
    },
    /// PushStream's: what is subscribed to by the request itself.
    PushStream(Result<Want, BadRequest>),
    /// Socket.IO, perhaps in a session that there is.
    SocketIo(socketio::Version, Option<SessionId>),
}

/// What is served to whom.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// Whose pages may connect.
    pub origins: Origins,
    /// Whether messages are compressed for native clients that ask for it.
    pub deflate: bool,
    /// Which paths are served to PushStream clients, if any.
    pub pushstream: Arc<Settings>,
    /// Whether Socket.IO is spoken.
    pub socket_io: bool,
}

/// How large a request may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Its head.
    pub head: usize,
    /// Its body.
    pub body: usize,
}

/// Reads what has come of a request.
#[must_use]
pub fn read(bytes: &[u8], bounds: Bounds, services: &Services) -> Head {
    let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let used = match request.parse(&bytes[..bytes.len().min(bounds.head)]) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if bytes.len() < bounds.head => return Head::NeedMore,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Head::Refuse(Refusal::HandshakeTooLarge);
        }
        Err(_) => return Head::Refuse(Refusal::BadRequest),
    };
    let Some(request) = to_request(&request) else { return Head::Refuse(Refusal::BadRequest) };
    let length = match Length::of(&request) {
        Ok(length) => length,
        Err(refusal) => return Head::Refuse(refusal),
    };
    match route::decide(&Asking { request, used, bytes, length, body_bytes_max: bounds.body }, services) {
        Ok(head) => head,
        Err(refusal) => Head::Refuse(refusal),
    }
}

/// A request's head, and where its body is.
struct Asking<'a> {
    request: Request<()>,
    used: usize,
    bytes: &'a [u8],
    length: Length,
    body_bytes_max: usize,
}

impl<'a> Asking<'a> {
    fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The body, once it is whole; its end.
    fn body(&self) -> Result<Option<Body<'a>>, Refusal> {
        if matches!(self.length, Length::Nothing) {
            return Err(Refusal::LengthRequired);
        }
        let body = self.length.body(&self.bytes[self.used..], self.body_bytes_max)?;
        Ok(body.map(|(body, end)| (body, self.used + end)))
    }

    /// Who asks, as a proxy says.
    fn forwarded_for(&self) -> Option<String> {
        let all = self.request.headers().get_all("x-forwarded-for").iter();
        // Whatever stands there is somebody's word: what cannot be read is nobody's address.
        let all: Vec<_> = all.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        (!all.is_empty()).then(|| all.join(","))
    }

    fn has_body(&self) -> bool {
        !matches!(self.length, Length::Nothing)
    }

    /// Whether another request may follow on the connection: then it is clear where this one ends.
    fn keeps_alive(&self) -> bool {
        let closes = |value: &str| value.split(',').any(|one| one.trim().eq_ignore_ascii_case("close"));
        let close = self.header(http::header::CONNECTION).is_some_and(closes);
        let takes_body = matches!(*self.request.method(), Method::POST | Method::PUT | Method::DELETE);
        self.request.version() == Version::HTTP_11 && !close && (takes_body || !self.has_body())
    }
}

fn to_request(parsed: &httparse::Request<'_, '_>) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = parsed.path?.parse().ok()?;
    *request.version_mut() = if parsed.version? == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for header in &*parsed.headers {
        let name = http::HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        headers.append(name, http::HeaderValue::from_bytes(header.value).ok()?);
    }
    *request.headers_mut() = headers;
    Some(request)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { head: 600, body: 100 };
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    fn check(head: &str) -> String {
        let services = Services { origins: Origins::loopback(), deflate: true, ..Services::default() };
        match read(head.replace('\n', "\r\n").as_bytes(), BOUNDS, &services) {
            Head::NeedMore => "more".into(),
            Head::Upgrade(Upgrade { used, answer, dialect }) => {
                let Dialect::Native { call, deflates } = dialect else { panic!("{dialect:?}") };
                assert!(used <= head.len() * 2);
                let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
                assert!(answer.starts_with("http/1.1 101 "));
                assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
                let confirmed = answer.contains("sec-websocket-protocol: chatup.v1\r\n");
                let call = call.map_or(String::new(), |call| format!(" {call}"));
                assert_eq!(answer.contains("sec-websocket-extensions: permessage-deflate; "), deflates);
                let deflates = if deflates { " deflates" } else { "" };
                format!("upgrade{}{deflates}{call}", if confirmed { " v1" } else { "" })
            }
            Head::Get(Get { path, query, .. }) => format!("get {path} {query}"),
            other @ (Head::Stream(_) | Head::Ask(_)) => panic!("{other:?}"),
            Head::Refuse(refusal) => refusal.code().into(),
        }
    }

    #[test]
    fn heads() {
        let upgrade = |line: &str, more: &str| {
            format!(
                "{line}\nHost: x\nConnection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n{more}\n\n"
            )
        };
        let good = upgrade("GET /chatup/v1?x=1 HTTP/1.1", KEY);
        let with = |more: &str| upgrade("GET /chatup/v1 HTTP/1.1", &format!("{KEY}\n{more}"));
        let table = [
            (good.clone(), "upgrade"),
            (with("Sec-WebSocket-Protocol: other, chatup.v1"), "upgrade v1"),
            (good.replace("?x=1", "?call=%7B%22a%22:1%7D"), r#"upgrade {"a":1}"#),
            (good.replace("?x=1", "?x=1&call=a%2Bb+%C3%A9&call=no"), "upgrade a+b \u{e9}"),
            (good.replace("?x=1", "?call=%FF%4"), "upgrade \u{fffd}%4"),
            (good.replace("?x=1", "?call"), "upgrade "),
            (good.replace("?x=1", "?"), "upgrade"),
            (with("Sec-WebSocket-Protocol: other"), "upgrade"),
            (
                with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
                "upgrade deflates",
            ),
            (
                with("Sec-WebSocket-Extensions: x\nSec-WebSocket-Extensions: permessage-deflate"),
                "upgrade deflates",
            ),
            (with("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9"), "upgrade"),
            (with("Origin: http://LOCALHOST:8000"), "upgrade"),
            (with("Origin: https://127.0.0.1"), "upgrade"),
            (with("Origin: http://localhost.evil.example"), "forbidden_origin"),
            (with("Origin: http://localhost:8000.evil.example"), "forbidden_origin"),
            (with("Origin: null"), "forbidden_origin"),
            (good.replace("Version: 13", "Version: 8"), "upgrade_required"),
            (good.replace("Upgrade: websocket", "Upgrade: h2c"), "upgrade_required"),
            (good.replace("HTTP/1.1", "HTTP/1.0"), "upgrade_required"),
            (upgrade("GET /chatup/v1 HTTP/1.1", "X: y"), "bad_request"),
            (upgrade("GET /chatup/v1 HTTP/1.1", "Sec-WebSocket-Key: short"), "bad_request"),
            (good.replace("GET", "POST"), "method_not_allowed"),
            (good.replace("/chatup/v1", "/chatup/v2"), "get /chatup/v2 x=1"),
            ("GET /stats?channel=m_a HTTP/1.1\nHost: x\n\n".into(), "get /stats channel=m_a"),
            ("GET / HTTP/1.1\nHost: x\n".into(), "more"),
            ("G".into(), "more"),
            (format!("GET / HTTP/1.1\nX: {}", "y".repeat(700)), "handshake_too_large"),
            (format!("GET / HTTP/1.1\n{}\n\n", "X: y\n".repeat(HTTP_HEADERS_MAX + 1)), "handshake_too_large"),
            ("\u{0}\u{1}\u{2}".into(), "bad_request"),
            ("GET / HTTP/1.1\nHost x\n\n".into(), "bad_request"),
            ("GET http://[::bad HTTP/1.1\nHost: x\n\n".into(), "bad_request"),
        ];
        for (head, expected) in table {
            assert_eq!(check(&head), expected, "{head}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
            let _ = read(&bytes, BOUNDS, &Services::default());
        }
    }
}
