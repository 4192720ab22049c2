//! A raw client of the native protocol: one blocking WebSocket.

use std::collections::VecDeque;
use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::http;

/// A connection to a worker.
pub struct Client {
    /// The WebSocket, for what is out of the ordinary.
    pub socket: WebSocket<TcpStream>,
    pushed: VecDeque<Value>,
    next: u64,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// The worker does not let it in.
    #[must_use]
    pub fn connect(worker: &str) -> Client {
        Client::over(http::connect(worker), worker)
    }

    /// Makes the handshake over a connection that stands.
    ///
    /// # Panics
    /// The worker does not let it in.
    #[must_use]
    pub fn over(stream: TcpStream, worker: &str) -> Client {
        let (socket, _) =
            tungstenite::client(format!("ws://{worker}/chatup/v1"), stream).expect("a handshake");
        Client { socket, pushed: VecDeque::new(), next: 1 }
    }

    /// Sends a text as it is.
    ///
    /// # Panics
    /// The connection is gone.
    pub fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("it is sent");
    }

    /// Sends a call without waiting for its answer; returns its id.
    ///
    /// # Panics
    /// The connection is gone.
    pub fn begin(&mut self, mut call: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        call["id"] = id.into();
        self.send(&call.to_string());
        id
    }

    /// The next object that the server sends; pings are answered.
    ///
    /// # Panics
    /// The connection ends or nothing comes.
    pub fn read(&mut self) -> Value {
        loop {
            match self.socket.read().expect("the server goes on talking") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// The answer to a call begun before.
    ///
    /// # Panics
    /// It does not come.
    pub fn answer(&mut self, id: u64) -> Value {
        loop {
            let value = self.read();
            match value.get("id") {
                Some(of) if *of == json!(id) => return value,
                Some(of) => panic!("{of} is answered, {id} was asked"),
                None => self.pushed.push_back(value),
            }
        }
    }

    /// A call and its answer.
    ///
    /// # Panics
    /// It is not answered.
    pub fn call(&mut self, call: Value) -> Value {
        let id = self.begin(call);
        self.answer(id)
    }

    /// A call that is taken: what `ok` holds.
    ///
    /// # Panics
    /// It is refused.
    pub fn ok(&mut self, call: Value) -> Value {
        let mut answer = self.call(call);
        assert!(answer.get("ok").is_some(), "refused: {answer}");
        answer["ok"].take()
    }

    /// A call that is refused: the code.
    ///
    /// # Panics
    /// It is taken.
    pub fn refused(&mut self, call: Value) -> String {
        let answer = self.call(call);
        answer["error"]["code"].as_str().unwrap_or_else(|| panic!("taken: {answer}")).to_owned()
    }

    /// The next thing that the server says by itself.
    ///
    /// # Panics
    /// Nothing comes.
    pub fn pushed(&mut self) -> Value {
        match self.pushed.pop_front() {
            Some(value) => value,
            None => self.read(),
        }
    }

    /// The next messages of a channel: channel, first offset, messages.
    ///
    /// # Panics
    /// Something else comes.
    pub fn messages(&mut self) -> (String, u64, Vec<Value>) {
        let mut push = self.pushed();
        let channel = push["channel"].as_str().unwrap_or_else(|| panic!("no messages: {push}")).to_owned();
        let offset = push["offset"].as_u64().expect("an offset");
        let Value::Array(messages) = push["messages"].take() else { panic!("no list: {push}") };
        (channel, offset, messages)
    }

    /// Subscribes to channels.
    ///
    /// # Panics
    /// It is refused.
    pub fn subscribe(&mut self, channels: &Value) -> Value {
        self.ok(json!({ "call": "subscribe", "channels": channels }))
    }

    /// Authenticates and joins a room.
    ///
    /// # Panics
    /// It is refused.
    pub fn enter(&mut self, token: &str, room: &str) -> Value {
        self.ok(json!({ "call": "auth", "token": token }));
        self.ok(json!({ "call": "join", "room": room }))
    }

    /// Waits for the server's close: its code and reason. What comes before is passed over.
    ///
    /// # Panics
    /// It is not closed.
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => {
                    let frame = frame.unwrap_or_else(|| panic!("a close without a code"));
                    // Our own close goes out with the next use of the socket.
                    let _ = self.socket.flush();
                    return (CloseCode::into(frame.code), frame.reason.to_string());
                }
                Ok(_) => {}
                Err(error) => panic!("not closed properly: {error}"),
            }
        }
    }
}
