//! Socket.IO 4 (protocol 5 over engine.io 4, WebSocket only), as the server in bench/peers/socketio
//! understands it: `join` with an acknowledgement, `say` with channel and text, `msg` with the text.

use super::{Heard, Part, Session};
use crate::stamp::MARK;
use crate::websocket::Masks;

/// The acknowledgement that `join` asks for.
const JOIN_ACK: &str = "1";

/// Where the conversation is needs no memory: each packet says what comes next.
pub(super) struct SocketIo {
    join: String,
    say: String,
    subscribes: bool,
}

impl SocketIo {
    pub(super) fn new(part: &Part) -> SocketIo {
        let channel = serde_json::Value::from(&*part.channel);
        SocketIo {
            join: format!("42{JOIN_ACK}[\"join\",{channel}]"),
            say: format!("42[\"say\",{channel},\""),
            subscribes: part.subscribes,
        }
    }
}

impl Session for SocketIo {
    fn begin(&mut self, _: &mut Masks, _: &mut Vec<u8>, _: &mut dyn FnMut(Heard<'_>)) {
        // The server speaks first.
    }

    fn text(&mut self, text: &[u8], masks: &mut Masks, out: &mut Vec<u8>, heard: &mut dyn FnMut(Heard<'_>)) {
        match text {
            [b'4', b'2', rest @ ..] if rest.starts_with(b"[\"msg\",\"") => {
                if let Some(at) = memchr::memmem::find(rest, MARK) {
                    heard(Heard::Text(&rest[at..], None));
                }
            }
            [b'2', rest @ ..] => masks.text(&[b"3", rest].concat(), out),
            [b'0', ..] => masks.text(b"40", out),
            [b'4', b'0', ..] if self.subscribes => masks.text(self.join.as_bytes(), out),
            [b'4', b'0', ..] | [b'4', b'3', b'1', b'[', ..] => {
                heard(Heard::Ready { next: None, recovered: None });
            }
            [b'4', b'4', rest @ ..] => {
                heard(Heard::Failed(format!("Socket.IO refused: {}", String::from_utf8_lossy(rest))));
            }
            _ => {}
        }
    }

    fn publish(&mut self, text: &[u8], _: u64, masks: &mut Masks, out: &mut Vec<u8>) {
        masks.text(&[self.say.as_bytes(), text, b"\"]"].concat(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Kind;

    #[test]
    fn packets_and_what_follows() {
        let subscriber = Part {
            channel: "c0".into(),
            subscribes: true,
            publishes: None,
            resumes: false,
            stays: true,
            size_bytes: 64,
        };
        let publisher = Part { subscribes: false, publishes: Some(None), ..subscriber.clone() };
        for (part, packet, said, heard) in [
            (&subscriber, r#"0{"sid":"x"}"#, "40", None),
            (&subscriber, r#"40{"sid":"x"}"#, r#"421["join","c0"]"#, None),
            (&subscriber, r#"431[]"#, "", Some("ready")),
            (&publisher, r#"40{"sid":"x"}"#, "", Some("ready")),
            (&subscriber, "2", "3", None),
            (&subscriber, "2probe", "3probe", None),
            (&subscriber, r#"42["msg","~lg1"]"#, "", Some("~lg1\"]")),
            (&subscriber, r#"42["other","~lg1"]"#, "", None),
            (&subscriber, r#"44{"message":"no"}"#, "", Some("failed")),
        ] {
            let mut session = Kind::SocketIo.session(part);
            let (mut out, mut seen) = (Vec::new(), None);
            session.text(packet.as_bytes(), &mut Masks::new(1), &mut out, &mut |event| {
                seen = Some(match event {
                    Heard::Ready { .. } => "ready".to_owned(),
                    Heard::Text(text, None) => String::from_utf8_lossy(text).into_owned(),
                    Heard::Failed(_) => "failed".to_owned(),
                    other => format!("{other:?}"),
                });
            });
            assert_eq!(seen.as_deref(), heard, "{packet}");
            let mut expected = Vec::new();
            if !said.is_empty() {
                Masks::new(1).text(said.as_bytes(), &mut expected);
            }
            assert_eq!(out, expected, "{packet}");
        }
    }
}
