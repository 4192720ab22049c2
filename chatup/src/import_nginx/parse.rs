//! Nginx's configuration language: words, directives and blocks, each with its place in the text, so that
//! what is not touched can be written out as it stands. It knows no directive but for blocks of Lua, in which
//! braces and quotation marks mean something else.
//!
//! Words are read as Nginx reads them (`ngx_conf_read_token`): a quotation mark only counts where a word
//! begins, `#` too; a closing brace in a word belongs to it; `${` opens no block.

use std::ops::Range;

/// Blocks in blocks, at most: many times what any configuration has.
pub(super) const DEPTH_MAX: usize = 64;

/// A word of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// What it says: without quotation marks and escapes.
    pub(super) text: String,
    /// Where it is written, quotation marks included.
    pub(super) span: Range<usize>,
}

/// A directive, perhaps with a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directive {
    /// The file that it is in, by number; the reader of files sets it.
    pub(super) unit: usize,
    /// Its line, from 1.
    pub(super) line: usize,
    /// Its words, the name first.
    pub(super) words: Vec<Word>,
    /// From its name to the semicolon or closing brace, that included.
    pub(super) span: Range<usize>,
    /// What stands in its block, if it has one; nothing of Lua.
    pub(super) block: Option<Vec<Directive>>,
    /// The files that it stands for, if it is an `include`.
    pub(super) included: Vec<Unit>,
}

/// A file as often as it is included: each time it may mean something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// Its number.
    pub(super) number: usize,
    /// How it is called.
    pub(super) name: String,
    /// All of it.
    pub(super) text: String,
    /// The same, taken apart.
    pub(super) directives: Vec<Directive>,
}

impl Directive {
    /// Its first word.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", |word| word.text.as_str())
    }

    /// The word with this number; 1 is the first behind the name.
    pub(super) fn word(&self, number: usize) -> Option<&str> {
        self.words.get(number).map(|word| word.text.as_str())
    }

    /// Its words but the name.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.words.iter().skip(1).map(|word| word.text.as_str())
    }

    /// What its block holds; nothing if it has none.
    pub(super) fn inside(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// What cannot be read, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// Reads a file's text.
pub(super) fn parse(text: &str) -> Result<Vec<Directive>, Unreadable> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, line: 1 };
    let mut done = Vec::new();
    // Blocks that are open: what opened each, and what was read before it.
    let mut open: Vec<(Directive, Vec<Directive>)> = Vec::new();
    loop {
        match reader.statement()? {
            Statement::Ends(directive) => done.push(directive),
            Statement::Opens(mut directive) => {
                if open.len() == DEPTH_MAX {
                    return Err(Unreadable { line: directive.line, what: "too many blocks in one another" });
                }
                if directive.name().ends_with("_by_lua_block") {
                    reader.lua(directive.line)?;
                    directive.span.end = reader.at;
                    directive.block = Some(Vec::new());
                    done.push(directive);
                } else {
                    open.push((directive, std::mem::take(&mut done)));
                }
            }
            Statement::Closes => {
                let Some((mut directive, before)) = open.pop() else {
                    return Err(Unreadable { line: reader.line, what: "unexpected \"}\"" });
                };
                directive.span.end = reader.at;
                directive.block = Some(std::mem::replace(&mut done, before));
                done.push(directive);
            }
            Statement::Done => {
                return match open.pop() {
                    None => Ok(done),
                    Some((directive, _)) => Err(Unreadable {
                        line: directive.line,
                        what: "this block has no end: \"}\" is missing",
                    }),
                };
            }
        }
    }
}

enum Statement {
    Ends(Directive),
    Opens(Directive),
    Closes,
    Done,
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Up to a semicolon, a brace, or the end of the file.
    fn statement(&mut self) -> Result<Statement, Unreadable> {
        let mut directive = Directive::default();
        loop {
            let start = self.at;
            let line = self.line;
            let Some(byte) = self.next() else {
                if directive.words.is_empty() {
                    return Ok(Statement::Done);
                }
                return Err(Unreadable {
                    line: directive.line,
                    what: "this directive has no end: \";\" is missing",
                });
            };
            match byte {
                _ if is_space(byte) => {}
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                b';' | b'{' => {
                    if directive.words.is_empty() {
                        let what = if byte == b';' { "unexpected \";\"" } else { "unexpected \"{\"" };
                        return Err(Unreadable { line, what });
                    }
                    directive.span.end = self.at;
                    return Ok(match byte {
                        b';' => Statement::Ends(directive),
                        _ => Statement::Opens(directive),
                    });
                }
                b'}' if directive.words.is_empty() => return Ok(Statement::Closes),
                b'}' => {
                    return Err(Unreadable { line, what: "unexpected \"}\": \";\" is missing before it" });
                }
                _ => {
                    if directive.words.is_empty() {
                        directive.line = line;
                        directive.span.start = start;
                    }
                    let text = match byte {
                        b'"' | b'\'' => self.quoted(byte, line)?,
                        _ => self.bare(start),
                    };
                    directive.words.push(Word { text: unescaped(text), span: start..self.at });
                }
            }
        }
    }

    /// A word in quotation marks, behind the first of them. A space or an end follows.
    fn quoted(&mut self, mark: u8, line: usize) -> Result<&str, Unreadable> {
        let start = self.at;
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => {
                    self.next();
                }
                _ if byte == mark => {
                    if self.peek().is_none_or(|next| is_space(next) || matches!(next, b';' | b'{' | b')')) {
                        return Ok(&self.text[start..self.at - 1]);
                    }
                    return Err(Unreadable {
                        line: self.line,
                        what: "a space is missing behind a quotation",
                    });
                }
                _ => {}
            }
        }
        Err(Unreadable { line, what: "this quotation has no end" })
    }

    /// A word without, of which the first byte has been read.
    fn bare(&mut self, start: usize) -> &str {
        self.at = start;
        let mut before = b' ';
        while let Some(byte) = self.peek() {
            let ends = is_space(byte) || byte == b';' || (byte == b'{' && before != b'$');
            if ends {
                break;
            }
            self.next();
            before = byte;
            if byte == b'\\' {
                self.next();
                before = b' ';
            }
        }
        &self.text[start..self.at]
    }

    /// A block of Lua, behind its brace: up to the brace that closes it, past strings and comments.
    fn lua(&mut self, line: usize) -> Result<(), Unreadable> {
        let endless = Unreadable { line, what: "this block of Lua has no end" };
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                None => return Err(endless),
                Some(b'{') => depth += 1,
                Some(b'}') => depth -= 1,
                Some(mark @ (b'"' | b'\'')) => loop {
                    match self.next() {
                        None => return Err(endless),
                        Some(b'\\') => {
                            self.next();
                        }
                        Some(byte) if byte == mark => break,
                        Some(_) => {}
                    }
                },
                Some(b'-') if self.peek() == Some(b'-') => {
                    self.next();
                    if !(self.peek() == Some(b'[') && self.long_bracket(endless.clone())?) {
                        while self.peek().is_some_and(|byte| byte != b'\n') {
                            self.next();
                        }
                    }
                }
                Some(b'[') => {
                    self.at -= 1;
                    if !self.long_bracket(endless.clone())? {
                        self.next();
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Skips `[[…]]`, `[=[…]=]` and so on, if one begins here.
    fn long_bracket(&mut self, endless: Unreadable) -> Result<bool, Unreadable> {
        let rest = &self.text[self.at..];
        let inner = rest.strip_prefix('[').unwrap_or_default();
        let level = inner.len() - inner.trim_start_matches('=').len();
        if !inner[level..].starts_with('[') {
            return Ok(false);
        }
        let end = format!("]{}]", "=".repeat(level));
        let Some(length) = inner.find(&end) else { return Err(endless) };
        let skipped = &rest[..1 + length + end.len()];
        self.line += skipped.matches('\n').count();
        self.at += skipped.len();
        Ok(true)
    }
}

/// What a word says; a backslash stays where it means nothing.
fn unescaped(written: &str) -> String {
    let mut text = String::with_capacity(written.len());
    let mut characters = written.chars().peekable();
    while let Some(character) = characters.next() {
        let stands_for = match (character, characters.peek()) {
            ('\\', Some('t')) => '\t',
            ('\\', Some('r')) => '\r',
            ('\\', Some('n')) => '\n',
            ('\\', Some(next @ ('"' | '\'' | '\\'))) => *next,
            _ => {
                text.push(character);
                continue;
            }
        };
        characters.next();
        text.push(stands_for);
    }
    text
}

/// A word as Nginx reads it back: in quotation marks where it needs them.
pub(super) fn written(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\;{}#".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(directives: &[Directive]) -> String {
        let one = |directive: &Directive| {
            let words: Vec<_> = directive
                .words
                .iter()
                .map(|word| word.text.replace('\n', "\\n").replace('\r', "\\r"))
                .collect();
            let block =
                directive.block.as_ref().map_or(String::new(), |block| format!(" {{{}}}", shown(block)));
            format!("{}:{}{block}", directive.line, words.join("|"))
        };
        directives.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_and_blocks_as_nginx_reads_them() {
        let table = [
            ("a b;\nc {\n d;\n}\n", "1:a|b 2:c {3:d}"),
            ("a \"b {c}; # d\" 'e\"f';", "1:a|b {c}; # d|e\"f"),
            (r#"a "\"\\\r\n\d" b\ c;"#, r#"1:a|"\\r\n\d|b\ c"#),
            ("# a;\nb#c; # d }\ne;", "2:b#c 3:e"),
            ("a ${b}c $d{e;}", "1:a|${b}c|$d {1:e}"),
            ("if ($a = \"b\") { c; }", "1:if|($a|=|b|) {1:c}"),
            ("a\nb\n;", "1:a|b"),
            ("a \"b\nc\" d;\ne;", "1:a|b\\nc|d 3:e"),
            (
                "x_by_lua_block { a = {'}', \"\\\"}\", [[ } ]], [=[ ]] } ]=]} --[[ } ]] -- }\n }\nb;",
                "1:x_by_lua_block {} 3:b",
            ),
            ("a b}c;", "1:a|b}c"),
            ("", ""),
        ];
        for (text, expected) in table {
            match parse(text) {
                Ok(directives) => assert_eq!(shown(&directives), expected, "{text}"),
                Err(error) => assert_eq!(format!("{error:?}"), expected, "{text}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_has_a_line() {
        let table = [
            ("a;\nb", 2, "\";\" is missing"),
            ("a {\nb;", 1, "\"}\" is missing"),
            ("a;\n}", 2, "unexpected \"}\""),
            ("a;\n\n;", 3, "unexpected \";\""),
            ("a;\n{", 2, "unexpected \"{\""),
            ("a\n 'b;\n", 2, "no end"),
            ("a 'b'c;", 1, "a space is missing"),
            ("a { b }", 1, "\";\" is missing before it"),
            ("\nx_by_lua_block { '}' ", 2, "Lua"),
        ];
        for (text, line, what) in table {
            let error = parse(text).unwrap_err();
            assert!(error.line == line && error.what.contains(what), "{text}: {error:?}");
        }
        let deep = "a {".repeat(DEPTH_MAX + 1);
        assert_eq!(parse(&deep).unwrap_err().what, "too many blocks in one another");
    }

    #[test]
    fn a_word_is_read_back_as_it_was() {
        for text in ["", "a", "a b", "^/(?<x>[^\\x00-\\x20{]+)\\z", "\"'\\\r\n\t", "ä;", "#", "$1}"] {
            let directives = parse(&format!("x {};", written(text))).unwrap();
            assert_eq!(directives[0].word(1), Some(text));
        }
    }
}
