//! A message as text: what an operator wrote, with keywords between tildes.

use std::io::Write;

use super::Stamp;

/// What the keywords stand for.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// `~id~`: the message's number in its channel; negative for what is none.
    pub id: i64,
    /// `~time~` and `~tag~`.
    pub stamp: Stamp,
    /// `~channel~`.
    pub channel: &'a str,
    /// `~text~`, and its length in bytes, `~size~`.
    pub text: &'a [u8],
    /// `~event-id~`; empty where it has none.
    pub event_id: &'a str,
    /// `~event-type~`; empty where it has none.
    pub event_type: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keyword {
    Id,
    Time,
    Tag,
    Channel,
    Text,
    Size,
    EventId,
    EventType,
}

const KEYWORDS: [(&str, Keyword); 8] = [
    ("~id~", Keyword::Id),
    ("~time~", Keyword::Time),
    ("~tag~", Keyword::Tag),
    ("~channel~", Keyword::Channel),
    ("~text~", Keyword::Text),
    ("~size~", Keyword::Size),
    ("~event-id~", Keyword::EventId),
    ("~event-type~", Keyword::EventType),
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Keyword(Keyword),
}

/// A template, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    /// Takes a template apart; whatever is no keyword, in whatever case, stands for itself.
    #[must_use]
    pub fn new(text: &str) -> Template {
        let (mut pieces, mut rest, mut literal) = (Vec::new(), text, String::new());
        while let Some(next) = rest.chars().next() {
            let begins =
                |word: &str| rest.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
            match KEYWORDS.iter().find(|(word, _)| begins(word)) {
                Some((word, keyword)) => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Keyword(*keyword));
                    rest = &rest[word.len()..];
                }
                None => {
                    literal.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Template { pieces }
    }

    /// Whether every message begins with this.
    #[must_use]
    pub fn begins_with(&self, text: &str) -> bool {
        matches!(self.pieces.first(), Some(Piece::Literal(literal)) if literal.starts_with(text))
    }

    /// Appends a message.
    pub fn render(&self, view: &View<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            // Writing to memory does not fail.
            let _ = match piece {
                Piece::Literal(text) => out.write_all(text.as_bytes()),
                Piece::Keyword(Keyword::Id) => write!(out, "{}", view.id),
                Piece::Keyword(Keyword::Time) => out.write_all(view.stamp.date().as_bytes()),
                Piece::Keyword(Keyword::Tag) => write!(out, "{}", view.stamp.tag),
                Piece::Keyword(Keyword::Channel) => out.write_all(view.channel.as_bytes()),
                Piece::Keyword(Keyword::Text) => out.write_all(view.text),
                Piece::Keyword(Keyword::Size) => write!(out, "{}", view.text.len()),
                Piece::Keyword(Keyword::EventId) => out.write_all(view.event_id.as_bytes()),
                Piece::Keyword(Keyword::EventType) => out.write_all(view.event_type.as_bytes()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_stand_for_what_the_message_says() {
        let view = View {
            id: 7,
            stamp: Stamp { second: 784_111_777, tag: 3 },
            channel: "m_a",
            text: "[\"ä\"]".as_bytes(),
            event_id: "e1",
            event_type: "",
        };
        let table = [
            ("~time~.~channel~.~text~", "Sun, 06 Nov 1994 08:49:37 GMT.m_a.[\"ä\"]"),
            ("{\"id\":~id~,\"tag\":\"~tag~\"}", "{\"id\":7,\"tag\":\"3\"}"),
            ("~size~ ~event-id~|~event-type~|", "6 e1||"),
            ("~~id~~", "~7~"),
            ("~i~ ~ID~ ~", "~i~ 7 ~"),
            ("", ""),
            ("ä~id~ü", "ä7ü"),
        ];
        for (template, text) in table {
            let mut out = Vec::new();
            Template::new(template).render(&view, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text, "{template:?}");
        }
    }
}
