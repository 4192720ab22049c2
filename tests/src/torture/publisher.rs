//! Somebody who speaks: says each message until it is acknowledged, with the same key, wherever it takes.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::board::Board;
use super::record::{Attempt, Outcome, Position};
use super::wire::{Connection, Heard, Place};

/// Messages under way at once, at most.
const BATCH_MAX: usize = 4;
/// Pause between two batches, in milliseconds: what makes the rate.
const PAUSE_MS: std::ops::Range<u64> = 5..60;
/// Pause before the next attempt when there is no worker.
const RETRY: Duration = Duration::from_millis(50);
/// Looks without an answer after which a worker is given up.
const GLANCES: u32 = 12;
/// One of so many batches is said once more although it has been acknowledged.
const AGAIN: u32 = 20;
/// Refusals after which a message has certainly not been published.
const CERTAIN: &[&str] =
    &["overloaded", "too_many_in_flight", "banned", "never_joined", "token_expired", "message_empty"];

/// Somebody who speaks in one room.
pub struct Publisher<'a> {
    /// What all know.
    pub board: &'a Board,
    /// The room's number.
    pub number: usize,
    /// The room.
    pub room: &'a str,
    /// Who.
    pub name: String,
    /// Its token.
    pub token: String,
    /// What it decides by.
    pub random: StdRng,
    connection: Option<(Connection, Place)>,
    failed: Option<String>,
    said: u64,
}

/// A message on its way.
struct Pending {
    key: String,
    begun: u64,
}

/// What a message's answer says.
enum Answered {
    Acknowledged,
    Banned,
    Refused,
}

/// The tick at which a message was first begun, out of its text.
#[must_use]
pub fn begun_of(text: &str) -> u64 {
    text.rsplit_once('@').and_then(|(_, tick)| tick.parse().ok()).unwrap_or(0)
}

impl<'a> Publisher<'a> {
    /// A new one.
    #[must_use]
    pub fn new(
        board: &'a Board,
        (number, room): (usize, &'a str),
        name: &str,
        token: &str,
        random: StdRng,
    ) -> Self {
        let (name, token) = (name.to_owned(), token.to_owned());
        Publisher { board, number, room, name, token, random, connection: None, failed: None, said: 0 }
    }

    /// Speaks until all is to be quiet.
    pub fn run(mut self) {
        while !self.board.is_quiet() {
            let count = self.random.random_range(1..=BATCH_MAX);
            let keys = self.say(count);
            if self.random.random_range(0..AGAIN) == 0 {
                // As if the answers had not come.
                let pending = keys.into_iter().map(|key| Pending { begun: begun_of(&key), key }).collect();
                self.deliver(pending);
            }
            std::thread::sleep(Duration::from_millis(self.random.random_range(PAUSE_MS)));
        }
    }

    /// Is there, in the room, and says nothing, until the end.
    pub fn sit(mut self) {
        while !self.board.is_stopped() {
            let Some((mut connection, place)) = self.connected() else {
                std::thread::sleep(RETRY);
                continue;
            };
            while !self.board.is_stopped() && connection.hear().is_ok() {}
            self.failed = Some(place.id);
        }
    }

    /// Says so many new messages until all are acknowledged; their keys.
    pub fn say(&mut self, count: usize) -> Vec<String> {
        let mut pending = Vec::new();
        for _ in 0..count {
            self.said += 1;
            let begun = self.board.tick();
            pending.push(Pending { key: format!("{}.{}@{begun}", self.name, self.said), begun });
        }
        let keys = pending.iter().map(|one| one.key.clone()).collect();
        self.deliver(pending);
        keys
    }

    fn deliver(&mut self, mut pending: Vec<Pending>) {
        while !pending.is_empty() && !self.board.is_stopped() {
            let Some((mut connection, place)) = self.connected() else {
                std::thread::sleep(RETRY);
                continue;
            };
            if self.attempt(&mut connection, &mut pending) {
                self.connection = Some((connection, place));
            } else {
                self.failed = Some(place.id);
            }
        }
    }

    fn connected(&mut self) -> Option<(Connection, Place)> {
        if let Some(connected) = self.connection.take() {
            return Some(connected);
        }
        let place = self.board.find(self.room, self.failed.as_deref(), &mut self.random).ok()?;
        match self.enter(&place) {
            Ok(connection) => Some((connection, place)),
            Err(_) => {
                self.failed = Some(place.id);
                None
            }
        }
    }

    fn enter(&self, place: &Place) -> Result<Connection, String> {
        let mut connection = Connection::open(&place.host)?;
        for call in
            [json!({ "call": "auth", "token": self.token }), json!({ "call": "join", "room": self.room })]
        {
            let answer = connection.call(call)?;
            if let Some(code) = answer["error"]["code"].as_str() {
                self.board.refused(code);
                return Err(code.to_owned());
            }
        }
        Ok(connection)
    }

    /// Says everything that is pending once; what is acknowledged is pending no more. Returns whether
    /// the connection is worth keeping.
    fn attempt(&mut self, connection: &mut Connection, pending: &mut Vec<Pending>) -> bool {
        let mut asked = Vec::new();
        let mut well = true;
        for one in pending.drain(..) {
            let begun = self.board.tick();
            let call = json!({ "call": "say", "msg": one.key, "key": one.key });
            let id = if well { connection.begin(call) } else { Err(String::new()) };
            well &= id.is_ok();
            asked.push((id.ok(), begun, one));
        }
        let mut silent = 0;
        while well && silent < GLANCES && asked.iter().any(|(id, ..)| id.is_some()) {
            match connection.hear() {
                Ok(Heard::Answer(id, value)) => {
                    silent = 0;
                    let Some(place) = asked.iter().position(|(of, ..)| *of == Some(id)) else { continue };
                    let (_, begun, one) = asked.remove(place);
                    match self.answered(&one, begun, &value) {
                        // It is of no use to say it again.
                        Answered::Acknowledged | Answered::Banned => {}
                        Answered::Refused => {
                            well = false;
                            // Not among those whose outcome nobody knows.
                            pending.push(one);
                        }
                    }
                }
                Ok(Heard::Nothing) => silent += 1,
                Ok(Heard::Pushed(_)) => {}
                Err(_) => well = false,
            }
        }
        well &= asked.is_empty();
        for (_, begun, one) in asked {
            self.record(&one, begun, Outcome::Unknown);
            pending.push(one);
        }
        pending.sort_by_key(|one| one.begun);
        well
    }

    /// An answer has come.
    fn answered(&self, one: &Pending, begun: u64, value: &Value) -> Answered {
        let Some(position) = Position::read(&value["ok"]["position"]) else {
            let code = value["error"]["code"].as_str().unwrap_or("neither yes nor no").to_owned();
            self.board.refused(&code);
            let perhaps = !CERTAIN.contains(&code.as_str());
            let answered = if code == "banned" { Answered::Banned } else { Answered::Refused };
            self.record(one, begun, Outcome::Refused { code, perhaps });
            return answered;
        };
        let duplicate = value["ok"]["duplicate"] == json!(true);
        self.record(one, begun, Outcome::Acknowledged { position, duplicate });
        self.board.change(|state| {
            let latest = &mut state.acknowledged[self.number];
            *latest = one.begun.max(*latest);
        });
        Answered::Acknowledged
    }

    fn record(&self, one: &Pending, begun: u64, outcome: Outcome) {
        self.board.attempted(Attempt {
            channel: format!("m_{}", self.room),
            sender: self.name.clone(),
            key: one.key.clone(),
            begun,
            ended: self.board.tick(),
            outcome,
        });
    }
}
