//! Plain HTTP/1.1, one request a connection, so that a test sees just what was answered.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::PATIENCE;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// `GET`; `base` is a host and port, or a URL of one.
#[must_use]
pub fn get(base: &str, path: &str) -> Answer {
    raw(base, format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host(base)).as_bytes())
}

/// `GET` with more headers, each as it stands in a head.
#[must_use]
pub fn get_with(base: &str, path: &str, headers: &[&str]) -> Answer {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", host(base));
    raw(base, head.as_bytes())
}

/// `POST`.
#[must_use]
pub fn post(base: &str, path: &str, content_type: &str, body: &str) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        host(base),
        body.len()
    );
    raw(base, head.as_bytes())
}

fn host(base: &str) -> &str {
    base.trim_start_matches("http://").trim_end_matches('/')
}

/// A connection with a time-out.
///
/// # Panics
/// Nobody listens there.
#[must_use]
pub fn connect(base: &str) -> TcpStream {
    let stream = TcpStream::connect(host(base)).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// Sends these bytes and reads until the server hangs up.
///
/// # Panics
/// There is no answer.
#[must_use]
pub fn raw(base: &str, request: &[u8]) -> Answer {
    let mut stream = connect(base);
    stream.write_all(request).expect("it is sent");
    let mut bytes = Vec::new();
    // A reset behind a whole answer is an answer.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
