//! How many watch each room at Nginx: told to the broker as a shard of the worker's own, so that they count as
//! viewers everywhere. No I/O, no clock.

use std::collections::HashMap;

use chatup_core::names::RoomName;

use crate::limits::COUNTS_PER_TELLING;
use crate::listed::Listed;

/// What was told, and what is to be.
#[derive(Debug, Default)]
pub(crate) struct Viewers {
    told: HashMap<RoomName, u32>,
    untold: HashMap<RoomName, u32>,
}

impl Viewers {
    /// Takes all that Nginx has.
    pub(crate) fn listed(&mut self, listed: &[Listed]) {
        let mut now: HashMap<RoomName, u32> = HashMap::new();
        for Listed { channel, subscribers, .. } in listed {
            if let Some(room) = channel.room_of_messages().filter(|_| *subscribers > 0) {
                now.insert(room, u32::try_from(*subscribers).unwrap_or(u32::MAX));
            }
        }
        self.untold.clear();
        for room in self.told.keys().filter(|room| !now.contains_key(*room)) {
            self.untold.insert(room.clone(), 0);
        }
        let changed = |(room, count): &(RoomName, u32)| self.told.get(room) != Some(count);
        self.untold.extend(now.into_iter().filter(changed));
    }

    /// Some of what has changed, if anything has.
    pub(crate) fn next(&self) -> Option<Vec<(RoomName, u32)>> {
        let some = self.untold.iter().take(COUNTS_PER_TELLING).map(|(room, count)| (room.clone(), *count));
        Some(some.collect::<Vec<_>>()).filter(|counts| !counts.is_empty())
    }

    /// It has been told.
    pub(crate) fn told(&mut self, counts: Vec<(RoomName, u32)>) {
        for (room, count) in counts {
            self.untold.remove(&room);
            if count == 0 {
                self.told.remove(&room);
            } else {
                self.told.insert(room, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chatup_core::names::ChannelName;

    use super::*;

    fn listed(of: &[(&str, u64)]) -> Vec<Listed> {
        let one = |(name, subscribers): &(&str, u64)| Listed {
            channel: ChannelName::new(name).unwrap(),
            published: 1,
            subscribers: *subscribers,
        };
        of.iter().map(one).collect()
    }

    #[test]
    fn only_changes_of_rooms_are_told_and_until_they_are() {
        type Row = (&'static [(&'static str, u64)], &'static [(&'static str, u32)]);
        let table: [Row; 5] = [
            (&[("m_a", 2), ("e_a", 2), ("other", 5), ("m_b", 0)], &[("a", 2)]),
            (&[("m_a", 2)], &[]),
            (&[("m_a", 3), ("m_b", 1)], &[("a", 3), ("b", 1)]),
            (&[("m_b", 1)], &[("a", 0)]),
            (&[], &[("b", 0)]),
        ];
        let mut viewers = Viewers::default();
        for (nginx, expected) in table {
            viewers.listed(&listed(nginx));
            // The broker's queue was full the first time.
            for told in [false, true] {
                let mut counts = viewers.next().unwrap_or_default();
                counts.sort();
                let shown: Vec<_> = counts.iter().map(|(room, count)| (room.as_str(), *count)).collect();
                assert_eq!(shown, expected, "{nginx:?}");
                if told {
                    viewers.told(counts);
                }
            }
            assert_eq!(viewers.next(), None);
        }
    }
}
