//! `GET /messages/{room}`: a room's last messages.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chatup_core::exchange::{Answer, Operation};
use chatup_core::message::Publication;
use serde_json::value::RawValue;

use crate::app::{App, Room};
use crate::broker_client::unexpected;
use crate::errors::Failure;

/// Answers an array, the newest first.
pub(crate) async fn messages(State(app): State<Arc<App>>, Room(room): Room) -> Result<Response, Failure> {
    let messages_max = app.settings.history_messages_max;
    let history = match app.broker.ask(Operation::History { channel: room.messages(), messages_max }).await? {
        Answer::History(history) => history,
        other => return Err(unexpected(&other).into()),
    };
    Ok(Json(json_of(&history).collect::<Vec<_>>()).into_response())
}

/// The messages' JSON as it is. One that is none, in a store that others write to as well, is left
/// out: it would spoil the whole answer.
pub(crate) fn json_of(history: &[Publication]) -> impl Iterator<Item = &RawValue> {
    history.iter().filter_map(|publication| {
        let json = serde_json::from_slice(&publication.payload);
        json.inspect_err(|error| tracing::warn!(channel = %publication.channel, %error, "no JSON in history"))
            .ok()
    })
}
