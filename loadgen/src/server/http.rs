//! A few HTTP requests of the leading process: is somebody there, may I have a token.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Time for a connection, and for a whole answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Most headers of an answer.
const HEADERS_MAX: usize = 64;

/// Asks once: status and body.
///
/// # Errors
/// Why there is no answer, in words.
pub fn request(authority: &str, method: &str, path: &str, body: &str) -> Result<(u16, Vec<u8>), String> {
    request_within(WITHIN, authority, method, path, body)
}

fn request_within(
    within: Duration,
    authority: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<(u16, Vec<u8>), String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{authority}: {error}");
    let address = authority.to_socket_addrs().map_err(|error| wrong(&error))?.next();
    let address = address.ok_or_else(|| wrong(&"no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, within).map_err(|error| wrong(&error))?;
    let asked = stream.set_write_timeout(Some(within)).and_then(|()| {
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    });
    asked.map_err(|error| wrong(&error))?;
    let answer = read_all(&mut stream, Instant::now() + within).map_err(|error| wrong(&error))?;
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(&answer) {
        Ok(httparse::Status::Complete(start)) => Ok((response.code.unwrap_or(0), answer[start..].to_vec())),
        _ => Err(wrong(&"the answer is no HTTP")),
    }
}

/// Everything until the other end has ended, which must be by then.
fn read_all(stream: &mut TcpStream, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let (mut answer, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::Error::new(ErrorKind::TimedOut, "no whole answer in time"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(answer),
            Ok(count) if answer.len() + count > ANSWER_BYTES_MAX => {
                return Err(std::io::Error::new(ErrorKind::InvalidData, "an answer beyond reason"));
            }
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            // Looked at again: the time is up, or it was only a signal.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What a server says that answers every connection so, and what the question comes to.
    fn asked(serve: fn(TcpStream), within: Duration) -> Result<(u16, Vec<u8>), String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let authority = listener.local_addr().expect("its address").to_string();
        let server = std::thread::spawn(move || serve(listener.accept().expect("a client").0));
        let answer = request_within(within, &authority, "GET", "/health", "");
        server.join().expect("the server ends when its client hangs up");
        answer.map_err(|error| error.replace(&authority, "HOST"))
    }

    fn read_head(stream: &mut TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let answer = asked(
            |mut stream| {
                read_head(&mut stream);
                stream.write_all(b"HTTP/1.1 201 Created\r\nX: y\r\n\r\nbody").expect("it reads");
            },
            WITHIN,
        );
        assert_eq!(answer, Ok((201, b"body".to_vec())));
    }

    #[test]
    fn what_is_no_answer_is_said() {
        let halfway: fn(TcpStream) = |mut stream| {
            read_head(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nX:").expect("it reads");
        };
        let rubbish: fn(TcpStream) = |mut stream| {
            read_head(&mut stream);
            stream.write_all(&[0xff; 100]).expect("it reads");
        };
        let endless: fn(TcpStream) = |mut stream| {
            read_head(&mut stream);
            while stream.write_all(&[b'x'; 4_096]).is_ok() {}
        };
        // Each read brings something, and still it ends.
        let drips: fn(TcpStream) = |mut stream| {
            read_head(&mut stream);
            while stream.write_all(b"x").is_ok() {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        };
        for (serve, within, expected) in [
            (halfway, WITHIN, "HOST: the answer is no HTTP"),
            (rubbish, WITHIN, "HOST: the answer is no HTTP"),
            (endless, WITHIN, "HOST: an answer beyond reason"),
            (drips, Duration::from_millis(100), "HOST: no whole answer in time"),
        ] {
            assert_eq!(asked(serve, within), Err(expected.to_owned()));
        }
    }
}
