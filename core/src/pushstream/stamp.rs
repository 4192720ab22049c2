//! A message's place in time: a second, and a tag that tells it from the others of that second.
//!
//! The module counts tags from 1 in each second, over all channels of one server. Here many servers must
//! give the same message the same tag, so it is made of what the message itself says: the millisecond, behind
//! that the low digits of its offset, and a little of its channel's name. Clients hand it back unread.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::message::UnixMillis;
use crate::position::{Epoch, Offset};

/// How many offsets of one millisecond a tag tells apart.
const OFFSETS: u64 = 1 << 20;
/// How many channels a tag tells apart, mostly: one's message is not to be taken for another's.
const CHANNELS: u64 = 1 << 10;
/// Begins the event ids that are made here, so that no publisher's is taken for one.
const OWN_EVENT: char = '@';
/// The end of the year 9999: no date is behind it.
const LAST_SECOND: u64 = 253_402_300_799;
/// Tags of one millisecond.
const OF_MILLISECOND: u64 = OFFSETS * CHANNELS;

const IMF_FIXDATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// A place in time; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Since the Unix epoch.
    pub second: u64,
    /// From 1; 0 stands before all of its second.
    pub tag: u64,
}

impl Stamp {
    /// Of a message of the channel with this name.
    #[must_use]
    pub fn of(time: UnixMillis, offset: Offset, channel: &[u8]) -> Stamp {
        let millis = time.0 % 1_000;
        let channel =
            channel.iter().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
        let tag = millis * OF_MILLISECOND + offset.0 % OFFSETS * CHANNELS + channel % CHANNELS + 1;
        Stamp { second: time.whole_seconds(), tag }
    }

    /// The place so much earlier: on whole seconds, where it is at the beginning or the end of one, else at
    /// the beginning of a millisecond. What others said in the same one may stand on either side.
    #[must_use]
    pub fn earlier_by(self, millis: u64) -> Stamp {
        let within = match self.tag {
            0 | u64::MAX => {
                let second = self.second.saturating_sub(millis.div_ceil(1_000));
                return Stamp { second, tag: self.tag };
            }
            tag => (tag - 1) / OF_MILLISECOND,
        };
        let at = (self.second * 1_000 + within).saturating_sub(millis);
        Stamp { second: at / 1_000, tag: at % 1_000 * OF_MILLISECOND }
    }

    /// As it stands for a message without an id of its own.
    #[must_use]
    pub fn event_id(self) -> String {
        format!("{OWN_EVENT}{}-{}", self.second, self.tag)
    }

    /// Reads that.
    #[must_use]
    pub fn read(event_id: &str) -> Option<Stamp> {
        let (second, tag) = event_id.strip_prefix(OWN_EVENT)?.split_once('-')?;
        let number = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let second = number(second).filter(|second| *second <= LAST_SECOND)?;
        Some(Stamp { second, tag: number(tag)? })
    }

    /// The second as an HTTP date; the first of all for one that no calendar has.
    #[must_use]
    pub fn date(self) -> String {
        let second = i64::try_from(self.second).unwrap_or(0);
        let date = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        date.format(IMF_FIXDATE).unwrap_or_default()
    }
}

/// A place in one channel's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Tells pasts apart, mostly.
    pub past: u16,
    /// The last message that has been seen.
    pub offset: Offset,
}

impl Place {
    /// Of an offset in the past of this epoch.
    #[must_use]
    pub fn of(epoch: Epoch, offset: Offset) -> Place {
        Place { past: u16::try_from(epoch.0 % PASTS).unwrap_or(0), offset }
    }
}

/// Pasts that a place tells apart: four digits.
const PASTS: u64 = 10_000;
/// Digits of a stamp's tag before places, and of one place.
const TAG_DIGITS: usize = 20;
const PLACE_DIGITS: usize = 20;

/// The tag of a poll's answer: all digits, as the module's, but so many of them that they say for each of
/// its channels what has been seen.
#[must_use]
pub fn write_places(tag: u64, places: impl Iterator<Item = Place>) -> String {
    let places: String =
        places.map(|place| format!("{:04}{:016}", place.past, place.offset.0 % 10_u64.pow(16))).collect();
    format!("{tag:020}{places}")
}

/// Reads that, for so many channels.
#[must_use]
pub fn read_places(tag: &str, channels: usize) -> Option<Vec<Place>> {
    let digits = tag.strip_prefix("W/").unwrap_or(tag);
    let whole = digits.len() == TAG_DIGITS + channels * PLACE_DIGITS;
    if !whole || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let place = |number: usize| {
        let from = TAG_DIGITS + number * PLACE_DIGITS;
        let text = digits.get(from..from + PLACE_DIGITS)?;
        let (past, offset) = text.split_at_checked(4)?;
        Some(Place { past: past.parse().ok()?, offset: Offset(offset.parse().ok()?) })
    };
    (0..channels).map(place).collect()
}

/// Reads a date: the three forms of HTTP, and what JavaScript's `Date.toString()` gives, in any zone, its
/// plus sign perhaps read as a space. Seconds since the Unix epoch; nothing for anything else, and for
/// times before that.
#[must_use]
pub fn read_date(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let seconds = match *words.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [_, day, month, year, clock, "GMT"] => at(year, month, day, clock, 0),
        // Sunday, 06-Nov-94 08:49:37 GMT
        [_, date, clock, "GMT"] => {
            let mut parts = date.split('-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            let short: u32 = year.parse().ok().filter(|_| year.len() == 2 && parts.next().is_none())?;
            at(&(if short < 70 { 2_000 + short } else { 1_900 + short }).to_string(), month, day, clock, 0)
        }
        // Sun Nov  6 08:49:37 1994
        [_, month, day, clock, year] => at(year, month, day, clock, 0),
        // Sun Nov 22 2026 12:42:46 GMT+0000 (Coordinated Universal Time)
        [_, month, day, year, clock, zone, ..] if zone.starts_with("GMT") => {
            let zone = if zone.len() > 3 { &zone[3..] } else { words.get(6)? };
            at(year, month, day, clock, offset_minutes(zone)?)
        }
        _ => None,
    };
    seconds.and_then(|seconds| u64::try_from(seconds).ok())
}

/// Minutes east of Greenwich.
fn offset_minutes(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => (1, zone),
    };
    let number: i64 = digits.parse().ok().filter(|_| digits.len() == 4)?;
    (number % 100 < 60).then_some(sign * (number / 100 * 60 + number % 100))
}

fn at(year: &str, month: &str, day: &str, clock: &str, east: i64) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = u8::try_from(MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1).ok()?;
    let month = time::Month::try_from(month).ok()?;
    let year: i32 = year.parse().ok().filter(|_| year.len() == 4)?;
    let date = time::Date::from_calendar_date(year, month, day.parse().ok()?).ok()?;
    let mut clock = clock.split(':').map(|part| part.parse::<u8>().ok().filter(|_| part.len() == 2));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let time = time::Time::from_hms(hour, minute, second).ok().filter(|_| clock.next().is_none())?;
    Some(date.with_time(time).assume_utc().unix_timestamp() - east * 60)
}

/// Reads a tag, as an argument or an entity tag: `1` and `W/1` are tags. Of one that says more
/// ([`write_places`]) it is the beginning.
#[must_use]
pub fn read_tag(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("W/").unwrap_or(text);
    let says_more = digits.len() > TAG_DIGITS && (digits.len() - TAG_DIGITS).is_multiple_of(PLACE_DIGITS);
    let digits = if says_more { digits.get(..TAG_DIGITS)? } else { digits };
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates() {
        let table = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun Nov 22 2026 12:42:46 GMT+0000 (Coordinated Universal Time)", Some(1_795_351_366)),
            ("Sun Nov 22 2026 12:42:46 GMT 0000 (Coordinated Universal Time)", Some(1_795_351_366)),
            ("Sun Nov 22 2026 18:12:46 GMT+0530 (India Standard Time)", Some(1_795_351_366)),
            ("Sun Nov 22 2026 18:12:46 GMT 0530 (India Standard Time)", Some(1_795_351_366)),
            ("Sun Nov 22 2026 07:42:46 GMT-0500", Some(1_795_351_366)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sun, 31 Feb 2026 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 06 Nov 1994 8:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun Nov 22 2026 12:42:46 GMT", None),
            ("Sun Nov 22 2026 12:42:46 GMT+0", None),
            ("1994", None),
            ("", None),
        ];
        for (text, seconds) in table {
            assert_eq!(read_date(text), seconds, "{text:?}");
        }
    }

    #[test]
    fn tags() {
        let table = [("1", Some(1)), ("W/17", Some(17)), ("0", Some(0)), ("-1", None), ("x", None)];
        let nones =
            [("W/", None), ("", None), ("+1", None), ("W/\"1\"", None), ("99999999999999999999", None)];
        for (text, tag) in table.into_iter().chain(nones) {
            assert_eq!(read_tag(text), tag, "{text:?}");
        }
    }

    #[test]
    fn tags_that_say_where_each_channel_is() {
        let places = [Place::of(Epoch(123_456), Offset(7)), Place::of(Epoch(1), Offset(0))];
        let tag = write_places(42, places.into_iter());
        assert_eq!(tag, "0000000000000000004234560000000000000007".to_owned() + "00010000000000000000");
        assert_eq!(read_places(&format!("W/{tag}"), 2), Some(places.to_vec()));
        assert_eq!(read_tag(&format!("W/{tag}")), Some(42));
        assert_eq!(read_places(&tag, 1), None);
        assert_eq!(read_places("W/42", 1), None);
        assert_eq!(read_places(&tag.replace('7', "x"), 2), None);
        let stamp = Stamp { second: 5, tag: 7 };
        assert_eq!(Stamp::read(&stamp.event_id()), Some(stamp));
        for none in ["5-7", "@5", "@5-", "@-7", "@5-x", "@+5-7", "@18446744073709551615-5"] {
            assert_eq!(Stamp::read(none), None, "{none}");
        }
    }

    #[test]
    fn stamps_go_up() {
        let at = |ms, offset| Stamp::of(UnixMillis(ms), Offset(offset), b"");
        assert!(at(1_000, 1) < at(1_000, 2));
        assert!(at(1_000, OFFSETS - 1) < at(1_001, OFFSETS));
        assert!(at(1_999, 7) < at(2_000, 8));
        assert_eq!(at(0, 0), Stamp { second: 0, tag: 1 });
        let earlier = [
            (0, 4, 0),
            (1, 4, 0),
            (u64::MAX, 4, u64::MAX),
            (10 * OF_MILLISECOND + 3, 4, 510 * OF_MILLISECOND),
        ];
        for (tag, second, expected) in earlier {
            let stamp = Stamp { second: 5, tag }.earlier_by(500);
            let expected = if tag == 1 {
                Stamp { second, tag: 500 * OF_MILLISECOND }
            } else {
                Stamp { second, tag: expected }
            };
            assert_eq!(stamp, expected, "{tag}");
        }
        assert_eq!(at(5_007, 1).earlier_by(0), Stamp { second: 5, tag: 7 * OF_MILLISECOND });
        let of = |name: &str| Stamp::of(UnixMillis(5), Offset(1), name.as_bytes());
        assert!(of("m_a") != of("m_b") && of("m_a") != of("e_a"));

        assert_eq!(at(5_000, 1).date(), "Thu, 01 Jan 1970 00:00:05 GMT");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(second in 0_u64..4_000_000_000) {
            let stamp = Stamp { second, tag: 1 };
            prop_assert_eq!(read_date(&stamp.date()), Some(second));
        }

        #[test]
        fn rubbish_is_no_date(text in ".{0,80}") {
            let _ = (read_date(&text), read_tag(&text));
        }

        #[test]
        fn any_place_has_one_before_it(second in 0..=LAST_SECOND, tag: u64, millis: u64) {
            let event_id = Stamp { second, tag }.event_id();
            let stamp = Stamp::read(&event_id).unwrap();
            prop_assert!(stamp.earlier_by(millis % 100_000).second <= second.saturating_add(20_000_000_000));
        }
    }
}
