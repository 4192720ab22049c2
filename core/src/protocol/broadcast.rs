//! A message as it goes out to all subscribers of its channel, and what it was made of.

use crate::message::Publication;
use crate::websocket;

/// The prebuilt frame of one message: its length in bytes, known before it is written.
pub struct BroadcastFrame<'a> {
    head: String,
    payload: &'a [u8],
}

const BROADCAST_CHANNEL: &[u8] = br#"{"channel":"#;
const BROADCAST_OFFSET: &[u8] = br#","offset":"#;
const BROADCAST_TAIL: &[u8] = b"]}";
const BROADCAST_MESSAGES: &[u8] = br#""messages":["#;

/// The name of the channel in a whole frame of [`BroadcastFrame`], as JSON.
#[must_use]
pub fn channel_of(frame: &[u8]) -> &[u8] {
    let text = websocket::payload_of(frame);
    let end = memchr::memmem::find(text, BROADCAST_OFFSET).unwrap_or(0);
    text.get(BROADCAST_CHANNEL.len()..end).unwrap_or_default()
}

/// The message in a whole frame of [`BroadcastFrame`].
#[must_use]
pub fn message_of(frame: &[u8]) -> &[u8] {
    let text = websocket::payload_of(frame);
    // The name before it holds no quotation mark that is not escaped.
    let start = memchr::memmem::find(text, BROADCAST_MESSAGES).map(|at| at + BROADCAST_MESSAGES.len());
    let message = start.and_then(|start| text.get(start..)).unwrap_or_default();
    message.strip_suffix(BROADCAST_TAIL).unwrap_or_default()
}

impl<'a> BroadcastFrame<'a> {
    /// Of this message.
    #[must_use]
    pub fn new(publication: &'a Publication) -> BroadcastFrame<'a> {
        let name = serde_json::to_string(publication.channel.as_str()).unwrap_or_default();
        let head = format!(r#"{{"channel":{name},"offset":{},"messages":["#, publication.offset.0);
        BroadcastFrame { head, payload: &publication.payload }
    }

    fn text_bytes(&self) -> usize {
        self.head.len() + self.payload.len() + BROADCAST_TAIL.len()
    }

    /// Bytes of the whole frame.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a frame has a header: it is never empty")]
    pub fn len(&self) -> usize {
        websocket::text_header_bytes(self.text_bytes()) + self.text_bytes()
    }

    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        websocket::text_header(self.text_bytes(), out);
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(self.payload);
        out.extend_from_slice(BROADCAST_TAIL);
    }
}
