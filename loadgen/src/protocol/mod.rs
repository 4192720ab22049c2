//! What a client says to a server and understands of its answers: a file for each protocol.
//!
//! A session knows no socket and no clock: bytes come in frame by frame, what it has to say goes into `out`,
//! what it understood is told to `heard`. A new protocol is one file and one line in [`session`].

mod native;
mod plain;
pub mod pushstream;
mod socket_io;

use std::rc::Rc;

use clap::builder::PossibleValue;
use serde::{Deserialize, Serialize};

use self::pushstream::Mode;
use crate::http::Answer;
use crate::websocket::Masks;

/// The protocols there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// ChatUp's own (docs/PROTOCOL.md)
    Native,
    /// Any server that sends each text frame to all other connections of the same path
    Plain,
    /// Socket.IO 4 over WebSocket, with `join` and `say` events (see bench/peers/socketio)
    SocketIo,
    /// Subscribers as PushStream has them (docs/COMPATIBILITY.md), native publishers
    PushStream(Mode),
}

impl clap::ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Kind] {
        &[
            Kind::Native,
            Kind::Plain,
            Kind::SocketIo,
            Kind::PushStream(Mode::WebSocket),
            Kind::PushStream(Mode::EventSource),
            Kind::PushStream(Mode::Streaming),
            Kind::PushStream(Mode::LongPolling),
            Kind::PushStream(Mode::Polling),
            Kind::PushStream(Mode::Jsonp),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = self.named();
        Some(PossibleValue::new(name).help(help))
    }
}

/// How the bytes of a connection are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Into a WebSocket's frames.
    WebSocket,
    /// Into the chunks of one answer over HTTP, without end.
    Chunks,
    /// Into answers over HTTP, one to each request.
    Answers,
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
    /// It is there before the first message, and is owed all of them.
    pub stays: bool,
    /// Length of a published text, in bytes.
    pub size_bytes: usize,
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
    /// That was the last answer on this connection: it is to be made anew, which is nobody's fault.
    HangsUp,
    /// It asks again in a while.
    Pauses,
}

/// One connection's conversation.
pub trait Session {
    /// Its first words, where they can stand in the URL already: a field and its value.
    fn in_url(&self) -> Option<(&'static str, String)> {
        None
    }

    /// How the connection's bytes are cut.
    fn framing(&self) -> Framing {
        Framing::WebSocket
    }

    /// The connection stands, and HTTP is spoken on it, with this host: the first request. Again after a cut.
    fn request(&mut self, _host: &str, _out: &mut Vec<u8>, _heard: &mut dyn FnMut(Heard<'_>)) {}

    /// The WebSocket stands, or the answer without end has begun: says what makes it ready. Again after a
    /// cut.
    fn begin(&mut self, masks: &mut Masks, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>));

    /// A text came: a frame, or a chunk.
    fn text(&mut self, text: &[u8], masks: &mut Masks, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>));

    /// An answer came.
    fn answer(&mut self, _answer: &Answer<'_>, _out: &mut Vec<u8>, _heard: &mut dyn FnMut(Heard<'_>)) {}

    /// The pause is over: the next question.
    fn ask(&mut self, _out: &mut Vec<u8>) {}

    /// The server has ended the connection. Whether that is nobody's fault, and it is to be made anew.
    fn hung_up(&mut self) -> bool {
        false
    }

    /// Publishes a text, if it is for that.
    fn publish(&mut self, _text: &[u8], _due_ns: u64, _masks: &mut Masks, _out: &mut Vec<u8>) {}

    /// Whether it must see texts that others have been sent before.
    fn needs_every_text(&self) -> bool {
        false
    }

    /// Whether what comes next means the same to it as to others: nothing has begun that has not ended.
    fn between_texts(&self) -> bool {
        true
    }

    /// Somebody else takes its place, who has heard nothing yet.
    fn forget(&mut self) {}

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
            Kind::PushStream(mode) => mode.session(part),
        }
    }

    /// What those speak that only publish.
    #[must_use]
    pub fn of_publishers(self) -> Kind {
        if self.is_pushstream() { Kind::Native } else { self }
    }

    /// Its name, and what it is, on the command line.
    #[must_use]
    pub fn named(self) -> (&'static str, &'static str) {
        match self {
            Kind::Native => ("native", "ChatUp's own (docs/PROTOCOL.md)"),
            Kind::Plain => {
                ("plain", "Any server that sends each text frame to all other connections of the same path")
            }
            Kind::SocketIo => (
                "socketio",
                "Socket.IO 4 over WebSocket, with `join` and `say` events (see bench/peers/socketio)",
            ),
            Kind::PushStream(mode) => mode.named(),
        }
    }

    /// Whether subscribers speak PushStream.
    #[must_use]
    pub fn is_pushstream(self) -> bool {
        matches!(self, Kind::PushStream(_))
    }

    /// Whether it is one that ChatUp understands.
    #[must_use]
    pub fn is_chatups(self) -> bool {
        self == Kind::Native || self.is_pushstream()
    }

    /// What a handshake asks for, where the target's own path is `path`.
    #[must_use]
    pub fn target(self, path: &str, channel: &str, session: &dyn Session) -> String {
        let mut target = match self {
            Kind::Native => "/chatup/v1".to_owned(),
            Kind::Plain => path.replace("{channel}", channel),
            Kind::SocketIo => "/socket.io/?EIO=4&transport=websocket".to_owned(),
            Kind::PushStream(mode) => mode.path(channel),
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
        self.is_chatups()
    }

    /// Whether the server says yes to what is published.
    #[must_use]
    pub fn acknowledges(self) -> bool {
        self.is_chatups()
    }

    /// Whether a subscriber that publishes hears its own messages.
    #[must_use]
    pub fn tells_the_publisher(self) -> bool {
        self == Kind::Native
    }

    /// Whether a client that was cut can come back where it was.
    #[must_use]
    pub fn resumes(self) -> bool {
        match self {
            Kind::Native => true,
            Kind::Plain | Kind::SocketIo => false,
            Kind::PushStream(mode) => mode.resumes(),
        }
    }

    /// Whether a subscriber asks for each answer.
    #[must_use]
    pub fn polls(self) -> bool {
        matches!(self, Kind::PushStream(Mode::LongPolling | Mode::Polling | Mode::Jsonp))
    }

    /// Whether a client that comes in the middle can ask for what comes from then on.
    #[must_use]
    pub fn has_newcomers(self) -> bool {
        self != Kind::PushStream(Mode::Polling)
    }
}
