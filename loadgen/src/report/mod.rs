//! What a run found, and the forms in which it is shown.

pub mod derived;
pub mod distribution;
pub mod fail_if;
pub mod histogram_log;
pub mod html;
pub mod humane;
pub mod merge;
pub mod model;
pub mod read;
pub mod schema;
pub mod text;
pub mod write;

pub use distribution::{new_histogram, record};
pub use fail_if::FailIf;
pub use html::html;
pub use merge::merge;
pub use model::Report;
pub use read::read;
pub use text::text;
pub use write::{OutputFile, write};
