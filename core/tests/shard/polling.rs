//! Socket.IO clients that poll: sessions over many requests, and their change to a WebSocket.

use chatup_core::limits::Limits;
use chatup_core::shard::Key;

use crate::rig::Rig;
use crate::support::wire;

const OK: &str = "ok";

/// A client that polls, with a connection for what it asks and one for what it says.
struct Client {
    engine: u8,
    sid: String,
    poll: Key,
    post: Key,
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn get(query: &str) -> String {
    format!("GET /socket.io/?{query} HTTP/1.1\r\nHost: x\r\nOrigin: http://localhost:1\r\n\r\n")
}

fn post(query: &str, body: &str) -> String {
    format!("POST /socket.io/?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

impl Client {
    fn open(rig: &mut Rig, engine: u8) -> (Client, String) {
        let (poll, post) = (rig.accept(), rig.accept());
        let answer = rig.bytes(poll, get(&format!("EIO={engine}&transport=polling&b64=1")).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("Access-Control-Allow-Origin: http://localhost:1\r\n"), "{answer}");
        assert!(answer.contains("Access-Control-Allow-Credentials: true\r\n"), "{answer}");
        let sid = answer.split("\"sid\":\"").nth(1).expect("a session").split('"').next().unwrap().to_owned();
        (Client { engine, sid, poll, post }, body(&answer).to_owned())
    }

    fn query(&self) -> String {
        format!("EIO={}&transport=polling&b64=1&sid={}", self.engine, self.sid)
    }

    fn poll(&self, rig: &mut Rig) -> String {
        body(&rig.bytes(self.poll, get(&self.query()).as_bytes())).to_owned()
    }

    /// What has come since, to the poll that is held.
    fn polled(&self, rig: &mut Rig) -> String {
        body(&rig.given(self.poll)).to_owned()
    }

    fn said(&self, packets: &[&str]) -> String {
        let lengths = |packet: &&str| format!("{}:{packet}", packet.encode_utf16().count());
        match self.engine {
            3 => packets.iter().map(lengths).collect(),
            _ => packets.join("\u{1e}"),
        }
    }

    fn post(&self, rig: &mut Rig, packets: &[&str]) -> String {
        let body_text = self.said(packets);
        body(&rig.bytes(self.post, post(&self.query(), &body_text).as_bytes())).to_owned()
    }

    /// A WebSocket for the session.
    fn socket(&self, rig: &mut Rig) -> Key {
        let key = rig.accept();
        let path = format!("/socket.io/?EIO={}&transport=websocket&sid={}", self.engine, self.sid);
        let answer = rig.bytes(key, wire::UPGRADE.replace("/chatup/v1", &path).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        key
    }
}

fn auth() -> String {
    format!(r#"420["auth","{}"]"#, crate::support::rules::token("Ada", 3_600))
}

/// One that is a member of the room `lobby`.
fn member(rig: &mut Rig, engine: u8) -> Client {
    let (client, _) = Client::open(rig, engine);
    assert_eq!(client.post(rig, &[&auth(), r#"421["join",{"room":"lobby"}]"#]), OK);
    rig.broker_opens();
    assert_eq!(client.poll(rig), client.said(&[r#"430["ok"]"#, r#"431["ok"]"#]));
    client
}

#[test]
fn each_engine_opens_a_session_that_may_change() {
    let mut rig = Rig::new(Limits::default());
    let (three, opening) = Client::open(&mut rig, 3);
    let (first, rest) = opening.split_once(':').unwrap();
    let length: usize = first.parse().unwrap();
    assert_eq!(&rest[length..], "2:40");
    let expected = r#"","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":60000}"#;
    assert!(rest[..length].ends_with(expected), "{rest}");
    assert_eq!(three.post(&mut rig, &["2"]), OK);
    assert_eq!(three.poll(&mut rig), "1:3");
    let (four, opening) = Client::open(&mut rig, 4);
    assert!(opening.starts_with("0{\"sid\":") && opening.ends_with("\"pingTimeout\":20000}"), "{opening}");
    assert_eq!(four.post(&mut rig, &["40"]), OK);
    assert!(four.poll(&mut rig).starts_with("40{\"sid\":"));
}

#[test]
fn calls_are_answered_to_the_poll_that_is_held_or_the_next_one() {
    for engine in [3, 4] {
        let mut rig = Rig::new(Limits::default());
        let client = member(&mut rig, engine);
        assert_eq!(client.poll(&mut rig), "", "it is held");
        assert_eq!(client.post(&mut rig, &[r#"422["say",{"msg":"\u20ac €"}]"#]), OK);
        assert_eq!(client.polled(&mut rig), "", "the store has not answered");
        rig.broker_opens();
        assert_eq!(client.polled(&mut rig), client.said(&[r#"432["ok"]"#]));
        // Two calls before the next poll; without an acknowledgement id nothing is answered.
        client.post(&mut rig, &[r#"423["say",{"msg":""}]"#, r#"42["say",{"msg":"x"}]"#]);
        client.post(&mut rig, &[r#"424["join",{"room":"lobby"}]"#]);
        let wrong = r#"433[{"status":"error","err":"Wrong format"}]"#;
        assert_eq!(client.poll(&mut rig), client.said(&[wrong, r#"434["ok"]"#]));
        // A poll that is cut takes nothing with it.
        client.poll(&mut rig);
        rig.cut(client.poll);
        client.post(&mut rig, &[r#"425["join",{"room":"lobby"}]"#]);
        let again = Client { poll: rig.accept(), ..client };
        assert_eq!(again.poll(&mut rig), again.said(&[r#"435["ok"]"#]));
        // The later of two polls counts.
        let later = Client { poll: rig.accept(), sid: again.sid.clone(), ..again };
        again.poll(&mut rig);
        later.poll(&mut rig);
        assert_eq!(again.polled(&mut rig), again.said(&["6"]));
        later.post(&mut rig, &[r#"426["join",{"room":"lobby"}]"#]);
        assert_eq!(later.polled(&mut rig), later.said(&[r#"436["ok"]"#]));
    }
}

#[test]
fn a_session_changes_to_a_websocket_and_loses_nothing() {
    for engine in [3, 4] {
        let mut rig = Rig::new(Limits::default());
        let client = member(&mut rig, engine);
        client.poll(&mut rig);
        let socket = client.socket(&mut rig);
        assert_eq!(rig.text(socket, "2probe"), "3probe");
        assert_eq!(client.polled(&mut rig), client.said(&["6"]), "released");
        assert_eq!(client.poll(&mut rig), client.said(&["6"]), "no poll is held any more");
        // Said by a post before the change, answered on the WebSocket.
        client.post(&mut rig, &[r#"422["join",{"room":"lobby"}]"#]);
        assert_eq!(rig.given(socket), "");
        assert_eq!(rig.text(socket, "5"), r#"432["ok"]"#);
        assert_eq!(rig.text(socket, r#"423["join",{"room":"lobby"}]"#), r#"433["ok"]"#);
        // Another one that wants to follow is turned away.
        let other = client.socket(&mut rig);
        assert!(rig.text(other, "2probe").starts_with("close 1002"));
        rig.cut(socket);
        assert_eq!(rig.broker(|_| chatup_core::exchange::Answer::Done), "Leave");
        assert!(client.poll(&mut rig).contains("Session ID unknown"));
        rig.pass(10_500);
        assert_eq!(rig.shard.connections(), 0, "nothing is left of it");
    }
}

#[test]
fn a_session_that_is_not_heard_of_ends() {
    let mut rig = Rig::new(Limits::default());
    let client = member(&mut rig, 3);
    client.poll(&mut rig);
    rig.pass(46_000);
    assert_eq!(client.polled(&mut rig), "1:1");
    assert_eq!(rig.broker(|_| chatup_core::exchange::Answer::Done), "Leave");
    // Engine.io 4 is asked by the server, and answers by a post.
    let client = member(&mut rig, 4);
    for _ in 0..8 {
        client.poll(&mut rig);
        rig.pass(26_000);
        assert_eq!(client.polled(&mut rig), "2");
        client.post(&mut rig, &["3"]);
    }
}

#[test]
fn requests_that_cannot_be_answered() {
    let mut rig = Rig::new(Limits::default());
    let unknown = "f".repeat(52);
    let table = [
        (get("EIO=3&transport=polling&sid=x"), r#"{"code":1,"message":"Session ID unknown"}"#),
        (
            get(&format!("EIO=3&transport=polling&sid={unknown}")),
            r#"{"code":1,"message":"Session ID unknown"}"#,
        ),
        (post(&format!("EIO=4&transport=polling&sid={unknown}"), "2"), "Session ID unknown"),
        (post("EIO=3&transport=polling", ""), r#"{"code":2,"message":"Bad handshake method"}"#),
        (get("EIO=3&transport=smoke"), r#"{"code":0,"message":"Transport unknown"}"#),
        (get("transport=polling"), r#"{"code":5,"message":"Unsupported protocol version"}"#),
    ];
    for (request, expected) in table {
        let key = rig.accept();
        // Twice on one connection: it is kept.
        for _ in 0..2 {
            let answer = rig.bytes(key, request.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(expected), "{request}: {answer}");
        }
    }
    let key = rig.accept();
    let answer = rig.bytes(key, b"OPTIONS /socket.io/?x HTTP/1.1\r\nOrigin: http://localhost\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("Allow-Headers: Content-Type"),
        "{answer}"
    );
    let evil = "GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nOrigin: http://evil.example\r\n\r\n";
    let head = "POST /socket.io/?EIO=3&transport=polling HTTP/1.1\r\n";
    let table = [
        (evil.to_owned(), "403 "),
        (format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n"), "400 "),
        (format!("{head}\r\n"), "411 "),
        (format!("{head}Content-Length: 99999999\r\n\r\n"), "413 "),
        (format!("{head}Content-Length: -1\r\n\r\n"), "400 "),
        (format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), "400 "),
        ("PUT /socket.io/ HTTP/1.1\r\n\r\n".to_owned(), "405 "),
    ];
    for (request, status) in table {
        let key = rig.accept();
        let answer = rig.bytes(key, request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        assert!(answer.ends_with("hung up"), "{request}: {answer}");
    }
    // What cannot be read ends the session.
    let client = member(&mut rig, 3);
    client.poll(&mut rig);
    let answer = rig.bytes(client.post, post(&client.query(), "rubbish").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"code\":3"), "{answer}");
    assert_eq!(client.polled(&mut rig), "1:1");
}

#[test]
fn requests_behind_each_other_are_answered_in_their_order_wherever_pieces_end() {
    let mut bytes = get("EIO=4&transport=polling").repeat(2);
    bytes.push_str(&post("EIO=4&transport=polling", "12345"));
    bytes.push_str(&get("EIO=4&transport=smoke").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    for split in 1..bytes.len() {
        let mut rig = Rig::new(Limits::default());
        let key = rig.accept();
        let pieces: Vec<String> = bytes.as_bytes().chunks(split).map(|piece| rig.bytes(key, piece)).collect();
        let given = pieces.join("\n");
        let order: Vec<usize> = ["0{\"sid\"", "0{\"sid\"", "\"code\":2", "\"code\":0", "hung up"]
            .iter()
            .scan(0, |from, what| {
                *from +=
                    given[*from..].find(what).unwrap_or_else(|| panic!("{split}: {what} in {given}")) + 1;
                Some(*from)
            })
            .collect();
        assert_eq!(order.len(), 5);
        assert_eq!(rig.shard.connections(), 2, "two sessions");
    }
}

#[test]
fn a_worker_that_stops_ends_its_sessions() {
    let mut rig = Rig::new(Limits::default());
    let client = member(&mut rig, 3);
    client.poll(&mut rig);
    let changed = member(&mut rig, 4);
    let socket = changed.socket(&mut rig);
    rig.text(socket, "2probe");
    rig.text(socket, "5");
    rig.shard.drain(&mut rig.world);
    rig.pass(1);
    assert_eq!(client.polled(&mut rig), "1:1\nhung up");
    assert!(rig.given(socket).starts_with("close 1001 shutting_down"));
    rig.pass(3_000);
    assert_eq!(rig.shard.connections(), 0);
}

#[test]
fn sessions_that_nobody_comes_for_are_few_and_short() {
    let mut rig = Rig::new(Limits { connections_per_shard_max: 8, ..Limits::default() });
    let key = rig.accept();
    let open = get("EIO=4&transport=polling");
    for _ in 0..2 {
        assert!(rig.bytes(key, open.as_bytes()).starts_with("HTTP/1.1 200 "));
    }
    assert!(rig.bytes(key, open.as_bytes()).starts_with("HTTP/1.1 503 "));
    assert_eq!(rig.shard.connections(), 2);
    rig.pass(10_500);
    assert_eq!(rig.shard.connections(), 0);
    let (client, _) = Client::open(&mut rig, 4);
    client.poll(&mut rig);
    rig.pass(10_500);
    assert_eq!(client.polled(&mut rig), "", "it is held");
}

#[test]
fn a_websocket_for_no_session_is_ended() {
    let mut rig = Rig::new(Limits::default());
    let client = Client { engine: 4, sid: "f".repeat(52), poll: rig.accept(), post: rig.accept() };
    let key = rig.accept();
    let path = format!("/socket.io/?EIO=4&transport=websocket&sid={}", client.sid);
    let answer = rig.bytes(key, wire::UPGRADE.replace("/chatup/v1", &path).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("close 1002"), "{answer}");
    // Of two that ask whether they may follow, the later one counts.
    let client = member(&mut rig, 4);
    let (first, second) = (client.socket(&mut rig), client.socket(&mut rig));
    assert_eq!(rig.text(first, "2probe"), "3probe");
    assert_eq!(rig.text(second, "2probe"), "3probe");
    assert!(rig.given(first).starts_with("close 1002"));
    assert_eq!(rig.text(second, "5"), "");
}
