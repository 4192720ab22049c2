//! The site: the text of the configuration as it was written, with some directives taken out and some lines
//! put in. An included file that is changed stands in the place of its `include`; one that is not stays
//! outside.

use std::collections::BTreeMap;
use std::ops::Range;

use super::parse::{Directive, Unit};

/// What is changed, by the file's number.
#[derive(Debug, Default)]
pub(super) struct Edits {
    removed: BTreeMap<usize, Vec<Range<usize>>>,
    inserted: BTreeMap<usize, Vec<Insertion>>,
}

#[derive(Debug)]
struct Insertion {
    place: Place,
    lines: Vec<String>,
}

#[derive(Debug)]
enum Place {
    /// Before the directive that begins here.
    Before(usize),
    /// At the end of the block of the directive with this span.
    EndOf(Range<usize>),
}

impl Edits {
    /// Takes a directive out, with its block.
    pub(super) fn remove(&mut self, directive: &Directive) {
        self.removed.entry(directive.unit).or_default().push(directive.span.clone());
    }

    /// Puts lines before a directive.
    pub(super) fn before(&mut self, directive: &Directive, lines: Vec<String>) {
        self.insert(directive.unit, Place::Before(directive.span.start), lines);
    }

    /// Puts lines at the end of a directive's block.
    pub(super) fn at_end(&mut self, directive: &Directive, lines: Vec<String>) {
        self.insert(directive.unit, Place::EndOf(directive.span.clone()), lines);
    }

    /// Puts lines at the beginning of a file.
    pub(super) fn at_start(&mut self, unit: usize, lines: Vec<String>) {
        self.insert(unit, Place::Before(0), lines);
    }

    fn insert(&mut self, unit: usize, place: Place, lines: Vec<String>) {
        self.inserted.entry(unit).or_default().push(Insertion { place, lines });
    }
}

/// Writes the site.
pub(super) fn write(root: &Unit, edits: &Edits) -> String {
    let mut site = rendered(root, edits).unwrap_or_else(|| root.text.clone());
    if !site.ends_with('\n') {
        site.push('\n');
    }
    site
}

/// A file's text, if it is another now.
fn rendered(unit: &Unit, edits: &Edits) -> Option<String> {
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    includes(&unit.directives, &mut |directive| {
        let files: Vec<_> = directive.included.iter().map(|file| (file, rendered(file, edits))).collect();
        if files.iter().any(|(_, text)| text.is_some()) {
            let mut text = String::new();
            for (file, new) in &files {
                let content = new.as_deref().unwrap_or(&file.text).trim_end();
                text.push_str(&format!(
                    "# {} begins here.\n{content}\n# {} ends here.\n",
                    file.name, file.name
                ));
            }
            changes.push((directive.span.clone(), text));
        }
    });
    let removed = edits.removed.get(&unit.number).map(Vec::as_slice).unwrap_or_default();
    changes.extend(
        merged(&unit.text, removed).into_iter().map(|range| (widened(&unit.text, range), String::new())),
    );
    for insertion in edits.inserted.get(&unit.number).map(Vec::as_slice).unwrap_or_default() {
        changes.push(placed(&unit.text, insertion));
    }
    if changes.is_empty() {
        return None;
    }
    changes.sort_by_key(|(range, _)| (range.start, range.end));
    let (mut text, mut at) = (String::with_capacity(unit.text.len()), 0);
    for (range, new) in changes {
        text.push_str(unit.text.get(at..range.start).unwrap_or_default());
        text.push_str(&new);
        at = at.max(range.end);
    }
    text.push_str(unit.text.get(at..).unwrap_or_default());
    Some(text)
}

/// All `include`s of a file itself.
fn includes(directives: &[Directive], each: &mut impl FnMut(&Directive)) {
    for directive in directives {
        if !directive.included.is_empty() {
            each(directive);
        }
        includes(directive.inside(), each);
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte == b'\t')
}

/// What is taken out, in order; with nothing but space between two of them, they are one.
fn merged(text: &str, removed: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut sorted = removed.to_vec();
    sorted.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end || is_blank(&text[last.end..range.start]) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// With the space before it; with its line's break too, if nothing else stands in the line.
fn widened(text: &str, range: Range<usize>) -> Range<usize> {
    let before = text[..range.start].trim_end_matches([' ', '\t']);
    let behind = text[range.end..].trim_start_matches([' ', '\t', '\r']);
    let alone = behind.is_empty() || behind.starts_with('\n');
    let line_start = before.is_empty() || before.ends_with('\n');
    match (line_start, alone) {
        (true, true) => {
            let without_break = |text: &str| {
                text.strip_suffix('\n')
                    .map_or(text.len(), |line| line.strip_suffix('\r').unwrap_or(line).len())
            };
            let mut start = without_break(before);
            // Of the blank lines before and behind it one is enough.
            let above = text[..start].trim_end_matches([' ', '\t']);
            let below = behind.strip_prefix('\n').map(|rest| rest.trim_start_matches([' ', '\t', '\r']));
            if above.ends_with('\n')
                && below.is_some_and(|below| below.is_empty() || below.starts_with(['\n', '}']))
            {
                start = without_break(above);
            }
            let spaces = text[range.end..].len() - text[range.end..].trim_start_matches([' ', '\t']).len();
            start..range.end + spaces
        }
        // A comment behind it keeps its place.
        (true, false) => range,
        (false, _) => before.len()..range.end,
    }
}

fn placed(text: &str, insertion: &Insertion) -> (Range<usize>, String) {
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
    let indent_of = |at: usize| {
        let line = &text[line_start(at)..at];
        line[..line.len() - line.trim_start_matches([' ', '\t']).len()].to_owned()
    };
    match &insertion.place {
        Place::Before(at) => {
            let indent = indent_of(*at);
            // At the beginning of its line, if nothing else is before it.
            let first = is_blank(&text[line_start(*at)..*at]);
            let at = if first { line_start(*at) } else { *at };
            let mut new = if first { String::new() } else { "\n".to_owned() };
            for line in &insertion.lines {
                match line.is_empty() {
                    true => new.push('\n'),
                    false => new.push_str(&format!("{indent}{line}\n")),
                }
            }
            (at..at, new)
        }
        Place::EndOf(span) => {
            let indent = indent_of(span.start);
            let brace = span.end - 1;
            let start = text[..brace].trim_end_matches([' ', '\t', '\r', '\n']).len();
            let mut new = String::new();
            for line in &insertion.lines {
                new.push_str(&format!("\n{indent}    {line}"));
            }
            new.push_str(&format!("\n{indent}"));
            (start..brace, new)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import_nginx::parse::parse;

    #[test]
    fn what_is_taken_out_leaves_no_hole() {
        let table = [
            ("a;\nx;\nb;\n", "a;\nb;\n"),
            ("x;\nb;\n", "\nb;\n"),
            ("a; x; b;\n", "a; b;\n"),
            ("a;\n\nx;\n\nb;\n", "a;\n\nb;\n"),
            ("l {\n    a;\n\n    x;\n}\n", "l {\n    a;\n}\n"),
            ("l { x; x b; }\n", "l { }\n"),
            ("l {\n    x; x; # why\n    b;\n}\n", "l {\n     # why\n    b;\n}\n"),
            ("l {\r\n    x;\r\n    b;\r\n}\r\n", "l {\r\n    b;\r\n}\r\n"),
        ];
        for (text, expected) in table {
            let unit = Unit { text: text.to_owned(), directives: parse(text).unwrap(), ..Unit::default() };
            let mut edits = Edits::default();
            let all = unit.directives.iter().flat_map(|one| std::iter::once(one).chain(one.inside()));
            all.filter(|directive| directive.name() == "x").for_each(|directive| edits.remove(directive));
            assert_eq!(write(&unit, &edits), expected);
        }
    }
}
