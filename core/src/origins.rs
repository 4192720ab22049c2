//! Whose pages may connect.

/// Whose pages may connect: a list of `scheme://host[:port]`, `scheme://host:*` or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    /// Everything up to the port; any port.
    AnyPort(String),
    Exact(String),
}

/// A pattern that says nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin: write scheme://host, scheme://host:port, scheme://host:* or *")]
pub struct OriginError(String);

impl Origins {
    /// Reads a list of patterns.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Origins, OriginError> {
        patterns.into_iter().map(pattern).collect::<Result<_, _>>().map(|patterns| Origins { patterns })
    }

    /// The names of this very machine, on any port: the default.
    #[must_use]
    pub fn loopback() -> Origins {
        let hosts = ["localhost", "127.0.0.1", "[::1]"];
        let both =
            ["http", "https"].into_iter().flat_map(|s| hosts.map(|h| Pattern::AnyPort(format!("{s}://{h}"))));
        Origins { patterns: both.collect() }
    }

    /// These and one more.
    ///
    /// # Errors
    /// It is no origin.
    pub fn and(mut self, origin: &str) -> Result<Origins, OriginError> {
        self.patterns.push(pattern(origin)?);
        Ok(self)
    }

    /// Whether a page of this origin is let in.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.patterns.iter().any(|pattern| match pattern {
            Pattern::Any => true,
            Pattern::Exact(exact) => *exact == origin,
            Pattern::AnyPort(host) => origin.strip_prefix(host.as_str()).is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
            }),
        })
    }
}

fn pattern(text: &str) -> Result<Pattern, OriginError> {
    let error = || OriginError(text.into());
    let lower = text.trim().to_ascii_lowercase();
    if lower == "*" {
        return Ok(Pattern::Any);
    }
    let (scheme, host) = lower.split_once("://").ok_or_else(error)?;
    let bad = |c: char| c.is_whitespace() || c.is_control() || "/?#@".contains(c);
    let name = host.strip_suffix(":*").unwrap_or(host);
    if scheme.is_empty()
        || name.is_empty()
        || name.contains('*')
        || host.contains(bad)
        || scheme.contains(bad)
    {
        return Err(error());
    }
    Ok(match lower.strip_suffix(":*") {
        Some(host) => Pattern::AnyPort(host.into()),
        None => Pattern::Exact(lower),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let origins = Origins::parse(["https://chat.example", "http://a.example:*"]).unwrap();
        let table = [
            ("https://chat.example", true),
            ("https://CHAT.example", true),
            ("https://chat.example:444", false),
            ("http://chat.example", false),
            ("http://a.example", true),
            ("http://a.example:81", true),
            ("http://a.example:81x", false),
            ("http://a.example.evil", false),
        ];
        for (origin, allowed) in table {
            assert_eq!(origins.allows(origin), allowed, "{origin}");
        }
        assert!(Origins::parse(["*"]).unwrap().allows("null"));
        for bad in ["", "chat.example", "https://", "https://a/b", "https://*.a", "https://a b"] {
            assert_eq!(Origins::parse([bad]), Err(OriginError(bad.into())), "{bad}");
        }
    }
}
