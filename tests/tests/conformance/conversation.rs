//! One row's conversation with a server: requests and their answers, streams and WebSockets under names, and
//! what each of them must say. See `pushstream.rows` for how it is written.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use chatup_tests::http;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// An answer, as far as it has been read.
struct Stream {
    socket: BufReader<TcpStream>,
    status: u16,
    headers: Vec<(String, String)>,
    chunked: bool,
    /// Of the body, what is left of a known length.
    left: Option<usize>,
    ended: bool,
    /// Read and not looked at.
    seen: Vec<u8>,
}

impl Stream {
    fn send(base: &str, request: &[u8]) -> Stream {
        let mut socket = http::connect(base);
        socket.write_all(request).expect("it is sent");
        Stream {
            socket: BufReader::new(socket),
            status: 0,
            headers: Vec::new(),
            chunked: false,
            left: None,
            ended: false,
            seen: Vec::new(),
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.socket.read_line(&mut line).expect("a line");
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// Reads the head, unless that is done.
    fn head(&mut self) {
        if self.status > 0 {
            return;
        }
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        self.status = status.unwrap_or_else(|| panic!("no answer: {first:?}"));
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            self.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        self.chunked = self.header("transfer-encoding") == Some("chunked");
        self.left = self.header("content-length").and_then(|length| length.parse().ok());
        self.ended = self.status == 304 || self.left == Some(0);
    }

    fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }

    /// Reads a little more of the body.
    fn more(&mut self) {
        self.head();
        if self.chunked {
            let length = self.line();
            let length = usize::from_str_radix(&length, 16).unwrap_or_else(|_| panic!("a chunk: {length:?}"));
            let mut bytes = vec![0; length];
            self.socket.read_exact(&mut bytes).expect("a chunk");
            self.line();
            self.ended = length == 0;
            self.seen.extend(bytes);
            return;
        }
        let bytes = self.socket.fill_buf().expect("a body").to_vec();
        let taken = self.left.map_or(bytes.len(), |left| left.min(bytes.len()));
        self.socket.consume(taken);
        self.seen.extend(&bytes[..taken]);
        self.left = self.left.map(|left| left - taken);
        self.ended = taken == 0 || self.left == Some(0);
    }

    fn body(&mut self) -> String {
        self.head();
        while !self.ended {
            self.more();
        }
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads exactly this.
    fn expect(&mut self, text: &str) {
        self.head();
        while self.seen.len() < text.len() && !self.ended && text.as_bytes().starts_with(&self.seen) {
            self.more();
        }
        let seen = String::from_utf8_lossy(&self.seen).into_owned();
        assert!(seen.starts_with(text), "{seen:?} instead of {text:?}");
        self.seen.drain(..text.len());
    }

    /// Reads exactly so many bytes of padding, the end of a line the last.
    fn expect_padding(&mut self, bytes: usize) {
        self.head();
        while self.seen.len() < bytes && !self.ended {
            self.more();
        }
        let padding = self.seen.iter().take_while(|byte| b":\r\n".contains(byte)).count();
        assert_eq!(padding, bytes, "{:?}", String::from_utf8_lossy(&self.seen));
        assert!(self.seen[..bytes].ends_with(b"\n"));
        self.seen.drain(..bytes);
    }
}

/// The conversation of one row.
pub(crate) struct Conversation<'a> {
    base: &'a str,
    /// Stands before every channel's name, so that rows do not hear each other.
    prefix: String,
    streams: BTreeMap<String, Stream>,
    sockets: BTreeMap<String, WebSocket<TcpStream>>,
    values: BTreeMap<String, String>,
}

/// `\r`, `\n`, `\t`, `\0` and `\\`.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => out.push(match characters.next() {
                Some('r') => '\r',
                Some('n') => '\n',
                Some('t') => '\t',
                Some('0') => '\0',
                Some('s') => ' ',
                other => other.unwrap_or('\\'),
            }),
            (character, false) => out.push(character),
        }
    }
    out
}

/// As it stands in a URL.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(base: &'a str, prefix: String) -> Conversation<'a> {
        let (streams, sockets, values) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Conversation { base, prefix, streams, sockets, values }
    }

    /// One step: a line of the row.
    pub(crate) fn step(&mut self, line: &str) {
        let mut line = line.replace('$', &self.prefix);
        for (name, value) in &self.values {
            line = line.replace(&format!("%{name}%"), value);
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
        match word {
            "P" => {
                let (channel, body) = rest.split_once(' ').expect("P channel body");
                self.ask(&format!("POST /pub?id={} <{body}> => 200", encoded(&unescape(channel))));
            }
            "open" => {
                let (name, request) = rest.split_once(' ').expect("open name request");
                let stream = Stream::send(self.base, &self.request(request, true));
                self.streams.insert(name.to_owned(), stream);
            }
            "ws" => {
                let (name, path) = rest.split_once(' ').expect("ws name path");
                let url = format!("ws://{}{path}", self.base).into_client_request().expect("a URL");
                let stream = http::connect(self.base);
                let (socket, _) = tungstenite::client(url, stream).expect("a WebSocket");
                self.sockets.insert(name.to_owned(), socket);
            }
            "close" => {
                assert!(self.streams.remove(rest).is_some() || self.sockets.remove(rest).is_some(), "{rest}");
            }
            // A stream is there once it is counted.
            "until" => self.until(rest),
            _ if self.streams.contains_key(word.trim_end_matches(':')) => self.of_stream(word, rest),
            _ if self.sockets.contains_key(word.trim_end_matches(':')) => self.of_socket(word, rest),
            _ => self.ask(&line),
        }
    }

    /// `METHOD path {Header: value; …} <body>`
    fn request(&self, text: &str, keep: bool) -> Vec<u8> {
        let (text, body) = match text.split_once(" <") {
            Some((text, body)) => (text, Some(unescape(body.trim_end().strip_suffix('>').expect("a >")))),
            None => (text, None),
        };
        let (line, headers) = match text.split_once(" {") {
            Some((line, headers)) => (line, headers.trim_end().strip_suffix('}').expect("a }")),
            None => (text, ""),
        };
        let (line, version) = match line.strip_suffix(" 1.0") {
            Some(line) => (line, "1.0"),
            None => (line, "1.1"),
        };
        let mut request = format!("{} HTTP/{version}\r\nHost: {}\r\n", line.trim(), self.base);
        if !keep && !headers.contains("Connection:") {
            request.push_str("Connection: close\r\n");
        }
        for header in headers.split("; ").filter(|header| !header.is_empty()) {
            request.push_str(&format!("{header}\r\n"));
        }
        if let Some(body) = body.as_ref().filter(|_| !headers.contains("Transfer-Encoding")) {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(&body.unwrap_or_default());
        request.into_bytes()
    }

    /// A request, and what its answer must be: `REQUEST => STATUS | what | what`.
    fn ask(&mut self, line: &str) {
        let (request, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("no step: {line}"));
        let mut stream = Stream::send(self.base, &self.request(request, false));
        self.check(&mut stream, expected);
    }

    /// Asks again until the answer is this, for as long as one has patience.
    fn until(&self, line: &str) {
        let (request, expected) = line.split_once(" => ").expect("until request => text");
        let start = std::time::Instant::now();
        loop {
            let mut stream = Stream::send(self.base, &self.request(request, false));
            let body = stream.body();
            if body.contains(&unescape(expected)) {
                return;
            }
            assert!(start.elapsed() < chatup_tests::PATIENCE, "it stays {body:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn check(&mut self, stream: &mut Stream, expected: &str) {
        let mut parts = expected.split(" | ");
        let status: u16 = parts.next().and_then(|status| status.trim().parse().ok()).expect("a status");
        stream.head();
        assert_eq!(stream.status, status, "{:?}", stream.headers);
        for part in parts {
            let (word, rest) = part.trim().split_once(' ').unwrap_or((part.trim(), ""));
            match word {
                "body" => assert_eq!(stream.body(), unescape(rest)),
                "empty" => assert_eq!(stream.body(), ""),
                "contains" => {
                    let body = stream.body();
                    assert!(body.contains(&unescape(rest)), "{body:?} without {rest:?}");
                }
                "without" => {
                    let body = stream.body();
                    assert!(!body.contains(&unescape(rest)), "{body:?} with {rest:?}");
                }
                "starts" => {
                    let body = stream.body();
                    assert!(body.starts_with(&unescape(rest)), "{body:?} does not begin with {rest:?}");
                }
                "json" => drop(serde_json::from_str::<serde_json::Value>(&stream.body()).expect("JSON")),
                "E" => {
                    assert_eq!(stream.header("X-Nginx-PushStream-Explain"), Some(rest));
                    assert_eq!(stream.body(), "");
                }
                "no" => assert_eq!(stream.header(rest), None, "{rest}"),
                "H" => {
                    let (name, value) = rest.split_once(": ").expect("a header");
                    assert_eq!(stream.header(name), Some(value), "{name}");
                }
                "let" => {
                    let (name, header) = rest.split_once(' ').expect("let name Header");
                    let value = stream.header(header).unwrap_or_else(|| panic!("no {header}"));
                    self.values.insert(format!("{name}_url"), encoded(value));
                    self.values.insert(name.to_owned(), value.to_owned());
                }
                _ => panic!("no expectation: {part}"),
            }
        }
    }

    /// `name: text`, `name: end`, `name padded BYTES`, `name => STATUS | …`
    fn of_stream(&mut self, word: &str, rest: &str) {
        let name = word.trim_end_matches(':').to_owned();
        let mut stream = self.streams.remove(&name).expect("a stream");
        match rest.split_once("=> ") {
            Some(("", expected)) => self.check(&mut stream, expected),
            _ if rest == "end" => {
                assert_eq!(stream.body(), "", "more before the end");
                return;
            }
            _ if !word.ends_with(':') => {
                let bytes = rest.strip_prefix("padded ").and_then(|bytes| bytes.parse().ok());
                stream.expect_padding(bytes.unwrap_or_else(|| panic!("a stream does not {rest}")));
            }
            _ => stream.expect(&unescape(rest)),
        }
        self.streams.insert(name, stream);
    }

    /// `name: text`, `name say text`, `name close 1008 reason`, `name ping text`
    fn of_socket(&mut self, word: &str, rest: &str) {
        let (name, read) = (word.trim_end_matches(':').to_owned(), word.ends_with(':'));
        let socket = self.sockets.get_mut(&name).expect("a WebSocket");
        let (action, argument) =
            if read { ("read", rest) } else { rest.split_once(' ').unwrap_or((rest, "")) };
        let mut next = || socket.read().expect("a frame");
        match action {
            "read" => assert_eq!(next(), Message::text(unescape(argument))),
            "pinged" => assert!(matches!(next(), Message::Ping(_))),
            "closed" => {
                let (code, reason) = argument.split_once(' ').unwrap_or((argument, ""));
                match next() {
                    Message::Close(Some(frame)) => {
                        assert_eq!(
                            (u16::from(frame.code).to_string().as_str(), &*frame.reason),
                            (code, reason)
                        );
                    }
                    other => panic!("{other:?} instead of close {argument}"),
                }
            }
            "say" => socket.send(Message::text(argument)).expect("it is sent"),
            "binary" => socket.send(Message::binary(argument.as_bytes().to_vec())).expect("it is sent"),
            "ping" => {
                socket.send(Message::Ping(argument.as_bytes().to_vec().into())).expect("it is sent");
                assert_eq!(
                    socket.read().expect("a frame"),
                    Message::Pong(argument.as_bytes().to_vec().into())
                );
            }
            "leave" => {
                let frame = tungstenite::protocol::CloseFrame { code: 1000.into(), reason: "".into() };
                socket.close(Some(frame)).expect("it is sent");
            }
            other => panic!("a WebSocket does not {other}"),
        }
    }
}
