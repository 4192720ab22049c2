//! How a request comes to the worker: which directives of a stock Nginx make the worker's path of what
//! `push_stream_channels_path` says.
//!
//! Nginx decodes a URL's path once, and so do groups of regular expressions and `$uri`; a `rewrite` to the
//! worker's path is encoded again on its way. Arguments (`$arg_id`) are as the client wrote them: they are
//! put into the URL of `proxy_pass` as they are, and the worker decodes them. So either is decoded once.

use super::parse::written;
use super::pattern::Pattern;
use super::value::{Piece, joined};
use super::variables::Variables;

/// Where the worker looks for channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channels {
    /// Behind its path.
    InPath,
    /// In the argument `id`.
    InArgument,
}

/// Directives that lead to the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Stand before the others, in the location itself.
    pub(super) guards: Vec<String>,
    /// A `rewrite`, if there is one.
    pub(super) rewrite: Option<String>,
    /// What follows the worker's name in `proxy_pass`.
    pub(super) target: String,
    /// What is not quite as it was.
    pub(super) caveat: Option<&'static str>,
}

/// A group's text stands in an argument as it is, if nothing in the path was encoded.
const NO_AMPERSAND: &str = "if ($request_uri ~ \"^[^?]*&\") { return 400; }";
const AMPERSAND: &str = "a name with & in the path is answered with 400: write %26 there";
const NOT_DECODED: &str = "what its variables hold is taken as it is: a %20 in it is not decoded";
const NOT_DECODED_NOR_SPACE: &str = "what its variables hold is taken as it is: a %20 in it is not decoded, and \
                                     a space or control character in it is answered with 400";

/// Answers 400 where a variable has what would end the line that it is put into. Nginx encodes a path again
/// only where the client's had something encoded.
pub(super) fn no_break(name: &str) -> String {
    format!("if (${name} ~ \"[\\x00-\\x20\\x7f]\") {{ return 400; }}")
}

/// Finds the way to a worker's path. `extra` are arguments that go before the client's, such as
/// `time=$arg_since`.
///
/// # Errors
/// Why there is none.
pub(super) fn find(
    value: &[Piece],
    pattern: &Pattern,
    path: &str,
    channels: Channels,
    extra: &[String],
    variables: &Variables,
) -> Result<Route, &'static str> {
    let varying = || value.iter().filter(|piece| !matches!(piece, Piece::Literal(_)));
    let is_group = |piece: &Piece| match piece {
        Piece::Group(_) => true,
        Piece::Variable(name) => pattern.group(name).is_some(),
        Piece::Literal(_) => false,
    };
    let all_arguments = varying().all(|piece| variables.is_argument(piece));
    let all_groups = varying().all(is_group);
    let numbered = varying().any(|piece| matches!(piece, Piece::Group(_)));
    if numbered && pattern.regex().is_none() {
        return Err("$1 is from no regular expression of this location");
    }
    let extra = extra.join("&");
    if all_arguments {
        return Ok(by_url(value, path, channels, &extra));
    }
    let literals = value.iter().filter_map(|piece| match piece {
        Piece::Literal(text) => Some(text.as_str()),
        _ => None,
    });
    if literals.clone().any(|text| text.contains(['?', '%', '#'])) {
        return Err("?, % or # beside a variable");
    }
    match channels {
        Channels::InPath => {
            let regex = pattern.regex().filter(|_| numbered).unwrap_or_else(|| "^".to_owned());
            let arguments = if extra.is_empty() { String::new() } else { format!("?{extra}") };
            let target = written(&format!("{path}{}{arguments}", joined(value)));
            // Of the path, and encoded again like it; or without anything that would have to be.
            let is_sure = |piece: &&Piece| {
                let of_path =
                    matches!(piece, Piece::Variable(name) if matches!(name.as_str(), "uri" | "document_uri"));
                of_path || is_group(piece) || variables.is_argument(piece)
            };
            let mut guards: Vec<String> = Vec::new();
            for piece in varying().filter(|piece| !is_sure(piece)) {
                if let Piece::Variable(name) = piece {
                    guards.push(no_break(name));
                }
            }
            let caveat = match (all_groups, guards.is_empty()) {
                (true, _) => None,
                (false, true) => Some(NOT_DECODED),
                (false, false) => Some(NOT_DECODED_NOR_SPACE),
            };
            let rewrite = Some(format!("rewrite {regex} {target} break;"));
            Ok(Route { guards, rewrite, target: String::new(), caveat })
        }
        Channels::InArgument if !all_groups => Err(
            "only groups of the location's regular expression, or arguments, can name channels to publish in",
        ),
        Channels::InArgument => {
            let by_number = value.iter().map(|piece| match piece {
                Piece::Variable(name) => pattern.group(name).map_or_else(|| piece.clone(), Piece::Group),
                Piece::Literal(text) => Piece::Literal(encoded(text)),
                Piece::Group(_) => piece.clone(),
            });
            let target = written(&format!("{path}?id={}", joined(&by_number.collect::<Vec<_>>())));
            let regex = pattern.regex().unwrap_or_else(|| "^".to_owned());
            Ok(Route {
                guards: vec![NO_AMPERSAND.to_owned()],
                rewrite: Some(format!("rewrite {regex} {target} break;")),
                target: String::new(),
                caveat: Some(AMPERSAND),
            })
        }
    }
}

/// Arguments only, or no variable at all.
fn by_url(value: &[Piece], path: &str, channels: Channels, extra: &str) -> Route {
    let encoded: Vec<Piece> = value
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => Piece::Literal(encoded(text)),
            other => other.clone(),
        })
        .collect();
    let value = joined(&encoded);
    let plain = || Route { guards: Vec::new(), rewrite: None, target: String::new(), caveat: None };
    if channels == Channels::InArgument {
        if value == "$arg_id" {
            // The very argument that the worker reads: the path is all that changes.
            return Route { rewrite: Some(format!("rewrite ^ {path} break;")), ..plain() };
        }
        return Route { target: format!("{path}?id={value}&$args"), ..plain() };
    }
    let arguments = if extra.is_empty() { "$is_args$args".to_owned() } else { format!("?{extra}&$args") };
    Route { target: format!("{path}{value}{arguments}"), ..plain() }
}

/// For a URL; what is encoded already stays so, and slashes stay between channels.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            _ if byte.is_ascii_alphanumeric() || b"-._~/%:@,!".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import_nginx::parse::parse;
    use crate::import_nginx::value::pieces;

    #[test]
    fn ways() {
        use Channels::{InArgument, InPath};
        let table = [
            ("~^/sub/(.*)", "$1", InPath, "", "rewrite ^/sub/(.*) /p/$1 break; []"),
            ("~^/sub/(.*)", "test_$1", InPath, "", "rewrite ^/sub/(.*) /p/test_$1 break; []"),
            ("~^/(?<c>.*)", "$c", InPath, "", "rewrite ^ /p/$c break; []"),
            ("~^/(?<c>.{1})", "$1", InPath, "", "rewrite \"^/(?<c>.{1})\" /p/$1 break; []"),
            ("~^/(.*)", "$1", InPath, "time=$arg_t", "rewrite ^/(.*) /p/$1?time=$arg_t break; []"),
            ("/ws", "$arg_id", InPath, "", "[/p/$arg_id$is_args$args]"),
            ("/ws", "a/$arg_id.b5", InPath, "time=$arg_t", "[/p/a/$arg_id.b5?time=$arg_t&$args]"),
            ("/ws", "a b", InPath, "", "[/p/a%20b$is_args$args]"),
            ("/ws", "$channel", InPath, "", "guard rewrite ^ /p/$channel break; [] (no space)"),
            ("/ws", "$remote_user", InPath, "", "guard rewrite ^ /p/$remote_user break; [] (no space)"),
            (
                "/ws",
                "$http_a-$cookie_b",
                InPath,
                "",
                "guard guard rewrite ^ /p/$http_a-$cookie_b break; [] (no space)",
            ),
            ("/ws", "$arg_id$uri", InPath, "", "rewrite ^ /p/$arg_id$uri break; [] (not decoded)"),
            // Groups and others by the name of an argument are none.
            ("~^/(?<arg_id>.*)", "$arg_id", InPath, "", "rewrite ^ /p/$arg_id break; []"),
            ("/ws", "$arg_set", InPath, "", "guard rewrite ^ /p/$arg_set break; [] (no space)"),
            ("/pub", "$arg_set", InArgument, "", "no: only groups"),
            ("/ws", "$1", InPath, "", "no: $1 is from no regular expression of this location"),
            ("/ws", "$x?a", InPath, "", "no: ?, % or # beside a variable"),
            ("/pub", "$arg_id", InArgument, "", "rewrite ^ /p/ break; []"),
            ("/pub", "$arg_ch", InArgument, "", "[/p/?id=$arg_ch&$args]"),
            ("~^/pub/(.*)", "$1", InArgument, "", "guard rewrite ^/pub/(.*) /p/?id=$1 break; []"),
            (
                "~^/pub/(x)?(?<c>.*)",
                "a$c",
                InArgument,
                "",
                "guard rewrite ^/pub/(x)?(?<c>.*) /p/?id=a$2 break; []",
            ),
            ("/pub", "$http_x", InArgument, "", "no: only groups"),
        ];
        for (location, value, channels, extra, expected) in table {
            let pattern = match location.strip_prefix('~') {
                Some(regex) => Pattern::Regex(regex.to_owned()),
                None => Pattern::Path(location.to_owned()),
            };
            let extra: Vec<String> =
                [extra].into_iter().filter(|one| !one.is_empty()).map(str::to_owned).collect();
            let own = parse("set $arg_set $uri;").unwrap();
            let variables = Variables::of(&own.iter().collect::<Vec<_>>(), &[location]);
            let found = match find(&pieces(value).unwrap(), &pattern, "/p/", channels, &extra, &variables) {
                Err(reason) => format!("no: {reason}"),
                Ok(route) => format!(
                    "{}{}[{}]{}",
                    "guard ".repeat(route.guards.len()),
                    route.rewrite.map_or(String::new(), |line| line + " "),
                    route.target,
                    match route.caveat {
                        Some(NOT_DECODED) => " (not decoded)",
                        Some(NOT_DECODED_NOR_SPACE) => " (no space)",
                        _ => "",
                    }
                ),
            };
            assert!(
                found == expected || (expected.starts_with("no: only") && found.starts_with(expected)),
                "{found}"
            );
        }
    }
}
