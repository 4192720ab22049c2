//! The demo page and the browser library, as built in `client/`.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

/// Path, content type and text of each file.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("../../client/dist/index.html")),
    ("/demo.css", "text/css; charset=utf-8", include_str!("../../client/dist/demo.css")),
    ("/demo.js", "text/javascript; charset=utf-8", include_str!("../../client/dist/demo.js")),
    ("/chatup.js", "text/javascript; charset=utf-8", include_str!("../../client/dist/chatup.js")),
];

/// A file, ready to be sent.
struct File {
    text: &'static str,
    etag: String,
    headers: [(HeaderName, HeaderValue); 4],
}

/// The routes of the page, which may connect to `connect_sources`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(connect_sources: &str) -> Router<S> {
    let policy = content_security_policy(connect_sources);
    FILES.into_iter().fold(Router::new(), |router, (path, content_type, text)| {
        let file = Arc::new(file(content_type, text, policy.clone()));
        router.route(path, get(async move |headers: HeaderMap| answer(&file, &headers)))
    })
}

/// Nothing but what this server has, and the connections. Sources that are no such list would
/// change the policy's meaning: then there is only this server.
fn content_security_policy(connect_sources: &str) -> HeaderValue {
    let policy = |sources: &str| {
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src {sources}; \
             img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    };
    let plain = !connect_sources.trim().is_empty()
        && connect_sources.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !connect_sources.contains([';', ',']);
    let sources = if plain { connect_sources } else { "'self'" };
    if !plain {
        tracing::warn!(
            connect_sources,
            "not a list of sources: the demo page may connect to this server only"
        );
    }
    HeaderValue::try_from(policy(sources)).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn file(content_type: &'static str, text: &'static str, policy: HeaderValue) -> File {
    let hash = Sha256::digest(text.as_bytes());
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    File { text, etag: format!("\"{digits}\""), headers }
}

fn answer(file: &File, asked: &HeaderMap) -> Response {
    let mut response = if is_known(&file.etag, asked) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.text.into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in &file.headers {
        headers.insert(name, value.clone());
    }
    if let Ok(etag) = HeaderValue::from_str(&file.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// Whether the asker has this version (RFC 9110, 13.1.2: a list, compared weakly, or `*`).
fn is_known(etag: &str, asked: &HeaderMap) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = lists.flat_map(|list| list.split(',')).map(str::trim);
    known.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let table = [
            ("*", "*"),
            ("'self' ws://a:1 https://b", "'self' ws://a:1 https://b"),
            ("", "'self'"),
            ("a; script-src *", "'self'"),
            ("a, default-src *", "'self'"),
            ("a\r\nX: y", "'self'"),
            ("é", "'self'"),
        ];
        for (sources, expected) in table {
            let policy = content_security_policy(sources);
            let text = policy.to_str().unwrap();
            assert!(text.contains(&format!("; connect-src {expected}; ")), "{sources:?}: {text}");
            assert!(text.starts_with("default-src 'none'; script-src 'self'; "), "{text}");
        }
    }

    #[test]
    fn known_versions() {
        let table = [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ];
        for (list, expected) in table {
            let mut asked = HeaderMap::new();
            asked.insert(header::IF_NONE_MATCH, list.parse().unwrap());
            assert_eq!(is_known("\"a\"", &asked), expected, "{list}");
        }
        assert!(!is_known("\"a\"", &HeaderMap::new()));
    }
}
