//! A server that speaks the native protocol to publishers and PushStream to subscribers, and does wrong on
//! purpose: what a subscriber is sent is a list of the channel's messages that the fault has made, and whoever
//! asks is told that list afterwards. A thread for each connection, until its end.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tungstenite::Message;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::HeaderValue;

/// Longest time without anything new, for a poll and for a stream that looks whether all is over.
const WAIT: Duration = Duration::from_millis(300);
/// Answers of one connection, where the server hangs up.
const ANSWERS_MAX: usize = 5;
/// A stream is cut into chunks of so many bytes, in turn, whatever they hold.
const CUTS: [usize; 5] = [1, 40, 3, 17, 90];

/// What is done to each subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Every so-manieth message is not sent, another one for each subscriber.
    Drop(usize),
    /// It is sent twice.
    Double(usize),
    /// It is sent behind the next one.
    Reorder(usize),
}

/// How it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Streams are cut anywhere, as a proxy does; otherwise a message is a chunk.
    pub(crate) cuts: bool,
    /// Every fifth answer is the last of its connection, and says so.
    pub(crate) hangs_up: bool,
    /// So many messages are gathered to be sent together.
    pub(crate) gathers: usize,
}

#[derive(Default)]
struct Channel {
    texts: Vec<String>,
    /// For each subscriber, in the order in which they came, the messages that it was sent.
    sent: Vec<Vec<usize>>,
    over: bool,
}

struct Shared {
    fault: Fault,
    manner: Manner,
    channel: Mutex<Channel>,
    changed: Condvar,
}

/// Such a server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// What was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) subscribers: u64,
    pub(crate) published: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}

impl Server {
    pub(crate) fn start(fault: Fault, manner: Manner) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (channel, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { fault, manner, channel, changed });
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&theirs);
                if shared.channel.lock().expect("it").over {
                    return;
                }
                std::thread::spawn(move || shared.serve(stream.expect("a connection")));
            }
        });
        Server { address, shared }
    }

    /// What it did; then it ends.
    pub(crate) fn finish(self) -> Truth {
        let mut channel = self.shared.channel.lock().expect("it");
        channel.over = true;
        self.shared.changed.notify_all();
        let published = channel.texts.len();
        let mut truth =
            Truth { subscribers: channel.sent.len() as u64, published: published as u64, ..Truth::default() };
        for sent in &channel.sent {
            let mut got = BTreeSet::new();
            for message in sent {
                let overtaken = got.last().is_some_and(|last| last > message);
                match got.insert(*message) {
                    false => truth.duplicated += 1,
                    true => truth.reordered += u64::from(overtaken),
                }
            }
            truth.lost += (published - got.len()) as u64;
        }
        drop(channel);
        // The listener looks whether all is over when somebody comes.
        let _ = TcpStream::connect(self.address);
        truth
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let mut head = [0; 512];
        let length = stream.peek(&mut head).unwrap_or(0);
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        let path = head.split(' ').nth(1).unwrap_or("");
        match path.split('/').nth(1).unwrap_or("") {
            "chatup" => self.publisher(stream),
            "ws" => self.socket(stream),
            "sub" => self.stream(stream, false),
            "ev" => self.stream(stream, true),
            "poll" | "lp" | "jsonp" => self.polls(stream),
            // The one that wakes the listener says nothing.
            _ => {}
        }
    }

    /// A publisher: everything is a yes.
    fn publisher(&self, stream: TcpStream) {
        #[allow(clippy::result_large_err, reason = "the library's")]
        let agree = |_: &Request, mut response: Response| {
            response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("chatup.v1"));
            Ok(response)
        };
        let mut socket = tungstenite::accept_hdr(stream, agree).expect("a handshake");
        while let Ok(message) = socket.read() {
            let Message::Text(text) = message else { continue };
            let call: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            if call["call"] == "say" {
                let text = call["msg"].as_str().expect("a text").to_owned();
                self.channel.lock().expect("it").texts.push(text);
                self.changed.notify_all();
            }
            let answer = serde_json::json!({ "id": call["id"], "ok": {} }).to_string();
            if socket.send(Message::text(answer)).is_err() {
                return;
            }
        }
    }

    /// A subscriber's number.
    fn subscriber(&self) -> usize {
        let mut channel = self.channel.lock().expect("it");
        channel.sent.push(Vec::new());
        channel.sent.len() - 1
    }

    /// What a subscriber is to be sent that has been sent so much of its list, and how much that is then;
    /// `None` when all is over.
    fn next(&self, subscriber: usize, from: usize, waits: bool) -> Option<(Vec<String>, usize)> {
        let channel = self.channel.lock().expect("it");
        let wait = if waits { WAIT } else { Duration::ZERO };
        let enough = |channel: &mut Channel| {
            let list = self.list(subscriber, channel.texts.len());
            list.len() < from + self.manner.gathers.max(1) && !channel.over
        };
        let (mut channel, _) = self.changed.wait_timeout_while(channel, wait, enough).expect("it");
        let list = self.list(subscriber, channel.texts.len());
        let new = list.get(from..).unwrap_or(&[]);
        let texts = new.iter().map(|message| channel.texts[*message].clone()).collect();
        channel.sent[subscriber].extend_from_slice(new);
        (!channel.over).then_some((texts, from + new.len()))
    }

    /// What the fault makes of so many messages.
    fn list(&self, subscriber: usize, published: usize) -> Vec<usize> {
        let hit = |message: usize, every: usize| (message + subscriber) % every == every / 2;
        let mut list = Vec::new();
        let mut message = 0;
        while message < published {
            match self.fault {
                Fault::Drop(every) if hit(message, every) => {}
                Fault::Double(every) if hit(message, every) => list.extend([message, message]),
                Fault::Reorder(every) if hit(message, every) => {
                    if message + 1 == published {
                        // It waits for the next one.
                        return list;
                    }
                    list.extend([message + 1, message]);
                    message += 1;
                }
                _ => list.push(message),
            }
            message += 1;
        }
        list
    }

    fn socket(&self, stream: TcpStream) {
        let mut socket = tungstenite::accept(stream).expect("a handshake");
        let (subscriber, mut at) = (self.subscriber(), 0);
        while let Some((texts, next)) = self.next(subscriber, at, true) {
            at = next;
            if !texts.is_empty() && socket.send(Message::text(message(&texts))).is_err() {
                return;
            }
        }
    }

    fn stream(&self, mut stream: TcpStream, events: bool) {
        read_head(&mut stream);
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        let mut out = head.as_bytes().to_vec();
        let (subscriber, mut at, mut cut) = (self.subscriber(), 0, 0);
        if events {
            chunk(b": \n", &mut out);
        }
        while stream.write_all(&out).is_ok()
            && let Some((texts, next)) = self.next(subscriber, at, true)
        {
            out.clear();
            let text = match (events, texts.is_empty()) {
                (true, true) => ": -1\n".to_owned(),
                (true, false) => format!("id: @{at}\ndata: {}\n\n", message(&texts)),
                (false, true) => String::new(),
                (false, false) => message(&texts),
            };
            let mut bytes = text.as_bytes();
            while !bytes.is_empty() {
                let length = if self.manner.cuts { CUTS[cut % CUTS.len()] } else { bytes.len() };
                let (first, rest) = bytes.split_at(length.min(bytes.len()));
                chunk(first, &mut out);
                (bytes, cut) = (rest, cut + 1);
            }
            at = next;
        }
    }

    /// The place of a subscriber is its tag: its number and how much of its list it has seen.
    fn polls(&self, mut stream: TcpStream) {
        let mut answers = 0;
        while let Some(head) = read_head(&mut stream) {
            let waits = !head.starts_with("GET /poll/");
            let (mut subscriber, mut at) = place(&head).unwrap_or((0, 0));
            if at == 0 && subscriber == 0 {
                subscriber = self.subscriber() + 1;
            }
            let Some((texts, next)) = self.next(subscriber - 1, at, waits) else { return };
            at = next;
            let tag = format!(
                "Last-Modified: Mon, 23 Nov 2026 12:33:40 GMT\r\nEtag: W/{subscriber}000000{at:06}\r\n"
            );
            let body = match (texts.is_empty(), head.contains("callback=f")) {
                (true, _) => String::new(),
                (false, true) => format!("f([{}]);", message(&texts)),
                (false, false) => message(&texts),
            };
            answers += 1;
            let ends = self.manner.hangs_up && answers == ANSWERS_MAX;
            let close = if ends { "close" } else { "keep-alive" };
            let status = if texts.is_empty() { "304 Not Modified" } else { "200 OK" };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: {close}\r\n{tag}\r\n{body}"
            );
            if stream.write_all(answer.as_bytes()).is_err() || ends {
                return;
            }
        }
    }
}

/// A message as a room's is written.
fn message(texts: &[String]) -> String {
    let mut list = String::from("Mon, 23 Nov 2026 12:33:40 GMT.m_a.[");
    for (number, text) in texts.iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        let _ = write!(list, r#"{comma}{{"user":{{}},"msg":"{text}"}}"#);
    }
    list + "]"
}

fn chunk(bytes: &[u8], out: &mut Vec<u8>) {
    let _ = write!(out, "{:x}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A request's head; nothing when there is no other.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

/// Where a question says that its client is.
fn place(head: &str) -> Option<(usize, usize)> {
    let rest = ["If-None-Match: W/", "&tag=W%2F"].iter().find_map(|name| head.split(name).nth(1))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let (subscriber, at) = digits.split_at_checked(digits.len().checked_sub(12)?)?;
    Some((subscriber.parse().ok()?, at.parse().ok()?))
}
