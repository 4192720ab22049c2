//! Which server of a cluster has which keys: 16,384 slots, each at one server. No I/O.

use crc::{CRC_16_XMODEM, Crc};
use redis::Value;

use super::reply::{Misread, array, number, text};

/// Slots of every cluster.
const SLOTS: u16 = 16_384;
/// The hash of the cluster's specification.
const HASH: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// A server's address.
pub(crate) type Address = (String, u16);

/// Which slots each server has, as some server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// First and last slot and whose they are, in order.
    ranges: Vec<(u16, u16, Address)>,
}

/// The slot of keys with this hash tag.
pub(crate) fn slot(tag: &str) -> u16 {
    HASH.checksum(tag.as_bytes()) % SLOTS
}

impl SlotMap {
    /// Reads the answer to `CLUSTER SLOTS`. A server that does not know its own host leaves it out:
    /// then it is the one under which it was reached.
    pub(crate) fn read(value: Value, reached: &str) -> Result<SlotMap, Misread> {
        let mut ranges = Vec::new();
        for range in array(value)? {
            let mut fields = array(range)?.into_iter();
            let mut next = || fields.next().ok_or(Misread("a range of slots"));
            let (first, last, primary) = (number(next()?)?, number(next()?)?, next()?);
            let slot = |number: u64| {
                u16::try_from(number).ok().filter(|slot| *slot < SLOTS).ok_or(Misread("a slot"))
            };
            let mut primary = array(primary)?.into_iter();
            let host = primary
                .next()
                .and_then(|host| text(host).ok())
                .filter(|host| !host.is_empty() && host != "?");
            let port = primary.next().map(number).transpose()?.and_then(|port| u16::try_from(port).ok());
            let address = (host.unwrap_or_else(|| reached.to_owned()), port.ok_or(Misread("a port"))?);
            ranges.push((slot(first)?, slot(last)?, address));
        }
        ranges.sort();
        Ok(SlotMap { ranges })
    }

    /// Who has a slot, if anybody.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Address> {
        let after = self.ranges.partition_point(|(first, ..)| *first <= slot);
        let (_, last, address) = self.ranges.get(after.checked_sub(1)?)?;
        (slot <= *last).then_some(address)
    }

    /// All servers that have slots.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let mut all: Vec<Address> = self.ranges.iter().map(|(.., address)| address.clone()).collect();
        all.sort();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: &str, port: i64) -> Value {
        let primary = Value::Array(vec![Value::BulkString(host.into()), Value::Int(port)]);
        Value::Array(vec![Value::Int(first), Value::Int(last), primary])
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        for (tag, expected) in [("123456789", 0x31c3), ("foo", 12_182), ("bar", 5_061), ("", 0)] {
            assert_eq!(slot(tag), expected, "{tag}");
        }
    }

    #[test]
    fn each_slot_has_the_owner_that_was_said() {
        let said = Value::Array(vec![range(10, 20, "b", 2), range(0, 5, "a", 1), range(21, 16_383, "", 3)]);
        let map = SlotMap::read(said, "reached").unwrap();
        let table = [
            (0, "a"),
            (5, "a"),
            (6, ""),
            (9, ""),
            (10, "b"),
            (20, "b"),
            (21, "reached"),
            (16_383, "reached"),
        ];
        for (slot, expected) in table {
            assert_eq!(map.owner(slot).map_or("", |(host, _)| host), expected, "slot {slot}");
        }
        assert_eq!(map.addresses().len(), 3);
        assert!(SlotMap::read(Value::Array(vec![range(0, 16_384, "a", 1)]), "").is_err());
        assert_eq!(SlotMap::default().owner(0), None);
    }
}
