//! What one shard decides, row by row: bytes of a client in, bytes for it out. What follows from
//! many of them at once is the simulation's to check.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

#[path = "shard/calls.rs"]
mod calls;
#[path = "shard/compression.rs"]
mod compression;
#[path = "shard/deadlines.rs"]
mod deadlines;
#[path = "shard/events.rs"]
mod events;
#[path = "shard/fairness.rs"]
mod fairness;
#[path = "shard/heads.rs"]
mod heads;
#[path = "shard/memory.rs"]
mod memory;
#[path = "shard/polling.rs"]
mod polling;
#[path = "shard/polls.rs"]
mod polls;
#[path = "shard/pushstream.rs"]
mod pushstream;
#[path = "shard/rig.rs"]
mod rig;
#[path = "shard/slowness.rs"]
mod slowness;
#[path = "shard/socketio.rs"]
mod socketio;
mod support;
#[path = "shard/unstored.rs"]
mod unstored;
