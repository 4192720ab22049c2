//! The Redis broker against real Redis servers in each of their forms: it passes what every broker must
//! pass, unchanged.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use chatup_broker::redis::settings::{Credentials, RedisSettings, Server};
use chatup_broker::{BrokerHandle, conformance, redis};
use chatup_tests::redis::free_port;
use chatup_tests::{Redis, server};

const PASSWORD: &str = "for-the-test-only";

/// A broker in a name space of its own: empty.
fn broker(url: &str, credentials: &Credentials) -> BrokerHandle {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let settings = RedisSettings {
        server: Server::parse(url, credentials).expect("a URL"),
        key_prefix: format!("test{}:", NEXT.fetch_add(1, Ordering::Relaxed)),
        messages_max: 1_000,
        expire_ms: 60_000,
        announced_members_max: conformance::ANNOUNCED_MEMBERS_MAX,
    };
    let (handle, _thread) = redis::start(settings).expect("a thread");
    handle
}

fn password() -> Credentials {
    Credentials { password: PASSWORD.to_owned(), ..Credentials::default() }
}

#[test]
fn conforms_over_one_server() {
    let server = Redis::start();
    conformance::check(|| broker(&server.url(), &Credentials::default()));
}

#[test]
fn conforms_over_a_unix_socket_with_a_password() {
    let socket = server::scratch("socket").join("redis.sock");
    let path = socket.display().to_string();
    let _server = Redis::start_with(&["--save", "", "--unixsocket", &path, "--requirepass", PASSWORD]);
    conformance::check(|| broker(&format!("redis+unix://{path}"), &password()));
}

/// Certificates of an authority of their own, for localhost, as files in a new directory.
fn certificates() -> PathBuf {
    let dir = server::scratch("tls");
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(authority, authority_key).expect("a certificate");
    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).expect("names").signed_by(&key, &authority);
    let files = [
        ("ca.pem", authority.pem()),
        ("server.pem", certificate.expect("a certificate").pem()),
        ("server.key", key.serialize_pem()),
    ];
    for (name, text) in files {
        std::fs::write(dir.join(name), text).expect("a file");
    }
    dir
}

#[test]
fn conforms_over_tls_and_trusts_nobody_else() {
    let (dir, port) = (certificates(), free_port());
    let file = |name: &str| dir.join(name).display().to_string();
    let arguments =
        ["--save", "", "--tls-auth-clients", "no", "--tls-port", &port.to_string()].map(str::to_owned);
    let files = [
        ("--tls-cert-file", "server.pem"),
        ("--tls-key-file", "server.key"),
        ("--tls-ca-cert-file", "ca.pem"),
    ];
    let files = files.iter().flat_map(|(flag, name)| [(*flag).to_owned(), file(name)]);
    let all: Vec<String> = arguments.into_iter().chain(files).collect();
    let _server = Redis::start_with(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let url = format!("rediss://localhost:{port}");
    let trusted = Credentials { ca_file: dir.join("ca.pem"), ..Credentials::default() };
    conformance::check(|| broker(&url, &trusted));
    let other = Credentials { ca_file: certificates().join("ca.pem"), ..Credentials::default() };
    let stranger = broker(&url, &other);
    assert!(!conformance::is_reachable(&stranger), "a certificate of nobody known is taken");
}

#[test]
fn conforms_over_a_cluster() {
    let nodes = Redis::cluster(3, &[]);
    let url = format!("redis+cluster://127.0.0.1:{},127.0.0.1:{}", nodes[1].port(), nodes[2].port());
    conformance::check(|| broker(&url, &Credentials::default()));
}

#[test]
fn conforms_over_a_group_watched_by_sentinels() {
    let primary = Redis::start_with(&["--save", "", "--requirepass", PASSWORD, "--masterauth", PASSWORD]);
    let sentinel = Redis::start_sentinel(&primary, &[&format!("auth-pass main {PASSWORD}")]);
    let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port());
    conformance::check(|| broker(&url, &password()));
}
