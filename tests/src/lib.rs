//! What the black box tests share: the real program as a child process, raw WebSocket clients, and
//! plain HTTP. Nothing here knows how the server works inside.

pub mod client;
pub mod http;
pub mod nginx;
pub mod node;
pub mod process;
pub mod redis;
pub mod server;
pub mod torture;

pub use client::Client;
pub use node::Node;
pub use redis::Redis;
pub use server::Server;

/// Longest wait for something that must happen; only a broken server reaches it.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
