//! Where a setting came from: what every error begins with.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nobody set it: it has its default.
    Default,
    /// A settings file.
    File(Box<InFile>),
    /// An environment variable, by name.
    Variable(String),
    /// A flag, as it is written: `--set`, `--shards`.
    Flag(String),
}

/// A place in a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFile {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line itself, and how many of its characters are meant; none where it may hold a secret.
    pub shown: Option<(String, usize)>,
}

impl Place {
    /// The bytes `span` of `text`, which is the content of `path`.
    #[must_use]
    pub fn in_file(path: &Path, text: &str, span: Range<usize>) -> Place {
        let start = floor_char_boundary(text, span.start);
        let end = floor_char_boundary(text, span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let shown = text[line_start..line_end].trim_end_matches('\r');
        let width = text[start..end.min(line_end)].chars().count().max(1);
        Place::File(Box::new(InFile {
            path: path.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            shown: (!may_hold_a_secret(shown)).then(|| (shown.to_owned(), width)),
        }))
    }

    /// The file as a whole.
    #[must_use]
    pub fn whole_file(path: &Path) -> Place {
        Place::File(Box::new(InFile { path: path.to_owned(), line: 0, column: 0, shown: None }))
    }

    /// The line meant, marked, to go below an error; empty for what is not in a file.
    #[must_use]
    pub fn snippet(&self) -> String {
        let Place::File(place) = self else { return String::new() };
        let Some((text, width)) = &place.shown else { return String::new() };
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs are kept, so that the mark stands below what it means.
        let indent: String =
            text.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let mark = "^".repeat(*width);
        format!("\n{margin} |\n{number} | {text}\n{margin} | {indent}{mark}")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("settings"),
            Place::File(place) if place.line == 0 => place.path.display().fmt(f),
            Place::File(place) => {
                write!(f, "{}, line {}, column {}", place.path.display(), place.line, place.column)
            }
            Place::Variable(name) => f.write_str(name),
            Place::Flag(name) => f.write_str(name),
        }
    }
}

/// A line that sets `auth.key`, or that looks like a piece of a key, is not repeated in an error.
fn may_hold_a_secret(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches("auth.").trim_start_matches("redis.");
    let sets = |name| line.strip_prefix(name).is_some_and(|rest: &str| rest.trim_start().starts_with('='));
    let sets_key = sets("key") || sets("password") || sets("sentinel_password");
    let long_word = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '/' && c != '_');
    sets_key || line.contains("-----") || long_word.into_iter().any(|word| word.len() >= KEY_LIKE_CHARS_MIN)
}

/// Words at least this long look like base64 of a key: a PEM line has 64 characters, an HS256
/// secret of 256 bits 43. No setting's name comes near it.
const KEY_LIKE_CHARS_MIN: usize = 40;

fn floor_char_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}
