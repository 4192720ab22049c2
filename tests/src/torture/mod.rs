//! The torture test's parts: workers and dispatchers that share a Redis, each behind a proxy that can
//! fail; clients that write down all that happens to them; faults out of a seed; and a checker that
//! holds the records against what is promised.
//!
//! Layout:
//! - [`record`]: what is written down; [`checker`]: what must hold of it, without I/O
//! - [`proxy`], [`process`], [`cluster`]: the system and what can be done to it
//! - [`wire`]: a client that survives its server; [`board`]: what all know of each other
//! - [`publisher`], [`subscriber`]: who speaks and who listens
//! - [`faults`]: one fault at a time; [`run`]: a whole run, its figures and its verdict

pub mod board;
pub mod checker;
pub mod cluster;
pub mod faults;
pub mod process;
pub mod proxy;
pub mod publisher;
pub mod record;
pub mod run;
pub mod subscriber;
pub mod wire;
