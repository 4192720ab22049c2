//! The relay: what is said at one server comes to the subscribers of another that speaks as the Nginx module does
//! (here the program itself in its PushStream mode), in order and once, whatever dies; what cannot come is
//! counted.

use std::net::TcpStream;

use chatup_tests::nginx::free_port;
use chatup_tests::{Client, PATIENCE, Server, http, server};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// A server in the place of Nginx, on this port of its worker.
fn nginx(state: &std::path::Path, port: u16) -> Server {
    let port = format!("worker.port={port}");
    // As much as the module would keep.
    let settings = ["pushstream.enabled=true", &port, "history.size=1000"];
    Server::start_in(state, &settings.map(|one| ["--set", one]).concat())
}

/// A server that posts to `publisher`, and asks `statistics` who listens, if it is to.
fn relaying(publisher: &str, statistics: Option<&str>, more: &[&str]) -> Server {
    let publisher = format!("relay.publisher_url={publisher}");
    let statistics = statistics.map(|url| format!("relay.statistics_url={url}"));
    let mut arguments = vec!["--set", &publisher];
    if let Some(statistics) = &statistics {
        arguments.extend(["--set", statistics]);
    }
    arguments.extend(more.iter().flat_map(|setting| ["--set", setting]));
    Server::start(&arguments)
}

struct Subscriber(WebSocket<TcpStream>);

impl Subscriber {
    fn connect(port: u16, channels: &str) -> Subscriber {
        let at = format!("127.0.0.1:{port}");
        let stream = http::connect(&at);
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let url = format!("ws://{at}/ws/{channels}?tag=0&time=Thu%2C%2001%20Jan%201970%2000%3A00%3A00%20GMT");
        Subscriber(tungstenite::client(url, stream).expect("a WebSocket").0)
    }

    /// The next frame: its channel and its text.
    fn frame(&mut self) -> (String, String) {
        loop {
            if let Message::Text(text) = self.0.read().expect("a message in time") {
                let mut parts = text.as_str().splitn(3, '.').skip(1).map(str::to_owned);
                return (parts.next().expect("a channel"), parts.next().expect("a text"));
            }
        }
    }

    /// The texts of the room's messages, up to and with this one; and the longest list, in bytes.
    fn until(&mut self, last: &str) -> (Vec<String>, usize) {
        let (mut heard, mut longest) = (Vec::new(), 0);
        while heard.last().map(String::as_str) != Some(last) {
            let (channel, list) = self.frame();
            assert!(channel.starts_with("m_"), "{channel}");
            longest = longest.max(list.len());
            let messages: Vec<Value> = serde_json::from_str(&list).expect("a list");
            heard.extend(messages.iter().map(|message| message["msg"].as_str().expect("a text").to_owned()));
        }
        (heard, longest)
    }
}

fn say(client: &mut Client, texts: impl Iterator<Item = String>) {
    for text in texts {
        client.ok(json!({ "call": "say", "msg": text }));
    }
}

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("number {number}")).collect()
}

#[test]
fn in_order_and_once_while_nginx_dies_and_comes_back() {
    let (port, state) = (free_port(), server::scratch("nginx"));
    let mut nginx_ = nginx(&state, port);
    let at = format!("http://127.0.0.1:{port}");
    let statistics = format!("{at}/channels-stats");
    let own = relaying(&format!("{at}/pub"), Some(&statistics), &["relay.post_bytes_max=1024"]);

    // Said before anybody listened: Nginx never had it, whoever comes first is sent it.
    let mut ada = Client::connect(&own.worker);
    ada.enter(&own.token_for("Ada"), "lobby");
    let texts = numbered(0, 40);
    say(&mut ada, texts[..20].iter().cloned());
    let mut subscriber = Subscriber::connect(port, "m_lobby");
    assert_eq!(subscriber.until("number 19").0, texts[..20]);
    say(&mut ada, texts[20..].iter().cloned());
    assert_eq!(subscriber.until("number 39").0, texts[20..]);

    // Its subscribers are viewers here.
    own.wait_for_stats("a subscriber at Nginx", |stats| stats["relay"]["subscribers"] == 1);
    let counts = || http::get(&own.url, "/stats/lobby").json()["subCount"].clone();
    let start = std::time::Instant::now();
    while counts() != json!(1) {
        assert!(start.elapsed() < PATIENCE, "{}", counts());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    nginx_.process.kill();
    let away = numbered(40, 200);
    say(&mut ada, away.iter().cloned());
    own.wait_for_stats("failures", |stats| stats["relay"]["failed_posts"].as_u64() > Some(0));
    drop(nginx_);
    let again = nginx(&server::scratch("nginx"), port);
    let mut subscriber = Subscriber::connect(port, "m_lobby");
    let (heard, longest) = subscriber.until("number 199");
    assert_eq!(heard, away, "what was said while Nginx was away");
    assert!(longest <= 1_024 && longest > 512, "split where it is too long: {longest}");

    let figures = own.stats("")["relay"].clone();
    assert_eq!(figures["posted_messages"], 200, "{figures}");
    for none in ["refused_messages", "dropped_messages", "missed_messages", "waiting_messages"] {
        assert_eq!(figures[none], 0, "{figures}");
    }
    drop(again);
}

#[test]
fn posted_texts_deletions_and_channels_that_were_named() {
    let (port, state) = (free_port(), server::scratch("nginx"));
    let nginx = nginx(&state, port);
    let own = relaying(
        &format!("http://127.0.0.1:{port}/pub"),
        None,
        &["relay.channels=m_lobby,news", "pushstream.enabled=true"],
    );
    let mut subscriber = Subscriber::connect(port, "m_lobby/news/m_other");
    let mut ada = Client::connect(&own.worker);
    ada.enter(&own.token_for("Ada"), "lobby");
    let mut bob = Client::connect(&own.worker);
    bob.enter(&own.token_for("Bob"), "other");
    say(&mut bob, ["nobody named this room".to_owned()].into_iter());
    say(&mut ada, ["one".to_owned()].into_iter());
    let (channel, list) = subscriber.frame();
    let list: Value = serde_json::from_str(&list).expect("a list");
    assert_eq!((channel.as_str(), list[0]["msg"].as_str()), ("m_lobby", Some("one")));
    assert_eq!(http::post(&own.worker, "/pub?id=news", "text/plain", "as it is").status, 200);
    assert_eq!(subscriber.frame(), ("news".to_owned(), "as it is".to_owned()));
    let deletes = "DELETE /pub?id=news HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(http::raw(&own.worker, deletes.as_bytes()).status, 200);
    assert_eq!(subscriber.frame(), ("news".to_owned(), "Channel deleted".to_owned()));
    let stats = own.wait_for_stats("posted", |stats| stats["relay"]["posted_messages"] == 3);
    assert_eq!(stats["relay"]["refused_messages"], 0, "{stats}");
    // What a relay posts is not posted on: it might come from here.
    for (server, status) in [(&own, 403), (&nginx, 200)] {
        let request = "POST /pub?id=news HTTP/1.1\r\nHost: x\r\nUser-Agent: chatup-relay/9\r\nContent-Length: 1\r\n\
                       Connection: close\r\n\r\nx";
        assert_eq!(http::raw(&server.worker, request.as_bytes()).status, status);
    }
}

#[test]
fn what_nginx_refuses_is_counted_and_holds_up_nothing() {
    let (port, state) = (free_port(), server::scratch("nginx"));
    let _nginx = nginx(&state, port);
    let at = format!("http://127.0.0.1:{port}");
    let own = relaying(&format!("{at}/nowhere"), None, &["relay.channels=m_lobby"]);
    let mut ada = Client::connect(&own.worker);
    ada.enter(&own.token_for("Ada"), "lobby");
    say(&mut ada, numbered(0, 10).into_iter());
    let stats = own.wait_for_stats("refused", |stats| stats["relay"]["refused_messages"] == 10);
    assert_eq!(stats["relay"]["waiting_messages"], 0, "{stats}");
    let error = stats["relay"]["last_error"].as_str().expect("an error");
    assert!(error.contains("/nowhere answers 405"), "{error}");
}

#[test]
fn a_server_without_nginx_stops_in_time_and_says_what_is_lost() {
    let own = relaying(
        &format!("http://127.0.0.1:{}/pub", free_port()),
        None,
        &["relay.channels=m_lobby", "relay.waiting_bytes_max=1048576"],
    );
    let mut ada = Client::connect(&own.worker);
    ada.enter(&own.token_for("Ada"), "lobby");
    say(&mut ada, numbered(0, 10).into_iter());
    own.wait_for_stats("waiting", |stats| stats["relay"]["waiting_messages"] == 10);
    // Everybody else is served all the same.
    let mut native = Client::connect(&own.worker);
    native.subscribe(&json!([{ "channel": "m_lobby", "history": 100 }]));
    let mut heard = 0;
    while heard < 10 {
        heard += native.messages().2.len();
    }
    let mut own = own;
    own.process.terminate();
    assert!(own.process.wait().success());
}
