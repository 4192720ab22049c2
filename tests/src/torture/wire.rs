//! A client that survives its server: everything that can break is a result.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

/// How long a handshake or an HTTP answer is waited for. Whoever is slower is given up and another asked.
const ANSWER: Duration = Duration::from_secs(3);
/// How often somebody who waits for a message looks up.
pub const GLANCE: Duration = Duration::from_millis(250);

/// Where to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Host and port.
    pub host: String,
    /// The worker's id.
    pub id: String,
}

/// A connection to a worker.
pub struct Connection {
    socket: WebSocket<TcpStream>,
    next: u64,
}

/// What is heard at a time.
#[derive(Debug)]
pub enum Heard {
    /// Nothing for a while.
    Nothing,
    /// The answer to a call.
    Answer(u64, Value),
    /// Something that the server says by itself.
    Pushed(Value),
}

fn open(address: &str) -> io::Result<TcpStream> {
    let address: SocketAddr = address.parse().map_err(|_| ErrorKind::InvalidInput)?;
    let stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks a dispatcher for a worker, naming the one that failed.
///
/// # Errors
/// It does not answer, or has none.
pub fn ask_dispatcher(address: &str, room: &str, failed: Option<&str>) -> Result<Place, String> {
    let body = failed.map_or(String::new(), |id| {
        json!({ "type": "workerSubConnect", "worker": { "id": id } }).to_string()
    });
    let (status, body) = exchange(address, &format!("POST /join/{room}"), &body)?;
    let value: Value = serde_json::from_str(&body).map_err(|_| status.clone())?;
    let text = |key: &str| value[key].as_str().map(str::to_owned).ok_or(status.clone());
    Ok(Place { host: text("host")?.replace("http://", ""), id: text("id")? })
}

/// One request: the line of the status, and the body.
///
/// # Errors
/// There is no whole answer in time.
pub fn exchange(address: &str, method_and_path: &str, body: &str) -> Result<(String, String), String> {
    let request = format!(
        "{method_and_path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = || -> io::Result<String> {
        let mut stream = open(address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
    Ok((head.lines().next().unwrap_or("").to_owned(), body.to_owned()))
}

impl Connection {
    /// Connects to a worker.
    ///
    /// # Errors
    /// It does not let one in.
    pub fn open(worker: &str) -> Result<Connection, String> {
        let stream = open(worker).map_err(|error| error.to_string())?;
        let (socket, _) = tungstenite::client(format!("ws://{worker}/chatup/v1"), stream)
            .map_err(|error| error.to_string())?;
        socket.get_ref().set_read_timeout(Some(GLANCE)).map_err(|error| error.to_string())?;
        Ok(Connection { socket, next: 1 })
    }

    /// Sends a call; its number.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn begin(&mut self, mut call: Value) -> Result<u64, String> {
        let id = self.next;
        self.next += 1;
        call["id"] = id.into();
        self.socket.send(Message::text(call.to_string())).map_err(|error| error.to_string())?;
        Ok(id)
    }

    /// What comes next.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn hear(&mut self) -> Result<Heard, String> {
        let text = match self.socket.read() {
            Ok(Message::Text(text)) => text,
            Ok(Message::Close(frame)) => {
                let _ = self.socket.flush();
                return Err(format!("closed: {frame:?}"));
            }
            Ok(_) => return Ok(Heard::Nothing),
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(Heard::Nothing);
            }
            Err(error) => return Err(error.to_string()),
        };
        let value: Value = serde_json::from_str(&text).map_err(|_| format!("no JSON: {text}"))?;
        match value.get("id") {
            Some(id) => Ok(Heard::Answer(id.as_u64().ok_or("an answer without an id")?, value)),
            None => Ok(Heard::Pushed(value)),
        }
    }

    /// A call and its answer, where nothing is pushed.
    ///
    /// # Errors
    /// There is none in time.
    pub fn call(&mut self, call: Value) -> Result<Value, String> {
        let id = self.begin(call)?;
        let glances = ANSWER.as_millis() / GLANCE.as_millis();
        let mut silent = 0;
        while silent < glances {
            match self.hear()? {
                Heard::Answer(of, value) if of == id => return Ok(value),
                Heard::Nothing => silent += 1,
                _ => {}
            }
        }
        Err("no answer".to_owned())
    }
}
