//! How deeply JSON is nested, before a parser that recurses looks at it. Must not allocate.

/// Deepest nesting of arrays and objects in a call; the protocol itself needs three.
const NESTING_MAX: usize = 32;

/// Hardly any call has so many opening brackets, so few are looked at twice.
pub(crate) fn is_too_deep(text: &[u8]) -> bool {
    memchr::memchr2_iter(b'{', b'[', text).nth(NESTING_MAX).is_some() && nesting(text) > NESTING_MAX
}

/// An upper bound of the nesting: brackets inside strings count too, which only makes it stricter
/// for texts of dozens of unmatched opening brackets, so strings are skipped.
fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_open_counts() {
        let open = |count: usize| "[".repeat(count);
        let closed = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
        let table = [
            (closed(NESTING_MAX), false),
            (closed(NESTING_MAX + 1), true),
            (open(NESTING_MAX + 1), true),
            ("[]".repeat(10 * NESTING_MAX), false),
            ("{}".repeat(10 * NESTING_MAX), false),
            (format!("{{\"a\":\"{}\"}}", open(100)), false),
            (format!("{{\"a\":\"\\\"{}\"}}", open(100)), false),
            (format!("{{\"a\":\"\\\\\",\"b\":{}}}", open(100)), true),
            (String::new(), false),
        ];
        for (text, expected) in table {
            assert_eq!(is_too_deep(text.as_bytes()), expected, "{text}");
        }
    }
}
