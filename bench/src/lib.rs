//! How fast the product is, and whether a change made it slower.
//!
//! Layout:
//! - `cases`: the hot paths, each as a function over a state prepared before; what the criterion
//!   benches (`benches/`) time and the program `counted` repeats for callgrind
//! - [`check`]: `bench-check`, base against head. Knows nothing of this project: what is built,
//!   run, compared and allowed stands in one file, `check.toml`
//! - `peers`: this project's server side by side with others and with a floor

#[cfg(feature = "cases")]
pub mod cases;
pub mod check;
#[cfg(feature = "peers")]
pub mod peers;
