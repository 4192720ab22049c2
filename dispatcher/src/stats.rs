//! `GET /stats/{room}?limit=50&skip=0`: how many watch a room, and who is in it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use chatup_core::exchange::{Answer, Operation};
use chatup_core::refusal::{Refusal, Refused};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::app::{App, Room};
use crate::broker_client::unexpected;
use crate::errors::Failure;
use crate::limits::{STATS_LIMIT_DEFAULT, STATS_LIMIT_MAX};

/// Which members to name, as asked.
#[derive(Deserialize)]
pub(crate) struct Paging {
    limit: Option<String>,
    skip: Option<String>,
}

#[derive(Serialize)]
struct Stats<'a> {
    #[serde(rename = "subCount")]
    subscribers: u64,
    #[serde(rename = "pubCount")]
    publishers: u64,
    limit: Echo,
    skip: Echo,
    clients: Vec<&'a RawValue>,
}

/// A number as ChatUp gave it back: what came in the query string stayed a string.
#[derive(Serialize)]
#[serde(untagged)]
enum Echo {
    Asked(String),
    Default(u32),
}

/// Answers `{subCount, pubCount, limit, skip, clients}`.
pub(crate) async fn stats(
    State(app): State<Arc<App>>,
    Room(room): Room,
    query: Result<Query<Paging>, QueryRejection>,
) -> Result<Response, Failure> {
    let Query(paging) = query.map_err(|_| Refusal::BadField)?;
    let (limit, limit_echo) = number(paging.limit, "limit", STATS_LIMIT_DEFAULT, STATS_LIMIT_MAX)?;
    let (skip, skip_echo) = number(paging.skip, "skip", 0, u32::MAX)?;
    let stats = match app.broker.ask(Operation::Stats { room, skip, limit }).await? {
        Answer::Stats(stats) => stats,
        other => return Err(unexpected(&other).into()),
    };
    let stats = Stats {
        subscribers: stats.viewers,
        publishers: stats.members,
        limit: limit_echo,
        skip: skip_echo,
        clients: stats.users.iter().map(|public| &**public).collect(),
    };
    Ok(Json(stats).into_response())
}

fn number(
    asked: Option<String>,
    field: &'static str,
    default: u32,
    max: u32,
) -> Result<(usize, Echo), Refused> {
    let refused = Refused::field(Refusal::BadField, field);
    let (number, echo) = match asked {
        None => (default, Echo::Default(default)),
        Some(text) if !text.bytes().all(|byte| byte.is_ascii_digit()) => return Err(refused),
        Some(text) => {
            let number = text.parse::<u32>().map_err(|_| refused)?.min(max);
            (number, Echo::Asked(number.to_string()))
        }
    };
    Ok((usize::try_from(number).map_err(|_| refused)?, echo))
}
