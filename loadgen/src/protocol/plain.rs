//! Any server that sends each text frame to all other connections of the same path: the path is the
//! channel, the frame is the text.

use super::{Heard, Session};
use crate::websocket::Masks;

/// Nothing to remember.
pub(super) struct Plain;

impl Session for Plain {
    fn begin(&mut self, _: &mut Masks, _: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        heard(Heard::Ready { next: None, recovered: None });
    }

    fn text(&mut self, text: &[u8], _: &mut Masks, _: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        heard(Heard::Text(text, None));
    }

    fn publish(&mut self, text: &[u8], _: u64, masks: &mut Masks, out: &mut Vec<u8>) {
        masks.text(text, out);
    }
}
