//! The real program, spoken to as PushStream's own clients do: what the original's page subscribes to is
//! what members say, on whichever worker.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use chatup_tests::{Client, Node, PATIENCE, Redis, Server, http, server};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// As the original's library asks at first: for everything that is kept.
const FROM_THE_BEGINNING: &str =
    "_=1795351366000&tag=0&time=Thu%2C%2001%20Jan%201970%2000%3A00%3A00%20GMT&eventid=";

struct Subscriber(WebSocket<TcpStream>);

/// A batch: its time, its channel, its messages.
type Batch = (String, String, Vec<Value>);

impl Subscriber {
    fn connect(worker: &str, channels: &str, query: &str) -> Subscriber {
        let stream = TcpStream::connect(worker).expect("a worker");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let (socket, _) =
            tungstenite::client(format!("ws://{worker}/ws/{channels}?{query}"), stream).expect("a WebSocket");
        Subscriber(socket)
    }

    /// As the original's library takes a frame apart: at the first two dots.
    fn batch(&mut self) -> Batch {
        loop {
            match self.0.read().expect("a frame") {
                Message::Text(text) => {
                    let mut parts = text.splitn(3, '.');
                    let mut part = || parts.next().expect("three parts").to_owned();
                    let (time, channel, list) = (part(), part(), part());
                    return (time, channel, serde_json::from_str(&list).expect("a list"));
                }
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The texts of messages of a room until this one, each once and in order; and the last batch's time.
    fn texts_until(&mut self, last: &str) -> (Vec<String>, String) {
        let mut texts = Vec::new();
        loop {
            let (time, _, messages) = self.batch();
            texts.extend(messages.iter().filter_map(|one| one["msg"].as_str().map(str::to_owned)));
            if texts.last().is_some_and(|text| text == last) {
                return (texts, time);
            }
        }
    }
}

#[test]
fn the_originals_url_gives_what_was_said_and_what_is_said() {
    let server = Server::start(&["--set=pushstream.enabled=true"]);
    let mut ada = Client::connect(&server.worker);
    ada.enter(&server.token_for("Ada"), "lobby");
    ada.ok(json!({ "call": "say", "msg": "before" }));
    let mut page = Subscriber::connect(&server.worker, "m_lobby/e_lobby", FROM_THE_BEGINNING);
    let (mut texts, mut events) = (Vec::new(), Vec::new());
    while texts.len() + events.len() < 2 {
        let (_, channel, messages) = page.batch();
        for message in messages {
            assert!(message["i"].is_string() && message["d"].is_number(), "{message}");
            if channel == "m_lobby" { texts.push(message) } else { events.push(message) }
        }
    }
    assert_eq!((&texts[0]["msg"], &texts[0]["user"]["name"]), (&json!("before"), &json!("Ada")));
    assert_eq!((&events[0]["ev"], &events[0]["user"]["name"]), (&json!("join"), &json!("Ada")));
    ada.ok(json!({ "call": "say", "msg": "now. Sun, 1 2.3" }));
    let (time, channel, messages) = page.batch();
    assert_eq!((channel.as_str(), &messages[0]["msg"]), ("m_lobby", &json!("now. Sun, 1 2.3")));
    assert!(time.ends_with(" GMT"), "{time}");
    // It counts as a viewer.
    let start = Instant::now();
    while http::get(&server.url, "/stats/lobby").json()["subCount"] != json!(1) {
        assert!(start.elapsed() < PATIENCE, "it is never counted");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_late_joiner_reads_what_join_says_and_then_nothing_older() {
    let server = Server::start(&["--set=pushstream.enabled=true", "--set=history.size=10"]);
    let mut ada = Client::connect(&server.worker);
    ada.enter(&server.token_for("Ada"), "lobby");
    let _stays = Subscriber::connect(&server.worker, "m_lobby", FROM_THE_BEGINNING);
    for number in 0..40 {
        ada.ok(json!({ "call": "say", "msg": format!("{number}") }));
    }
    let expected: Vec<String> = (30..40).map(|number| number.to_string()).collect();
    let joined = http::post(&server.url, "/join/lobby", "application/json", "").json();
    let told = joined["messages"].as_array().expect("messages").iter().rev();
    let told: Vec<&str> = told.filter_map(|one| one["msg"].as_str()).collect();
    assert_eq!(told, expected);
    let mut page = Subscriber::connect(&server.worker, "m_lobby", FROM_THE_BEGINNING);
    assert_eq!(page.texts_until("39").0, expected);
    // Whoever has a place in time goes on there, however much that is.
    let mut back = Subscriber::connect(
        &server.worker,
        "m_lobby",
        "tag=0&time=Thu%2C%2001%20Jan%201970%2000%3A00%3A01%20GMT",
    );
    assert_eq!(back.texts_until("39").0.len(), 40);
    // Asking for another worker, the library says what it was told before. If that was nothing, it goes on by its
    // time, and would show what is told now before that.
    for (messages, count) in [(json!([]), 0), (joined["messages"].clone(), 10)] {
        let failed = json!({ "host": joined["host"], "id": joined["id"], "messages": messages });
        let failed = json!({ "type": "workerSubConnect", "worker": failed }).to_string();
        let again = http::post(&server.url, "/join/lobby", "application/json", &failed).json();
        assert_eq!(again["messages"].as_array().map(Vec::len), Some(count));
        assert_eq!(again["id"], joined["id"]);
    }
}

#[test]
fn without_being_switched_on_it_is_not_there() {
    let server = Server::start(&[]);
    let stream = TcpStream::connect(&server.worker).expect("a worker");
    let url = format!("ws://{}/ws/m_lobby", server.worker);
    match tungstenite::client(url, stream) {
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
            assert_eq!(answer.status(), 404);
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn on_another_worker_it_goes_on_where_it_was() {
    let redis = Redis::start();
    let state = server::scratch("pushstream");
    let on = &["--set=pushstream.enabled=true"];
    let mut first = Node::worker(&redis.url(), &state, on);
    let second = Node::worker(&redis.url(), &state, on);
    let token = std::process::Command::new(server::program())
        .args(["token", "--name", "Ada", "--state-dir", &state.display().to_string()])
        .output()
        .expect("it runs");
    let mut ada = Client::connect(&second.address());
    ada.enter(String::from_utf8(token.stdout).expect("text").trim(), "lobby");
    let mut page = Subscriber::connect(&first.address(), "m_lobby", FROM_THE_BEGINNING);
    for number in 0..5 {
        ada.ok(json!({ "call": "say", "msg": format!("{number}") }));
    }
    let (texts, time) = page.texts_until("4");
    assert_eq!(texts, ["0", "1", "2", "3", "4"]);
    first.process.kill();
    for number in 5..8 {
        ada.ok(json!({ "call": "say", "msg": format!("{number}") }));
    }
    // As the library asks after a switch: to the second, with tag 0. That second may come again.
    let time = time.replace(' ', "%20").replace(',', "%2C");
    let mut page =
        Subscriber::connect(&second.address(), "m_lobby", &format!("_=2&tag=0&time={time}&eventid="));
    let (again, _) = page.texts_until("7");
    let new = again.iter().position(|text| text == "5").expect("what was missed");
    assert_eq!(again[new..], ["5", "6", "7"]);
    let repeated = &again[..new];
    assert!(texts.ends_with(repeated), "only the end of what was seen comes again: {repeated:?}");
}

/// An answer without end, over HTTP 1.0 as it is or over 1.1 in chunks, which are put together again.
struct Stream {
    socket: BufReader<TcpStream>,
    chunked: bool,
}

impl Stream {
    /// The head of the answer, and what follows it.
    fn get(worker: &str, path: &str, version: &str) -> (String, Stream) {
        let mut socket = TcpStream::connect(worker).expect("a worker");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!(
            "GET {path} HTTP/{version}\r\nHost: x\r\nConnection: close\r\nOrigin: http://localhost:1\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).expect("it is sent");
        let mut stream = Stream { socket: BufReader::new(socket), chunked: false };
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&stream.line());
        }
        stream.chunked = head.contains("Transfer-Encoding: chunked");
        (head, stream)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.socket.read_line(&mut line).expect("a line") > 0, "it has ended");
        line
    }

    /// The next piece: a chunk, or what is there. Nothing at the end.
    fn piece(&mut self) -> String {
        if !self.chunked {
            let bytes = self.socket.fill_buf().expect("something").to_vec();
            self.socket.consume(bytes.len());
            return String::from_utf8(bytes).expect("text");
        }
        let length = usize::from_str_radix(self.line().trim_end(), 16).expect("a length");
        let mut bytes = vec![0; length + 2];
        self.socket.read_exact(&mut bytes).expect("a chunk");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    /// Until a piece holds this.
    fn until(&mut self, what: &str) -> Vec<String> {
        let mut pieces = Vec::new();
        while !pieces.last().is_some_and(|piece: &String| piece.contains(what)) {
            pieces.push(self.piece());
        }
        pieces
    }
}

#[test]
fn event_sources_and_streams_have_the_same_messages() {
    let server = Server::start(&["--set=pushstream.enabled=true", "--set=limits.ping_after_ms=1000"]);
    let mut ada = Client::connect(&server.worker);
    ada.enter(&server.token_for("Ada"), "lobby");
    ada.ok(json!({ "call": "say", "msg": "before" }));
    let mut open = Vec::new();
    for (path, version, kind) in [
        ("/ev/m_lobby.b9", "1.1", "text/event-stream; charset=utf-8"),
        ("/ev/m_lobby.b9", "1.0", "text/event-stream; charset=utf-8"),
        ("/sub/m_lobby.b9", "1.1", "text/plain"),
        ("/sub/m_lobby.b9", "1.0", "text/plain"),
    ] {
        let (head, mut stream) = Stream::get(&server.worker, path, version);
        let lower = head.to_ascii_lowercase();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(lower.contains(&format!("content-type: {kind}\r\n")), "{head}");
        assert!(lower.contains("access-control-allow-origin: http://localhost:1\r\n"), "{head}");
        assert_eq!(stream.chunked, version == "1.1", "{head}");
        let pieces = stream.until("before");
        let last = pieces.last().expect("a piece");
        if path.starts_with("/ev") {
            assert!(pieces[0].starts_with(": \n"), "{pieces:?}");
            assert!(last.contains("id: ") && last.contains("\ndata: "), "{last:?}");
            assert!(last.contains(" GMT.m_lobby.[{\"user\":") && last.ends_with("}]\n\n"), "{last:?}");
        } else {
            assert!(last.contains(" GMT.m_lobby.[{\"user\":") && last.ends_with("}]"), "{last:?}");
        }
        open.push((path, stream));
    }
    ada.ok(json!({ "call": "say", "msg": "after" }));
    for (path, stream) in &mut open {
        stream.until("after");
        // Kept open by something that says nothing.
        let ping = if path.starts_with("/ev") { ": -1\n" } else { "GMT.. " };
        stream.until(ping);
    }
    server.process.terminate();
    for (path, stream) in &mut open {
        while !stream.piece().is_empty() {}
        let mut rest = String::new();
        stream.socket.read_to_string(&mut rest).expect("the end");
        assert_eq!(rest, "", "{path}");
    }
}

#[test]
fn a_stream_that_cannot_be_had_says_why_in_its_head() {
    let server = Server::start(&["--set=pushstream.enabled=true"]);
    let long = format!("/ev/{}", "x".repeat(257));
    let table = [
        ("/ev/", "HTTP/1.1 400 ", "No channel id provided."),
        ("/sub/ALL", "HTTP/1.1 403 ", "Channel id not authorized for this method."),
        ("/sub/a*", "HTTP/1.1 403 ", "Channel id not authorized for this method."),
        ("/sub/a%0A", "HTTP/1.1 403 ", "Channel id not allowed."),
        (&long, "HTTP/1.1 400 ", "Channel id is too large."),
    ];
    for (path, status, explain) in table {
        let (head, mut stream) = Stream::get(&server.worker, path, "1.1");
        assert!(head.starts_with(status), "{path}: {head}");
        assert!(head.contains(&format!("X-Nginx-PushStream-Explain: {explain}\r\n")), "{path}: {head}");
        assert_eq!(stream.piece(), "", "{path}");
    }
}
