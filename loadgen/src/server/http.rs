//! A few HTTP requests of the leading process: is somebody there, may I have a token.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Time for a connection, and for each read of an answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// Most headers of an answer.
const HEADERS_MAX: usize = 64;

/// Asks once: status and body.
///
/// # Errors
/// Why there is no answer, in words.
pub fn request(authority: &str, method: &str, path: &str, body: &str) -> Result<(u16, Vec<u8>), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{authority}: {error}");
    let address = authority.to_socket_addrs().map_err(|error| wrong(&error))?.next();
    let address = address.ok_or_else(|| wrong(&"no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, WITHIN).map_err(|error| wrong(&error))?;
    let asked = stream.set_read_timeout(Some(WITHIN)).and_then(|()| {
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    });
    asked.map_err(|error| wrong(&error))?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(|error| wrong(&error))?;
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(&answer) {
        Ok(httparse::Status::Complete(start)) => Ok((response.code.unwrap_or(0), answer[start..].to_vec())),
        _ => Err(wrong(&"the answer is no HTTP")),
    }
}
