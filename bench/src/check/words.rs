//! Commands as lists of words, with places in them: `{build}/release/server --quiet`.
//!
//! No shell reads them: a place may hold blanks, and nothing needs quotes.

use serde::{Deserialize, Deserializer};

/// A command: a list of words, or a text that is split at its blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    /// Splits at blanks.
    #[must_use]
    pub fn split(text: &str) -> Words {
        Words(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Whether there is no program in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this place occurs in it.
    #[must_use]
    pub fn mentions(&self, place: &str) -> bool {
        let place = format!("{{{place}}}");
        self.0.iter().any(|word| word.contains(&place))
    }

    /// The words with every place filled; braces around anything else stay.
    #[must_use]
    pub fn fill(&self, places: &Places) -> Vec<String> {
        self.0.iter().map(|word| places.fill(word)).collect()
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            List(Vec<String>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Words::split(&text),
            Either::List(words) => Words(words),
        })
    }
}

/// What stands for `{name}`.
#[derive(Clone, Debug, Default)]
pub struct Places(Vec<(String, String)>);

impl Places {
    /// These, and one more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Places {
        self.0.push((format!("{{{name}}}"), value.to_owned()));
        self
    }

    /// A text with every place filled. What is filled in is not looked at again.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let (mut filled, mut rest) = (String::new(), text);
        while let Some(start) = rest.find('{') {
            filled.push_str(&rest[..start]);
            rest = &rest[start..];
            if let Some((place, value)) = self.0.iter().find(|(place, _)| rest.starts_with(place.as_str())) {
                filled.push_str(value);
                rest = &rest[place.len()..];
            } else {
                filled.push('{');
                rest = &rest[1..];
            }
        }
        filled.push_str(rest);
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_other_braces_stay() {
        let places = Places::default().with("build", "/a b/{case}").with("case", "x");
        let table = [
            ("{build}/release/run {case}", vec!["/a b/{case}/release/run", "x"]),
            ("run {channel} {} {{case}} {", vec!["run", "{channel}", "{}", "{x}", "{"]),
            ("", vec![]),
        ];
        for (text, expected) in table {
            assert_eq!(Words::split(text).fill(&places), expected, "{text}");
        }
    }

    #[test]
    fn a_command_is_a_text_or_a_list() {
        #[derive(Deserialize)]
        struct File {
            command: Words,
        }
        for (text, expected) in
            [(r#"command = "a  b""#, vec!["a", "b"]), (r#"command = ["a b", "c"]"#, vec!["a b", "c"])]
        {
            let file: File = toml::from_str(text).unwrap();
            assert_eq!(file.command.fill(&Places::default()), expected, "{text}");
        }
    }
}
