//! `GET /health`: whether this dispatcher can do its work, for load balancers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chatup_core::exchange::{Answer, Operation};
use serde_json::json;

use crate::app::App;
use crate::broker_client::unexpected;
use crate::errors::Failure;

/// Answers `{"status": "ok", "workers": how many are alive}`; 503 if the broker does not answer.
/// Without a worker it is well all the same: another dispatcher would have none either.
pub(crate) async fn health(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    match app.broker.ask(Operation::Workers).await? {
        Answer::Workers(workers) => {
            Ok(Json(json!({ "status": "ok", "workers": workers.len() })).into_response())
        }
        other => Err(unexpected(&other).into()),
    }
}
