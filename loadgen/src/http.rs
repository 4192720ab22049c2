//! The client's side of HTTP/1.1, without a socket: an answer without end, chunk by chunk, and whole answers
//! that follow one another on a connection that is kept.

use crate::limits::{CHUNK_SIZE_LINE_BYTES_MAX, FRAME_BYTES_MAX};
use crate::websocket::HEAD_BYTES_MAX;

/// Most headers of an answer.
const HEADERS_MAX: usize = 64;

/// What is read of an answer's head.
#[derive(Clone, Copy, Debug, Default)]
struct Head<'a> {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    hangs_up: bool,
    modified: &'a [u8],
    tag: &'a [u8],
    explain: &'a [u8],
}

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// `Last-Modified`; empty if there is none.
    pub modified: &'a [u8],
    /// `Etag`; empty if there is none.
    pub tag: &'a [u8],
    /// Why not, in PushStream's own header; empty if there is none.
    pub explain: &'a [u8],
    /// The connection ends with it.
    pub hangs_up: bool,
    body: &'a [u8],
    chunked: bool,
}

impl<'a> Answer<'a> {
    /// Its body: as it is, or put together in `joined` where it came in chunks.
    #[must_use]
    pub fn body<'b>(&self, joined: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        if !self.chunked {
            return self.body;
        }
        joined.clear();
        let mut rest = self.body;
        while let Ok(Some((data, length))) = chunk(rest) {
            joined.extend_from_slice(data);
            rest = &rest[length..];
        }
        joined
    }

    /// Its status and its reason, for people.
    #[must_use]
    pub fn refusal(&self) -> String {
        refusal(self.status, self.explain)
    }
}

fn refusal(status: u16, explain: &[u8]) -> String {
    match explain {
        [] => format!("HTTP status {status}"),
        explain => format!("HTTP status {status}: {}", String::from_utf8_lossy(explain)),
    }
}

/// Adds a question: `target`, and further header lines, each with its end.
pub fn ask(host: &str, target: &str, headers: &str, out: &mut Vec<u8>) {
    for part in ["GET ", target, " HTTP/1.1\r\nHost: ", host, "\r\n", headers, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Reads the head of an answer without end: its length in bytes, or nothing if it is not all there.
///
/// # Errors
/// Why it is no yes, in words.
pub fn stream_head(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some((head, length)) = head(bytes)? else { return Ok(None) };
    if head.status != 200 {
        return Err(refusal(head.status, head.explain));
    }
    if !head.chunked {
        return Err("a stream that does not come in chunks".to_owned());
    }
    Ok(Some(length))
}

/// Reads the first chunk: its data (none at the end of all) and its length in bytes, or nothing if it is not
/// all there.
///
/// # Errors
/// What is wrong with it, in words.
pub fn chunk(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, &'static str> {
    const WRONG: &str = "a chunk of no size";
    let line = &bytes[..bytes.len().min(CHUNK_SIZE_LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', line) else {
        return if line.len() < CHUNK_SIZE_LINE_BYTES_MAX { Ok(None) } else { Err(WRONG) };
    };
    let digits = line[..end].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    // What may stand behind the size is an extension, which nobody needs to know (RFC 9112, 7.1.1).
    if digits == 0 || !matches!(line[digits], b'\r' | b'\n' | b';' | b' ' | b'\t') {
        return Err(WRONG);
    }
    let mut size = 0;
    for digit in &line[..digits] {
        size = size * 16 + char::from(*digit).to_digit(16).map_or(0, |digit| digit as usize);
        if size > FRAME_BYTES_MAX {
            return Err("a chunk beyond reason");
        }
    }
    let (start, length) = (end + 1, end + 1 + size + 2);
    match bytes.get(start + size..length) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some((&bytes[start..start + size], length))),
        Some(_) => Err("a chunk that does not end where it should"),
    }
}

/// Reads the first answer: it and its length in bytes, or nothing if it is not all there.
///
/// # Errors
/// What is wrong with it, in words.
pub fn answer(bytes: &[u8]) -> Result<Option<(Answer<'_>, usize)>, String> {
    let Some((head, start)) = head(bytes)? else { return Ok(None) };
    let Head { status, modified, tag, explain, hangs_up, chunked, .. } = head;
    let length = match head {
        // These have none, whatever their headers say (RFC 9112, 6.3).
        Head { status: 204 | 304, .. } => Some(0),
        Head { chunked: true, .. } => chunks(&bytes[start..])?,
        Head { length: Some(length), .. } if length <= FRAME_BYTES_MAX => Some(length),
        Head { length: Some(_), .. } => return Err("an answer beyond reason".to_owned()),
        _ => return Err("an answer without a length".to_owned()),
    };
    let body = length.and_then(|length| bytes.get(start..start + length));
    Ok(body.map(|body| {
        let chunked = chunked && !body.is_empty();
        (Answer { status, modified, tag, explain, hangs_up, body, chunked }, start + body.len())
    }))
}

/// The length of all chunks to the last, in bytes, if they are all there.
fn chunks(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut at = 0;
    while let Some((data, length)) = chunk(&bytes[at..])? {
        at += length;
        if data.is_empty() {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn head(bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes).map_err(|_| "the answer is no HTTP".to_owned())? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() > HEAD_BYTES_MAX => return Err("an endless head".to_owned()),
        httparse::Status::Partial => return Ok(None),
    };
    let mut head = Head { status: response.code.unwrap_or(0), ..Head::default() };
    // Before 1.1 a connection was for one answer.
    head.hangs_up = response.version == Some(0);
    for httparse::Header { name, value } in response.headers.iter() {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            4 if is("Etag") => head.tag = value,
            10 if is("Connection") => head.hangs_up = !value.eq_ignore_ascii_case(b"keep-alive"),
            13 if is("Last-Modified") => head.modified = value,
            14 if is("Content-Length") => {
                let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
                head.length = Some(length.ok_or("an answer of no length")?);
            }
            17 if is("Transfer-Encoding") => head.chunked = value.eq_ignore_ascii_case(b"chunked"),
            26 if is("X-Nginx-PushStream-Explain") => head.explain = value,
            _ => {}
        }
    }
    Ok(Some((head, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_read_whole_or_not_at_all() {
        type Expected = Result<Option<(&'static str, usize)>, &'static str>;
        let long = format!("10000\r\n{}\r\n", "x".repeat(65_536));
        let table: [(&str, Expected); 14] = [
            ("5\r\nhello\r\n", Ok(Some(("hello", 10)))),
            ("5\r\nhello\r\n5\r\n", Ok(Some(("hello", 10)))),
            ("005;name=\"x\"\r\nhello\r\n", Ok(Some(("hello", 21)))),
            ("5 \r\nhello\r\n", Ok(Some(("hello", 11)))),
            ("5\nhello\r\n", Ok(Some(("hello", 9)))),
            ("A\r\n0123456789\r\n", Ok(Some(("0123456789", 15)))),
            ("a\r\n\r\n345678\r\n\r\n", Ok(Some(("\r\n345678\r\n", 15)))),
            ("0\r\n\r\n", Ok(Some(("", 5)))),
            ("5\r\nhelloo\r\n", Err("a chunk that does not end where it should")),
            ("\r\nhello\r\n", Err("a chunk of no size")),
            ("x\r\nhello\r\n", Err("a chunk of no size")),
            ("-5\r\nhello\r\n", Err("a chunk of no size")),
            ("fffffffffffffffff\r\n", Err("a chunk beyond reason")),
            ("1000001\r\n", Err("a chunk beyond reason")),
        ];
        for (text, expected) in table {
            let expected = expected.map(|found| found.map(|(data, length)| (data.as_bytes(), length)));
            assert_eq!(chunk(text.as_bytes()), expected, "{text:?}");
            let Ok(Some((_, length))) = expected else { continue };
            for cut in 0..length {
                assert_eq!(chunk(&text.as_bytes()[..cut]), Ok(None), "{text:?} cut at {cut}");
            }
        }
        assert_eq!(chunk(long.as_bytes()).map(|found| found.map(|(_, length)| length)), Ok(Some(long.len())));
        assert_eq!(chunk(&[b'1'; CHUNK_SIZE_LINE_BYTES_MAX]), Err("a chunk of no size"));
    }

    /// Status, `Last-Modified`, `Etag`, body, and whether it hangs up.
    type Read = (u16, &'static str, &'static str, &'static str, bool);

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let table: [(&str, Read); 8] = [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLast-Modified: Mon\r\nEtag: W/7\r\n\r\nhello",
                (200, "Mon", "W/7", "hello", false),
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: 7\r\n\r\n", (200, "", "7", "", false)),
            ("HTTP/1.1 304 No\r\nContent-Length: 5\r\nEtag: W/0\r\n\r\n", (304, "", "W/0", "", false)),
            ("HTTP/1.1 304 No\r\nConnection: keep-alive\r\n\r\n", (304, "", "", "", false)),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
                (200, "", "", "hi", true),
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", (200, "", "", "hi", true)),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
                (200, "", "", "hello", false),
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (200, "", "", "", false)),
        ];
        for (text, expected) in table {
            let followed = format!("{text}HTTP/1.1 200");
            for bytes in [text, &followed] {
                let (found, length) = answer(bytes.as_bytes()).expect("sound").expect("whole");
                let mut joined = b"left over".to_vec();
                let body = found.body(&mut joined).to_vec();
                let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let seen = (shown(found.modified), shown(found.tag), shown(&body));
                let (status, modified, tag, body, hangs_up) = expected;
                assert_eq!(
                    (found.status, found.hangs_up, length),
                    (status, hangs_up, text.len()),
                    "{text:?}"
                );
                assert_eq!(seen, (modified.to_owned(), tag.to_owned(), body.to_owned()), "{text:?}");
            }
            for cut in 0..text.len() {
                assert_eq!(answer(&text.as_bytes()[..cut]), Ok(None), "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for (text, why) in [
            ("SSH-2.0\r\n\r\n", "the answer is no HTTP"),
            ("HTTP/1.1 200 OK\r\n\r\n", "an answer without a length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "an answer of no length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "an answer beyond reason"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "a chunk of no size"),
        ] {
            assert_eq!(answer(text.as_bytes()), Err(why.to_owned()), "{text:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(answer(endless.as_bytes()), Err("an endless head".to_owned()));
        assert_eq!(stream_head(endless.as_bytes()), Err("an endless head".to_owned()));
    }

    #[test]
    fn a_stream_comes_in_chunks() {
        let yes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        assert_eq!(stream_head(format!("{yes}5\r\nhello\r\n").as_bytes()), Ok(Some(yes.len())));
        for cut in 0..yes.len() {
            assert_eq!(stream_head(&yes.as_bytes()[..cut]), Ok(None), "cut at {cut}");
        }
        for (text, why) in [
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404"),
            (
                "HTTP/1.1 403 Forbidden\r\nX-Nginx-PushStream-Explain: Not you.\r\n\r\n",
                "HTTP status 403: Not you.",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "a stream that does not come in chunks"),
        ] {
            assert_eq!(stream_head(text.as_bytes()), Err(why.to_owned()), "{text:?}");
        }
    }
}
