//! For those who keep an Nginx with the PushStream module for their subscribers: posts to it what is said, as
//! the original's workers did.
//!
//! A relay is a client of the broker beside its worker's shards. It asks Nginx which channels have subscribers
//! (`/channels-stats`), opens these at the broker, and posts their messages to `/pub`: a channel's in its
//! order, one post of it at a time, gathered over the flush window and while a post is under way, and split
//! where they would be too long. What Nginx does not take waits within bounds, then is dropped and counted.
//!
//! Layout:
//! - [`settings`], [`limits`], [`figures`]: what is given, what is bounded, what is counted
//! - `wanted`: which channels, from which message on; `listed`: what Nginx tells of them; `viewers`: to whom that
//!   is told
//! - `backlog`, `pace`: what waits, and how fast Nginx is tried
//! - `post`, `relay`, `complaints`: the requests; the thread that makes them; what it says in the log

pub mod figures;
pub mod limits;
pub mod settings;

mod backlog;
mod complaints;
mod listed;
mod pace;
mod post;
mod relay;
mod viewers;
mod wanted;

pub use figures::Figures;
pub use listed::can_be_posted_to;
pub use relay::{Relay, RelayError};
pub use settings::Settings;
