//! One room over every transport at once: said by the native protocol and over Socket.IO, heard by native
//! clients and in each of PushStream's modes, in the same order; and each comes back to where it was when its
//! worker dies.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chatup_tests::{Client, Node, PATIENCE, Redis, http, server};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// Messages that are said.
const SAID: usize = 120;

/// Which worker is to be asked now.
type Where = Arc<Mutex<String>>;

/// How a client listens, and what it has heard: numbers, in the order of their coming.
struct Listener {
    way: &'static str,
    place: Where,
    heard: Arc<Mutex<Vec<usize>>>,
    /// What it says of where it is.
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    position: Option<Value>,
    event_id: Option<String>,
    time: Option<String>,
    etag: Option<String>,
}

impl Listener {
    fn start(way: &'static str, place: &Where) -> (Arc<Mutex<Vec<usize>>>, JoinHandle<()>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let seen = Seen::default();
        let mut listener = Listener { way, place: Arc::clone(place), heard: Arc::clone(&heard), seen };
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            while !listener.has_all() && start.elapsed() < PATIENCE {
                // However it ends, it comes back; a worker that is gone is asked for in vain.
                let _ = listener.listen();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        (heard, thread)
    }

    fn has_all(&self) -> bool {
        self.heard.lock().expect("no panic").last() == Some(&(SAID - 1))
    }

    /// What a message says, if it is one of those that are counted.
    fn hear(&self, message: &Value) {
        if let Some(number) = message["msg"].as_str().and_then(|text| text.parse().ok()) {
            self.heard.lock().expect("no panic").push(number);
        }
    }

    /// A text of the template: `~time~.~channel~.~text~`.
    fn hear_text(&mut self, text: &str) {
        let mut parts = text.splitn(3, '.');
        let (time, list) = (parts.next().expect("a time"), parts.nth(1).expect("a list"));
        self.seen.time = Some(time.to_owned());
        for message in serde_json::from_str::<Vec<Value>>(list).expect("a list") {
            self.hear(&message);
        }
    }

    fn listen(&mut self) -> std::io::Result<()> {
        let worker = self.place.lock().expect("no panic").clone();
        match self.way {
            "native" => self.native(&worker),
            "ws" => self.websocket(&worker),
            _ => self.over_http(&worker),
        }
    }

    fn native(&mut self, worker: &str) -> std::io::Result<()> {
        let stream = connect(worker)?;
        let failed = |_| std::io::ErrorKind::ConnectionAborted;
        let url = format!("ws://{worker}/chatup/v1");
        let (mut socket, _) = tungstenite::client(url, stream).map_err(|_| failed(()))?;
        let channel = match &self.seen.position {
            Some(position) => json!({ "channel": "m_lobby", "position": position }),
            None => json!({ "channel": "m_lobby", "history": 100 }),
        };
        let call = json!({ "id": 1, "call": "subscribe", "channels": [channel] });
        socket.send(Message::text(call.to_string())).map_err(|_| failed(()))?;
        let mut epoch = Value::Null;
        while !self.has_all() {
            let Message::Text(text) = socket.read().map_err(|_| failed(()))? else { continue };
            let value: Value = serde_json::from_str(&text)?;
            if let Some(answer) = value["ok"]["channels"].get(0) {
                assert!(self.seen.position.is_none() || answer["recovered"] == json!(true), "{value}");
                epoch = answer["position"]["epoch"].clone();
            }
            let first = value["offset"].as_u64().unwrap_or(0);
            for (offset, message) in (first..).zip(value["messages"].as_array().into_iter().flatten()) {
                self.hear(message);
                let id = message["i"].clone();
                self.seen.position = Some(json!({ "epoch": epoch, "offset": offset, "id": id }));
            }
        }
        Ok(())
    }

    fn websocket(&mut self, worker: &str) -> std::io::Result<()> {
        // As the original's library comes back: to the second, which may come again.
        let time = self.seen.time.clone().unwrap_or("Thu, 01 Jan 1970 00:00:00 GMT".to_owned());
        let time = time.replace(' ', "%20").replace(',', "%2C");
        let url = format!("ws://{worker}/ws/m_lobby/e_lobby?tag=0&time={time}&eventid=");
        let failed = |()| std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
        let (mut socket, _): (WebSocket<_>, _) =
            tungstenite::client(url, connect(worker)?).map_err(|_| failed(()))?;
        while !self.has_all() {
            if let Message::Text(text) = socket.read().map_err(|_| failed(()))? {
                self.hear_text(&text);
            }
        }
        Ok(())
    }

    fn over_http(&mut self, worker: &str) -> std::io::Result<()> {
        let (path, own) = match self.way {
            "ev" => ("/ev/", self.seen.event_id.as_ref().map(|id| format!("Last-Event-ID: {id}\r\n"))),
            "lp" => (
                "/lp/",
                self.seen
                    .etag
                    .as_ref()
                    .zip(self.seen.time.as_ref())
                    .map(|(tag, time)| format!("If-None-Match: {tag}\r\nIf-Modified-Since: {time}\r\n")),
            ),
            _ => (
                "/sub/",
                self.seen
                    .time
                    .as_ref()
                    .map(|time| format!("If-Modified-Since: {time}\r\nIf-None-Match: 0\r\n")),
            ),
        };
        let beginning = "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\nIf-None-Match: 0\r\n";
        let headers = own.unwrap_or(beginning.to_owned());
        let mut stream = connect(worker)?;
        // Several channels, so that one poll's place is one of each; an event's id is a place in one.
        let channels = if self.way == "ev" { "m_lobby" } else { "m_lobby/e_lobby" };
        let request =
            format!("GET {path}{channels} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let line = line(&mut reader)?;
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        if self.way == "lp" {
            let mut body = String::new();
            reader.read_to_string(&mut body)?;
            let length: usize = header("Content-Length: ").and_then(|text| text.parse().ok()).unwrap_or(0);
            // An answer that was cut is none.
            if body.len() < length {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.hear_lists(&body);
            self.seen.etag = header("Etag: ").or(self.seen.etag.take());
            self.seen.time = header("Last-Modified: ").or(self.seen.time.take());
            return Ok(());
        }
        while !self.has_all() {
            let length = usize::from_str_radix(&line(&mut reader)?, 16).unwrap_or(0);
            let mut chunk = vec![0; length + 2];
            reader.read_exact(&mut chunk)?;
            if length == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&chunk[..length]).into_owned();
            if self.way == "sub" {
                self.hear_lists(&text);
                continue;
            }
            for line in text.lines() {
                if let Some(data) = line.strip_prefix("data: ") {
                    self.hear_text(data);
                } else if let Some(id) = line.strip_prefix("id: ") {
                    self.seen.event_id = Some(id.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Texts one behind the other: each ends with its list.
    fn hear_lists(&mut self, mut text: &str) {
        while let Some(end) = text.find("}]") {
            self.hear_text(&text[..end + 2]);
            text = &text[end + 2..];
        }
    }
}

fn connect(worker: &str) -> std::io::Result<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect(worker)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// The original's publisher: Socket.IO 3 over engine.io 4.
struct SocketIo {
    socket: WebSocket<std::net::TcpStream>,
    calls: u32,
}

impl SocketIo {
    fn enter(worker: &str, token: &str) -> SocketIo {
        let url = format!("ws://{worker}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = tungstenite::client(url, http::connect(worker)).expect("a WebSocket");
        let mut client = SocketIo { socket, calls: 0 };
        client.socket.send(Message::text("40")).expect("it is sent");
        client.call(&json!(["auth", token]));
        client.call(&json!(["join", { "room": "lobby" }]));
        client
    }

    fn call(&mut self, event: &Value) {
        let number = self.calls;
        self.calls += 1;
        self.socket.send(Message::text(format!("42{number}{event}"))).expect("it is sent");
        loop {
            match self.socket.read().expect("an answer") {
                Message::Text(text) if text.starts_with(&format!("43{number}[")) => {
                    assert_eq!(text.as_str(), format!("43{number}[\"ok\"]"), "{event}");
                    return;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn one_order_everywhere_and_nothing_is_missed_when_a_worker_dies() {
    let redis = Redis::start();
    let state = server::scratch("transports");
    let on = &["--set=pushstream.enabled=true", "--set=socket_io.enabled=true"];
    let mut first = Node::worker(&redis.url(), &state, on);
    let second = Node::worker(&redis.url(), &state, on);
    let token = |name: &str| {
        let mut command = std::process::Command::new(server::program());
        command.args(["token", "--name", name, "--state-dir", &state.display().to_string()]);
        String::from_utf8(command.output().expect("it runs").stdout).expect("text").trim().to_owned()
    };
    let place: Where = Arc::new(Mutex::new(first.address()));
    let ways = ["native", "ws", "ev", "sub", "lp"];
    let listeners = ways.map(|way| (way, Listener::start(way, &place)));
    let mut ada = Client::connect(&second.address());
    ada.enter(&token("Ada"), "lobby");
    let mut bob = SocketIo::enter(&second.address(), &token("Bob"));
    for number in 0..SAID {
        match number % 2 {
            0 => drop(ada.ok(json!({ "call": "say", "msg": number.to_string() }))),
            _ => bob.call(&json!(["say", { "msg": number.to_string() }])),
        }
        if number == SAID / 2 {
            first.process.kill();
            *place.lock().expect("no panic") = second.address();
        }
    }
    for (way, (heard, thread)) in listeners {
        thread.join().expect("it listens");
        let heard = heard.lock().expect("no panic").clone();
        let mut once = Vec::new();
        let mut repeated = 0;
        for number in &heard {
            if once.contains(number) { repeated += 1 } else { once.push(*number) }
        }
        assert_eq!(once, (0..SAID).collect::<Vec<_>>(), "{way} heard {heard:?}");
        // Who can say where it was hears nothing twice.
        assert!(
            !["native", "ev", "lp"].contains(&way) || repeated == 0,
            "{way}: {repeated} came twice: {heard:?}"
        );
        println!("{way}: all {SAID}, {repeated} of them twice");
    }
}
