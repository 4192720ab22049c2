//! What an operator tells the relay.

use std::net::{IpAddr, SocketAddr};

use chatup_core::names::ChannelName;
use http::Uri;

/// The relay's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where messages are posted; the channel goes behind it as `?id=`.
    pub publisher: Endpoint,
    /// Where Nginx tells which channels have subscribers.
    pub statistics: Option<Endpoint>,
    /// Channels that are relayed whether anybody listens or not.
    pub channels: Vec<ChannelName>,
    /// A channel that is not relayed, whoever listens: not everybody may know of it.
    pub kept_back: Option<ChannelName>,
    /// How long a channel's messages are gathered before they are posted, in milliseconds.
    pub flush_interval_ms: u64,
    /// Bytes of one post, at most, where it has more than one message.
    pub post_bytes_max: usize,
    /// Bytes of all messages that wait, at most.
    pub waiting_bytes_max: usize,
    /// How long a channel is relayed after its last subscriber has gone, in milliseconds.
    pub keep_ms: u64,
}

/// An address of Nginx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Uri);

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It cannot be read.
    #[error("is no URL")]
    Unreadable,
    /// Not `http://`.
    #[error("begins with http://: TLS is for the network outside, Nginx listens for posts inside")]
    Scheme,
    /// It has user and password, or arguments.
    #[error("has no user, password or arguments: the relay adds ?id=")]
    Surplus,
}

impl Endpoint {
    /// Reads `http://HOST:PORT/PATH`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        let uri: Uri = text.parse().map_err(|_| EndpointError::Unreadable)?;
        let authority = uri.authority().ok_or(EndpointError::Unreadable)?;
        if uri.scheme_str() != Some("http") {
            return Err(EndpointError::Scheme);
        }
        if authority.as_str().contains('@') || uri.query().is_some() || text.contains('#') {
            return Err(EndpointError::Surplus);
        }
        Ok(Endpoint(uri))
    }

    /// Whether this is where somebody listens: then he would post to himself, without end.
    #[must_use]
    pub fn leads_to(&self, listener: SocketAddr) -> bool {
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        let this_machine = |ip: IpAddr| ip.is_loopback() && listener.ip().is_unspecified();
        let same = |ip: IpAddr| ip == listener.ip() || this_machine(ip);
        let local = host == "localhost" && (listener.ip().is_loopback() || listener.ip().is_unspecified());
        self.0.port_u16().unwrap_or(80) == listener.port() && (local || host.parse().is_ok_and(same))
    }

    /// The address with this `id`, which is finished text.
    ///
    /// # Errors
    /// It became too long.
    pub(crate) fn with_id(&self, id: &str) -> Result<Uri, http::Error> {
        let path_and_query = format!("{}?id={id}", self.0.path());
        let mut parts = self.0.clone().into_parts();
        parts.path_and_query = Some(path_and_query.parse::<http::uri::PathAndQuery>()?);
        Ok(Uri::from_parts(parts)?)
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_s_own_address() {
        let table = [
            ("http://127.0.0.1:42633/pub", "127.0.0.1:42633", true),
            ("http://localhost:42633/pub", "127.0.0.1:42633", true),
            ("http://[::1]:42633/pub", "[::]:42633", true),
            ("http://127.0.0.1/pub", "0.0.0.0:80", true),
            ("http://127.0.0.1/pub", "127.0.0.1:42633", false),
            ("http://192.0.2.1:42633/pub", "127.0.0.1:42633", false),
            ("http://127.0.0.2:42633/pub", "127.0.0.1:42633", false),
        ];
        for (url, listener, same) in table {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.leads_to(listener.parse().unwrap()), same, "{url} {listener}");
        }
    }

    #[test]
    fn addresses() {
        let table = [
            ("http://127.0.0.1/pub", Ok("http://127.0.0.1/pub?id=x")),
            ("http://[::1]:8080/a/b", Ok("http://[::1]:8080/a/b?id=x")),
            ("http://nginx.internal:80", Ok("http://nginx.internal:80/?id=x")),
            ("https://127.0.0.1/pub", Err(EndpointError::Scheme)),
            ("127.0.0.1/pub", Err(EndpointError::Unreadable)),
            ("/pub", Err(EndpointError::Unreadable)),
            ("", Err(EndpointError::Unreadable)),
            ("http://me:word@127.0.0.1/pub", Err(EndpointError::Surplus)),
            ("http://127.0.0.1/pub?id=", Err(EndpointError::Surplus)),
            ("http://127.0.0.1/pub#x", Err(EndpointError::Surplus)),
        ];
        for (text, expected) in table {
            let read = Endpoint::parse(text).map(|endpoint| endpoint.with_id("x").unwrap().to_string());
            assert_eq!(read, expected.map(str::to_owned), "{text}");
        }
    }
}
