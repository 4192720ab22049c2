//! What the tests of the shard share: the client's side of the wire, and rules with tokens.
#![allow(dead_code, reason = "each test takes what it needs of this")]

pub(crate) mod rules;
pub(crate) mod wire;
