//! What the Nginx PushStream module's clients speak: channels in the path, positions by time and tag,
//! messages by templates. Rooms, history and permissions are those of every other transport; only names,
//! places in time and bytes are made here.
//!
//! Layout:
//! - [`stamp`]: a message's place in time, and the dates that clients write
//! - [`request`]: which channels, from where on
//! - [`publisher`], [`info`]: what is asked of channels, and the answers
//! - [`template`]: a message as text
//! - [`padding`], [`types`]: what some browsers need; content types
//! - [`wire`]: that as bytes, by mode
//! - [`settings`]: which paths are served, and how

pub mod info;
pub mod padding;
pub mod publisher;
pub mod request;
pub mod settings;
pub mod stamp;
pub mod template;
pub mod types;
pub mod wire;

pub use padding::Padding;
pub use request::{Asked, BadRequest, Since, Want, WantChannel};
pub use settings::{Location, Mode, Settings};
pub use stamp::{Place, Stamp};
pub use template::{Template, View};
pub use wire::Framing;
