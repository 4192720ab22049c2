//! How a refusal is answered over HTTP: `{"error": {code, message, retry}}` with the status of the
//! one table, `chatup_core::refusal`. The exception is ChatUp's own 418.

use axum::Json;
use axum::response::{IntoResponse, Response};
use chatup_core::refusal::{Refusal, Refused};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// After how many seconds trying again makes sense, where the answer is 503.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");

/// A refusal and the status that it is answered with.
#[derive(Debug)]
pub(crate) struct Failure {
    refused: Refused,
    status: u16,
}

impl<T: Into<Refused>> From<T> for Failure {
    fn from(refused: T) -> Self {
        let refused = refused.into();
        Failure { refused, status: refused.refusal.http_status() }
    }
}

impl Failure {
    /// With another status than the table's.
    pub(crate) fn with_status(refusal: Refusal, status: StatusCode) -> Failure {
        Failure { refused: refusal.into(), status: status.as_u16() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        if self.refused.refusal == Refusal::NoWorkers {
            // What ChatUp answered, to the letter.
            return (status, Json(json!({ "error": self.refused.refusal.to_string() }))).into_response();
        }
        let mut response = (status, Json(json!({ "error": self.refused }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_S);
        }
        response
    }
}
