//! A dispatcher on a memory broker, and requests to it.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use chatup_broker::contract::BrokerHandle;
use chatup_broker::store::StoreSettings;
use chatup_broker::{BrokerClient, Inbox, memory};
use chatup_core::exchange::{Answer, Event, MemberKey, Operation, Publish, Ticket, WorkerId, WorkerRecord};
use chatup_core::message::{self, UnixMillis};
use chatup_core::names::{ChannelName, RoomName, UserName};
use chatup_core::origins::Origins;
use chatup_core::position::MessageId;
use chatup_core::token::{Algorithm, KeySet, Policy, Signer, Verifier};
use chatup_dispatcher::{Dispatcher, Settings};
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;
use tower::ServiceExt;

pub(crate) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
pub(crate) const ALLOWED: &str = "https://chat.example";

/// A dispatcher, its broker, and another client of that broker.
pub(crate) struct House {
    pub(crate) router: Router,
    pub(crate) handle: BrokerHandle,
    broker: JoinHandle<()>,
    client: BrokerClient,
    answers: mpsc::Receiver<Answer>,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

struct Answers(mpsc::Sender<Answer>);

impl Inbox for Answers {
    fn deliver(&self, event: Event) -> bool {
        match event {
            Event::Answer(_, answer) => self.0.send(answer).is_ok(),
            _ => true,
        }
    }
}

/// What an operator might choose.
pub(crate) fn settings() -> Settings {
    Settings {
        origins: Origins::parse([ALLOWED]).unwrap(),
        demo_page: true,
        history_messages_max: 100,
        demo_tokens: None,
        connect_sources: "*".into(),
    }
}

/// Verifies tokens signed with the secret.
pub(crate) fn verifier(policy: Policy) -> Verifier {
    Verifier::new(KeySet::parse(SECRET, &[Algorithm::HS256]).unwrap(), policy)
}

/// Signs with the secret.
pub(crate) fn signed(claims: &Value) -> String {
    Signer::from_secret(SECRET).unwrap().sign(claims).unwrap()
}

pub(crate) fn house() -> House {
    house_of(settings(), verifier(Policy::default()))
}

pub(crate) fn house_of(settings: Settings, verifier: Verifier) -> House {
    let store = StoreSettings { messages_max: 1_000, expire_ms: 1_000_000, announced_members_max: 100 };
    let (handle, broker) = memory::start(store).unwrap();
    let router = Dispatcher::new(settings, &handle, verifier.into()).unwrap().router();
    let (sender, answers) = mpsc::channel();
    let client = handle.connect(Box::new(Answers(sender))).unwrap();
    House { router, handle, broker, client, answers }
}

impl House {
    /// Ends the broker; the dispatcher stays.
    pub(crate) fn without_broker(self) -> Router {
        self.handle.stop();
        self.broker.join().unwrap();
        self.router
    }

    /// Asks the broker past the dispatcher.
    pub(crate) fn ask(&self, operation: Operation) -> Answer {
        self.client.ask(Ticket(0), operation).unwrap();
        self.answers.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    /// A worker tells that it is alive.
    pub(crate) fn beat(&self, id: u128, connections: u32, draining: bool) {
        let host = format!("http://worker{id}.example:8080");
        self.ask(Operation::Heartbeat(WorkerRecord { id: WorkerId(id), host, connections, draining }));
    }

    /// A text in a room.
    pub(crate) fn say(&self, channel: &str, payload: &str) {
        let publish = Publish {
            channel: ChannelName::new(channel).unwrap(),
            sender: None,
            key: None,
            id: MessageId::from_random(1),
            payload: payload.as_bytes().into(),
        };
        self.ask(Operation::Publish(publish));
    }

    /// A member and a viewer more.
    pub(crate) fn enter(&self, room: &str, name: &str, connection: u64) {
        let room = RoomName::new(room).unwrap();
        let public = RawValue::from_string(format!(r#"{{"name":"{name}"}}"#)).unwrap().into();
        let member = MemberKey { worker: WorkerId(1), connection };
        self.ask(Operation::Join { room, member, name: UserName::new(name).unwrap(), public });
    }

    pub(crate) fn viewers(&self, room: &str, count: u32) {
        let counts = vec![(RoomName::new(room).unwrap(), count)];
        self.ask(Operation::Viewers { worker: WorkerId(1), shard: 0, counts });
    }

    /// The names banned from a room, and until when.
    pub(crate) fn bans(&self, room: &str) -> Vec<(String, Option<u64>)> {
        match self.ask(Operation::Bans(RoomName::new(room).unwrap())) {
            Answer::Bans(bans) => bans.into_iter().map(|ban| (ban.name, ban.until_ms)).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// What is kept of a channel, oldest first.
    pub(crate) fn kept(&self, channel: &str) -> Vec<Value> {
        let channel = ChannelName::new(channel).unwrap();
        match self.ask(Operation::History { channel, messages_max: 10_000 }) {
            Answer::History(history) => {
                history.iter().rev().map(|kept| serde_json::from_slice(&kept.payload).unwrap()).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Sends a request: `POST /join/lobby`, headers as `name: value`, a body.
    pub(crate) async fn send(&self, line: &str, headers: &[&str], body: impl Into<Body>) -> Got {
        send_to(&self.router, line, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.send(&format!("GET {path}"), &[], "").await
    }

    /// Hands a token in as ChatUp's servers do.
    pub(crate) async fn hand_in(&self, path: &str, token: impl Into<Body>) -> Got {
        self.send(&format!("POST {path}"), &["content-type: text/plain"], token).await
    }
}

pub(crate) async fn send_to(router: &Router, line: &str, headers: &[&str], body: impl Into<Body>) -> Got {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let response = router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    let got = Got { status: parts.status.as_u16(), headers: parts.headers, text };
    // What every single answer must have.
    assert_eq!(got.header("x-content-type-options"), "nosniff", "{line}");
    assert!(!got.header("cache-control").is_empty(), "{line}");
    assert!(got.header("vary").contains("origin"), "{line}");
    got
}

impl Got {
    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_str(&self.text).unwrap()
    }

    /// Status and code of a refusal, which must have all that refusals have.
    pub(crate) fn refusal(&self) -> (u16, String) {
        assert!(StatusCode::from_u16(self.status).unwrap().as_u16() >= 400, "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        let json = self.json();
        let error = &json["error"];
        assert!(error["message"].is_string() && error["retry"].is_boolean(), "{self:?}");
        assert_eq!(json.as_object().unwrap().len(), 1, "{self:?}");
        (self.status, error["code"].as_str().unwrap().into())
    }

    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, code: &str) {
        assert_eq!(self.refusal(), (status, code.into()));
    }
}

/// A text as a worker would publish it.
pub(crate) fn text(text: &str) -> String {
    let payload =
        message::payload(None, &message::Body::Text(text), MessageId::from_random(1), UnixMillis(5));
    String::from_utf8(payload.to_vec()).unwrap()
}
