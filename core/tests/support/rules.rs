//! Rules for a shard under test, and the tokens that they take.

use std::sync::{Arc, LazyLock};

use chatup_core::limits::Limits;
use chatup_core::message::UnixMillis;
use chatup_core::session::Rules;
use chatup_core::token::{Algorithm, KeySet, Policy, Signer, Verifier};
use serde_json::json;

/// The wall clock when a test begins.
pub(crate) const BEGIN: UnixMillis = UnixMillis(1_800_000_000_000);

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

static VERIFIER: LazyLock<Arc<Verifier>> = LazyLock::new(|| {
    let keys = KeySet::parse(SECRET, &[Algorithm::HS256]).unwrap();
    Arc::new(Verifier::new(keys, Policy { leeway_s: 0, ..Policy::default() }))
});

/// These limits, the test's verifier, and reading without a token.
pub(crate) fn rules(limits: Limits) -> Rules {
    Rules { verifier: Arc::clone(&VERIFIER), limits, anonymous_subscribe: true }
}

/// A token of a user that runs out so many seconds after the beginning.
pub(crate) fn token(name: &str, expires_s: u64) -> String {
    let claims = json!({"exp": BEGIN.whole_seconds() + expires_s, "_public": {"name": name}});
    Signer::from_secret(SECRET).unwrap().sign(&claims).unwrap()
}
