//! What everybody writes down: publishers their attempts, subscribers their history. Times are ticks of
//! one counter, so that they order everything that happened in the run.

use serde_json::{Value, json};

/// Where a channel is, as the protocol has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which count.
    pub epoch: String,
    /// How many messages.
    pub offset: u64,
    /// The last one's id; empty at the beginning.
    pub id: String,
}

impl Position {
    /// The beginning of an epoch.
    #[must_use]
    pub fn start(epoch: &str) -> Position {
        Position { epoch: epoch.to_owned(), offset: 0, id: String::new() }
    }

    /// As the server writes it.
    #[must_use]
    pub fn read(value: &Value) -> Option<Position> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some(Position { epoch: text("epoch")?, offset: value["offset"].as_u64()?, id: text("id")? })
    }

    /// As it is sent.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({ "epoch": self.epoch, "offset": self.offset, "id": self.id })
    }
}

/// What became of an attempt to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is published there.
    Acknowledged {
        /// Where.
        position: Position,
        /// By an earlier attempt with this key.
        duplicate: bool,
    },
    /// The server says no.
    Refused {
        /// Why.
        code: String,
        /// It may have been published all the same.
        perhaps: bool,
    },
    /// The connection broke, or was given up, before an answer came.
    Unknown,
}

/// One `say`. Its key is its text, and unique in the run.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Where.
    pub channel: String,
    /// Who.
    pub sender: String,
    /// Key and text.
    pub key: String,
    /// Tick before it was sent.
    pub begun: u64,
    /// Tick after its answer or its end.
    pub ended: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// A ban and its end.
#[derive(Clone, Debug)]
pub struct Ban {
    /// Where.
    pub channel: String,
    /// Who.
    pub name: String,
    /// Tick before it was first asked for.
    pub asked: u64,
    /// Tick after it was answered: it is in force.
    pub begun: u64,
    /// Tick before its end was first asked for.
    pub lifting: u64,
    /// Tick after that was answered.
    pub lifted: u64,
}

/// What happens to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A subscription is answered.
    Subscribed {
        /// The position handed in.
        asked: Option<Position>,
        /// Everything behind it was promised. Never without one.
        recovered: bool,
        /// Where the channel is.
        position: Position,
        /// The first message to come.
        next: u64,
    },
    /// A message. The epoch is the one last told.
    Message {
        /// Its number.
        offset: u64,
        /// Its id.
        id: String,
        /// Its text; empty for a coming or going.
        text: String,
    },
    /// Messages are missing, and that is told.
    Gap {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// A new epoch, and that is told.
    Reset {
        /// Where the channel is.
        position: Position,
        /// The first message to come.
        next: u64,
    },
    /// The connection ended, or was given up.
    Lost(String),
    /// It will not come back.
    Left,
}

/// One subscriber of one channel.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Who.
    pub name: String,
    /// Of what.
    pub channel: String,
    /// All that happened, in order, each with its tick.
    pub events: Vec<(u64, Event)>,
}

/// The last reader of a channel: it comes when all is healed and asks for everything from the start.
pub const LAST_READER: &str = "last reader";

/// Everything that was written down in a run.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// Of publishers, in any order.
    pub attempts: Vec<Attempt>,
    /// Of whoever bans.
    pub bans: Vec<Ban>,
    /// Of subscribers; those named [`LAST_READER`] end the run.
    pub subscribers: Vec<Subscriber>,
    /// Ticks at which the store was put back to an older copy: before it ran again.
    pub losses: Vec<u64>,
    /// Messages that every server keeps of a channel at least.
    pub window: u64,
}
