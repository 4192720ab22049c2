//! Every text that was said, and what its speakers were told: held against the model at the end.

use std::collections::BTreeMap;

use chatup_core::names::RoomName;
use chatup_core::position::{Offset, Position};

use crate::model::Broker;
use crate::record::{Happened, Record};

pub(crate) struct Said {
    /// Different from every other.
    pub(crate) text: String,
    /// Where it was said first. Without a key the speaker may have been in another by then.
    pub(crate) room: RoomName,
    pub(crate) keyed: bool,
    /// How often it was asked for.
    pub(crate) asked: usize,
    pub(crate) refused: usize,
    /// Where it was said to be, and whether as a duplicate.
    pub(crate) acknowledged: Vec<(Position, bool)>,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) said: Vec<Said>,
}

impl Ledger {
    /// Every acknowledged text is where it was said to be, once; every refused one is nowhere.
    pub(crate) fn check(&self, broker: &Broker, record: &mut Record) {
        let mut places: BTreeMap<String, Vec<Position>> = BTreeMap::new();
        for channel in broker.channels.values() {
            for (epoch, messages) in &channel.pasts {
                for (index, message) in messages.iter().enumerate() {
                    let payload: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
                    let Some(text) = payload["msg"].as_str() else { continue };
                    let position =
                        Position { epoch: *epoch, offset: Offset(index as u64 + 1), id: message.id };
                    places.entry(text.to_owned()).or_default().push(position);
                }
            }
        }
        for said in &self.said {
            let empty = Vec::new();
            let found = places.get(&said.text).unwrap_or(&empty);
            let what = format!("{:.20}… in {}", said.text, said.room);
            for (position, _) in &said.acknowledged {
                assert!(found.contains(position), "{what}: acknowledged at {position:?}, found at {found:?}");
            }
            for (index, position) in found.iter().enumerate() {
                let again = found[..index].iter().any(|one| one.epoch == position.epoch);
                assert!(!again, "{what}: twice in one epoch");
            }
            let first = said.acknowledged.iter().filter(|(_, duplicate)| !duplicate).count();
            let unanswered = said.asked - said.refused - said.acknowledged.len();
            assert!(first <= found.len(), "{what}: {first} first times, {} found", found.len());
            assert!(found.len() <= first + unanswered, "{what}: found though refused, {found:?}");
            assert!(said.keyed || said.asked == 1);
            if unanswered > 0 {
                record.count(Happened::SaidUnanswered);
            }
        }
    }
}
