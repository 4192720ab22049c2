//! An answer without end. Nothing parts its messages, and a proxy may cut it anywhere: stamps are found across
//! cuts, and a text is heard when the whole of it has come.

use memchr::memmem;

use super::{Framing, Heard, Part, Session, behind};
use crate::http;
use crate::stamp::{MARK, STAMP_BYTES, Stamp};
use crate::websocket::Masks;

/// A subscription.
pub(super) struct Stream {
    target: String,
    finder: Finder,
}

impl Stream {
    pub(super) fn new(part: &Part) -> Stream {
        Stream {
            target: super::Mode::Streaming.path(&part.channel),
            finder: Finder { text_bytes: part.size_bytes.max(STAMP_BYTES), ..Finder::default() },
        }
    }
}

impl Session for Stream {
    fn framing(&self) -> Framing {
        Framing::Chunks
    }

    fn request(&mut self, host: &str, out: &mut Vec<u8>, _: &mut dyn FnMut(Heard<'_>)) {
        self.finder.stamp_bytes = 0;
        http::ask(host, &self.target, "", out);
    }

    fn begin(&mut self, _: &mut Masks, _: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        heard(Heard::Ready { next: None, recovered: None });
    }

    fn text(&mut self, text: &[u8], _: &mut Masks, _: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        self.finder.feed(text, heard);
    }

    fn between_texts(&self) -> bool {
        self.finder.stamp_bytes == 0
    }
}

/// Finds texts in a stream, wherever it is cut.
struct Finder {
    /// Length of a text.
    text_bytes: usize,
    /// The beginning of a stamp, and so many bytes of it.
    stamp: [u8; STAMP_BYTES],
    stamp_bytes: usize,
    /// What is still to come of the text behind the whole of it.
    rest_bytes: usize,
}

impl Default for Finder {
    fn default() -> Finder {
        Finder { text_bytes: STAMP_BYTES, stamp: [0; STAMP_BYTES], stamp_bytes: 0, rest_bytes: 0 }
    }
}

impl Finder {
    fn feed(&mut self, bytes: &[u8], heard: &mut dyn FnMut(Heard<'_>)) {
        let mut bytes = self.go_on(bytes, heard);
        while let Some(at) = memmem::find(bytes, MARK) {
            if bytes.len() - at < self.text_bytes {
                // The text is cut. What stands before it has been looked through.
                let rest = self.begin(&bytes[at..], heard);
                if rest.is_empty() {
                    return;
                }
                bytes = rest;
                continue;
            }
            bytes = behind(&bytes[at..], heard);
        }
        // A mark may be cut, too.
        let last = (1..MARK.len()).rev().find(|length| bytes.ends_with(&MARK[..*length])).unwrap_or(0);
        if last > 0 {
            self.begin(&bytes[bytes.len() - last..], heard);
        }
    }

    /// Bytes that begin with a mark, or the beginning of one, and hold no whole text. What is left of them.
    fn begin<'a>(&mut self, bytes: &'a [u8], heard: &mut dyn FnMut(Heard<'_>)) -> &'a [u8] {
        self.stamp_bytes = 0;
        let first = bytes.len().min(MARK.len());
        self.stamp[..first].copy_from_slice(&bytes[..first]);
        self.stamp_bytes = first;
        self.go_on(&bytes[first..], heard)
    }

    /// Goes on with what has begun. What is left of the bytes, when nothing has begun any more.
    fn go_on<'a>(&mut self, mut bytes: &'a [u8], heard: &mut dyn FnMut(Heard<'_>)) -> &'a [u8] {
        while (1..MARK.len()).contains(&self.stamp_bytes) {
            let Some((byte, rest)) = bytes.split_first() else { return bytes };
            if *byte != MARK[self.stamp_bytes] {
                self.stamp_bytes = 0;
                return bytes;
            }
            self.stamp[self.stamp_bytes] = *byte;
            self.stamp_bytes += 1;
            bytes = rest;
        }
        if (MARK.len()..STAMP_BYTES).contains(&self.stamp_bytes) {
            let taken = bytes.len().min(STAMP_BYTES - self.stamp_bytes);
            self.stamp[self.stamp_bytes..self.stamp_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.stamp_bytes += taken;
            bytes = &bytes[taken..];
            if self.stamp_bytes == STAMP_BYTES {
                self.rest_bytes = self.text_bytes - STAMP_BYTES;
                if Stamp::read(&self.stamp).is_none() {
                    // No stamp after all, but one may begin in it.
                    let other = self.stamp;
                    self.stamp_bytes = 0;
                    self.feed(&other[MARK.len()..], heard);
                    return if self.stamp_bytes == 0 { bytes } else { self.go_on(bytes, heard) };
                }
            }
        }
        if self.stamp_bytes == STAMP_BYTES {
            let taken = bytes.len().min(self.rest_bytes);
            self.rest_bytes -= taken;
            bytes = &bytes[taken..];
            if self.rest_bytes == 0 {
                heard(Heard::Text(&self.stamp, None));
                self.stamp_bytes = 0;
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{heard_in, list, part, text};
    use super::*;

    /// What is heard of a stream that is cut at each place, at each two places a stretch apart, and
    /// everywhere.
    fn check(stream: &str, size: usize, expected: &[&str]) {
        let bytes = stream.as_bytes();
        let heard = |pieces: &[&[u8]]| {
            let mut session = Stream::new(&part(false, size));
            let heard = heard_in(&mut session, pieces);
            (heard, session.between_texts())
        };
        let (whole, between) = heard(&[bytes]);
        assert_eq!(whole, expected, "{stream}");
        for cut in 0..=bytes.len() {
            for stretch in [0, 1, 2, 5, 43, 44, 45] {
                let end = (cut + stretch).min(bytes.len());
                let seen = heard(&[&bytes[..cut], &bytes[cut..end], &bytes[end..]]);
                assert_eq!(seen, (whole.clone(), between), "{stream} cut at {cut} and {end}");
            }
        }
        for length in [1, 2, 3, 7, 50] {
            let pieces: Vec<&[u8]> = bytes.chunks(length).collect();
            assert_eq!(heard(&pieces), (whole.clone(), between), "{stream} in pieces of {length}");
        }
    }

    #[test]
    fn texts_are_heard_wherever_the_stream_is_cut() {
        for size in [STAMP_BYTES, 64, 120] {
            let texts: Vec<String> = (0..4).map(|number| text(number, size)).collect();
            let stream = format!("{}{}{}", list(&texts[..1]), list(&texts[1..3]), list(&texts[3..]));
            check(&stream, size, &["0", "1", "2", "3"]);
            check(&format!("~~l~{stream}~lg"), size, &["0", "1", "2", "3"]);
            check(&format!("{}{}", texts[0], texts[1]), size, &["0", "1"]);
        }
        // A mark that is none hides nothing behind it.
        check(&format!("~lg~lg{}~lg~l{}", text(0, 64), text(1, 64)), 64, &["0", "1"]);
    }

    #[test]
    fn a_text_is_heard_when_the_whole_of_it_has_come() {
        let text = text(0, 100);
        let mut session = Stream::new(&part(false, 100));
        assert_eq!(heard_in(&mut session, &[&text.as_bytes()[..99]]), [""; 0]);
        assert!(!session.between_texts());
        assert_eq!(heard_in(&mut session, &[b"x"]), ["0"]);
        assert!(session.between_texts());
    }
}
