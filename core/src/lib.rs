//! Decides everything, does no I/O: what a name, a message, a token, a room's log, a session and a
//! frame are, and what follows from each event. It reads no clock, draws no random number, starts
//! no thread and knows no socket, io_uring, Redis or glommio: time and chance are arguments.
//!
//! Layout, from the leaves up:
//! - [`limits`], [`refusal`]: every number and every no, each in one table
//! - [`names`], [`position`], [`message`]: values that cannot be wrong
//! - [`token`]: JSON Web Tokens, keys and policies
//! - [`deflate`], [`websocket`], [`http_head`], [`http_answer`], [`origins`]: the wire below the protocol
//! - `json_depth`, [`protocol`]: the native protocol's calls, answers and notices
//! - [`pushstream`], [`socketio`]: what the Nginx PushStream module's clients speak, and the original's
//!   publishers
//! - [`room_log`]: a channel's messages as ready wire bytes, and cursors over them
//! - [`exchange`]: the words between shards, dispatchers and brokers
//! - [`session`]: what one client may do next
//! - [`shard`]: all of one shard's decisions, driven by events, with effects for the caller

pub mod deflate;
pub mod exchange;
pub mod http_answer;
pub mod http_head;
mod json_depth;
pub mod limits;
pub mod message;
pub mod names;
pub mod origins;
pub mod position;
pub mod protocol;
pub mod pushstream;
pub mod refusal;
pub mod room_log;
pub mod session;
pub mod shard;
pub mod socketio;
pub mod token;
pub mod websocket;
