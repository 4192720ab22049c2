//! `GET /bans/{room}` and `GET /workers`: what operators look at, with a token that may read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chatup_core::exchange::{Answer, Operation};
use chatup_core::refusal::Refusal;
use http::{HeaderMap, header};
use serde::Serialize;

use crate::app::{App, Room, wall_clock};
use crate::broker_client::unexpected;
use crate::errors::Failure;

/// A worker, as it last told of itself.
#[derive(Serialize)]
struct Worker<'a> {
    id: String,
    host: &'a str,
    connections: u32,
    draining: bool,
}

/// Answers `[{name, until_ms}]`, the latter missing where a ban has no end.
pub(crate) async fn bans(
    State(app): State<Arc<App>>,
    Room(room): Room,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    may_read(&app, &headers)?;
    match app.broker.ask(Operation::Bans(room)).await? {
        Answer::Bans(bans) => Ok(Json(bans).into_response()),
        other => Err(unexpected(&other).into()),
    }
}

/// Answers `[{id, host, connections, draining}]`: the workers alive, or while the store cannot be reached
/// those last known.
pub(crate) async fn workers(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Failure> {
    may_read(&app, &headers)?;
    let workers = match app.broker.ask(Operation::Workers).await? {
        Answer::Workers(workers) => workers,
        other => return Err(unexpected(&other).into()),
    };
    let shown = workers.iter().map(|worker| Worker {
        id: worker.id.to_string(),
        host: &worker.host,
        connections: worker.connections,
        draining: worker.draining,
    });
    Ok(Json(shown.collect::<Vec<_>>()).into_response())
}

/// Whether the request has `Authorization: Bearer TOKEN` with a token that may read.
fn may_read(app: &App, headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = value.and_then(|value| value.split_once(' ')).ok_or(Refusal::TokenMalformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::TokenMalformed);
    }
    app.verifier.may_read(token.trim(), wall_clock())
}
