//! The HTTP API against a memory broker: requests go in, status, headers and bodies come out, and
//! the broker says what has come of it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod admin;
mod cors;
mod demo;
mod join;
mod rooms;
mod socket;
mod support;
