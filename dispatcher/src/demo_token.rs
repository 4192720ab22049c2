//! `POST /demo/token` with `{"name"}`: a token for whoever asks, for trying the product out.
//! `GET` says, by 204, that there are such tokens here.
//!
//! Pages elsewhere must not get one out of a visitor's browser. Those say where they are from
//! (`Origin`); a page that has had its own name point here (DNS rebinding) says its name in `Host`,
//! and is told by that: only this machine's name and addresses are taken there.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use chatup_core::names::UserName;
use chatup_core::origins::Origins;
use chatup_core::refusal::{Refusal, Refused};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::app::{App, DemoTokens};
use crate::body::object;
use crate::errors::Failure;
use crate::headers::allowed_origin;
use crate::limits::DEMO_BODY_BYTES_MAX;

#[derive(Deserialize)]
struct Wish<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

/// The route.
pub(crate) fn route(tokens: &DemoTokens) -> MethodRouter<Arc<App>> {
    let tokens = Arc::clone(tokens);
    get(async || StatusCode::NO_CONTENT).post(
        async move |State(app): State<Arc<App>>, headers: HeaderMap, body: Body| {
            answer(&app, &tokens, &headers, body).await
        },
    )
}

async fn answer(
    app: &App,
    tokens: &DemoTokens,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    if !may_ask(&app.settings.origins, headers) {
        return Err(Refusal::ForbiddenOrigin.into());
    }
    let body = app.bodies.read(body, DEMO_BODY_BYTES_MAX).await?;
    let token = tokens(name(&body.bytes)?.as_str()).ok_or(Refusal::InvalidName)?;
    Ok(Json(json!({ "token": token })).into_response())
}

fn name(body: &[u8]) -> Result<UserName, Refused> {
    let wish: Option<Wish<'_>> = str::from_utf8(body).ok().and_then(object);
    let name = wish.ok_or(Refusal::BadJson)?.name;
    let name = name.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    let name = name.ok_or(Refused::field(Refusal::BadField, "name"))?;
    UserName::new(&name).map_err(|_| Refusal::InvalidName.into())
}

fn may_ask(origins: &Origins, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return false;
    };
    if !names_this_machine(host) {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    allowed_origin(origins, headers).is_some() || origin.to_str().is_ok_and(|origin| is_same(origin, host))
}

/// `localhost` or an address, with or without a port: no name that others can point somewhere.
fn names_this_machine(host: &str) -> bool {
    let (name, rest) = match host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((inner, rest)) => (inner.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()), rest),
        None => {
            let (name, rest) = host.split_at(host.find(':').unwrap_or(host.len()));
            let is_address = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4());
            (is_address || name.eq_ignore_ascii_case("localhost"), rest)
        }
    };
    let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    name && port
}

/// Whether the page is one of this very server.
fn is_same(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let table = [
            ("localhost", true),
            ("LocalHost:8000", true),
            ("127.0.0.1", true),
            ("127.0.0.1:80", true),
            ("192.168.1.5:8000", true),
            ("[::1]", true),
            ("[::1]:8000", true),
            ("", false),
            ("evil.example", false),
            ("evil.example:8000", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("127.1", false),
            ("2130706433", false),
            ("::1", false),
            ("[127.0.0.1]", false),
            ("[::1", false),
            ("[::1]x", false),
            ("localhost:", false),
            ("localhost:99999", false),
            ("localhost:80@evil.example", false),
        ];
        for (host, expected) in table {
            assert_eq!(names_this_machine(host), expected, "{host}");
        }
    }
}
