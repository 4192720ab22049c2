//! What clients do: connect, subscribe, come back, join, speak, speak again, go.

use chatup_core::names::ChannelName;
use chatup_core::position::{MessageId, Offset};
use serde_json::{Value, json};

use crate::connection::{Asked, Connection, Person, Since};
use crate::ledger::{Ledger, Said};
use crate::model::Broker;
use crate::random::Random;
use crate::record::{Happened, Record};
use crate::settings::Settings;
use crate::support::wire::{self, CLOSE, PING, TEXT};

pub(crate) struct Client<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) person: &'a mut Person,
    pub(crate) settings: &'a Settings,
    pub(crate) broker: &'a Broker,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) random: &'a mut Random,
    pub(crate) record: &'a mut Record,
}

impl Client<'_> {
    /// Does one thing of those that a client may do.
    pub(crate) fn act(&mut self) {
        match self.random.below(100) {
            0..22 => self.subscribe_some(),
            22..28 => self.authenticate(),
            28..38 => self.join(),
            38..70 => self.say(),
            70..75 => self.leave(),
            75..81 => self.unsubscribe(),
            81..85 => self.call(json!({"call": "ping"}), Asked::Done),
            85..90 => self.ping(),
            90..94 => self.refused(),
            94..96 => self.close(),
            _ => {
                self.connection.abandoned = true;
                self.record.count(Happened::CutOff);
            }
        }
    }

    /// Asks and asks.
    pub(crate) fn flood(&mut self) {
        if self.random.percent(10) {
            return self.call(json!({"call": "ping"}), Asked::Done);
        }
        let payload = [b'f'; 125];
        wire::frame(PING, &payload, self.random.mask(), &mut self.connection.to_server);
        self.connection.pings.push_back(payload.to_vec());
    }

    /// Right after coming: everything that it had before, from where it was.
    pub(crate) fn come_back(&mut self) {
        let channels: Vec<ChannelName> = self.person.positions.keys().cloned().collect();
        if !channels.is_empty() {
            self.subscribe(channels);
        }
    }

    fn call(&mut self, mut call: Value, asked: Asked) {
        let id = self.person.next_call;
        self.person.next_call += 1;
        call["id"] = id.into();
        self.record.note(|| format!("person {} asks {call}", self.connection.person));
        self.connection.calls.insert(id, asked);
        self.send_text(call.to_string().as_bytes());
    }

    fn send_text(&mut self, text: &[u8]) {
        let out = &mut self.connection.to_server;
        if !out.is_empty() {
            let head = out.starts_with(b"GET");
            self.record.count(if head { Happened::CallBehindHead } else { Happened::SeveralCallsARead });
        }
        if self.connection.reader.deflates && self.random.percent(40) {
            self.record.count(Happened::CompressedCall);
            return wire::deflated(text, self.random.mask(), out);
        }
        if !self.random.percent(15) {
            return wire::frame(TEXT, text, self.random.mask(), out);
        }
        self.record.count(Happened::FragmentedCall);
        let (mut rest, mut first) = (text, true);
        loop {
            let (piece, behind) = rest.split_at(self.random.below(rest.len() + 1));
            let last = behind.is_empty() || self.random.percent(30);
            let piece = if last { rest } else { piece };
            wire::fragment(first, last, piece, self.random.mask(), out);
            if last {
                return;
            }
            (rest, first) = (behind, false);
            if self.random.percent(30) {
                let payload = b"between fragments";
                self.connection.pings.push_back(payload.to_vec());
                wire::frame(PING, payload, self.random.mask(), out);
            }
        }
    }

    fn subscribe_some(&mut self) {
        let count = self.random.between(1, 3);
        let mut channels = Vec::new();
        for _ in 0..count {
            let channel = self.random.pick(&self.settings.channels);
            if !self.connection.wanted.contains(&channel) && !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        if channels.is_empty() {
            let waits = |asked: &Asked| matches!(asked, Asked::Unsubscribe(_));
            let has = self.connection.subscriptions.keys().next();
            let Some(channel) = has.cloned() else { return };
            if self.connection.calls.values().any(waits) {
                return;
            }
            self.record.count(Happened::TwiceRefused);
            let call = json!({"call": "subscribe", "channels": [channel]});
            return self.call(call, Asked::Refused("already_subscribed"));
        }
        self.subscribe(channels);
    }

    fn subscribe(&mut self, channels: Vec<ChannelName>) {
        let (mut asked, mut list) = (Vec::new(), Vec::new());
        for channel in channels {
            let history = self.random.pick(&[0, 0, 1, 4, 1_000_000_000]);
            let since = match self.random.below(10) {
                0 => self.forged(&channel),
                1 => Since::Nowhere,
                _ => self.person.positions.get(&channel).map_or(Since::Nowhere, |p| Since::Position(*p)),
            };
            self.connection.wanted.insert(channel.clone());
            list.push(match &since {
                Since::Position(position) | Since::Forged(position) => {
                    json!({"channel": channel, "position": position, "history": history})
                }
                Since::Nowhere if history == 0 => json!(channel),
                Since::Nowhere => json!({"channel": channel, "history": history}),
            });
            asked.push((channel, since, history.min(1_000)));
        }
        self.call(json!({"call": "subscribe", "channels": list}), Asked::Subscribe(asked));
    }

    /// A position that never was: another id, a later offset, another epoch; or the beginning,
    /// which always was.
    fn forged(&mut self, name: &ChannelName) -> Since {
        let Some(channel) = self.broker.channels.get(name) else { return Since::Nowhere };
        let mut position = channel.head();
        match self.random.below(4) {
            0 => {
                position.id = MessageId::from_random(self.random.bits128());
                Since::Forged(position)
            }
            1 => {
                position.offset = Offset(position.offset.0 + 1);
                Since::Forged(position)
            }
            2 => {
                position.epoch.0 ^= 1;
                Since::Forged(position)
            }
            _ => Since::Position(channel.position(position.epoch, 0)),
        }
    }

    fn authenticate(&mut self) {
        self.connection.authenticated = true;
        let token = self.person.token.clone();
        self.call(json!({"call": "auth", "token": token}), Asked::Auth);
    }

    fn join(&mut self) {
        let room = self.random.pick(&self.settings.rooms);
        let call = json!({"call": "join", "room": room});
        if !self.connection.authenticated {
            return self.call(call, Asked::Refused("not_authenticated"));
        }
        let waits = self.connection.calls.values().any(|asked| matches!(asked, Asked::Join(_)));
        if waits && self.connection.joined.is_none() {
            self.record.count(Happened::JoinedAnotherBeforeAnswer);
        }
        // A join that may yet fail leaves it open which room, if any, this finds.
        self.connection.joined.get_or_insert(room.clone());
        self.connection.rooms.insert(room.clone());
        self.call(call, Asked::Join(room));
    }

    fn say(&mut self) {
        let again = !self.person.keyed.is_empty() && self.random.percent(25);
        let number = if again {
            self.random.pick(&self.person.keyed)
        } else {
            let Some(room) = self.connection.joined.clone() else {
                return self.not_yet_joined();
            };
            let number = self.ledger.said.len();
            let padding = self.random.pick(&["", "x", "\"\\ é 東京 \n", "a longer text, as people write"]);
            let text = format!("said {number} {}", padding.repeat(self.random.below(12)));
            let keyed = self.connection.rooms.len() == 1 && self.random.percent(40);
            if keyed {
                self.person.keyed.push(number);
            }
            let (asked, refused, acknowledged) = (0, 0, Vec::new());
            self.ledger.said.push(Said { text, room, keyed, asked, refused, acknowledged });
            number
        };
        let said = &mut self.ledger.said[number];
        let there = self.connection.joined.as_ref() == Some(&said.room) && self.connection.rooms.len() == 1;
        if said.keyed && !there {
            // In another room the key would mean another message.
            return;
        }
        said.asked += 1;
        let mut call = json!({"call": "say", "msg": said.text});
        if said.keyed {
            call["key"] = json!(format!("key {number}"));
        }
        self.call(call, Asked::Say(number));
    }

    fn not_yet_joined(&mut self) {
        if !self.connection.authenticated {
            self.authenticate();
        } else if self.random.percent(70) {
            self.join();
        } else if self.connection.rooms.is_empty() {
            self.call(json!({"call": "say", "msg": "x"}), Asked::Refused("never_joined"));
        }
    }

    fn leave(&mut self) {
        match self.connection.joined.take() {
            None if self.connection.rooms.is_empty() => {
                self.call(json!({"call": "leave"}), Asked::Refused("never_joined"));
            }
            _ => self.call(json!({"call": "leave"}), Asked::Leave),
        }
    }

    fn unsubscribe(&mut self) {
        let Some(channel) = self.connection.subscriptions.keys().next().cloned() else { return };
        // Only what it certainly has: a subscription that waits cannot be given up.
        let waits = |asked: &Asked| matches!(asked, Asked::Subscribe(_) | Asked::Unsubscribe(_));
        if self.connection.calls.values().any(waits) {
            return;
        }
        assert!(self.connection.wanted.remove(&channel));
        let call = json!({"call": "unsubscribe", "channels": [channel]});
        self.call(call, Asked::Unsubscribe(vec![channel.clone()]));
        if self.random.percent(50) {
            self.record.count(Happened::ResubscribedAtOnce);
            self.subscribe(vec![channel]);
        }
    }

    fn ping(&mut self) {
        let payload = vec![b'p'; self.random.below(126)];
        wire::frame(PING, &payload, self.random.mask(), &mut self.connection.to_server);
        self.connection.pings.push_back(payload);
    }

    fn refused(&mut self) {
        let (call, code) = self.random.pick(&[
            (json!({"call": "dance"}), "unknown_call"),
            (json!({"call": "say"}), "bad_field"),
            (json!({"call": "join", "room": "a b"}), "invalid_name"),
            (json!({"call": "auth", "token": "a.b.c"}), "token_malformed"),
            (json!({"call": "unsubscribe", "channels": ["never"]}), "not_subscribed"),
            (json!({"call": "subscribe", "channels": []}), "bad_field"),
        ]);
        self.call(call, Asked::Refused(code));
    }

    fn close(&mut self) {
        self.connection.close_sent = true;
        self.record.count(Happened::ClosedByClient);
        wire::frame(CLOSE, &1000_u16.to_be_bytes(), self.random.mask(), &mut self.connection.to_server);
    }
}
