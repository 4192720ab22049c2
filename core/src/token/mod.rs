//! JSON Web Tokens: which keys verify them, what they must say, and what is read out of them.
//!
//! A token goes through its checks in one order: size, form, algorithm, `crit`, key, signature,
//! and only then the payload: audience, times, content. Nothing is believed before its signature.
//! `jsonwebtoken` checks the signature and nothing else: its `decode` reads the clock and refuses
//! the arrays that ChatUp sends to `/post` and `/ban`.
//!
//! Absent on purpose: no clock (`now` is an argument), no files, no fetching of keys, no memory of
//! used token ids (the caller claims [`Once`]), no algorithm but the pinned ones.
//!
//! - [`KeySet`]: keys, each bound to one algorithm; `pem` and `jwks` are the forms they come in
//! - [`Policy`], [`Verifier`]: the operator's choices; size, header, key and signature
//! - `claims`, `json`: dates, audiences and objects that have one reading
//! - [`Identity`], [`Admin`]: what a user's and what an administrator's token says; [`Post`] and
//!   [`BanOrder`] are what the latter orders
//! - [`Signer`]: makes tokens for demonstrations and for `chatup token`

mod admin;
mod claims;
mod json;
mod jwks;
mod key_error;
mod keys;
mod orders;
mod pem;
mod policy;
mod sign;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod user;
mod verify;

pub use admin::{Admin, Once};
pub use jsonwebtoken::Algorithm;
pub use key_error::KeyError;
pub use keys::KeySet;
pub use orders::{BanOrder, Post};
pub use policy::Policy;
pub use sign::Signer;
pub use user::Identity;
pub use verify::Verifier;
