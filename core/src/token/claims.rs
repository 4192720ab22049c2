//! The registered claims that count here: `exp`, `nbf` and `aud` (RFC 7519, 4.1).

use serde::de::{Deserialize, Deserializer, Error};

use crate::message::UnixMillis;
use crate::refusal::Refusal;

/// Seconds since the Unix epoch, with or without a fraction (RFC 7519, 2, NumericDate).
#[derive(Clone, Copy)]
pub(super) struct NumericDate(pub(super) UnixMillis);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !seconds.is_finite() || seconds < 0.0 {
            return Err(D::Error::custom("a date is a number of seconds from 0"));
        }
        #[allow(clippy::cast_possible_truncation, reason = "what is too large becomes the largest: never")]
        let millis = (seconds * 1_000.0).round() as u64;
        Ok(NumericDate(UnixMillis(millis)))
    }
}

/// Whom a token is meant for: one or several.
#[derive(serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// Whether `who` is among them. Nobody is, if the claim is absent.
    pub(super) fn includes(audience: Option<&Audience>, who: &str) -> bool {
        match audience {
            None => false,
            Some(Audience::One(one)) => one == who,
            Some(Audience::Several(several)) => several.iter().any(|one| one == who),
        }
    }
}

/// When a token holds.
pub(super) struct Times {
    pub(super) expires: Option<NumericDate>,
    pub(super) not_before: Option<NumericDate>,
}

impl Times {
    /// Checks that the token holds at `now`, and says until when it does: `exp` and the leeway.
    pub(super) fn check(
        &self,
        now: UnixMillis,
        leeway_s: u64,
        require_expiry: bool,
    ) -> Result<Option<UnixMillis>, Refusal> {
        let leeway_ms = leeway_s.saturating_mul(1_000);
        let until = self.expires.as_ref().map(|exp| UnixMillis(exp.0.0.saturating_add(leeway_ms)));
        match until {
            None if require_expiry => return Err(Refusal::TokenNoExpiry),
            Some(until) if until <= now => return Err(Refusal::TokenExpired),
            _ => {}
        }
        let latest = now.0.saturating_add(leeway_ms);
        match &self.not_before {
            Some(not_before) if not_before.0.0 > latest => Err(Refusal::TokenNotYetValid),
            _ => Ok(until),
        }
    }
}
