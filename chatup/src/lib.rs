//! The one program: `chatup` (all in one), `chatup worker`, `chatup dispatcher`, `chatup cluster`, `chatup token`,
//! `chatup config`, `chatup import-nginx`. Here the command line, the settings and the keys for trying out become
//! arguments; the other crates never look for any of it themselves.
//!
//! Layout, from the edge inwards:
//! - [`cli`] (with `durations`): how the command line is written; [`commands`]: what is done for it
//! - [`config`]: settings from file, environment and flags, checked, each with its place
//! - [`import_nginx`]: what an Nginx with the PushStream module was told, as settings and a site
//! - [`state`]: the state directory and the demo keys; [`token`]: making tokens
//! - [`printed`], [`logging`]: standard output and standard error
//! - [`run`]: starts worker and dispatcher

pub mod cli;
pub mod commands;
pub mod config;
mod durations;
pub mod import_nginx;
pub mod logging;
pub mod printed;
pub mod run;
pub mod state;
pub mod token;
