//! The client's side of the wire: requests and masked frames out, the server's bytes in. Written
//! without the crate under test, so that a mistake cannot be on both sides.

/// The request of an upgrade to the native protocol.
pub(crate) const UPGRADE: &str = "GET /chatup/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The same, and may messages be compressed?
pub(crate) fn upgrade_and_deflate() -> String {
    UPGRADE
        .replace("Host: x", "Host: x\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
}

const FINAL: u8 = 0x80;
const DEFLATED: u8 = 0x40;
/// What the compressed form of every message leaves out at its end.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
const CONTINUATION: u8 = 0x0;
/// Opcode of a text frame.
pub(crate) const TEXT: u8 = 0x1;
/// Opcode of a close frame.
pub(crate) const CLOSE: u8 = 0x8;
/// Opcode of a ping.
pub(crate) const PING: u8 = 0x9;
/// Opcode of a pong.
pub(crate) const PONG: u8 = 0xA;

fn put_frame(first: u8, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=65_535 => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Appends a whole frame from a client.
pub(crate) fn frame(opcode: u8, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    put_frame(FINAL | opcode, payload, mask, out);
}

/// Appends a whole text frame from a client, compressed.
pub(crate) fn deflated(text: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let mut compressed = Vec::with_capacity(text.len() + 100);
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    compress.compress_vec(text, &mut compressed, flate2::FlushCompress::Sync).unwrap();
    let compressed = compressed.strip_suffix(&TAIL).expect("a flushed end");
    put_frame(FINAL | DEFLATED | TEXT, compressed, mask, out);
}

/// Appends one fragment of a text message from a client.
pub(crate) fn fragment(first: bool, last: bool, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let opcode = if first { TEXT } else { CONTINUATION };
    put_frame(if last { FINAL | opcode } else { opcode }, payload, mask, out);
}

/// Something whole from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    /// The head of its answer to a request.
    Head(String),
    Text(String),
    Ping,
    Pong(Vec<u8>),
    Close(u16, String),
}

/// Reads what a server sends. Panics at whatever no server may send: a cut or interleaved frame
/// shows up here.
#[derive(Default)]
pub(crate) struct ServerReader {
    bytes: Vec<u8>,
    used: usize,
    upgraded: bool,
    closed: bool,
    /// Compression was agreed on.
    pub(crate) deflates: bool,
    /// Messages that came compressed.
    pub(crate) deflated: usize,
}

impl ServerReader {
    /// Takes what came off the socket.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether it is in the middle of something.
    pub(crate) fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// The next whole thing.
    pub(crate) fn next(&mut self) -> Option<FromServer> {
        let rest = &self.bytes[self.used..];
        assert!(!self.closed || rest.is_empty(), "after its close frame a server sends nothing");
        let (used, found) = if self.upgraded { server_frame(rest, self.deflates)? } else { head(rest)? };
        self.deflated += usize::from(self.upgraded && rest[0] & DEFLATED > 0);
        match &found {
            FromServer::Head(head) => {
                self.upgraded = head.starts_with("HTTP/1.1 101 ");
                self.deflates = head.contains("permessage-deflate");
            }
            FromServer::Close(..) => self.closed = true,
            _ => {}
        }
        self.used += used;
        if self.is_empty() {
            self.bytes.clear();
            self.used = 0;
        }
        Some(found)
    }
}

fn head(bytes: &[u8]) -> Option<(usize, FromServer)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    assert!(head.starts_with("HTTP/1.1 "), "{head}");
    if head.starts_with("HTTP/1.1 101 ") {
        return Some((end, FromServer::Head(head)));
    }
    let length = head.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let end = end + length.parse::<usize>().unwrap();
    let whole = bytes.get(..end)?.to_vec();
    Some((end, FromServer::Head(String::from_utf8(whole).unwrap())))
}

fn server_frame(bytes: &[u8], deflates: bool) -> Option<(usize, FromServer)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let deflated = deflates && first == FINAL | DEFLATED | TEXT;
    let reserved = if deflated { FINAL | DEFLATED } else { FINAL };
    assert_eq!(first & 0xF0, reserved, "final, without reserved bits: {:?}", String::from_utf8_lossy(bytes));
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (start, length) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap());
            (10, usize::try_from(length).unwrap())
        }
        length => (2, usize::from(length)),
    };
    let mut payload = bytes.get(start..start + length)?.to_vec();
    if deflated {
        payload.extend(TAIL);
        let mut inflated = Vec::with_capacity(64 * 1024);
        let mut decompress = flate2::Decompress::new_with_window_bits(false, 12);
        decompress.decompress_vec(&payload, &mut inflated, flate2::FlushDecompress::Sync).unwrap();
        assert_eq!(decompress.total_in(), payload.len() as u64);
        payload = inflated;
    }
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text from the server is UTF-8");
    let found = match first & 0x0F {
        TEXT => FromServer::Text(text(payload)),
        PING => FromServer::Ping,
        PONG => FromServer::Pong(payload),
        CLOSE => {
            let code = u16::from_be_bytes([payload[0], payload[1]]);
            FromServer::Close(code, text(payload[2..].to_vec()))
        }
        opcode => panic!("a server sends no frame of opcode {opcode}"),
    };
    Some((start + length, found))
}
