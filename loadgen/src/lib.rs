//! The load generator: as many clients as asked for, an open model, every delivery checked.
//!
//! One process leads a run ([`coordinator`]), others hold the connections ([`generator`]); they talk
//! in lines of JSON ([`control`]). A scenario is a file in [`scenario`], a protocol one in
//! [`protocol`]. What a run found is a [`report::Report`].

pub mod checking;
pub mod cli;
pub mod clock;
pub mod control;
pub mod coordinator;
pub mod door;
pub mod generator;
pub mod http;
pub mod limits;
pub mod machine;
pub mod plan;
pub mod program;
pub mod protocol;
pub mod report;
pub mod scenario;
pub mod server;
pub mod stamp;
pub mod tape;
pub mod units;
pub mod websocket;
