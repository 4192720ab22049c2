//! The project's configurations for a stock Nginx: each is in order, and carries traffic to the real program.
//! (What `pushstream.conf` carries is in `conformance.rs`.)

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chatup_tests::nginx::{self, Nginx};
use chatup_tests::{Client, PATIENCE, Server, server};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

/// A folder with a certificate for the names in `front.conf`.
fn certificate() -> PathBuf {
    let folder = server::scratch("certificates");
    std::fs::create_dir_all(&folder).expect("a folder");
    let names = ["chat.example.org".to_owned(), "chat1.example.org".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    std::fs::write(folder.join("fullchain.pem"), made.cert.pem()).expect("it is written");
    std::fs::write(folder.join("privkey.pem"), made.signing_key.serialize_pem()).expect("it is written");
    folder
}

/// Nginx with `front.conf`, for these.
struct Front {
    _nginx: Nginx,
    https: u16,
    http: u16,
}

impl Front {
    fn start(server: &Server) -> Front {
        let folder = certificate();
        let (https, http) = (nginx::free_port(), nginx::free_port());
        let changes = [
            ("listen 443", &*format!("listen 127.0.0.1:{https}")),
            ("listen 80", &*format!("listen 127.0.0.1:{http}")),
            ("/etc/ssl/chatup/", &*format!("{}/", folder.display())),
            ("127.0.0.1:8000", server.url.trim_start_matches("http://")),
            ("127.0.0.1:42633", &*server.worker),
        ];
        let checked = Nginx::checked(&nginx::file("front.conf"), &changes);
        let nginx = Nginx::start(&checked, https);
        let _ = std::fs::remove_dir_all(folder);
        Front { _nginx: nginx, https, http }
    }

    /// curl, as somebody who comes from this address, to a name.
    fn curl(&self, name: &str, path: &str, more: &[&str]) -> Output {
        let (port, scheme) = if more.contains(&"http") { (self.http, "http") } else { (self.https, "https") };
        let resolve = format!("{name}:{port}:127.0.0.1");
        let mut command = Command::new("curl");
        command.args(["-sS", "-k", "-i", "--max-time", "10", "--resolve", &resolve]);
        command.args(more.iter().filter(|one| **one != "http"));
        command.arg(format!("{scheme}://{name}:{port}{path}")).output().expect("curl")
    }

    fn text(&self, name: &str, path: &str, more: &[&str]) -> String {
        String::from_utf8_lossy(&self.curl(name, path, more).stdout).into_owned()
    }
}

#[test]
fn every_configuration_is_in_order() {
    assert!(nginx::is_there(), "this needs Nginx: apt-get install nginx");
    let folder = server::scratch("nginx-whole");
    let text = |path: &str| format!("{}/{path}", folder.display());
    std::fs::create_dir_all(text("conf.d")).expect("a folder");
    // As it is, but for the places on this machine.
    let whole = nginx::file("nginx.conf")
        .replace("/run/nginx.pid", &text("pid"))
        .replace("/var/log/nginx/", &text(""))
        .replace("/etc/nginx/conf.d/", &text("conf.d/"))
        .replace("worker_rlimit_nofile 70000;", "");
    std::fs::write(text("nginx.conf"), whole).expect("it is written");
    let output = Command::new("nginx").args(["-t", "-c", &text("nginx.conf")]).output().expect("Nginx");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The relay's needs a module that a stock Nginx does not have: that, and nothing before it, stops it.
    let relay = nginx::file("relay.conf");
    std::fs::write(text("conf.d/relay.conf"), relay.replace("/var/log/nginx/", &text("")))
        .expect("it is written");
    let output = Command::new("nginx").args(["-t", "-c", &text("nginx.conf")]).output().expect("Nginx");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = relay.lines().position(|line| line.starts_with("push_stream_shared_memory_size"));
    let expected = format!(
        "unknown directive \"push_stream_shared_memory_size\" in {}:{}",
        text("conf.d/relay.conf"),
        place.expect("it stands there") + 1
    );
    assert!(output.status.success() || said.contains(&expected), "{said}");
    let _ = std::fs::remove_dir_all(Path::new(&folder));
}

#[test]
fn the_front_carries_everything_and_lets_nobody_else_publish() {
    let server = Server::start(&[
        "--set=pushstream.enabled=true",
        "--set=socket_io.enabled=true",
        "--set=worker.origins=*",
    ]);
    let front = Front::start(&server);
    let (dispatcher, worker) = ("chat.example.org", "chat1.example.org");
    // The dispatcher, over HTTP/2.
    let joined = front.text(dispatcher, "/join/lobby", &["--http2", "-X", "POST"]);
    assert!(joined.starts_with("HTTP/2 200"), "{joined}");
    let body: Value = serde_json::from_str(joined.rsplit("\r\n\r\n").next().unwrap_or("")).expect("JSON");
    assert_eq!(body["host"], json!(format!("http://{}", server.worker)));
    // Who comes by http is sent to https.
    assert!(front.text(dispatcher, "/", &["http"]).starts_with("HTTP/1.1 308 "));
    // A WebSocket to the worker: its handshake, and what it is sent.
    let upgrade = [
        "--http1.1",
        "-N",
        "--max-time",
        "2",
        "-H",
        "Connection: Upgrade",
        "-H",
        "Upgrade: websocket",
        "-H",
        "Sec-WebSocket-Version: 13",
        "-H",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let native = front.text(
        worker,
        "/chatup/v1?call=%7B%22id%22:1,%22call%22:%22subscribe%22,%22channels%22:%5B%22m_a%22%5D%7D",
        &upgrade,
    );
    assert!(native.starts_with("HTTP/1.1 101 ") && native.contains("\"recovered\":false"), "{native}");
    let mut ada = Client::connect(&server.worker);
    ada.enter(&server.token_for("Ada"), "lobby");
    ada.ok(json!({ "call": "say", "msg": "hello" }));
    let module = front.text(worker, "/ws/m_lobby.b1", &upgrade);
    assert!(module.starts_with("HTTP/1.1 101 ") && module.contains("\"msg\":\"hello\""), "{module}");
    // An event source over HTTP/2: what it is sent comes at once, and not at its end.
    let events = front.text(worker, "/ev/m_lobby.b1", &["--http2", "-N", "--max-time", "2"]);
    assert!(events.starts_with("HTTP/2 200") && events.contains("\"msg\":\"hello\""), "{events}");
    // A poll's answer is compressed for whoever asks for it, and is the same.
    ada.ok(json!({ "call": "say", "msg": "x".repeat(2_000) }));
    let plain = front.text(worker, "/poll/m_lobby.b2", &["--http1.1"]);
    let gzip = front.text(worker, "/poll/m_lobby.b2", &["--http1.1", "--compressed"]);
    let body = |answer: &str| answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    assert!(gzip.contains("Content-Encoding: gzip") && !plain.contains("Content-Encoding"), "{gzip}");
    assert!(plain.contains("hello") && body(&gzip) == body(&plain), "{gzip}");
    let tag = |answer: &str| answer.lines().find(|line| line.starts_with("Etag: ")).map(str::to_owned);
    assert!(tag(&plain).is_some() && tag(&gzip) == tag(&plain), "{gzip}");
    // Socket.IO's polls.
    let poll = front.text(worker, "/socket.io/?EIO=4&transport=polling", &[]);
    assert!(poll.contains("\"upgrades\":[\"websocket\"]"), "{poll}");
    // What is not for everybody: for this machine only, by whatever way one comes, whatever one says.
    for path in ["/stats", "/channels-stats", "/pub?id=m_lobby"] {
        assert!(front.text(worker, path, &[]).starts_with("HTTP/2 200"), "{path}");
        let outside =
            front.text(worker, path, &["--interface", "127.0.0.9", "-H", "X-Forwarded-For: 127.0.0.1"]);
        assert!(outside.starts_with("HTTP/2 403"), "{path}: {outside}");
        // Behind another proxy on this machine, that says who asks.
        let answer =
            chatup_tests::http::get_with(&server.worker, path, &["X-Forwarded-For: 127.0.0.1, 192.0.2.7"]);
        assert_eq!(answer.status, 403, "{path}");
        let answer =
            chatup_tests::http::get_with(&server.worker, path, &["X-Forwarded-For: 192.0.2.7, 127.0.0.1"]);
        assert_eq!(answer.status, 200, "{path}");
    }
    assert!(front.text(worker, "/ws/../pub?id=m_lobby", &["--path-as-is"]).starts_with("HTTP/2 400"));
    assert!(front.text(worker, "/else", &[]).starts_with("HTTP/2 404"));
}

/// A request over plain HTTP, from this address of this machine, with what a proxy says before it.
fn ask(port: u16, from: [u8; 4], before: &str, more: &str) -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of this machine");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("Nginx listens");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let request = format!(
        "{before}GET /channels-stats HTTP/1.1\r\nHost: chat1.example.org\r\nConnection: close\r\n{more}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[test]
fn a_proxy_in_front_is_believed_if_it_is_the_one_that_was_named() {
    let server = Server::start(&["--set=pushstream.enabled=true"]);
    let (named, other) = ([127, 0, 0, 8], [127, 0, 0, 9]);
    let said = |address: &str| format!("PROXY TCP4 {address} 127.0.0.1 1000 80\r\n");
    let header = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    for (file, certificates) in [("front.conf", true), ("pushstream.conf", false)] {
        for by_protocol in [true, false] {
            let port = nginx::free_port();
            let listen =
                format!("listen 127.0.0.1:{port}{}", if by_protocol { " proxy_protocol" } else { "" });
            let (set, from) = ("#set_real_ip_from 192.0.2.10;", "set_real_ip_from 127.0.0.8;");
            let by = if by_protocol { "proxy_protocol" } else { "X-Forwarded-For" };
            let by = format!("real_ip_header {by};");
            let folder = certificates.then(certificate);
            let mut changes = vec![
                (set, from),
                ("#real_ip_header proxy_protocol;", &*by),
                ("listen 80", &*listen),
                ("127.0.0.1:42633", &*server.worker),
            ];
            let path = folder.as_ref().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
            let https = format!("listen 127.0.0.1:{}", nginx::free_port());
            if certificates {
                // With pages that are on http.
                changes.extend([("/etc/ssl/chatup/", &*path), ("listen 443", &https), ("return 308", "#")]);
            }
            let checked = Nginx::checked(&nginx::file(file), &changes);
            let _nginx = Nginx::start(&checked, port);
            for (from, address, status) in [
                (named, "192.0.2.7", 403),
                (named, "127.0.0.1", 200),
                (other, "127.0.0.1", 403),
                ([127, 0, 0, 1], "192.0.2.7", 200),
            ] {
                let (before, more) = match by_protocol {
                    true => (said(address), String::new()),
                    false => (String::new(), header(address)),
                };
                assert_eq!(ask(port, from, &before, &more), status, "{file} {by} {from:?} {address}");
            }
            folder.map(std::fs::remove_dir_all);
        }
    }
}

#[test]
fn streams_that_nginx_compresses_come_at_once_all_the_same() {
    let server = Server::start(&["--set=pushstream.enabled=true"]);
    let port = nginx::free_port();
    let listen = format!("listen 127.0.0.1:{port}");
    let changes = [("listen 80", &*listen), ("127.0.0.1:42633", &*server.worker), ("#gzip", "gzip")];
    let checked = Nginx::checked(&nginx::file("pushstream.conf"), &changes);
    let _nginx = Nginx::start(&checked, port);
    let mut ada = Client::connect(&server.worker);
    ada.enter(&server.token_for("Ada"), "lobby");
    for path in ["/sub/m_lobby", "/ev/m_lobby"] {
        let url = format!("http://127.0.0.1:{port}{path}.b1");
        let mut curl = Command::new("curl")
            .args(["-sS", "-N", "-i", "--compressed", "--max-time", "30", &url])
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl");
        let (said, mut heard) = (format!("at once by {path}"), String::new());
        let mut answer = curl.stdout.take().expect("its output");
        let mut bytes = [0; 4_096];
        while !heard.contains(&said) {
            let count = answer.read(&mut bytes).expect("it goes on");
            assert!(count > 0, "it ended: {heard}");
            let first = heard.is_empty();
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
            if first {
                // The stream is there, and has been told of nothing yet.
                ada.ok(json!({ "call": "say", "msg": said }));
            }
        }
        curl.kill().expect("it runs on");
        curl.wait().expect("it ends");
        assert!(heard.contains("Content-Encoding: gzip"), "{heard}");
    }
}
