//! What every answer carries, errors too: CORS for the configured origins, and what keeps browsers
//! from guessing types and caches from keeping answers.
//!
//! Pages of other origins get no CORS header: their browser then keeps the answer from them. Here
//! nothing depends on that, since no route does anything in the name of a cookie. tower-http's
//! layer does not fit: it answers every OPTIONS with 200, and allows credentials to those whom it
//! does not let in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chatup_core::origins::Origins;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::app::App;
use crate::limits::PREFLIGHT_S;

/// Answers preflights; adds headers to all else.
pub(crate) async fn add(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let allowed = allowed_origin(&app.settings.origins, request.headers());
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight { preflight_answer(allowed.is_some()) } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // ChatUp's library sends its requests with credentials.
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The origin of the page that asks, if it is one that may read the answer.
pub(crate) fn allowed_origin(origins: &Origins, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    origin.to_str().is_ok_and(|text| origins.allows(text)).then(|| origin.clone())
}

fn preflight_answer(allowed: bool) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    if allowed {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_S.into());
    }
    response
}
