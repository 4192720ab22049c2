//! `POST /post`, `POST /ban` and `POST /unban`: what a signed token orders, carried out.
//!
//! Answered with `OK` when the broker has answered every single order. A token with an id is
//! claimed first: it counts as used from then on, also when the broker fails in the middle.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use chatup_core::exchange::{Answer, Operation, Publish};
use chatup_core::limits::ADMIN_TOKEN_BYTES_MAX;
use chatup_core::message::{self, UnixMillis};
use chatup_core::position::MessageId;
use chatup_core::refusal::{Refusal, Refused};
use chatup_core::token::{BanOrder, Once, Post};
use http::{HeaderMap, StatusCode, header};

use crate::app::{App, wall_clock};
use crate::body::ReadBody;
use crate::broker_client::unexpected;
use crate::errors::Failure;

/// What ChatUp answers.
const DONE: &str = "OK";

/// Posts messages. Each goes to its room, and to the additional channel of that name.
pub(crate) async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<&'static str, Failure> {
    let body = token_body(&app, &headers, body).await?;
    let now = wall_clock();
    let admin = app.verifier.posts(token(&body)?, now)?;
    let operations = admin.entries.iter().flat_map(|post| publishes(post, now)).collect();
    carry_out(&app, admin.once, operations).await
}

/// Bans users. Unlike `/post`, bad content is 400 here, as in ChatUp.
pub(crate) async fn ban(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<&'static str, Failure> {
    let body = token_body(&app, &headers, body).await?;
    let now = wall_clock();
    let admin = app.verifier.bans(token(&body)?, now).map_err(|refusal| match refusal {
        Refusal::TokenContent => Failure::with_status(refusal, StatusCode::BAD_REQUEST),
        refusal => refusal.into(),
    })?;
    let operations = admin.entries.into_iter().map(|order| operation(order, now)).collect();
    carry_out(&app, admin.once, operations).await
}

/// Lifts bans. Whoever was not banned is as free as before.
pub(crate) async fn unban(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<&'static str, Failure> {
    let body = token_body(&app, &headers, body).await?;
    let admin = app.verifier.unbans(token(&body)?, wall_clock())?;
    let lift = |order: BanOrder| Operation::Unban { room: order.channel, name: order.name };
    let operations = admin.entries.into_iter().map(lift).collect();
    carry_out(&app, admin.once, operations).await
}

/// The body, if it is one that may hold a token.
async fn token_body<'a>(app: &'a App, headers: &HeaderMap, body: Body) -> Result<ReadBody<'a>, Refused> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("text/plain") {
        return Err(Refused::field(Refusal::BadField, "content-type"));
    }
    let body = app.bodies.read(body, ADMIN_TOKEN_BYTES_MAX).await?;
    if body.bytes.trim_ascii().is_empty() {
        return Err(Refused::field(Refusal::BadField, "body"));
    }
    Ok(body)
}

/// The token, without the newline that files end with.
fn token<'a>(body: &'a ReadBody<'_>) -> Result<&'a str, Refusal> {
    str::from_utf8(body.bytes.trim_ascii()).map_err(|_| Refusal::TokenMalformed)
}

/// The same message twice: it is one, by its id, to whoever reads both channels.
fn publishes(post: &Post, now: UnixMillis) -> [Operation; 2] {
    let id = MessageId::from_random(rand::random());
    let text = post.msg.as_deref();
    let body = match &post.ev {
        Some(ev) => message::Body::Event { ev, data: post.data.as_deref(), text },
        None => message::Body::Text(text.unwrap_or_default()),
    };
    let payload = message::payload(post.user.as_deref(), &body, id, now);
    [post.channel.messages(), post.channel.bare()].map(|channel| {
        let payload = Arc::clone(&payload);
        Operation::Publish(Publish { channel, sender: None, key: None, id, payload })
    })
}

fn operation(order: BanOrder, now: UnixMillis) -> Operation {
    let until = |seconds: u64| UnixMillis(now.0.saturating_add(seconds.saturating_mul(1_000)));
    Operation::Ban {
        room: order.channel,
        name: order.name,
        until: order.expire_s.map(until),
        id: MessageId::from_random(rand::random()),
    }
}

/// Carries all of it out, in order, also if whoever asked hangs up meanwhile: a token that has been
/// claimed could not be sent again.
async fn carry_out(
    app: &Arc<App>,
    once: Option<Once>,
    operations: Vec<Operation>,
) -> Result<&'static str, Failure> {
    let app = Arc::clone(app);
    let work = tokio::spawn(async move {
        if let Some(Once { id, until }) = once {
            match app.broker.ask(Operation::Claim { id, until }).await? {
                Answer::Was(true) => {}
                Answer::Was(false) => return Err(Refusal::TokenReplayed.into()),
                other => return Err(unexpected(&other)),
            }
        }
        let asked = operations.into_iter().map(|operation| app.broker.begin(operation));
        for asked in asked.collect::<Result<Vec<_>, Refused>>()? {
            match asked.answer().await? {
                Answer::Published { .. } | Answer::Done | Answer::Was(_) => {}
                other => return Err(unexpected(&other)),
            }
        }
        Ok::<(), Refused>(())
    });
    work.await.map_err(|_| Refusal::Unavailable)??;
    Ok(DONE)
}
