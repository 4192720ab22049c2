//! Files and what they include: every `include` is replaced by what it stands for, each time anew. Reading
//! is somebody else's task ([`Files`]).

use super::parse::{Directive, Unit, parse};
use super::{Files, ImportError};

/// Files in files, at most.
const DEPTH_MAX: usize = 16;
/// Files, at most, each as often as it is included.
const FILES_MAX: usize = 1_024;
/// Bytes of all of them, at most.
const BYTES_MAX: usize = 16 << 20;

/// What was read so far.
pub(super) struct Loader<'a> {
    files: &'a mut dyn Files,
    /// The name of each file, by its number.
    pub(super) names: Vec<String>,
    bytes: usize,
}

impl<'a> Loader<'a> {
    pub(super) fn new(files: &'a mut dyn Files) -> Loader<'a> {
        Loader { files, names: Vec::new(), bytes: 0 }
    }

    /// Takes a file apart, and what it includes.
    ///
    /// # Errors
    /// What is not in order, and where.
    pub(super) fn unit(&mut self, name: &str, text: String, depth: usize) -> Result<Unit, ImportError> {
        let number = self.names.len();
        self.names.push(name.to_owned());
        let mut directives = match parse(&text) {
            Ok(directives) => directives,
            Err(error) => return Err(ImportError::new(name, error.line, error.what)),
        };
        self.follow(&mut directives, number, depth)?;
        Ok(Unit { number, name: name.to_owned(), text, directives })
    }

    fn follow(&mut self, directives: &mut [Directive], unit: usize, depth: usize) -> Result<(), ImportError> {
        for directive in directives {
            directive.unit = unit;
            if directive.name() == "include" && directive.block.is_none() {
                self.include(directive, depth)?;
            } else if let Some(block) = &mut directive.block {
                self.follow(block, unit, depth)?;
            }
        }
        Ok(())
    }

    fn include(&mut self, directive: &mut Directive, depth: usize) -> Result<(), ImportError> {
        let name = self.names[directive.unit].clone();
        let wrong = |what: String| ImportError::new(&name, directive.line, what);
        let (Some(pattern), None) = (directive.word(1), directive.word(2)) else {
            return Err(wrong("include takes one file".to_owned()));
        };
        if depth == DEPTH_MAX {
            return Err(wrong(format!("{pattern}: more than {DEPTH_MAX} files include one another")));
        }
        let paths = if pattern.contains(['*', '?', '[']) {
            self.files.matching(pattern).map_err(|error| wrong(format!("{pattern}: {error}")))?
        } else {
            vec![pattern.to_owned()]
        };
        let mut included = Vec::with_capacity(paths.len());
        for path in paths {
            if self.names.len() == FILES_MAX {
                return Err(wrong(format!("{path}: more than {FILES_MAX} files are included")));
            }
            let text = self.files.read(&path).map_err(|error| wrong(format!("{path}: {error}")))?;
            self.bytes += text.len();
            if self.bytes > BYTES_MAX {
                return Err(wrong(format!("{path}: the files have more than {BYTES_MAX} bytes")));
            }
            included.push(self.unit(&path, text, depth + 1)?);
        }
        directive.included = included;
        Ok(())
    }
}

/// The directives of one block, those of included files in their place.
pub(super) fn level(directives: &[Directive]) -> Vec<&Directive> {
    let mut all = Vec::with_capacity(directives.len());
    for directive in directives {
        if directive.name() == "include" && directive.block.is_none() {
            all.extend(directive.included.iter().flat_map(|unit| level(&unit.directives)));
        } else {
            all.push(directive);
        }
    }
    all
}
