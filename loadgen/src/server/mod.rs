//! The server under test, where its processes are on this machine: started, and watched.

pub mod http;
pub mod spawn;
pub mod watch;
