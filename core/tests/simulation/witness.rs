//! What clients are given, held against the model: each message in its place, no hole, nothing
//! twice, every answer once and in accordance with what was asked.

use chatup_core::names::ChannelName;
use chatup_core::position::{Offset, Position};
use chatup_core::shard::SlowSubscriberPolicy;
use serde_json::Value;

use crate::connection::{Asked, Connection, Person, Since, Stage, Subscription};
use crate::ledger::Ledger;
use crate::model::{Broker, Channel, may_be_cut};
use crate::random::Random;
use crate::record::{Happened, Record};
use crate::settings::Settings;
use crate::support::wire::{self, CLOSE, FromServer, PONG};

pub(crate) struct Witness<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) person: &'a mut Person,
    pub(crate) settings: &'a Settings,
    pub(crate) broker: &'a Broker,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) random: &'a mut Random,
    pub(crate) record: &'a mut Record,
}

impl Witness<'_> {
    /// Reads what came off the socket.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        self.connection.reader.push(bytes);
        let deflated = self.connection.reader.deflated;
        while let Some(found) = self.connection.reader.next() {
            if self.connection.reader.deflated > deflated {
                self.record.count(Happened::CompressedMessage);
            }
            self.record.note(|| format!("person {} is given {found:?}", self.connection.person));
            match found {
                FromServer::Head(head) if head.starts_with("HTTP/1.1 408 ") => {
                    self.record.count(Happened::HandshakeTimedOut);
                    (self.connection.stage, self.connection.close_sent) = (Stage::Closed, true);
                }
                FromServer::Head(head) => {
                    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
                    self.connection.stage = Stage::Open;
                }
                FromServer::Text(text) if text.starts_with(r#"{"channel":"#) => self.message(&text),
                FromServer::Text(text) => self.said(&serde_json::from_str(&text).unwrap()),
                FromServer::Ping => {
                    self.record.count(Happened::Pinged);
                    wire::frame(PONG, b"", self.random.mask(), &mut self.connection.to_server);
                }
                FromServer::Pong(payload) => {
                    self.record.count(Happened::Ponged);
                    assert_eq!(self.connection.pings.pop_front(), Some(payload), "pongs in the pings' order");
                }
                FromServer::Close(code, reason) => self.closed(code, &reason),
            }
        }
    }

    fn closed(&mut self, code: u16, reason: &str) {
        let happened = match (code, reason) {
            (1000, "") => {
                assert!(self.connection.close_sent, "an echo of a close that was sent");
                self.connection.stage = Stage::Closed;
                return;
            }
            (4000, "idle") => Happened::IdleClosed,
            (4001, "ping_timeout") => Happened::StalledOrSilentClosed,
            (4002, "slow_subscriber") => Happened::SlowClosed,
            (4003, "slow_reader") => {
                assert!(self.person.floods || self.person.slow);
                Happened::SlowReaderClosed
            }
            other => panic!("a client that keeps to the protocol is closed with {other:?}"),
        };
        self.record.count(happened);
        self.connection.stage = Stage::Closed;
        if !self.connection.close_sent {
            self.connection.close_sent = true;
            let code = code.to_be_bytes();
            wire::frame(CLOSE, &code, self.random.mask(), &mut self.connection.to_server);
        }
    }

    fn channel(&self, name: &str) -> (ChannelName, &Channel) {
        let (name, channel) = self.broker.channels.get_key_value(name).expect("a channel that there is");
        (name.clone(), channel)
    }

    fn message(&mut self, text: &str) {
        let rest = text.strip_prefix(r#"{"channel":""#).unwrap();
        let (name, rest) = rest.split_once(r#"","offset":"#).unwrap();
        let (offset, rest) = rest.split_once(r#","messages":["#).unwrap();
        let payload = rest.strip_suffix("]}").unwrap();
        let offset: u64 = offset.parse().unwrap();
        let (name, channel) = self.channel(name);
        let subscription = self.connection.subscriptions.get(&name).expect("a message of a subscription");
        assert_eq!(offset, subscription.next, "{name}: the next message");
        let epoch = subscription.epoch;
        let expected = &channel.message(epoch, offset).payload;
        assert_eq!(payload.as_bytes(), &expected[..], "{name} {offset}: what was published there");
        let position = channel.position(epoch, offset);
        self.go_on(&name, position);
        self.record.count(Happened::Delivered);
    }

    fn go_on(&mut self, name: &ChannelName, seen: Position) {
        let next = seen.offset.0 + 1;
        self.connection.subscriptions.insert(name.clone(), Subscription { epoch: seen.epoch, next });
        self.person.positions.insert(name.clone(), seen);
    }

    /// An answer or a notice.
    fn said(&mut self, said: &Value) {
        if let Some(gap) = said.get("gap") {
            self.gap(gap);
        } else if let Some(reset) = said.get("reset") {
            self.reset(reset);
        } else if let Some(banned) = said.get("banned") {
            self.record.count(Happened::BanNotice);
            let room = banned["room"].as_str().unwrap();
            assert!(self.connection.rooms.contains(room) && self.was_banned(room), "{banned}");
            assert_eq!(banned["ttl_s"], -1);
        } else {
            let asked = self.connection.calls.remove(&said["id"].as_u64().expect("an id"));
            let asked = asked.expect("an answer to a call that has none yet");
            self.answer(&asked, said);
        }
    }

    fn was_banned(&self, room: &str) -> bool {
        self.broker.ever_banned.iter().any(|(one, name)| one.as_str() == room && *name == self.person.name)
    }

    fn gap(&mut self, gap: &Value) {
        self.record.count(Happened::Gap);
        let (name, channel) = self.channel(gap["channel"].as_str().unwrap());
        let (from, to) = (gap["from"].as_u64().unwrap(), gap["to"].as_u64().unwrap());
        let Subscription { epoch, next } = self.connection.subscriptions[&name];
        assert_eq!(
            self.settings.slow_subscribers,
            SlowSubscriberPolicy::Tell,
            "who is closed is told no gap"
        );
        assert_eq!(from, next, "{name}: the gap begins where the client was");
        let head = channel.past(epoch).len() as u64;
        assert!(from <= to && to <= head, "{name}: {gap}, head {head}");
        let may = may_be_cut(self.settings, &name, channel, epoch, to, head);
        assert!(may && !self.settings.roomy, "{name}: {gap} is kept by the log, head {head}");
        let position = channel.position(epoch, to);
        self.go_on(&name, position);
    }

    fn reset(&mut self, reset: &Value) {
        self.record.count(Happened::Reset);
        let (name, _) = self.channel(reset["channel"].as_str().unwrap());
        let position: Position = serde_json::from_value(reset["position"].clone()).unwrap();
        let old = &self.connection.subscriptions[&name];
        assert_ne!(position.epoch, old.epoch, "{name}: a reset is for another epoch");
        let next = reset["next"].as_u64().unwrap();
        self.starts(&name, position, next, u64::MAX);
    }

    /// A subscription that starts at `next` because of nothing but its history.
    fn starts(&mut self, name: &ChannelName, position: Position, next: u64, history: u64) {
        let channel = &self.broker.channels[name];
        let (epoch, head) = (position.epoch, position.offset.0);
        assert_eq!(position, channel.position(epoch, head), "{name}: where the channel was");
        assert!(1 <= next && next <= head + 1, "{name}: next {next}, head {head}");
        let asked = head.saturating_sub(history);
        let may = next - 1 == asked || may_be_cut(self.settings, name, channel, epoch, next - 1, head);
        assert!(next > asked && may, "{name}: next {next} with a history of {history}, head {head}");
        let before = channel.position(epoch, next - 1);
        self.go_on(name, before);
    }

    fn answer(&mut self, asked: &Asked, said: &Value) {
        let code = said["error"]["code"].as_str();
        match (asked, code) {
            (Asked::Refused(expected), Some(code)) => assert_eq!(code, *expected),
            (Asked::Subscribe(asked), None) => self.subscribed(asked, &said["ok"]["channels"]),
            (Asked::Subscribe(asked), Some("unavailable")) => {
                for (name, ..) in asked {
                    self.connection.wanted.remove(name);
                }
            }
            (Asked::Unsubscribe(names), None) => {
                self.record.count(Happened::Unsubscribed);
                for name in names {
                    assert!(self.connection.subscriptions.remove(name).is_some());
                }
            }
            (Asked::Auth, None) => assert_eq!(said["ok"]["user"]["name"], self.person.name.as_str()),
            (Asked::Join(room), None) => {
                assert_eq!(said["ok"]["room"], room.as_str());
                if said["ok"].get("banned").is_some() {
                    self.record.count(Happened::BannedJoin);
                    assert!(self.was_banned(room.as_str()));
                }
            }
            (Asked::Join(_), Some("already_joined")) => assert!(self.connection.rooms.len() > 1),
            (Asked::Join(room), Some(_)) => {
                self.failed_for_now(said);
                if self.connection.joined.as_ref() == Some(room) {
                    self.connection.joined = None;
                }
            }
            (Asked::Say(number), None) => {
                let position: Position = serde_json::from_value(said["ok"]["position"].clone()).unwrap();
                let duplicate = said["ok"]["duplicate"].as_bool().unwrap();
                let happened = if duplicate { Happened::SaidAgain } else { Happened::SaidOnce };
                self.record.count(happened);
                let entry = &mut self.ledger.said[*number];
                assert!(entry.keyed || !duplicate);
                entry.acknowledged.push((position, duplicate));
            }
            (Asked::Say(number), Some(code)) => {
                self.ledger.said[*number].refused += 1;
                match code {
                    "banned" => {
                        self.record.count(Happened::BannedSay);
                        assert!(self.broker.ever_banned.iter().any(|(_, name)| *name == self.person.name));
                    }
                    // Only where a join has failed, which may be known only now.
                    "never_joined" => assert!(self.may_have_failed(), "{said}"),
                    _ => self.failed_for_now(said),
                }
            }
            (Asked::Leave, Some("never_joined")) | (Asked::Done | Asked::Leave, None) => {}
            other => panic!("{said} to {other:?}"),
        }
    }

    fn may_have_failed(&self) -> bool {
        [Happened::Overloaded, Happened::BrokerRefused, Happened::InFlightLimit]
            .iter()
            .any(|one| self.record.of(*one) > 0)
    }

    fn failed_for_now(&mut self, said: &Value) {
        match said["error"]["code"].as_str().unwrap() {
            "overloaded" => {
                self.record.count(Happened::Overloaded);
                assert!(self.record.of(Happened::BrokerQueueFull) > 0, "{said}");
            }
            "unavailable" => assert!(self.record.of(Happened::BrokerRefused) > 0, "{said}"),
            "too_many_in_flight" => {
                self.record.count(Happened::InFlightLimit);
                // Whatever was in flight then is answered behind this refusal.
                let waits = |asked: &&Asked| matches!(asked, Asked::Say(_) | Asked::Join(_));
                let waiting = self.connection.calls.values().filter(waits).count();
                assert!(waiting >= self.settings.limits.calls_in_flight_max as usize, "{said}");
            }
            code => panic!("no reason to refuse with {code}: {said}"),
        }
    }

    fn subscribed(&mut self, asked: &[(ChannelName, Since, u64)], channels: &Value) {
        let channels = channels.as_array().unwrap();
        assert_eq!(channels.len(), asked.len(), "each channel that was asked for");
        for ((name, since, history), said) in asked.iter().zip(channels) {
            assert_eq!(said["channel"], name.as_str(), "in the order asked");
            let now: Position = serde_json::from_value(said["position"].clone()).unwrap();
            let next = said["next"].as_u64().unwrap();
            assert!(self.broker.channels.contains_key(name), "an open channel is known to the broker");
            assert!(!self.connection.subscriptions.contains_key(name), "{name}: subscribed once");
            if said["recovered"].as_bool().unwrap() {
                let Since::Position(position) = since else { panic!("{name}: {since:?} is recovered") };
                self.recovered(name, *position, now, next);
            } else {
                self.not_recovered(name, since, now);
                self.starts(name, now, next, *history);
                if next <= now.offset.0 {
                    self.record.count(Happened::HistoryGiven);
                }
            }
        }
    }

    fn recovered(&mut self, name: &ChannelName, position: Position, now: Position, next: u64) {
        let channel = &self.broker.channels[name];
        assert_eq!(now, channel.position(now.epoch, now.offset.0), "{name}: where the channel was");
        assert_eq!((position.epoch, position.offset.0 + 1), (now.epoch, next), "{name}: nothing is missing");
        assert!(position.offset <= now.offset);
        self.record.count(Happened::Recovered);
        if position.offset < now.offset {
            self.record.count(Happened::RecoveredWithMissed);
        }
        self.go_on(name, position);
    }

    /// Only for a reason: nothing asked, never was, another epoch, or too old.
    fn not_recovered(&mut self, name: &ChannelName, since: &Since, now: Position) {
        let position = match since {
            Since::Nowhere => return,
            Since::Forged(_) => return self.record.count(Happened::ForgedPosition),
            Since::Position(position) => position,
        };
        let happened = if position.epoch != now.epoch {
            Happened::OtherEpoch
        } else if position.offset > now.offset {
            panic!("{name}: {position:?} was seen, and this shard is told to be at {now:?}");
        } else {
            let channel = &self.broker.channels[name];
            let Offset(missed) = position.offset.next();
            let may = missed <= now.offset.0
                && may_be_cut(self.settings, name, channel, position.epoch, missed, now.offset.0);
            assert!(may && !self.settings.roomy, "{name}: {position:?} is kept by the log at {now:?}");
            Happened::TooOld
        };
        self.record.count(happened);
    }
}
