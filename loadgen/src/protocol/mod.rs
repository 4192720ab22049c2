//! What a client says to a server and understands of its answers: a file for each protocol.
//!
//! A session knows no socket: bytes come in frame by frame, what it has to say goes into `out`,
//! what it understood is told to `heard`. A new protocol is one file and one line in [`session`].

mod native;
mod plain;
mod socket_io;

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::websocket::Masks;

/// The protocols there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// ChatUp's own (docs/PROTOCOL.md)
    Native,
    /// Any server that sends each text frame to all other connections of the same path
    Plain,
    /// Socket.IO 4 over WebSocket, with `join` and `say` events (see bench/peers/socketio)
    #[value(name = "socketio")]
    SocketIo,
}

/// What a connection is for.
#[derive(Clone, Debug)]
pub struct Part {
    /// The channel's name (the room's, in the native protocol).
    pub channel: Rc<str>,
    /// It listens.
    pub subscribes: bool,
    /// It publishes, with this token where the protocol needs one.
    pub publishes: Option<Option<Rc<str>>>,
    /// It must be able to come back where it was.
    pub resumes: bool,
}

/// What a session understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// The connection is what it is meant to be. With the server's number of the next message, where
    /// it gave one, and whether everything since the last connection follows.
    Ready {
        /// Offset of the first message that follows.
        next: Option<u64>,
        /// For one that comes back: whether nothing was missed.
        recovered: Option<bool>,
    },
    /// A published text (from its stamp on), with the server's number for it if there is one.
    Text(&'a [u8], Option<u64>),
    /// A yes to what was published; when it was due.
    Acknowledged(u64),
    /// A no to what was published: when it was due, and the code.
    Refused(u64, &'a str),
    /// The server says that messages were left out.
    Gap,
    /// It can never become what it is meant to be: why.
    Failed(String),
}

/// One connection's conversation.
pub trait Session {
    /// Its first words, where they can stand in the URL already: a field and its value.
    fn in_url(&self) -> Option<(&'static str, String)> {
        None
    }

    /// The WebSocket stands: says what makes it ready. Again after a cut.
    fn begin(&mut self, masks: &mut Masks, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>));

    /// A text came.
    fn text(&mut self, text: &[u8], masks: &mut Masks, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>));

    /// Publishes a text.
    fn publish(&mut self, text: &[u8], due_ns: u64, masks: &mut Masks, out: &mut Vec<u8>);

    /// Whether it must see texts that others have been sent before.
    fn needs_every_text(&self) -> bool {
        false
    }

    /// How many more texts the server would take now without an answer to earlier ones.
    fn room_to_publish(&self) -> usize {
        usize::MAX
    }

    /// Published, and neither acknowledged nor refused.
    fn unanswered(&self) -> usize {
        0
    }
}

impl Kind {
    /// A session of this protocol.
    #[must_use]
    pub fn session(self, part: &Part) -> Box<dyn Session> {
        match self {
            Kind::Native => Box::new(native::Native::new(part)),
            Kind::Plain => Box::new(plain::Plain),
            Kind::SocketIo => Box::new(socket_io::SocketIo::new(part)),
        }
    }

    /// What a handshake asks for, where the target's own path is `path`.
    #[must_use]
    pub fn target(self, path: &str, channel: &str, session: &dyn Session) -> String {
        let mut target = match self {
            Kind::Native => "/chatup/v1".to_owned(),
            Kind::Plain => path.replace("{channel}", channel),
            Kind::SocketIo => "/socket.io/?EIO=4&transport=websocket".to_owned(),
        };
        if let Some((name, value)) = session.in_url() {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish();
            target = format!("{target}?{query}");
        }
        target
    }

    /// The WebSocket subprotocol to offer.
    #[must_use]
    pub fn subprotocol(self) -> Option<&'static str> {
        (self == Kind::Native).then_some("chatup.v1")
    }

    /// Whether publishing takes a token.
    #[must_use]
    pub fn needs_tokens(self) -> bool {
        self == Kind::Native
    }

    /// Whether the server says yes to what is published.
    #[must_use]
    pub fn acknowledges(self) -> bool {
        self == Kind::Native
    }

    /// Whether a subscriber that publishes hears its own messages.
    #[must_use]
    pub fn tells_the_publisher(self) -> bool {
        self == Kind::Native
    }

    /// Whether a client that was cut can come back where it was.
    #[must_use]
    pub fn resumes(self) -> bool {
        self == Kind::Native
    }
}
