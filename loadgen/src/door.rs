//! Where connections go: what a server is known by.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One server, or one group of servers behind a dispatcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// Host and port, as a Host header names them.
    pub authority: String,
    /// Where that is.
    pub address: SocketAddr,
    /// Whether it is a dispatcher, which says where the worker is.
    pub dispatcher: bool,
    /// Path of its WebSocket, with `{channel}` in it; only for protocols without a fixed one.
    pub path: String,
    /// Host and port where subscribers go instead, and where that is.
    pub subscribers: Option<(String, SocketAddr)>,
}

impl Door {
    /// All places that a connection may go to.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let apart = self.subscribers.as_ref().map(|(authority, address)| (authority.as_str(), *address));
        std::iter::once((self.authority.as_str(), self.address)).chain(apart)
    }
}
