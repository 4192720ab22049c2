//! Answers over HTTP, as bytes.

use crate::pushstream::Framing;
use crate::refusal::{Refusal, Refused};

/// What of a request its answer depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// The page that asks, where it comes from a browser and is let in.
    pub origin: Option<String>,
    /// Whether more may be asked on the same connection.
    pub keep_alive: bool,
}

impl Asker {
    /// A whole answer. `headers` are lines, each with its end.
    #[must_use]
    pub fn answer(&self, status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
        let connection = if self.keep_alive { "keep-alive" } else { "close" };
        let mut answer = format!(
            "HTTP/1.1 {status} {}\r\nContent-Length: {}\r\nX-Content-Type-Options: nosniff\r\n\
             Connection: {connection}\r\n{headers}\r\n",
            reason(status),
            body.len(),
        )
        .into_bytes();
        answer.extend_from_slice(body);
        answer
    }

    /// The headers by which a browser hands the answer to a page that may show who it is by cookies.
    #[must_use]
    pub fn with_credentials(&self) -> String {
        self.origin.as_ref().map_or(String::new(), |origin| {
            format!(
                "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\n\
                 Vary: Origin\r\n"
            )
        })
    }
}

/// What a PushStream client's page may send along.
const PUSHSTREAM_HEADERS: &str = "If-Modified-Since,If-None-Match,Etag,Event-Id,Event-Type,Last-Event-Id";
/// Of every answer to such a client, as the module's: it is never to be kept.
pub const NEVER_KEPT: &str = "Expires: Thu, 01 Jan 1970 00:00:01 GMT\r\n\
                              Cache-Control: no-cache, no-store, must-revalidate\r\n";

impl Asker {
    /// The headers that all answers to a PushStream client have. `allowed` stands for the page that asks,
    /// where it is said.
    #[must_use]
    pub fn pushstream(&self, methods: &str, allowed: Option<&str>) -> String {
        format!("{}{NEVER_KEPT}", self.cross_origin(methods, allowed))
    }

    /// Those by which a page may read an answer.
    #[must_use]
    pub fn cross_origin(&self, methods: &str, allowed: Option<&str>) -> String {
        let (origin, vary) = match (allowed, &self.origin) {
            (Some(allowed), _) => (allowed, ""),
            (None, Some(origin)) => (origin.as_str(), "Vary: Origin\r\n"),
            (None, None) => return String::new(),
        };
        format!(
            "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Methods: {methods}\r\n\
             Access-Control-Allow-Headers: {PUSHSTREAM_HEADERS}\r\n\
             Access-Control-Expose-Headers: Etag\r\n{vary}"
        )
    }

    /// An answer without a body that says why in a header, as the module does.
    #[must_use]
    pub fn explained(&self, status: u16, explain: &str, headers: &str) -> Vec<u8> {
        let headers = format!("{headers}X-Nginx-PushStream-Explain: {explain}\r\n");
        self.answer(status, &headers, b"")
    }
}

fn reason(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("")
}

/// A whole HTTP answer with a JSON body, after which the connection ends.
#[must_use]
pub fn json_answer(status: u16, extra_headers: &str, body: &str) -> Vec<u8> {
    let headers = format!("Content-Type: application/json\r\nCache-Control: no-store\r\n{extra_headers}");
    Asker::default().answer(status, &headers, body.as_bytes())
}

/// The content type of event sources.
pub const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// The head of an answer without end, of this content type.
#[must_use]
pub fn stream_head(kind: &str, framing: Framing, asker: &Asker, allowed: Option<&str>) -> String {
    let cut = if framing == Framing::Chunks { "Transfer-Encoding: chunked\r\n" } else { "" };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-Accel-Buffering: no\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\n{cut}{}\r\n",
        asker.pushstream("GET", allowed)
    )
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
