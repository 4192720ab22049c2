//! What a location matches: a path, the beginning of one, or a regular expression, of which this needs to
//! know only how it begins and which groups it has.

use super::parse::{Directive, written};

/// What stands between `location` and its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// `/path`, `= /path`, `^~ /path`.
    Path(String),
    /// `~ regex`, `~* regex`: the regex for a `rewrite`.
    Regex(String),
    /// `@name`.
    Named,
}

impl Pattern {
    /// Of a location.
    ///
    /// # Errors
    /// It has no path, or too many.
    pub(super) fn of(location: &Directive) -> Result<Pattern, &'static str> {
        let words: Vec<&str> = location.arguments().collect();
        let regex = |text: &str, folds: bool| {
            Pattern::Regex(if folds { format!("(?i){text}") } else { text.to_owned() })
        };
        match words[..] {
            ["=" | "^~", path] => Ok(Pattern::Path(path.to_owned())),
            ["~", text] => Ok(regex(text, false)),
            ["~*", text] => Ok(regex(text, true)),
            // Nginx takes the sign and what follows it as one word, too.
            [word] if word.starts_with("~*") => Ok(regex(&word[2..], true)),
            [word] if word.starts_with('~') => Ok(regex(&word[1..], false)),
            [word] if word.starts_with('@') => Ok(Pattern::Named),
            [word] => Ok(Pattern::Path(word.trim_start_matches("^~").trim_start_matches('=').to_owned())),
            _ => Err("a location has one path, or one of = ^~ ~ ~* and a path"),
        }
    }

    /// The regular expression as a word of a directive.
    pub(super) fn regex(&self) -> Option<String> {
        match self {
            Pattern::Regex(regex) => Some(written(regex)),
            _ => None,
        }
    }

    /// How every path that it matches begins, as far as that can be told.
    pub(super) fn stem(&self) -> String {
        match self {
            Pattern::Path(path) => path.clone(),
            Pattern::Regex(regex) => literal_begin(regex),
            Pattern::Named => String::new(),
        }
    }

    /// The number of a group by its name.
    pub(super) fn group(&self, name: &str) -> Option<u8> {
        let Pattern::Regex(regex) = self else { return None };
        let number = groups(regex).iter().position(|group| group.as_deref() == Some(name))? + 1;
        u8::try_from(number).ok().filter(|number| *number <= 9)
    }
}

/// The characters that a regular expression begins with.
fn literal_begin(regex: &str) -> String {
    let mut text = String::new();
    let regex = regex.strip_prefix("(?i)").unwrap_or(regex);
    let mut characters = regex.strip_prefix('^').unwrap_or(regex).chars().peekable();
    // Alternatives at the top may begin otherwise.
    if regex.contains('|') && !regex.contains('(') {
        return text;
    }
    while let Some(character) = characters.next() {
        let literal = match character {
            '\\' => match characters.next() {
                Some(next) if !next.is_ascii_alphanumeric() => next,
                _ => break,
            },
            '(' | '[' | '.' | '$' | '|' | ')' | '^' | '*' | '+' | '?' | '{' => break,
            other => other,
        };
        // Once, or perhaps not at all.
        if matches!(characters.peek(), Some('*' | '+' | '?' | '{')) {
            break;
        }
        text.push(literal);
    }
    text
}

/// The groups that find something, in their order; with names where they have some.
fn groups(regex: &str) -> Vec<Option<String>> {
    let mut groups = Vec::new();
    let mut rest = regex;
    let mut class = false;
    while let Some(character) = rest.chars().next() {
        let behind = &rest[character.len_utf8()..];
        rest = behind;
        match character {
            '\\' => rest = behind.chars().next().map_or("", |next| &behind[next.len_utf8()..]),
            '[' if !class => {
                class = true;
                // A bracket that comes first is a character.
                let first = behind.strip_prefix('^').unwrap_or(behind);
                rest = first.strip_prefix(']').unwrap_or(first);
            }
            ']' => class = false,
            '(' if !class => match behind.strip_prefix('?') {
                None if behind.starts_with('*') => {}
                None => groups.push(None),
                Some(kind) => {
                    let kind = kind.strip_prefix('P').unwrap_or(kind);
                    let name = kind.strip_prefix(['<', '\'']).unwrap_or_default();
                    let length =
                        name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
                    if length > 0 {
                        groups.push(Some(name[..length].to_owned()));
                    }
                }
            },
            _ => {}
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import_nginx::parse::parse;

    #[test]
    fn patterns() {
        let table = [
            ("/pub", "Path(\"/pub\")", "/pub"),
            ("= /pub", "Path(\"/pub\")", "/pub"),
            ("^~ /sub/", "Path(\"/sub/\")", "/sub/"),
            ("~ ^/sub/(.*)", "Regex(\"^/sub/(.*)\")", "/sub/"),
            ("~ /sub/(.*)?", "Regex(\"/sub/(.*)?\")", "/sub/"),
            ("~^/a\\.b/(.*)", "Regex(\"^/a\\\\.b/(.*)\")", "/a.b/"),
            ("~* \"^/WS/x?(.{1,3})$\"", "Regex(\"(?i)^/WS/x?(.{1,3})$\")", "/WS/"),
            ("~ /a|/b", "Regex(\"/a|/b\")", ""),
            ("@x", "Named", ""),
        ];
        for (words, pattern, stem) in table {
            let directive = parse(&format!("location {words} {{}}")).unwrap().remove(0);
            let found = Pattern::of(&directive).unwrap();
            assert_eq!((format!("{found:?}").as_str(), found.stem().as_str()), (pattern, stem), "{words}");
        }
    }

    #[test]
    fn groups_by_name() {
        let pattern = Pattern::Regex(r"^/(?:a)([](x]+)\((?P<one>.)(?<two>.)(?=c)(?'three'.)".to_owned());
        assert_eq!(
            ["one", "two", "three", "four"].map(|name| pattern.group(name)),
            [Some(2), Some(3), Some(4), None]
        );
    }
}
