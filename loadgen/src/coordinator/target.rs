//! Where the load goes, and with what tokens.

use std::fs;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::cli::Options;
use crate::control::Tokens;
use crate::door::Door;
use crate::scenario::Shape;
use crate::server::{http, spawn};

/// Time for an answer at one of several addresses.
const RESOLVE_WITHIN: Duration = Duration::from_secs(3);
/// Where a dispatcher is if nothing else is said (its default port).
const DISPATCHER: &str = "http://127.0.0.1:8000";

/// Where the load goes.
pub(super) struct Target {
    pub(super) doors: Vec<Door>,
    pub(super) servers: Option<spawn::Servers>,
    /// In words, for the report.
    pub(super) description: String,
}

impl Target {
    /// Finds it, or starts it for so many connections.
    pub(super) fn new(options: &Options, shape: &Shape) -> Result<Target, String> {
        let chatup = options.protocol.is_chatups();
        if options.protocol.is_pushstream() && options.deflate {
            return Err("--deflate is not for PushStream, whose messages are not compressed".to_owned());
        }
        if options.spawn {
            if !chatup {
                return Err(
                    "--spawn starts ChatUp, which speaks --protocol native and pushstream-…".to_owned()
                );
            }
            return Target::spawned(options, shape);
        }
        if !chatup {
            let url = options.url.as_deref().ok_or("--protocol plain and socketio need --url ws://…")?;
            let (authority, path) = authority(url, "ws")?;
            let door = door(authority, false, path)?;
            return Ok(Target { doors: vec![door], servers: None, description: url.to_owned() });
        }
        if options.url.is_some() {
            return Err(
                "--url is for --protocol plain or socketio; ChatUp has --dispatcher and --worker".to_owned()
            );
        }
        if !options.worker.is_empty() {
            return Target::workers(&options.worker, &options.subscribers);
        }
        let url = options.dispatcher.as_deref().unwrap_or(DISPATCHER);
        let (authority, _) = authority(url, "http")?;
        http::request(&authority, "GET", "/health", "").map_err(|error| {
            let advice = match options.dispatcher {
                Some(_) => "",
                None => ". Give --dispatcher URL, --worker URL, or --spawn to start a server here",
            };
            format!("no dispatcher at {error}{advice}")
        })?;
        let door = door(authority, true, String::new())?;
        Ok(Target { doors: vec![door], servers: None, description: url.to_owned() })
    }

    /// Workers, and where their subscribers go instead if that is said.
    fn workers(workers: &[String], subscribers: &[String]) -> Result<Target, String> {
        if !subscribers.is_empty() && subscribers.len() != workers.len() {
            return Err("--subscribers is given once for each --worker".to_owned());
        }
        let door = |url: &String| {
            authority(url, "http").and_then(|(authority, _)| door(authority, false, String::new()))
        };
        let mut doors = workers.iter().map(door).collect::<Result<Vec<_>, _>>()?;
        for (own, url) in doors.iter_mut().zip(subscribers) {
            let apart = door(url)?;
            own.subscribers = Some((apart.authority, apart.address));
        }
        let mut description = workers.join(", ");
        if !subscribers.is_empty() {
            description.push_str(&format!("; subscribers at {}", subscribers.join(", ")));
        }
        Ok(Target { doors, servers: None, description })
    }

    fn spawned(options: &Options, shape: &Shape) -> Result<Target, String> {
        let needed = spawn::needed(options.clients, shape);
        let number = options.workers.unwrap_or(needed);
        if number < needed {
            return Err(format!(
                "so many clients need {needed} server processes with this machine's descriptors: \
                 --workers {number} is too few"
            ));
        }
        let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let servers = spawn::Servers::start(options, number, secret)?;
        let description = match number {
            1 => format!("one chatup, started here, shards: {}", options.shards),
            _ => format!(
                "{number} chatup side by side, started here, shards: {} each; every message is published at each",
                options.shards
            ),
        };
        Ok(Target { doors: servers.doors.clone(), servers: Some(servers), description })
    }

    /// Tokens for so many publishers.
    pub(super) fn tokens(&self, options: &Options, publishers: u32) -> Result<Tokens, String> {
        if !options.protocol.needs_tokens() || publishers == 0 {
            return Ok(Tokens::None);
        }
        if let Some(servers) = &self.servers {
            return Ok(Tokens::Sign(servers.secret.clone()));
        }
        let read = |path: &std::path::Path| {
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        if let Some(path) = &options.key_file {
            return Ok(Tokens::Sign(read(path)?));
        }
        if let Some(path) = &options.tokens {
            let tokens: Vec<String> = read(path)?
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect();
            return match tokens.is_empty() {
                true => Err(format!("there is no token in {}", path.display())),
                false => Ok(Tokens::Given(tokens)),
            };
        }
        self.demo_tokens(publishers)
    }

    /// From a dispatcher with keys for trying out.
    fn demo_tokens(&self, publishers: u32) -> Result<Tokens, String> {
        let none =
            || "publishing takes tokens: give --key-file (what they are signed with) or --tokens".to_owned();
        let door = self.doors.first().filter(|door| door.dispatcher).ok_or_else(none)?;
        #[derive(serde::Deserialize)]
        struct Demo {
            token: String,
        }
        let token = |number| {
            let body = serde_json::json!({ "name": format!("loadgen-{number}") }).to_string();
            let (status, body) = http::request(&door.authority, "POST", "/demo/token", &body)?;
            if status != 200 {
                return Err(none());
            }
            serde_json::from_slice::<Demo>(&body).map(|demo| demo.token).map_err(|error| error.to_string())
        };
        (0..publishers).map(token).collect::<Result<_, _>>().map(Tokens::Given)
    }
}

/// A door, its address found: of several the first that somebody answers at.
fn door(authority: String, dispatcher: bool, path: String) -> Result<Door, String> {
    let addresses = authority.to_socket_addrs().map_err(|error| format!("{authority}: {error}"))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let answers = |address: &&SocketAddr| TcpStream::connect_timeout(address, RESOLVE_WITHIN).is_ok();
    let address = match addresses.as_slice() {
        [] => return Err(format!("{authority} has no address")),
        [one] => *one,
        several => *several.iter().find(answers).ok_or_else(|| format!("nobody answers at {authority}"))?,
    };
    Ok(Door { authority, address, dispatcher, path, subscribers: None })
}

/// Host and port of a URL, and its path.
fn authority(url: &str, scheme: &str) -> Result<(String, String), String> {
    let wrong = || format!("{url}: must be {scheme}://host:port");
    let rest = url.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://")).ok_or_else(wrong)?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let authority = match port {
        Some(port) if port.parse::<u16>().is_ok() => authority.to_owned(),
        _ if authority.is_empty() => return Err(wrong()),
        _ => format!("{authority}:80"),
    };
    Ok((authority, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, scheme, expected) in [
            ("http://127.0.0.1:8000", "http", Some(("127.0.0.1:8000", "/"))),
            ("http://127.0.0.1:8000/", "http", Some(("127.0.0.1:8000", "/"))),
            ("http://chat.example", "http", Some(("chat.example:80", "/"))),
            ("http://[::1]:80", "http", Some(("[::1]:80", "/"))),
            ("http://[::1]", "http", Some(("[::1]:80", "/"))),
            ("ws://h:1/ws/{channel}?x=1", "ws", Some(("h:1", "/ws/{channel}?x=1"))),
            ("https://h:1", "http", None),
            ("h:1", "http", None),
            ("http://", "http", None),
        ] {
            let seen = authority(url, scheme).ok();
            let expected = expected.map(|(authority, path)| (authority.to_owned(), path.to_owned()));
            assert_eq!(seen, expected, "{url}");
        }
    }
}
