//! The torture test's parts: workers and dispatchers that share a Redis, each behind a proxy that can
//! fail; clients that write down all that happens to them; faults out of a seed; and a checker that
//! holds the records against what is promised.
//!
//! Layout:
//! - [`record`]: what is written down; [`checker`]: what must hold of it, without I/O
//! - [`proxy`], [`role`], [`store`], [`cluster`]: the system and what can be done to it
//! - [`wire`]: a client that survives its server; [`board`]: what all know of each other
//! - [`publisher`], [`subscriber`]: who speaks and who listens; [`bans`]: who forbids it; [`signer`]: their
//!   tokens
//! - [`faults`]: one fault at a time; [`presence`]: who is there at the end; [`run`]: a whole run, its figures and its verdict

pub mod bans;
pub mod board;
pub mod checker;
pub mod cluster;
pub mod faults;
pub mod presence;
pub mod proxy;
pub mod publisher;
pub mod record;
pub mod role;
pub mod run;
pub mod signer;
pub mod store;
pub mod subscriber;
pub mod wire;
