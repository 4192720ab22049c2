//! A client's call: JSON to a value of core's, and the parsers that could do it.
//!
//! core reads calls with simd-json, which writes over its input (so core copies it first) and
//! recurses without a bound (so core looks at the nesting before). serde_json needs neither, but
//! cannot lend a string with escapes: the structure is the same but for that. [`core`] is the
//! product's whole way; [`simd_json`] and [`serde_json`] are the parsers alone on one structure.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hint::black_box;

use chatup_core::position::Position;
use chatup_core::protocol::CallReader;
use serde::Deserialize;

use super::words;

/// A `say` with a text of so many bytes.
#[must_use]
pub fn say(text_bytes: usize) -> String {
    format!(r#"{{"id":7,"call":"say","msg":"{}"}}"#, words(text_bytes))
}

/// A `say` whose text, so long in JSON, has an escape every ten bytes.
#[must_use]
pub fn say_escaped(text_bytes: usize) -> String {
    let text: String = r#"a \"word\" "#.chars().cycle().take(text_bytes / 11 * 11).collect();
    format!(r#"{{"id":7,"call":"say","msg":"{text}"}}"#)
}

/// A `subscribe` to so many channels, each with the position of a client that comes back.
#[must_use]
pub fn subscribe(channels: usize) -> String {
    let mut text = String::from(r#"{"id":8,"call":"subscribe","channels":["#);
    for number in 0..channels {
        let comma = if number == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            r#"{comma}{{"channel":"m_room{number}","position":{{"epoch":"000000000000000e","offset":{number},"id":"00000000-0000-4000-8000-000000000007"}}}}"#
        );
    }
    text.push_str("]}");
    text
}

/// The product's way: nesting, copy, simd-json, checks of every name.
///
/// # Panics
/// If the call is not taken.
pub fn core(text: String) -> impl FnMut() {
    let mut reader = CallReader::default();
    move || assert!(black_box(reader.read(black_box(text.as_bytes()))).is_ok())
}

/// A call's fields, as core's reader has them; `T` is what texts are read into.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read to be measured")]
struct Fields<T> {
    id: Option<u64>,
    call: Option<T>,
    channels: Option<Vec<Channel<T>>>,
    token: Option<T>,
    room: Option<T>,
    msg: Option<T>,
    key: Option<T>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read to be measured")]
struct Channel<T> {
    channel: T,
    position: Option<Position>,
    history: Option<u64>,
}

/// A text that is lent where it can be: `Cow` by itself always copies.
#[derive(Deserialize)]
#[serde(transparent)]
struct Lent<'a>(
    #[serde(borrow)]
    #[allow(dead_code, reason = "read to be measured")]
    Cow<'a, str>,
);

/// simd-json with kept buffers, and the copy that it needs.
///
/// # Panics
/// If the call is not read.
pub fn simd_json(text: String) -> impl FnMut() {
    let (mut scratch, mut buffers) = (Vec::new(), simd_json::Buffers::default());
    move || {
        scratch.clear();
        scratch.extend_from_slice(black_box(text.as_bytes()));
        let fields = simd_json::serde::from_slice_with_buffers::<Fields<&str>>(&mut scratch, &mut buffers);
        assert!(black_box(fields).is_ok());
    }
}

/// serde_json.
///
/// # Panics
/// If the call is not read.
pub fn serde_json(text: String) -> impl FnMut() {
    move || {
        let fields = serde_json::from_slice::<Fields<Lent<'_>>>(black_box(text.as_bytes()));
        assert!(black_box(fields).is_ok());
    }
}
