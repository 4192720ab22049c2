//! Messages as bytes on the wire, by the mode of their location.

use std::io::Write;

use crate::websocket;

use super::{Location, Mode, Template, View};

/// How a stream without end is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By WebSocket frames.
    WebSocket,
    /// In HTTP's chunks.
    Chunks,
    /// Not at all: by the end of the connection (HTTP 1.0).
    None,
}

/// Begins a line of a message of an event source.
const DATA: &str = "data: ";
/// Ends a message of an event source.
const END_OF_EVENT: &[u8] = b"\n";

/// Appends a message.
pub fn message(location: &Location, framing: Framing, view: &View<'_>, out: &mut Vec<u8>) {
    let Location { mode, template, .. } = location;
    let mut text = Vec::new();
    let before = match mode {
        Mode::EventSource => event(template, view, &mut text),
        _ => {
            template.render(view, &mut text);
            0
        }
    };
    if let Some(padding) = &location.padding {
        padding.pad_message(*mode, text.len() - before, &mut text);
    }
    frame(framing, &text, out);
}

/// Each line by itself, behind its id and kind where it has them; how many bytes those are.
fn event(template: &Template, view: &View<'_>, out: &mut Vec<u8>) -> usize {
    // Writing to memory does not fail.
    if !view.event_id.is_empty() {
        let _ = writeln!(out, "id: {}", view.event_id);
    }
    if !view.event_type.is_empty() {
        let _ = writeln!(out, "event: {}", view.event_type);
    }
    let before = out.len();
    // A template that is a field already stays as it is.
    let whole = template.begins_with(DATA);
    for line in view.text.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty()) {
        if whole {
            template.render(&View { text: line, ..*view }, out);
            continue;
        }
        out.extend_from_slice(DATA.as_bytes());
        template.render(&View { text: line, ..*view }, out);
        out.push(b'\n');
    }
    out.extend_from_slice(END_OF_EVENT);
    before
}

/// Appends what an event source or a stream is sent so that it stays open.
pub fn ping(location: &Location, framing: Framing, view: &View<'_>, out: &mut Vec<u8>) {
    match location.mode {
        Mode::EventSource => frame(framing, b": -1\n", out),
        Mode::WebSocket => out.extend_from_slice(&websocket::PING_FRAME),
        _ => message(location, framing, view, out),
    }
}

/// Appends what comes at once, before any message.
pub fn beginning(location: &Location, framing: Framing, out: &mut Vec<u8>) {
    let header = location.header.as_str();
    let mut text = match location.mode {
        Mode::EventSource if header.is_empty() => b": \n".to_vec(),
        Mode::EventSource => comment(header),
        _ if header.is_empty() => return,
        _ => header.as_bytes().to_vec(),
    };
    if let Some(padding) = &location.padding {
        padding.pad_header(location.mode, text.len(), &mut text);
    }
    frame(framing, &text, out);
}

/// Lines that an event source reads over. Text that is a comment stays as it is.
fn comment(text: &str) -> Vec<u8> {
    if text.starts_with(": ") {
        return text.into();
    }
    text.lines().map(|line| format!(": {line}\n")).collect::<String>().into()
}

/// Appends what stands behind the last message.
pub fn footer(mode: Mode, framing: Framing, footer: &str, out: &mut Vec<u8>) {
    match mode {
        _ if footer.is_empty() => {}
        Mode::EventSource => frame(framing, &comment(footer), out),
        _ => frame(framing, footer.as_bytes(), out),
    }
}

/// Appends the end of a stream.
pub fn end(framing: Framing, out: &mut Vec<u8>) {
    if framing == Framing::Chunks {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

fn frame(framing: Framing, bytes: &[u8], out: &mut Vec<u8>) {
    match framing {
        Framing::WebSocket => websocket::text_frame(bytes, out),
        Framing::Chunks => {
            let _ = write!(out, "{:x}\r\n", bytes.len());
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        }
        Framing::None => out.extend_from_slice(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pushstream::Stamp;

    #[test]
    fn messages_by_mode() {
        let view = |text: &'static str, event_id: &'static str| View {
            id: 3,
            stamp: Stamp { second: 0, tag: 1 },
            channel: "a",
            text: text.as_bytes(),
            event_id,
            event_type: event_id,
        };
        let built = |mode, framing, text, event_id| {
            let mut out = Vec::new();
            message(&Location::new("/", mode, "~id~:~text~"), framing, &view(text, event_id), &mut out);
            String::from_utf8(out).unwrap()
        };
        let table = [
            (Mode::Streaming, Framing::None, "x", "", "3:x"),
            (Mode::LongPolling, Framing::None, "x\r\ny", "", "3:x\r\ny"),
            (Mode::Streaming, Framing::Chunks, "x", "", "3\r\n3:x\r\n"),
            (Mode::EventSource, Framing::None, "x", "", "data: 3:x\n\n"),
            (
                Mode::EventSource,
                Framing::None,
                "a\r\nb\n\nc",
                "e",
                "id: e\nevent: e\ndata: 3:a\ndata: 3:b\ndata: 3:c\n\n",
            ),
            (Mode::EventSource, Framing::Chunks, "x", "", "b\r\ndata: 3:x\n\n\r\n"),
        ];
        for (mode, framing, text, event_id, expected) in table {
            assert_eq!(built(mode, framing, text, event_id), expected, "{mode:?} {framing:?} {text:?}");
        }
    }
}
