//! The two kinds of address that settings hold: where a worker is found, and which pages may come.

/// Whether this is `http://host[:port]` or `https://host[:port]`, with nothing behind it.
pub(crate) fn is_announce_url(url: &str) -> bool {
    matches!(url.split_once("://"), Some(("http" | "https", rest)) if is_host_and_port(rest, false))
}

/// Whether this is `scheme://host[:port]`, `scheme://host:*` or `*`.
pub(crate) fn is_origin_pattern(pattern: &str) -> bool {
    pattern == "*"
        || pattern.split_once("://").is_some_and(|(scheme, rest)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
                && is_host_and_port(rest, true)
        })
}

fn is_host_and_port(text: &str, any_port: bool) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (address, port),
            _ => return false,
        },
        None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
    };
    let is_port = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some("*") => any_port,
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|port| port != 0)
        }
    };
    let is_name = !host.is_empty()
        && (text.starts_with('[') || host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)));
    is_port && is_name
}
