//! The broker over Redis: rooms shared by many workers and dispatchers.
//!
//! One thread with a runtime of its own takes what clients ask, puts it to Redis in batches, and hands
//! out what Redis answers and publishes. All that belongs to a room goes over one connection, in one
//! order; see [`link`]. Every step on a room is one script; see [`scripts`]. Who is where, and which
//! workers are alive, is kept in Redis too, and told again after it has forgotten.
//!
//! Layout:
//! - [`settings`]: where Redis is; [`connect`]: finds it and looks at it; [`nodes`], [`node`], [`slots`]: the
//!   servers, lost and found again; [`link`]: a connection that works
//! - [`keys`], [`scripts`] (with `lua/`), [`reply`]: names, steps and answers; [`desk`]: questions put together;
//!   [`fetching`]: what a channel lacks, read in pieces
//! - [`channels`], [`presence`], [`registry`]: what is known of rooms, people and workers, without I/O
//! - [`broker`]: the loop; [`recovery`]: servers that come and go; [`asked`], [`operations`], [`answers`],
//!   [`telling`], [`people`]: what is asked for and what is done with the answers

mod answers;
mod asked;
mod broker;
mod channels;
mod connect;
mod desk;
mod fetching;
mod keys;
mod link;
mod node;
mod nodes;
mod operations;
mod people;
mod presence;
mod recovery;
mod registry;
mod reply;
mod scripts;
pub mod settings;
mod slots;
mod telling;

pub use broker::start;
