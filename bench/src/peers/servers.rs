//! Who is compared: one line here and one folder below `bench/peers/` each.
//!
//! A folder's script `run` knows three words: `install` brings what is missing, `version` prints one
//! line, and `start` becomes the server, which listens on 127.0.0.1 and the port in the variable `PORT`
//! and may write into the folder in `DIR`. Programs of this workspace are found in `BIN`.

use std::path::Path;

/// What loadgen speaks with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// This project's own; its key is the file `key` in the folder `DIR`.
    Native,
    /// A WebSocket a path: every text goes, unchanged, to all others of that path.
    Plain,
    /// Socket.IO 4.
    SocketIo,
}

/// A server to compare.
#[derive(Debug)]
pub struct Server {
    /// Its name on the command line and in kept results.
    pub name: &'static str,
    /// Its name in the tables.
    pub title: &'static str,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its folder below `bench/peers/`.
    pub folder: &'static str,
    /// What `run start` is given besides.
    pub arguments: &'static [&'static str],
    /// What loadgen is given besides.
    pub client: &'static [&'static str],
}

/// All of them, in the tables' order.
#[rustfmt::skip]
pub const SERVERS: &[Server] = &[
    Server { name: "floor", title: "floor: a send a message", protocol: Protocol::Plain, folder: "floor", arguments: &[], client: &[] },
    Server { name: "floor-batch", title: "floor: a send a turn", protocol: Protocol::Plain, folder: "floor", arguments: &["--send-batch"], client: &[] },
    Server { name: "chatup", title: "**ChatUp**", protocol: Protocol::Native, folder: "chatup", arguments: &[], client: &[] },
    Server { name: "chatup-epoll", title: "ChatUp on epoll", protocol: Protocol::Native, folder: "chatup", arguments: &["--set", "worker.io=epoll"], client: &[] },
    Server { name: "chatup-deflate", title: "ChatUp, compressed", protocol: Protocol::Native, folder: "chatup", arguments: &["--set", "worker.deflate=true"], client: &["--deflate"] },
    Server { name: "bun", title: "Bun", protocol: Protocol::Plain, folder: "bun", arguments: &[], client: &[] },
    Server { name: "nchan", title: "nchan", protocol: Protocol::Plain, folder: "nchan", arguments: &[], client: &[] },
    Server { name: "ws", title: "ws on Node", protocol: Protocol::Plain, folder: "ws", arguments: &[], client: &[] },
    Server { name: "socketio", title: "Socket.IO", protocol: Protocol::SocketIo, folder: "socketio", arguments: &[], client: &[] },
];

/// The one of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Server> {
    SERVERS.iter().find(|server| server.name == name)
}

impl Server {
    /// What loadgen is told of a server on this port which writes into this folder.
    #[must_use]
    pub fn target(&self, port: u16, folder: &Path) -> Vec<String> {
        let here = |scheme: &str, path: &str| format!("{scheme}://127.0.0.1:{port}{path}");
        let flag = str::to_owned;
        let mut target = match self.protocol {
            Protocol::Native => {
                let key = folder.join("key").display().to_string();
                vec![flag("--worker"), here("http", ""), flag("--key-file"), key]
            }
            Protocol::Plain => {
                vec![flag("--protocol"), flag("plain"), flag("--url"), here("ws", "/{channel}")]
            }
            Protocol::SocketIo => {
                vec![flag("--protocol"), flag("socketio"), flag("--url"), here("ws", "")]
            }
        };
        target.extend(self.client.iter().map(|argument| flag(argument)));
        target
    }

    /// A path whose WebSocket handshake it answers as soon as it serves.
    #[must_use]
    pub fn ready_path(&self) -> &'static str {
        match self.protocol {
            Protocol::Native => "/chatup/v1",
            Protocol::Plain => "/ready",
            Protocol::SocketIo => "/socket.io/?EIO=4&transport=websocket",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_a_name_of_its_own_and_a_script() {
        for (at, server) in SERVERS.iter().enumerate() {
            assert!(SERVERS[..at].iter().all(|other| other.name != server.name), "{} twice", server.name);
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(server.folder).join("run");
            assert!(script.is_file(), "{}", script.display());
        }
    }

    #[test]
    fn loadgen_is_told_how_to_reach_each() {
        for (name, expected) in [
            ("chatup", "--worker http://127.0.0.1:81 --key-file folder/key"),
            ("chatup-deflate", "--worker http://127.0.0.1:81 --key-file folder/key --deflate"),
            ("bun", "--protocol plain --url ws://127.0.0.1:81/{channel}"),
            ("socketio", "--protocol socketio --url ws://127.0.0.1:81"),
        ] {
            assert_eq!(named(name).unwrap().target(81, Path::new("folder")).join(" "), expected);
        }
        assert!(named("nobody").is_none());
    }
}
