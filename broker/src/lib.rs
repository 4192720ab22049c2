//! Where messages get their order and are kept.
//!
//! Layout:
//! - [`contract`]: what a broker promises, and the queues between it and its clients
//! - [`memory`]: the broker inside one process, its [`store`] on a thread of its own
//! - [`conformance`]: what every broker must pass

mod bans;
mod channel;
pub mod conformance;
pub mod contract;
pub mod memory;
pub mod store;

pub use contract::{BrokerClient, BrokerHandle, Inbox};
