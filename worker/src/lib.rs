//! The chat worker: shards, one pinned to a core, that carry out what core decides.
//!
//! Layout:
//! - [`settings`], [`limits`], [`preflight`]: what an operator says, what is fixed, what the host must allow
//! - `listener`: one socket a shard on the same port
//! - `io`: how sockets are served: `ring` is all of io_uring, and all unsafe code of the product;
//!   `epoll` is for hosts that forbid it
//! - [`queues`]: from shard to shard and from the broker, with a wake-up only for those who sleep
//! - `driver`: the loop of one shard, on glommio or alone
//! - `outside`: what core asks of the world
//! - `report`: what a worker tells of itself
//! - [`worker`]: all shards together: start, stop

pub mod limits;
pub mod preflight;
pub mod queues;
pub mod settings;
pub mod worker;

mod driver;
mod epoll;
mod io;
mod listener;
mod outside;
mod report;
mod ring;

pub use report::Beside;
pub use settings::{IoChoice, Settings};
pub use worker::{Worker, WorkerError};
