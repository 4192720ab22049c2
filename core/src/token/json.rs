//! JSON that has one reading only: objects that are objects, keys that come once, `null` told
//! apart from absent.
//!
//! serde's derived structs also take arrays, and serde_json's `Value` takes a map with a private
//! key of its own for embedded JSON: both would let a token say one thing to us and another to
//! whoever issued it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// A struct out of a JSON object and of nothing else. A key that the struct knows and that comes
/// twice is an error.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Object)
    }
}

/// For `#[serde(default, deserialize_with = "present")]`: `None` means absent, and `null` is a
/// value, good or bad as `T` says.
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A value written anew: compact, on one line, each key once (the last one counts, as in
/// JavaScript), numbers as 64-bit integers or doubles. `None` if it has no such reading.
pub(super) fn canonical(raw: &RawValue) -> Option<(Value, Box<RawValue>)> {
    let Plain(value) = serde_json::from_str(raw.get()).ok()?;
    let text = to_raw_value(&value).ok()?;
    Some((value, text))
}

/// The value of a JSON text, without serde_json's private keys.
struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Plain)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Plain(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((key, Plain(value))) = map.next_entry()? {
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_one_reading() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let table: [(&str, Option<&str>); 10] = [
            ("{ \"a\" : [ 1 , -2, true,\n null ] }", Some(r#"{"a":[1,-2,true,null]}"#)),
            (r#"{"a":1,"a":2}"#, Some(r#"{"a":2}"#)),
            (r#"{"a":{"b":1,"\u0062":2}}"#, Some(r#"{"a":{"b":2}}"#)),
            (r#"[18446744073709551615,1.5,""]"#, Some(r#"[18446744073709551615,1.5,""]"#)),
            ("\"\\u00e9\\/\\n\"", Some("\"é/\\n\"")),
            // A surrogate alone, or a number out of range, has no reading.
            (r#""\ud800""#, None),
            ("1e999", None),
            (
                r#"{"$serde_json::private::RawValue":"[1]"}"#,
                Some(r#"{"$serde_json::private::RawValue":"[1]"}"#),
            ),
            (r#"{"$serde_json::private::Number":"1"}"#, Some(r#"{"$serde_json::private::Number":"1"}"#)),
            (&deep, None),
        ];
        for (text, expected) in table {
            let raw = RawValue::from_string(text.into()).unwrap();
            let text_again = canonical(&raw).map(|(_, text)| text);
            assert_eq!(text_again.as_deref().map(RawValue::get), expected, "{text}");
        }
    }
}
