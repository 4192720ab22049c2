//! Requests to Nginx, over connections that are kept. Knows nothing of channels' order.

use std::time::Duration;

use chatup_core::pushstream::publisher::RELAY_AGENT;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;

use crate::backlog::{Outcome, Post};
use crate::limits::{
    ANSWER_BYTES_MAX, ANSWER_MS_MAX, CONNECT_MS_MAX, POSTS_MAX, REST_MS_MAX, STATISTICS_BYTES_MAX,
};
use crate::listed;
use crate::settings::Endpoint;

/// What stays as it is in `?id=`.
const ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'~');

/// The way to Nginx.
#[derive(Clone)]
pub(crate) struct Nginx {
    client: Client<HttpConnector, Full<Bytes>>,
    publisher: Endpoint,
    statistics: Option<Endpoint>,
}

/// What became of a request, and why.
pub(crate) type Said<T> = Result<T, (Outcome, String)>;

impl Nginx {
    pub(crate) fn new(publisher: Endpoint, statistics: Option<Endpoint>) -> Nginx {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(CONNECT_MS_MAX)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(POSTS_MAX)
            .build(connector);
        Nginx { client, publisher, statistics }
    }

    /// Posts.
    pub(crate) async fn post(self, post: &Post) -> Said<()> {
        let id = utf8_percent_encode(post.channel.as_str(), ID).to_string();
        let uri = self.publisher.with_id(&id).map_err(|error| (Outcome::Refused, error.to_string()))?;
        let method = if post.deletes { Method::DELETE } else { Method::POST };
        let mut request = Request::builder().method(method).uri(uri);
        let headers = [("Event-Id", &post.event_id), ("Event-Type", &post.event_type)];
        for (name, value) in headers {
            if let Some(value) = value {
                request = request.header(name, value.as_bytes());
            }
        }
        // The status says it: an answer cut short behind it changes nothing.
        let (status, _) =
            self.ask(request, post.body.clone().into(), (ANSWER_BYTES_MAX, REST_MS_MAX)).await?;
        let of = |outcome| Err((outcome, format!("{} answers {status}", self.publisher)));
        match status {
            _ if status.is_success() => Ok(()),
            // A channel that Nginx does not have needs no deleting.
            StatusCode::NOT_FOUND if post.deletes => Ok(()),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                of(Outcome::Failed { taken: true })
            }
            _ if status.is_server_error() => of(Outcome::Failed { taken: true }),
            _ => of(Outcome::Refused),
        }
    }

    /// Asks which channels there are; nothing without an address to ask at.
    pub(crate) async fn statistics(self) -> Said<Vec<listed::Listed>> {
        let Some(endpoint) = &self.statistics else { return Ok(Vec::new()) };
        let uri = endpoint.with_id("ALL").map_err(|error| (Outcome::Refused, error.to_string()))?;
        let request = Request::builder().uri(uri).header("Accept", "application/json");
        let (status, body) = self.ask(request, Bytes::new(), (STATISTICS_BYTES_MAX, ANSWER_MS_MAX)).await?;
        if !status.is_success() {
            return Err((Outcome::Refused, format!("{endpoint} answers {status}")));
        }
        let body = body?;
        if !listed::is_answer(&body) {
            let text = format!("{endpoint} answers no statistics of the PushStream module");
            return Err((Outcome::Refused, text));
        }
        Ok(listed::read(&body).collect())
    }

    /// One request and its whole answer, in bounded time.
    async fn ask(
        &self,
        request: http::request::Builder,
        body: Bytes,
        (bytes_max, rest_ms): (usize, u64),
    ) -> Said<(StatusCode, Said<Bytes>)> {
        let host = |uri: &Uri| uri.authority().map(ToString::to_string).unwrap_or_default();
        let at = request.uri_ref().map(host).unwrap_or_default();
        let failed = |taken: bool, error: &dyn std::error::Error| {
            // What is at the bottom says most: "connection refused".
            let mut deepest = error;
            while let Some(source) = deepest.source() {
                deepest = source;
            }
            (Outcome::Failed { taken }, format!("{at}: {deepest}"))
        };
        let late = |ms: u64| (Outcome::Failed { taken: true }, format!("{at}: no answer within {ms} ms"));
        let request = request
            .header("User-Agent", RELAY_AGENT)
            .body(Full::new(body))
            .map_err(|error| (Outcome::Refused, error.to_string()))?;
        let answer = timeout(Duration::from_millis(ANSWER_MS_MAX), self.client.request(request)).await;
        let answer = answer.map_err(|_| late(ANSWER_MS_MAX))?;
        let answer = answer.map_err(|error| failed(!error.is_connect(), &error))?;
        let status = answer.status();
        let rest =
            timeout(Duration::from_millis(rest_ms), Limited::new(answer.into_body(), bytes_max).collect());
        let rest = match rest.await {
            Ok(Ok(rest)) => Ok(rest.to_bytes()),
            Ok(Err(error)) => Err(failed(true, &*error)),
            Err(_) => Err(late(rest_ms)),
        };
        Ok((status, rest))
    }
}
