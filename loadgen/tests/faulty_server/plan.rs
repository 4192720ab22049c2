//! What shall go wrong: a list of faults, and what they make of one delivery. Knows no socket, no
//! clock and no chance: who and which message decide, so a plan means the same in every run.

use std::time::Duration;

/// Something that the server does wrong. Subscribers and messages are counted from 0: the
/// subscriber among the connections of its path, the message among those of its path (a path is a
/// channel).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Of every `every` messages, `run` in a row do not go to a subscriber; which ones differs from
    /// subscriber to subscriber.
    Drop { every: u64, run: u64 },
    /// From this message on, every second subscriber gets none.
    DropFrom { message: u64 },
    /// No subscriber gets the first messages.
    DropFirst { messages: u64 },
    /// Every `every`-th delivery is made twice, the second time after `later` further messages of the
    /// same sender.
    Double { every: u64, later: u64 },
    /// Every `every`-th delivery is held back until `behind` further messages of the same sender have
    /// gone to that subscriber. (Of the same sender: where two senders' messages are not told apart
    /// by a number of the server's, nobody could say in which order they should have come.)
    Reorder { every: u64, behind: u64 },
    /// All of these at once and mixed: what happens to a delivery is drawn from the seed. Some in a
    /// hundred are dropped, doubled (at once or later) and held back, the rest goes as it should.
    Mixed { seed: u64 },
    /// Every message goes out this long after it came.
    Delay { by: Duration },
    /// From the first message of this channel on, those of all others go out this long after they came,
    /// and its own at once.
    Starve { for_channel: &'static str, by: Duration },
    /// When the message with this number (of all paths) has come, and before it goes out, the whole
    /// server does nothing for so long: neither reads nor sends.
    Stall { message: u64, length: Duration },
    /// After so many messages of a path, the first so many of its subscribers are cut off without a
    /// goodbye. A subscriber is who has not said anything by then.
    Cut { messages: u64, subscribers: usize },
    /// From this handshake on so many are refused, with status 503.
    Refuse { from: u64, handshakes: u64 },
    /// Messages go out so many at once, to one subscriber after the other: none of them wrong, but
    /// each subscriber is told many messages before the next one hears of any.
    Batches { of: usize },
    /// The kernel takes in little for the server while that does not read, so that who speaks to it
    /// soon cannot.
    Narrow { receive_bytes: usize },
}

/// What becomes of one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Send,
    Drop,
    /// Sent, and once more after so many further ones.
    Double {
        later: u64,
    },
    /// Sent only after so many further ones.
    Hold {
        behind: u64,
    },
}

/// What becomes of this message on its way to this subscriber: the first fault that wants it has it.
pub(crate) fn fate(faults: &[Fault], subscriber: u64, message: u64) -> Fate {
    // Shifted by the subscriber, so that not all of them miss the same.
    let turn = |every: u64| (message + subscriber) % every;
    faults
        .iter()
        .find_map(|fault| match *fault {
            Fault::Drop { every, run } => (turn(every) >= every - run).then_some(Fate::Drop),
            Fault::DropFrom { message: from } => {
                (message >= from && subscriber.is_multiple_of(2)).then_some(Fate::Drop)
            }
            Fault::DropFirst { messages } => (message < messages).then_some(Fate::Drop),
            Fault::Double { every, later } => (turn(every) == every / 2).then_some(Fate::Double { later }),
            Fault::Reorder { every, behind } => (turn(every) == every / 3).then_some(Fate::Hold { behind }),
            Fault::Mixed { seed } => mixed(seed, subscriber, message),
            Fault::Delay { .. }
            | Fault::Starve { .. }
            | Fault::Stall { .. }
            | Fault::Cut { .. }
            | Fault::Refuse { .. }
            | Fault::Batches { .. }
            | Fault::Narrow { .. } => None,
        })
        .unwrap_or(Fate::Send)
}

fn mixed(seed: u64, subscriber: u64, message: u64) -> Option<Fate> {
    let drawn = scattered(scattered(scattered(seed) ^ subscriber) ^ message);
    let further = (drawn >> 32) % 4;
    match drawn % 100 {
        0..8 => Some(Fate::Drop),
        8..16 => Some(Fate::Double { later: further }),
        16..24 => Some(Fate::Hold { behind: 1 + further }),
        _ => None,
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): near numbers become far ones.
fn scattered(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
