//! Standard input and output: orders come in, news go out, a line each.

use std::io::{self, Write};

use rustix::io::read;
use rustix::stdio::stdin;

use crate::control::{News, Order};

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// Orders, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Orders {
    bytes: Vec<u8>,
}

impl Orders {
    /// Reads what there is (or waits for something) and takes the whole lines of it.
    ///
    /// # Errors
    /// `UnexpectedEof` when the leading process is gone.
    pub(super) fn read(&mut self) -> io::Result<Vec<Order>> {
        let start = self.bytes.len();
        self.bytes.resize(start + READ_BYTES, 0);
        let count = read(stdin(), &mut self.bytes[start..])?;
        self.bytes.truncate(start + count);
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(end) = self.bytes.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
        let orders = self.bytes[..end]
            .split(|byte| *byte == b'\n')
            .map(|line| serde_json::from_slice(line).map_err(io::Error::other))
            .collect();
        self.bytes.drain(..=end);
        orders
    }
}

/// Tells the leading process. If it is gone, standard input has ended too, which ends us.
pub(super) fn say(news: &News) {
    let mut line = serde_json::to_vec(news).unwrap_or_default();
    line.push(b'\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}
