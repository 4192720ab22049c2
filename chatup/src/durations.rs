//! Times as people write them on the command line: `30s`, `5m`, `12h`, `7d`.

use chatup_core::limits::{ADMIN_TOKEN_LIFETIME_S_MAX, BAN_S_MAX};

/// Longest time to live of a user's token, in seconds: ten years.
const TOKEN_LIFETIME_S_MAX: u64 = 10 * 365 * 24 * 60 * 60;

pub(crate) fn lifetime_s(text: &str) -> Result<u64, String> {
    seconds(text, TOKEN_LIFETIME_S_MAX)
}

pub(crate) fn admin_lifetime_s(text: &str) -> Result<u64, String> {
    seconds(text, ADMIN_TOKEN_LIFETIME_S_MAX)
}

pub(crate) fn ban_s(text: &str) -> Result<u64, String> {
    seconds(text, BAN_S_MAX)
}

/// `30s`, `5m`, `12h`, `7d`.
fn seconds(text: &str, seconds_max: u64) -> Result<u64, String> {
    let units = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];
    units
        .into_iter()
        .find_map(|(unit, seconds)| {
            let number = text.strip_suffix(unit)?;
            let digits = number.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| number.parse::<u64>().ok()?.checked_mul(seconds))?
        })
        .filter(|seconds| (1..=seconds_max).contains(seconds))
        .ok_or_else(|| {
            format!("must be a whole number and s, m, h or d, such as 30s or 12h, at most {seconds_max}s")
        })
}
