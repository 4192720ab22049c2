//! What all routes share, and the table of routes.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use chatup_broker::BrokerHandle;
use chatup_broker::contract::BrokerGone;
use chatup_core::message::UnixMillis;
use chatup_core::names::RoomName;
use chatup_core::origins::Origins;
use chatup_core::refusal::Refusal;
use chatup_core::token::Verifier;
use http::request::Parts;

use crate::body::Bodies;
use crate::broker_client::Broker;
use crate::choose::Handouts;
use crate::errors::Failure;
use crate::{admin, demo_token, headers, health, inspect, join, messages, page, stats};

/// Makes a token for a name, if it is a name that may have one.
pub type DemoTokens = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What an operator chooses.
pub struct Settings {
    /// Whose pages may read the answers.
    pub origins: Origins,
    /// Whether the demo page is served at `/`.
    pub demo_page: bool,
    /// Most messages of history in the answers to `/join` and `/messages`.
    pub history_messages_max: usize,
    /// Gives a token to whoever asks for one at `/demo/token`; without it, there is no such route.
    pub demo_tokens: Option<DemoTokens>,
    /// Where the demo page may connect to: the `connect-src` of its content security policy.
    pub connect_sources: String,
}

/// A dispatcher: a client of a broker that answers HTTP requests.
pub struct Dispatcher {
    app: Arc<App>,
}

/// What all routes share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) broker: Broker,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) bodies: Bodies,
    /// Held for the moment of a choice, never over an await.
    pub(crate) handouts: Mutex<Handouts>,
}

impl Dispatcher {
    /// Becomes a client of the broker.
    ///
    /// # Errors
    /// The broker has ended.
    pub fn new(
        settings: Settings,
        broker: &BrokerHandle,
        verifier: Arc<Verifier>,
    ) -> Result<Dispatcher, BrokerGone> {
        let broker = Broker::connect(broker)?;
        let handouts = Mutex::new(Handouts::default());
        let app = App { settings, broker, verifier, bodies: Bodies::new(), handouts };
        Ok(Dispatcher { app: Arc::new(app) })
    }

    /// The routes. To be run inside of tokio.
    pub fn router(self) -> Router {
        let app = self.app;
        let mut routes = Router::new()
            .route("/join/{room}", post(join::join))
            .route("/stats/{room}", get(stats::stats))
            .route("/messages/{room}", get(messages::messages))
            .route("/post", post(admin::post))
            .route("/ban", post(admin::ban))
            .route("/unban", post(admin::unban))
            .route("/bans/{room}", get(inspect::bans))
            .route("/workers", get(inspect::workers))
            .route("/health", get(health::health));
        if let Some(tokens) = &app.settings.demo_tokens {
            routes = routes.route("/demo/token", demo_token::route(tokens));
        }
        if app.settings.demo_page {
            routes = routes.merge(page::routes(&app.settings.connect_sources));
        }
        routes
            .fallback(|| async { Failure::from(Refusal::NotFound) })
            .method_not_allowed_fallback(|| async { Failure::from(Refusal::MethodNotAllowed) })
            .layer(from_fn_with_state(Arc::clone(&app), headers::add))
            .with_state(app)
    }
}

/// The room that a path names, percent-decoded once.
pub(crate) struct Room(pub(crate) RoomName);

impl<S: Send + Sync> FromRequestParts<S> for Room {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = path.map_err(|_| Refusal::InvalidName)?;
        Ok(Room(RoomName::new(&name).map_err(|_| Refusal::InvalidName)?))
    }
}

/// The time.
pub(crate) fn wall_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
