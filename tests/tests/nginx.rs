//! The project's configurations for a stock Nginx: each is in order, and carries traffic to the real program.
//! (What `pushstream.conf` carries is in `conformance.rs`.)

use std::path::Path;
use std::process::{Command, Output};

use chatup_tests::nginx::{self, Nginx};
use chatup_tests::{Client, Server, server};
use serde_json::{Value, json};

/// Nginx with `front.conf`, for these.
struct Front {
    _nginx: Nginx,
    https: u16,
    http: u16,
}

impl Front {
    fn start(server: &Server) -> Front {
        let folder = server::scratch("certificates");
        std::fs::create_dir_all(&folder).expect("a folder");
        let names = ["chat.example.org".to_owned(), "chat1.example.org".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        std::fs::write(folder.join("fullchain.pem"), made.cert.pem()).expect("it is written");
        std::fs::write(folder.join("privkey.pem"), made.signing_key.serialize_pem()).expect("it is written");
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
