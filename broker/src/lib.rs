//! Where messages get their order and are kept.
//!
//! Layout:
//! - [`contract`]: what a broker promises, and the queues between it and its clients
//! - [`memory`]: the broker inside one process, its [`store`] (with `channel`, `bans`, `members`, `viewers`) worked
//!   on by whichever client's thread finds it free
//! - [`redis`]: the broker over Redis, for many workers and dispatchers
//! - [`conformance`]: what every broker must pass

mod bans;
mod channel;
pub mod conformance;
pub mod contract;
pub mod limits;
mod members;
pub mod memory;
pub mod redis;
pub mod store;
mod viewers;

pub use contract::{BrokerClient, BrokerHandle, Inbox};
