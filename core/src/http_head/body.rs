//! A request's body: of a length that it says, or in chunks (RFC 9112, sections 6 and 7). Whatever could be
//! read in two ways is refused: what one server takes for a body is another's next request.

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Request, Version};

use crate::limits::{CHUNK_LINE_BYTES_MAX, CHUNK_OVERHEAD_BYTES_MAX};
use crate::refusal::Refusal;

/// A body, and its end.
pub(super) type Body<'a> = (Cow<'a, [u8]>, usize);

/// How a body's end is found.
pub(super) enum Length {
    /// There is none.
    Nothing,
    /// By the number of its bytes.
    Bytes(usize),
    /// By its chunks.
    Chunks,
}

impl Length {
    /// What the head says.
    ///
    /// # Errors
    /// It says what cannot be, or two things.
    pub(super) fn of(request: &Request<()>) -> Result<Length, Refusal> {
        let mut lengths = request.headers().get_all(CONTENT_LENGTH).iter();
        let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
        match (lengths.next(), codings.next()) {
            (None, None) => Ok(Length::Nothing),
            (Some(length), None) if lengths.next().is_none() => {
                number(length).map(Length::Bytes).ok_or(Refusal::BadRequest)
            }
            (None, Some(coding))
                if codings.next().is_none()
                    && request.version() == Version::HTTP_11
                    && coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
            {
                Ok(Length::Chunks)
            }
            _ => Err(Refusal::BadRequest),
        }
    }

    /// The body, once it is whole, and its end. `bytes` begin behind the head.
    ///
    /// # Errors
    /// It is too large, or its chunks are none.
    pub(super) fn body<'a>(&self, bytes: &'a [u8], bytes_max: usize) -> Result<Option<Body<'a>>, Refusal> {
        match self {
            Length::Nothing => Ok(Some((Cow::Borrowed(b""), 0))),
            Length::Bytes(length) if *length > bytes_max => Err(Refusal::BodyTooLarge),
            Length::Bytes(length) => Ok(bytes.get(..*length).map(|body| (Cow::Borrowed(body), *length))),
            Length::Chunks => {
                // It is copied once, when it is whole: until then it may be looked at many times.
                let Some(end) = chunks(bytes, bytes_max, |_| ())? else { return Ok(None) };
                let mut body = Vec::new();
                chunks(&bytes[..end], bytes_max, |chunk| body.extend_from_slice(chunk))?;
                Ok(Some((Cow::Owned(body), end)))
            }
        }
    }
}

fn number(value: &HeaderValue) -> Option<usize> {
    let text = value.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Hands out chunk by chunk; the end of them all, once it has come.
fn chunks(bytes: &[u8], bytes_max: usize, mut each: impl FnMut(&[u8])) -> Result<Option<usize>, Refusal> {
    let (mut at, mut length) = (0, 0);
    loop {
        let Some(line) = line(&bytes[at..])? else { return enough(at - length) };
        at += line.len() + 2;
        let size = size(line).ok_or(Refusal::BadRequest)?;
        if size > bytes_max - length {
            return Err(Refusal::BodyTooLarge);
        }
        if size == 0 {
            break;
        }
        let rest = &bytes[at..];
        each(&rest[..size.min(rest.len())]);
        let behind = &rest[size.min(rest.len())..];
        if !b"\r\n".starts_with(&behind[..behind.len().min(2)]) {
            return Err(Refusal::BadRequest);
        }
        length += size;
        at += size + 2;
        if behind.len() < 2 {
            return enough(at - length);
        }
        enough(at - length)?;
    }
    // What is said behind them is read over, if it is headers: a next request is none.
    loop {
        let Some(line) = line(&bytes[at..])? else { return enough(at - length) };
        at += line.len() + 2;
        enough(at - length)?;
        if line.is_empty() {
            return Ok(Some(at));
        }
        let name = line.split(|byte| *byte == b':').next().filter(|name| name.len() < line.len());
        if name.is_none_or(|name| HeaderName::from_bytes(name).is_err()) {
            return Err(Refusal::BadRequest);
        }
    }
}

/// Nothing yet, unless there is too much around what is said.
fn enough(overhead: usize) -> Result<Option<usize>, Refusal> {
    if overhead > CHUNK_OVERHEAD_BYTES_MAX { Err(Refusal::BodyTooLarge) } else { Ok(None) }
}

/// A line without its end, once that has come.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    let bytes = &bytes[..bytes.len().min(CHUNK_LINE_BYTES_MAX)];
    let whole = memchr::memchr(b'\n', bytes);
    let line = match whole {
        Some(end) => bytes[..end].strip_suffix(b"\r").ok_or(Refusal::BadRequest)?,
        None if bytes.len() == CHUNK_LINE_BYTES_MAX => return Err(Refusal::BadRequest),
        None => bytes.strip_suffix(b"\r").unwrap_or(bytes),
    };
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Refusal::BadRequest);
    }
    Ok(whole.map(|_| line))
}

/// A chunk's size: what stands behind it means nothing here.
fn size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|byte| *byte == b';').next()?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_read_in_one_way_only() {
        let read = |text: &str| match Length::Chunks.body(text.as_bytes(), 20) {
            Err(refusal) => refusal.code().to_owned(),
            Ok(None) => "more".to_owned(),
            Ok(Some((body, end))) => format!("{}|{}", String::from_utf8_lossy(&body), text.len() - end),
        };
        let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "y".repeat(CHUNK_LINE_BYTES_MAX));
        let many = "1;yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\nx\r\n".repeat(19);
        let trailers =
            format!("0\r\n{}", "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(200));
        let table = [
            ("5\r\nhello\r\n0\r\n\r\n", "hello|0"),
            ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET /", "hello world|5"),
            ("0\r\n\r\n", "|0"),
            ("000A\r\n0123456789\r\n0\r\n\r\n", "0123456789|0"),
            ("a;name=value\r\n0123456789\r\n0;x\r\nTrailer: y\r\n\r\n", "0123456789|0"),
            ("", "more"),
            ("5", "more"),
            ("5\r", "more"),
            ("5\r\nhel", "more"),
            ("5\r\nhello\r", "more"),
            ("5\r\nhello\r\n0\r\n", "more"),
            ("5\r\nhello\r\n0\r\n\r", "more"),
            (&many, "more"),
            ("15\r\n", "body_too_large"),
            ("14\r\n01234567890123456789\r\n1\r\n", "body_too_large"),
            ("fffffffffffffff\r\n", "body_too_large"),
            (&trailers, "body_too_large"),
            ("0\r\nGET /pub HTTP/1.1\r\nHost: x\r\n\r\n", "bad_request"),
            ("0\r\nX : y\r\n\r\n", "bad_request"),
            ("0\r\n X: y\r\n\r\n", "bad_request"),
            ("0\r\n: y\r\n\r\n", "bad_request"),
            ("ffffffffffffffffffff\r\n", "bad_request"),
            ("5\nhello\r\n", "bad_request"),
            ("5\r\nhello\n0\r\n", "bad_request"),
            ("5\r\nhellooo", "bad_request"),
            ("\r\n", "bad_request"),
            ("x\r\n", "bad_request"),
            ("-1\r\n", "bad_request"),
            ("+5\r\nhello\r\n", "bad_request"),
            ("0x5\r\nhello\r\n", "bad_request"),
            (" 5\r\nhello\r\n", "bad_request"),
            ("5 \r\nhello\r\n", "bad_request"),
            ("5;a\rb\r\nhello\r\n", "bad_request"),
            ("5;a\0b\r\nhello\r\n", "bad_request"),
            (&long, "bad_request"),
        ];
        for (text, expected) in table {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }
}
