//! The head of an HTTP request to a worker: a WebSocket upgrade, or a short question, or a no.
//!
//! tungstenite checks and answers the upgrade; what is decided here is which request it is, how
//! large it may be, and whose pages may make it. One request a connection.

use http::{HeaderMap, Method, Request, Version};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::server::{create_response, write_response};

use crate::deflate;
use crate::limits::HTTP_HEADERS_MAX;
use crate::protocol;
use crate::pushstream::request::BadRequest;
use crate::pushstream::{Framing, Mode, Settings, Want};
use crate::refusal::{Refusal, Refused};
use crate::socketio;

/// What stands at the start of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// Not yet whole.
    NeedMore,
    /// An upgrade to the native protocol.
    Upgrade(Upgrade),
    /// A question: path and query.
    Get(String, String),
    /// An answer without end to a PushStream client.
    Stream(Stream),
    /// No.
    Refuse(Refusal),
}

/// A request for an answer without end.
#[derive(Debug, PartialEq, Eq)]
pub struct Stream {
    /// What is subscribed to.
    pub want: Result<Want, BadRequest>,
    /// How its pieces are told apart.
    pub framing: Framing,
    /// The page that asks, where it comes from a browser.
    pub origin: Option<String>,
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
    /// Socket.IO.
    SocketIo(socketio::Version),
}

/// What is served to whom.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// Whose pages may connect.
    pub origins: Origins,
    /// Whether messages are compressed for native clients that ask for it.
    pub deflate: bool,
    /// Which paths are served to PushStream clients, if any.
    pub pushstream: Settings,
    /// Whether Socket.IO is spoken.
    pub socket_io: bool,
}

/// Whose pages may connect: a list of `scheme://host[:port]`, `scheme://host:*` or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    /// Everything up to the port; any port.
    AnyPort(String),
    Exact(String),
}

/// A pattern that says nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin: write scheme://host, scheme://host:port, scheme://host:* or *")]
pub struct OriginError(String);

impl Origins {
    /// Reads a list of patterns.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Origins, OriginError> {
        patterns.into_iter().map(pattern).collect::<Result<_, _>>().map(|patterns| Origins { patterns })
    }

    /// The names of this very machine, on any port: the default.
    #[must_use]
    pub fn loopback() -> Origins {
        let hosts = ["localhost", "127.0.0.1", "[::1]"];
        let both =
            ["http", "https"].into_iter().flat_map(|s| hosts.map(|h| Pattern::AnyPort(format!("{s}://{h}"))));
        Origins { patterns: both.collect() }
    }

    /// These and one more.
    ///
    /// # Errors
    /// It is no origin.
    pub fn and(mut self, origin: &str) -> Result<Origins, OriginError> {
        self.patterns.push(pattern(origin)?);
        Ok(self)
    }

    /// Whether a page of this origin is let in.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.patterns.iter().any(|pattern| match pattern {
            Pattern::Any => true,
            Pattern::Exact(exact) => *exact == origin,
            Pattern::AnyPort(host) => origin.strip_prefix(host.as_str()).is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
            }),
        })
    }
}

fn pattern(text: &str) -> Result<Pattern, OriginError> {
    let error = || OriginError(text.into());
    let lower = text.trim().to_ascii_lowercase();
    if lower == "*" {
        return Ok(Pattern::Any);
    }
    let (scheme, host) = lower.split_once("://").ok_or_else(error)?;
    let bad = |c: char| c.is_whitespace() || c.is_control() || "/?#@".contains(c);
    let name = host.strip_suffix(":*").unwrap_or(host);
    if scheme.is_empty()
        || name.is_empty()
        || name.contains('*')
        || host.contains(bad)
        || scheme.contains(bad)
    {
        return Err(error());
    }
    Ok(match lower.strip_suffix(":*") {
        Some(host) => Pattern::AnyPort(host.into()),
        None => Pattern::Exact(lower),
    })
}

/// Reads what has come of a request.
#[must_use]
pub fn read(bytes: &[u8], bytes_max: usize, services: &Services) -> Head {
    let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let used = match request.parse(&bytes[..bytes.len().min(bytes_max)]) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if bytes.len() < bytes_max => return Head::NeedMore,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Head::Refuse(Refusal::HandshakeTooLarge);
        }
        Err(_) => return Head::Refuse(Refusal::BadRequest),
    };
    match to_request(&request) {
        Some(request) => decide(&request, used, services),
        None => Head::Refuse(Refusal::BadRequest),
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

fn decide(request: &Request<()>, used: usize, services: &Services) -> Head {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or(""));
    if request.method() != Method::GET {
        return Head::Refuse(Refusal::MethodNotAllowed);
    }
    if !is_served(path, services) {
        return Head::Get(path.into(), query.into());
    }
    let origin = request.headers().get(http::header::ORIGIN);
    if origin.is_some_and(|origin| !origin.to_str().is_ok_and(|origin| services.origins.allows(origin))) {
        return Head::Refuse(Refusal::ForbiddenOrigin);
    }
    let Some(asked) = asked(path, query, request, services) else {
        return Head::Get(path.into(), query.into());
    };
    let asked = match asked {
        Asked::Socket(dialect) => dialect,
        Asked::Stream(want) => {
            let framing = if request.version() == Version::HTTP_10 { Framing::None } else { Framing::Chunks };
            let origin = origin.and_then(|origin| origin.to_str().ok()).map(str::to_owned);
            return Head::Stream(Stream { want, framing, origin });
        }
    };
    let mut response = match create_response(request) {
        Ok(response) => response,
        Err(Error::Protocol(
            ProtocolError::InvalidSecWebSocketKey | ProtocolError::MissingSecWebSocketKey,
        )) => return Head::Refuse(Refusal::BadRequest),
        Err(_) => return Head::Refuse(Refusal::UpgradeRequired),
    };
    let offered = request.headers().get_all("sec-websocket-protocol").iter();
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if offered.any(|name| name.trim() == protocol::SUBPROTOCOL) {
        let confirmed = http::HeaderValue::from_static(protocol::SUBPROTOCOL);
        response.headers_mut().insert("sec-websocket-protocol", confirmed);
    }
    let mut extensions = request.headers().get_all("sec-websocket-extensions").iter();
    let agreement = extensions.find_map(|value| deflate::agreement(value.to_str().ok()?));
    let agreement = agreement.filter(|_| services.deflate && matches!(asked, Dialect::Native { .. }));
    if let Some(agreement) = agreement {
        let agreement = http::HeaderValue::from_static(agreement);
        response.headers_mut().insert("sec-websocket-extensions", agreement);
    }
    let dialect = match asked {
        Dialect::Native { call, .. } => Dialect::Native { call, deflates: agreement.is_some() },
        other => other,
    };
    let mut answer = Vec::with_capacity(192);
    match write_response(&mut answer, &response) {
        Ok(()) => Head::Upgrade(Upgrade { used, answer, dialect }),
        Err(_) => Head::Refuse(Refusal::BadRequest),
    }
}

/// Whether a path is one for more than a short question.
fn is_served(path: &str, services: &Services) -> bool {
    path == protocol::PATH
        || (services.socket_io && path == socketio::PATH)
        || services.pushstream.find(path).is_some()
}

/// What a path stands for.
enum Asked {
    Socket(Dialect),
    Stream(Result<Want, BadRequest>),
}

/// What a path that is served stands for, if the request is one for it.
fn asked(path: &str, query: &str, request: &Request<()>, services: &Services) -> Option<Asked> {
    if path == protocol::PATH {
        return Some(Asked::Socket(Dialect::Native { call: first_call(query), deflates: false }));
    }
    if services.socket_io && path == socketio::PATH {
        return socketio::Version::of(query).map(|version| Asked::Socket(Dialect::SocketIo(version)));
    }
    let (number, rest) = services.pushstream.find(path)?;
    let want = Want::read(number, rest, query, request.headers(), services.pushstream.channels_max);
    Some(match services.pushstream.mode(number)? {
        Mode::WebSocket => Asked::Socket(Dialect::PushStream(want)),
        Mode::EventSource | Mode::Streaming => Asked::Stream(want),
    })
}

fn first_call(query: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(query.as_bytes());
    fields.find(|(name, _)| name == "call").map(|(_, call)| call.into_owned())
}

/// A whole HTTP answer with a JSON body, after which the connection ends.
#[must_use]
pub fn json_answer(status: u16, extra_headers: &str, body: &str) -> Vec<u8> {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n{extra_headers}\r\n{body}",
        reason.unwrap_or(""),
        body.len(),
    )
    .into_bytes()
}

/// The head of an answer without end.
#[must_use]
pub fn stream_head(mode: Mode, framing: Framing, origin: Option<&str>) -> String {
    let kind = if mode == Mode::EventSource { "text/event-stream; charset=utf-8" } else { "text/plain" };
    let cut = if framing == Framing::Chunks { "Transfer-Encoding: chunked\r\n" } else { "" };
    let origin = origin
        .map_or(String::new(), |origin| format!("Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n"));
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nExpires: Thu, 01 Jan 1970 00:00:01 GMT\r\n\
         Cache-Control: no-cache, no-store, must-revalidate\r\nX-Accel-Buffering: no\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n{cut}{origin}\r\n"
    )
}

/// An answer without a body that says why in a header, as the module does.
#[must_use]
pub fn explained(status: u16, explain: &str) -> Vec<u8> {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    format!(
        "HTTP/1.1 {status} {}\r\nX-Nginx-PushStream-Explain: {explain}\r\nContent-Length: 0\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        reason.unwrap_or("")
    )
    .into_bytes()
}

/// The HTTP answer of a refusal.
#[must_use]
pub fn refusal_answer(refusal: Refusal) -> Vec<u8> {
    let headers = match refusal {
        Refusal::UpgradeRequired => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        Refusal::MethodNotAllowed => "Allow: GET\r\n",
        Refusal::TooManyConnections | Refusal::ShuttingDown => "Retry-After: 1\r\n",
        _ => "",
    };
    let body = serde_json::json!({ "error": Refused::from(refusal) }).to_string();
    json_answer(refusal.http_status(), headers, &body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    fn check(head: &str) -> String {
        let services = Services { origins: Origins::loopback(), deflate: true, ..Services::default() };
        match read(head.replace('\n', "\r\n").as_bytes(), 600, &services) {
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
            Head::Get(path, query) => format!("get {path} {query}"),
            Head::Stream(stream) => panic!("{stream:?}"),
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

    #[test]
    fn origins() {
        let origins = Origins::parse(["https://chat.example", "http://a.example:*"]).unwrap();
        let table = [
            ("https://chat.example", true),
            ("https://CHAT.example", true),
            ("https://chat.example:444", false),
            ("http://chat.example", false),
            ("http://a.example", true),
            ("http://a.example:81", true),
            ("http://a.example:81x", false),
            ("http://a.example.evil", false),
        ];
        for (origin, allowed) in table {
            assert_eq!(origins.allows(origin), allowed, "{origin}");
        }
        assert!(Origins::parse(["*"]).unwrap().allows("null"));
        for bad in ["", "chat.example", "https://", "https://a/b", "https://*.a", "https://a b"] {
            assert_eq!(Origins::parse([bad]), Err(OriginError(bad.into())), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
            let _ = read(&bytes, 600, &Services::default());
        }
    }
}
