//! The HTTP API: hands clients a worker, serves history and statistics, takes signed posts and
//! bans; and the demo page. It holds no chat state: everything is asked of the broker, so any
//! number of dispatchers serve side by side. It never talks to a worker.
//!
//! Layout:
//! - [`Dispatcher`], [`Settings`]: what the program makes; the table of routes
//! - [`serve`]: connections, with their limits, until told to stop
//! - a file a route: `join` (with `choose`, which decides), `stats`, `messages`,
//!   `admin` (`/post` and `/ban`), `health`, `page`, `demo_token`
//! - `broker_client`: questions and answers; `body`: what a request carries; `errors`: how a no is
//!   answered; `headers`: what every answer carries, and whose pages may read it
//! - `limits`: every number

mod admin;
mod app;
mod body;
mod broker_client;
mod choose;
mod demo_token;
mod errors;
mod headers;
mod health;
mod inspect;
mod join;
mod limits;
mod messages;
mod page;
mod serve;
mod stats;

pub use app::{DemoTokens, Dispatcher, Settings};
pub use limits::CONNECTIONS_MAX;
pub use serve::serve;
