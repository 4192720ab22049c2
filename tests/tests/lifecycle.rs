//! Starting and stopping: in order, in bounded time, and with one clear line where it cannot be.

use std::process::Command;

use chatup_tests::{Client, Server, http, server};
use serde_json::json;

#[test]
fn a_stop_tells_every_client_when_to_come_back() {
    let mut server = Server::start(&["--shards", "2"]);
    let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(&server.worker)).collect();
    for client in &mut clients {
        client.subscribe(&json!(["m_lobby", "e_lobby"]));
    }
    // One that will never answer the close: it must not hold the server up.
    let _silent = Client::connect(&server.worker);
    server.process.terminate();
    let mut hints = Vec::new();
    for client in &mut clients {
        let (code, reason) = client.closed();
        assert_eq!(code, 1001);
        let hint = reason.strip_prefix("shutting_down retry_after_ms=").expect("a hint");
        hints.push(hint.parse::<u64>().expect("a number"));
    }
    assert!(hints.iter().all(|hint| *hint < 5_000), "{hints:?}");
    hints.sort_unstable();
    hints.dedup();
    assert!(hints.len() > 20, "all would come back at once: {hints:?}");
    assert!(server.process.wait().success());
}

#[test]
fn what_was_said_is_delivered_before_the_close() {
    let mut server = Server::start(&["--shards", "2"]);
    let mut listener = Client::connect(&server.worker);
    listener.subscribe(&json!(["m_lobby"]));
    let mut speaker = Client::connect(&server.worker);
    speaker.enter(&server.token_for("Ada"), "lobby");
    for number in 0..50 {
        speaker.ok(json!({ "call": "say", "msg": number.to_string() }));
    }
    let mut seen = 0;
    while seen < 50 {
        seen += listener.messages().2.len();
    }
    server.process.terminate();
    assert_eq!(listener.closed().0, 1001);
    assert_eq!(speaker.closed().0, 1001);
    assert!(server.process.wait().success());
}

#[test]
fn a_second_one_on_the_same_port_is_refused_in_one_line() {
    let server = Server::start(&[]);
    let port = server.worker.rsplit(':').next().expect("a port").to_owned();
    let second = Command::new(server::program())
        .args(["--dispatcher-port", "0", "--worker-port", &port, "--state-dir"])
        .arg(server.state())
        .output()
        .expect("it runs");
    let error = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{error}");
    let line = error.lines().find(|line| line.starts_with("chatup:")).expect("an error");
    assert!(line.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{line}");
}

/// What a host forbids is told in one line that says what to change. `prlimit` and `setpriv` are
/// of util-linux, which every Debian has.
#[test]
fn a_host_that_locks_too_little_memory_or_has_too_few_descriptors_is_told_so() {
    let table: [(&[&str], &str); 3] = [
        (&["prlimit", "--nofile=256:256"], "set ulimit -n"),
        (
            &[
                "prlimit",
                "--memlock=65536:65536",
                "setpriv",
                "--bounding-set=-ipc_lock",
                "--inh-caps=-ipc_lock",
            ],
            "set ulimit -l",
        ),
        // Root in a container: it may lock anything, but glommio looks at the limit all the same.
        (
            &[
                "prlimit",
                "--memlock=65536:65536",
                "setpriv",
                "--bounding-set=-sys_resource",
                "--inh-caps=-sys_resource",
            ],
            "set ulimit -l",
        ),
    ];
    for (wrapper, expected) in table {
        let output = Command::new(wrapper[0])
            .args(&wrapper[1..])
            .arg(server::program())
            .args(["--set", "worker.io=io_uring", "--dispatcher-port", "0", "--worker-port", "0"])
            .args(["--shards", "2", "--state-dir"])
            .arg(server::scratch("preflight"))
            .output()
            .expect("util-linux is installed");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{wrapper:?}: {error}");
        assert!(error.contains(expected), "{wrapper:?}: {error}");
    }
}

/// Where nobody insists on io_uring, a host that forbids it is served by epoll.
#[test]
fn how_sockets_are_served_is_chosen_or_follows_from_the_host() {
    let little: &[&str] = &[
        "prlimit",
        "--memlock=65536:65536",
        "setpriv",
        "--bounding-set=-sys_resource",
        "--inh-caps=-sys_resource",
    ];
    let any: &[&str] = &["env"];
    for (wrapper, choice, expected) in [
        (any, "worker.io=auto", "io_uring"),
        (any, "worker.io=io_uring", "io_uring"),
        (any, "worker.io=epoll", "epoll"),
        (little, "worker.io=auto", "epoll"),
        (little, "worker.io=epoll", "epoll"),
    ] {
        let server = Server::start_under(wrapper, &["--set", choice]);
        assert_eq!(server.stats("")["io"], expected, "{wrapper:?} {choice}");
        let mut client = Client::connect(&server.worker);
        assert_eq!(client.call(json!({ "call": "ping" }))["ok"], json!({}), "{wrapper:?} {choice}");
    }
}

#[test]
fn the_demo_keys_last_from_start_to_start() {
    let state = server::scratch("keys");
    let token = {
        let server = Server::start_in(&state, &[]);
        std::fs::copy(state.join("demo-private.pem"), state.with_extension("kept")).expect("a key");
        server.token.clone().expect("a token")
    };
    // The handle has removed the directory: put the key back as it was.
    std::fs::create_dir_all(&state).expect("a directory");
    std::fs::rename(state.with_extension("kept"), state.join("demo-private.pem")).expect("a key");
    let server = Server::start_in(&state, &[]);
    let mut client = Client::connect(&server.worker);
    let answer = client.call(json!({ "call": "auth", "token": token }));
    // Without its public half a damaged pair is told, or made whole; the old token then still holds.
    assert_eq!(answer["ok"]["user"], json!({ "name": "Ada" }), "{answer}");
}

/// More connections than descriptors: one too many reads 503, and the dispatcher still answers.
#[test]
fn connections_are_bounded_by_the_descriptors() {
    use std::io::{Read, Write};
    let server = Server::start_under(&["prlimit", "--nofile=1100:1100"], &["--shards", "1"]);
    let mut held: Vec<_> = (0..900).map(|_| http::connect(&server.worker)).collect();
    let mut start = [0; 12];
    held[899].read_exact(&mut start).expect("an answer without a request");
    assert_eq!(&start, b"HTTP/1.1 503");
    // Half of the descriptors and more are for connections.
    held[600].write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is sent");
    held[600].read_exact(&mut start).expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 200");
    assert_eq!(http::get(&server.url, "/health").status, 200);
}

/// The kernel spreads connections by chance: a shard that gets more than half of them turns nobody away
/// while the process has room.
#[test]
fn shards_share_the_descriptors() {
    use std::io::{Read, Write};
    let server = Server::start_under(&["prlimit", "--nofile=1100:1100"], &["--shards", "2"]);
    // 1,100 less those set aside for the rest of the process.
    let mut held: Vec<_> = (0..720).map(|_| http::connect(&server.worker)).collect();
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    for (at, connection) in held.iter_mut().enumerate() {
        let mut start = [0; 12];
        connection.write_all(request).and_then(|()| connection.read_exact(&mut start)).expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 200", "connection {at}");
    }
}

#[test]
fn who_may_read_a_workers_figures() {
    for (from, status) in [("loopback", 200), ("anyone", 200), ("nobody", 404)] {
        let server = Server::start(&["--set", &format!("worker.stats_from={from}")]);
        assert_eq!(http::get(&server.worker, "/stats").status, status, "{from}");
    }
}
