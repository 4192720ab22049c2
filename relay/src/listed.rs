//! What Nginx tells of its channels: the module's answer to `/channels-stats?id=ALL`.

use chatup_core::names::ChannelName;
use serde::Deserialize;

use crate::limits::SUBSCRIBERS_MAX;

/// One channel, as Nginx has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) channel: ChannelName,
    /// Messages that it has ever been posted.
    pub(crate) published: u64,
    pub(crate) subscribers: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    channel: std::borrow::Cow<'a, str>,
    published_messages: u64,
    #[serde(rename = "stored_messages")]
    _stored: u64,
    subscribers: u64,
}

/// The channels of an answer. Each stands in a line of its own, and the module escapes no names: a line that
/// cannot be read is left out, so that nobody's strange name hides the others.
pub(crate) fn read(answer: &[u8]) -> impl Iterator<Item = Listed> {
    answer.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.trim_ascii();
        let line: Line<'_> = serde_json::from_slice(line.strip_suffix(b",").unwrap_or(line)).ok()?;
        let channel = ChannelName::new(&line.channel).ok().filter(can_be_posted_to)?;
        // More than there can be is somebody's name for a channel.
        let subscribers = Some(line.subscribers).filter(|count| *count <= SUBSCRIBERS_MAX)?;
        Some(Listed { channel, published: line.published_messages, subscribers })
    })
}

/// Whether an answer is one, if only of an Nginx without channels.
pub(crate) fn is_answer(answer: &[u8]) -> bool {
    answer.trim_ascii_start().starts_with(b"{") && head_has(answer, b"\"infos\"")
}

fn head_has(answer: &[u8], word: &[u8]) -> bool {
    // At its beginning: host, time, three numbers.
    answer[..answer.len().min(1_024)].windows(word.len()).any(|part| part == word)
}

/// The module takes a number behind `.b` for a wish, in posts too, and what stands behind a question mark away: a
/// channel of such a name gets none.
#[must_use]
pub fn can_be_posted_to(name: &ChannelName) -> bool {
    if name.as_str().contains('?') {
        return false;
    }
    let behind = name.as_str().rsplit_once(".b").map(|(_, behind)| behind);
    !behind.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_cannot_be_read_hide_no_others() {
        let answer = "{\"hostname\": \"vm\", \"time\": \"2026-11-23T09:17:11\", \"channels\": 9, \
            \"wildcard_channels\": 0, \"uptime\": 2, \"infos\": [\r\n\
            {\"channel\": \"m_a\", \"published_messages\": 3, \"stored_messages\": 3, \"subscribers\": 1},\r\n\
            {\"channel\": \"a\"b\", \"published_messages\": 3, \"stored_messages\": 3, \"subscribers\": 1},\r\n\
            {\"channel\": \"a{b\", \"published_messages\": 3, \"stored_messages\": 3, \"subscribers\": 1},\r\n\
            {\"channel\": \"a.b3\", \"published_messages\": 3, \"stored_messages\": 3, \"subscribers\": 1},\r\n\
            {\"channel\": \"f\", \"published_messages\": 3, \"subscribers\": 1},\r\n\
            {\"channel\": \"g\", \"published_messages\": 3, \"stored_messages\": 3, \"subscribers\": 1, \"x\": 1},\r\n\
            {\"channel\": \"h\", \"published_messages\": 3, \"stored_messages\": 3, \"subscribers\": 18446744073709551615},\r\n\
            {\"channel\": \"\\u00e9 1\", \"published_messages\": 0, \"stored_messages\": 0, \"subscribers\": 0}\r\n\
            ]}\r\n";
        assert!(is_answer(answer.as_bytes()));
        let read: Vec<_> = read(answer.as_bytes()).collect();
        let expected = [("m_a", 3, 1), ("é 1", 0, 0)].map(|(name, published, subscribers)| Listed {
            channel: ChannelName::new(name).unwrap(),
            published,
            subscribers,
        });
        assert_eq!(read, expected);
        for other in ["", "<html>404</html>", "{\"channel\": \"a\"}"] {
            assert!(!is_answer(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn names_that_the_module_cuts() {
        for (name, can) in [
            ("a", true),
            ("a.b", true),
            ("a.b1", false),
            ("a.b1x", true),
            ("a.b3.b22", false),
            ("b1", true),
            ("a?b", false),
        ] {
            assert_eq!(can_be_posted_to(&ChannelName::new(name).unwrap()), can, "{name}");
        }
    }
}
