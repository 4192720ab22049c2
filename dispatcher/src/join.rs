//! `POST /join/{room}`: hands a client the worker to go to, with how the room is doing and its
//! last messages.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chatup_core::exchange::{Answer, Operation, RoomStats, WorkerId};
use chatup_core::names::RoomName;
use chatup_core::refusal::{Refusal, Refused};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::app::{App, Room, wall_clock};
use crate::body::object;
use crate::broker_client::unexpected;
use crate::errors::Failure;
use crate::limits::{JOIN_BODY_BYTES_MAX, JOIN_MESSAGES_BYTES_MAX};
use crate::messages::json_of;

/// The body that follows a failure; its `type` says which connection failed, which nobody needs.
#[derive(Deserialize)]
struct AfterFailure<'a> {
    #[serde(borrow, default)]
    worker: Option<&'a RawValue>,
}

/// The worker that failed: its id, or the whole answer that had named it.
#[derive(Deserialize)]
struct Failed<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
}

/// What a client says that was here before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Before {
    /// The worker that it could not use.
    failed: Option<WorkerId>,
    /// It was told that the room had no messages, and goes on from there.
    was_empty: bool,
}

#[derive(Serialize)]
struct Joined<'a> {
    host: &'a str,
    id: String,
    channel: Counts,
    messages: Vec<&'a RawValue>,
}

#[derive(Serialize)]
struct Counts {
    #[serde(rename = "subCount")]
    subscribers: u64,
    #[serde(rename = "pubCount")]
    publishers: u64,
}

/// Answers `{host, id, channel: {subCount, pubCount}, messages}`, the newest message first; 418
/// without a worker. The body is read as JSON whatever its content type, and may be empty.
pub(crate) async fn join(
    State(app): State<Arc<App>>,
    Room(room): Room,
    body: Body,
) -> Result<Response, Failure> {
    let body = app.bodies.read(body, JOIN_BODY_BYTES_MAX).await?;
    let before = before(&body.bytes)?;
    drop(body);
    answer(&app, &room, before).await
}

/// What a body says.
fn before(body: &[u8]) -> Result<Before, Refused> {
    if body.trim_ascii().is_empty() {
        return Ok(Before::default());
    }
    let text = str::from_utf8(body).map_err(|_| Refusal::BadJson)?;
    let AfterFailure { worker } = object(text).ok_or(Refusal::BadJson)?;
    let Some(worker) = worker else { return Ok(Before::default()) };
    let Failed { id, messages } = object(worker.get()).ok_or(Refused::field(Refusal::BadField, "worker"))?;
    Ok(Before {
        failed: id.and_then(|id| worker_id(&id)),
        was_empty: messages.is_some_and(|list| is_empty(list.get())),
    })
}

/// Whether a list in JSON is empty.
fn is_empty(list: &str) -> bool {
    let inside = list.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inside.is_some_and(|inside| inside.trim().is_empty())
}

/// What is no id of ours names no worker.
fn worker_id(text: &str) -> Option<WorkerId> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits { u128::from_str_radix(text, 16).ok().map(WorkerId) } else { None }
}

async fn answer(app: &App, room: &RoomName, before: Before) -> Result<Response, Failure> {
    // The original's library would show these before what its new worker sends it, which may be older.
    let history = (!before.was_empty).then(|| Operation::History {
        channel: room.messages(),
        messages_max: app.settings.history_messages_max,
    });
    let workers = app.broker.begin(Operation::Workers)?;
    let stats = app.broker.begin(Operation::Stats { room: room.clone(), skip: 0, limit: 0 })?;
    let history = history.map(|history| app.broker.begin(history)).transpose()?;

    let workers = match workers.answer().await? {
        Answer::Workers(workers) => workers,
        other => return Err(unexpected(&other).into()),
    };
    // While the store cannot be reached, the workers last known still serve the rooms that they have open:
    // a client is better off there than nowhere.
    let stats = match stats.answer().await {
        Ok(Answer::Stats(stats)) => stats,
        Ok(other) => return Err(unexpected(&other).into()),
        Err(_) => RoomStats::default(),
    };
    let history = match history {
        None => Vec::new(),
        Some(history) => match history.answer().await {
            Ok(Answer::History(history)) => history,
            Ok(other) => return Err(unexpected(&other).into()),
            Err(_) => Vec::new(),
        },
    };

    let chosen = {
        let mut handouts = app.handouts.lock().unwrap_or_else(PoisonError::into_inner);
        handouts.choose(room, &workers, &stats.serving, before.failed, wall_clock())
    };
    let chosen = workers.iter().find(|worker| Some(worker.id) == chosen).ok_or(Refusal::NoWorkers)?;
    let mut bytes_left = JOIN_MESSAGES_BYTES_MAX;
    let fits = |message: &&RawValue| {
        let left = bytes_left.checked_sub(message.get().len() + 1);
        bytes_left = left.unwrap_or(0);
        left.is_some()
    };
    let joined = Joined {
        host: &chosen.host,
        id: chosen.id.to_string(),
        channel: Counts { subscribers: stats.viewers, publishers: stats.members },
        messages: json_of(&history).take_while(fits).collect(),
    };
    Ok(Json(joined).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let seven = "00000000000000000000000000000007";
        let bad_field = Err(Refused::field(Refusal::BadField, "worker"));
        let bad_json = Err(Refused::from(Refusal::BadJson));
        let table = [
            (String::new(), Ok(None)),
            (" \r\n".into(), Ok(None)),
            ("{}".into(), Ok(None)),
            (format!(r#"{{"type":"workerSubConnect","worker":{{"id":"{seven}"}}}}"#), Ok(Some(7))),
            (
                format!(
                    r#"{{"type":"x","worker":{{"host":"http://a","id":"{seven}","channel":{{}},"messages":[{{"id":1}}]}}}}"#
                ),
                Ok(Some(7)),
            ),
            (format!(r#"{{"worker":{{"id":"{seven}","messages":[]}}}}"#), Ok(Some(7))),
            (format!(r#"{{"worker":{{"id":"{seven}","messages": [ ] }}}}"#), Ok(Some(7))),
            (format!(r#"{{"worker":{{"id":"{seven}","messages":{{}}}}}}"#), Ok(Some(7))),
            (r#"{"worker":null}"#.into(), Ok(None)),
            (r#"{"worker":{}}"#.into(), Ok(None)),
            (r#"{"worker":{"id":null}}"#.into(), Ok(None)),
            (r#"{"worker":{"id":""}}"#.into(), Ok(None)),
            (r#"{"worker":{"id":"worker-1"}}"#.into(), Ok(None)),
            (r#"{"worker":{"id":"+7"}}"#.into(), Ok(None)),
            (format!(r#"{{"worker":{{"id":"0{seven}"}}}}"#), Ok(Some(7))),
            (format!(r#"{{"worker":{{"id":"1{seven}"}}}}"#), Ok(None)),
            (r#"{"worker":{"id":"\u0037"},"type":[],"x":{}}"#.into(), Ok(Some(7))),
            (r#"{"worker":{"id":7}}"#.into(), bad_field),
            (r#"{"worker":"7"}"#.into(), bad_field),
            (r#"{"worker":["7"]}"#.into(), bad_field),
            (r#"{"worker":{"id":"7","id":"8"}}"#.into(), bad_field),
            (r#"{"worker":{},"worker":{}}"#.into(), bad_json),
            ("{".into(), bad_json),
            ("null".into(), bad_json),
            ("[]".into(), bad_json),
            (r#"[{"id":"7"}]"#.into(), bad_json),
            ("{}{}".into(), bad_json),
            ("type=x".into(), bad_json),
            (format!("{{\"worker\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000)), bad_field),
        ];
        for (body, expected) in table {
            let read = before(body.as_bytes());
            assert_eq!(read.map(|one| one.failed), expected.map(|id| id.map(WorkerId)), "{body:.200}");
            let says = body.contains("\"messages\":[]") || body.contains("[ ]");
            assert!(
                read.is_err() || read == Ok(Before { was_empty: says, ..read.unwrap_or_default() }),
                "{body}"
            );
        }
        assert_eq!(before(b"{\"a\":\"\xff\"}"), Err(Refusal::BadJson.into()));
    }
}
