//! Somebody who listens: to one channel, on whichever worker, writing down all that it hears. Some stay,
//! some come and go, some lose patience with a worker that says nothing.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::board::Board;
use super::publisher::begun_of;
use super::record::{Event, LAST_READER, Position, Subscriber};
use super::wire::{Connection, Heard};

/// Last messages asked for where nothing can be recovered.
const HISTORY: u64 = 50;
/// Positions remembered, to come back from before the last.
const REMEMBERED: usize = 40;
/// Pause before the next attempt when there is no worker.
const RETRY: Duration = Duration::from_millis(50);
/// Longest time away.
const AWAY: Duration = Duration::from_secs(6);
/// Looks without a word after which the impatient ask whether anybody is there, and give up.
const ASK_AFTER: u32 = 8;
const GIVE_UP_AFTER: u32 = 16;
/// Looks without a word after which the last reader has read what there is.
const NOTHING_MORE: u32 = 16;
/// Messages after which those who come and go go.
const STAY: std::ops::Range<u32> = 1..300;

/// Of what kind a listener is.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// It comes and goes.
    pub restless: bool,
    /// It gives up a worker that says nothing.
    pub impatient: bool,
}

/// How one session ended.
enum Ended {
    /// Of itself.
    Broken(String),
    /// It went, and comes back.
    Away,
    /// It went for good.
    ForGood,
    /// The run is over.
    Stopped,
}

/// A listener, and after it has left for good the next in its place.
pub struct Listener<'a> {
    /// What all know.
    pub board: &'a Board,
    /// Its place on the board; none for whoever is not waited for.
    pub place: Option<usize>,
    /// The room's number.
    pub number: usize,
    /// The room.
    pub room: &'a str,
    /// Kind.
    pub manner: Manner,
    /// What it decides by.
    pub random: StdRng,
    /// What it has written down.
    pub own: Subscriber,
    epoch: String,
    /// Where it has been, the latest at the end.
    positions: VecDeque<Position>,
    failed: Option<String>,
}

impl<'a> Listener<'a> {
    /// A new one, of a channel of a room.
    #[must_use]
    pub fn new(
        board: &'a Board,
        place: Option<usize>,
        (number, room): (usize, &'a str),
        own: Subscriber,
        manner: Manner,
        random: StdRng,
    ) -> Self {
        let (epoch, positions) = (String::new(), VecDeque::new());
        Listener { board, place, number, room, manner, random, own, epoch, positions, failed: None }
    }

    /// Listens until the end; everybody that was in this place.
    pub fn run(mut self) -> Vec<Subscriber> {
        let mut all = Vec::new();
        loop {
            match self.session() {
                Ended::Stopped => break,
                Ended::Broken(why) => self.write(Event::Lost(why)),
                Ended::Away => {
                    self.write(Event::Lost("went".to_owned()));
                    self.failed = None;
                    self.stay_away();
                }
                Ended::ForGood => {
                    self.write(Event::Left);
                    let name = format!("{}'", self.own.name);
                    let next = Subscriber { name, channel: self.own.channel.clone(), events: Vec::new() };
                    all.push(std::mem::replace(&mut self.own, next));
                    self.positions.clear();
                    self.failed = None;
                }
            }
        }
        all.push(self.own);
        all
    }

    fn write(&mut self, event: Event) {
        // Attempts that came to nothing are no news.
        let again =
            matches!((&event, self.own.events.last()), (Event::Lost(_), Some((_, Event::Lost(_))) | None));
        if !again {
            self.own.events.push((self.board.tick(), event));
        }
    }

    /// At once, or when something more has been said.
    fn stay_away(&mut self) {
        if self.random.random() {
            let (room, since) = (self.number, self.board.tick());
            let board = self.board;
            board.wait(AWAY, |state| state.acknowledged[room] > since || board.is_quiet());
        }
    }

    fn session(&mut self) -> Ended {
        if self.board.is_stopped() {
            return Ended::Stopped;
        }
        let place = match self.board.find(self.room, self.failed.as_deref(), &mut self.random) {
            Ok(place) => place,
            Err(why) => {
                std::thread::sleep(RETRY);
                return Ended::Broken(why);
            }
        };
        let ended = match Connection::open(&place.host) {
            Ok(connection) => self.listen(connection),
            Err(why) => Ended::Broken(why),
        };
        if matches!(ended, Ended::Broken(_)) {
            self.failed = Some(place.id);
        }
        ended
    }

    /// Where it goes on from: the last position, or, as after a crash, one before it.
    fn position(&mut self) -> Option<Position> {
        let count = self.positions.len();
        if count > 1 && self.manner.restless && self.random.random_range(0..10) == 0 {
            return self.positions.get(self.random.random_range(0..count)).cloned();
        }
        self.positions.back().cloned()
    }

    fn listen(&mut self, mut connection: Connection) -> Ended {
        let asked = self.position();
        let call = subscribe(&self.own.channel, asked.as_ref(), HISTORY);
        let subscription = match connection.begin(call) {
            Ok(id) => id,
            Err(why) => return Ended::Broken(why),
        };
        let (mut silent, mut left) = (0, self.random.random_range(STAY));
        loop {
            if self.board.is_stopped() {
                return Ended::Stopped;
            }
            match connection.hear() {
                Err(why) => return Ended::Broken(why),
                Ok(Heard::Answer(id, value)) if id == subscription => {
                    silent = 0;
                    if let Err(code) = self.subscribed(asked.clone(), &value) {
                        self.board.refused(&code);
                        return Ended::Broken(code);
                    }
                }
                Ok(Heard::Answer(..)) => silent = 0,
                Ok(Heard::Pushed(value)) => {
                    silent = 0;
                    left = left.saturating_sub(self.pushed(&value));
                    if left == 0 && self.manner.restless && !self.board.is_quiet() {
                        let for_good = self.random.random_range(0..8) == 0;
                        return if for_good { Ended::ForGood } else { Ended::Away };
                    }
                }
                Ok(Heard::Nothing) => {
                    silent += 1;
                    if self.manner.impatient
                        && silent == ASK_AFTER
                        && let Err(why) = connection.begin(json!({ "call": "ping" }))
                    {
                        return Ended::Broken(why);
                    }
                    if self.manner.impatient && silent > GIVE_UP_AFTER {
                        return Ended::Broken("silent".to_owned());
                    }
                }
            }
        }
    }

    fn subscribed(&mut self, asked: Option<Position>, value: &Value) -> Result<(), String> {
        let (position, next, recovered) = answer(value)?;
        self.at(&position, next, if recovered { asked.clone() } else { None });
        self.write(Event::Subscribed { asked, recovered, position, next });
        Ok(())
    }

    /// It goes on from here, and has been at `known`.
    fn at(&mut self, position: &Position, next: u64, known: Option<Position>) {
        self.epoch.clone_from(&position.epoch);
        self.positions.clear();
        let known = match next {
            _ if known.is_some() => known,
            1 => Some(Position::start(&position.epoch)),
            next if next == position.offset + 1 => Some(position.clone()),
            _ => None,
        };
        self.positions.extend(known);
    }

    /// Writes down what the server says; how many messages these are.
    fn pushed(&mut self, value: &Value) -> u32 {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let own = |value: &Value| value["channel"] == self.own.channel.as_str();
        if let Some(gap) = value.get("gap").filter(|gap| own(gap)) {
            self.write(Event::Gap { from: number(&gap["from"]), to: number(&gap["to"]) });
        } else if let Some(reset) = value.get("reset").filter(|reset| own(reset)) {
            let Some(position) = Position::read(&reset["position"]) else { return 0 };
            let next = number(&reset["next"]);
            self.at(&position, next, None);
            self.write(Event::Reset { position, next });
        } else if own(value) {
            let messages = value["messages"].as_array().map_or(&[][..], Vec::as_slice);
            for (offset, message) in (number(&value["offset"])..).zip(messages) {
                self.message(offset, message);
            }
            return u32::try_from(messages.len()).unwrap_or(u32::MAX);
        }
        0
    }

    fn message(&mut self, offset: u64, message: &Value) {
        let text = |key: &str| message[key].as_str().unwrap_or("").to_owned();
        let (id, text) = (text("i"), text("msg"));
        if let Some(place) = self.place {
            let begun = begun_of(&text);
            self.board.change(|state| state.seen[place].1 = begun.max(state.seen[place].1));
        }
        if self.positions.len() == REMEMBERED {
            self.positions.pop_front();
        }
        self.positions.push_back(Position { epoch: self.epoch.clone(), offset, id: id.clone() });
        self.write(Event::Message { offset, id, text });
    }
}

fn subscribe(channel: &str, position: Option<&Position>, history: u64) -> Value {
    let mut one = json!({ "channel": channel, "history": history });
    if let Some(position) = position {
        one["position"] = position.json();
    }
    json!({ "call": "subscribe", "channels": [one] })
}

/// Where the channel is, the first offset to come, whether it is recovered; or why not.
fn answer(value: &Value) -> Result<(Position, u64, bool), String> {
    let one = &value["ok"]["channels"][0];
    let read = Position::read(&one["position"]).zip(one["next"].as_u64()).zip(one["recovered"].as_bool());
    let ((position, next), recovered) =
        read.ok_or_else(|| value["error"]["code"].as_str().unwrap_or("not understood").to_owned())?;
    Ok((position, next, recovered))
}

/// Reads all there is of a channel, up to the message with this text; the last reader's record.
///
/// # Errors
/// There is no worker to ask.
pub fn read_everything(
    board: &Board,
    room: &str,
    channel: &str,
    until: Option<&str>,
    random: &mut StdRng,
    failed: &mut Option<String>,
) -> Result<Subscriber, String> {
    let place = board.find(room, failed.as_deref(), random)?;
    // Unless all goes well: the next try is to name it.
    *failed = Some(place.id.clone());
    let history = 1_000;
    let now = Connection::open(&place.host)?.call(subscribe(channel, None, 0))?;
    let start = Position::start(&answer(&now)?.0.epoch);
    let own = Subscriber { name: LAST_READER.to_owned(), channel: channel.to_owned(), events: Vec::new() };
    let manner = Manner { restless: false, impatient: false };
    let mut reader =
        Listener::new(board, None, (0, room), own, manner, StdRng::seed_from_u64(random.random()));
    let mut connection = Connection::open(&place.host)?;
    connection.begin(subscribe(channel, Some(&start), history))?;
    let (mut silent, mut end) = (0, u64::MAX);
    while silent < NOTHING_MORE {
        match connection.hear()? {
            Heard::Answer(_, value) => {
                reader.subscribed(Some(start.clone()), &value)?;
                end = answer(&value)?.0.offset;
            }
            Heard::Pushed(value) => {
                silent = 0;
                reader.pushed(&value);
            }
            Heard::Nothing => silent += 1,
        }
        let read = reader.positions.back().is_some_and(|position| position.offset >= end);
        let last = |event: &(u64, Event)| match (&event.1, until) {
            (Event::Message { text, .. }, Some(until)) => text == until,
            _ => until.is_none(),
        };
        if read && reader.own.events.last().is_some_and(last) {
            break;
        }
    }
    Ok(reader.own)
}
