//! An Nginx configuration with the PushStream module, carried over: `[pushstream]` for our own settings, the
//! same site for a stock Nginx that proxies to a worker, and remarks on what is not, or not quite, the same.
//!
//! Nothing here reads a file or an environment: texts come from [`Files`]. Whatever in the site has nothing
//! to do with the module stands in it as it was written.
//!
//! Layout: `parse` and `files` read; `pattern` and `value` say what locations and words mean; `walk` goes
//! through blocks and what they inherit; `carry` makes settings of a location, `globals` those of the whole
//! server, `access` what is asked of who publishes, `paths` gives each its path; `route` finds how requests
//! get there, `conditions` which of them an `if` decides, `variables` what may be put into headers, `proxy`
//! says it in directives; `site` and `settings` write. `glob` is for whoever reads
//! files.

mod access;
mod carry;
mod conditions;
mod files;
pub mod glob;
mod globals;
mod parse;
mod paths;
mod pattern;
mod proxy;
mod route;
mod settings;
mod site;
#[cfg(test)]
mod tests;
mod value;
mod variables;
mod walk;

use std::fmt;

/// Where the texts of files come from.
pub trait Files {
    /// The text of a file that is named in the configuration. Relative to the main file's directory.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&mut self, path: &str) -> Result<String, String>;

    /// The files that a pattern with `*`, `?` or `[…]` names, in order; none if there are none.
    ///
    /// # Errors
    /// Why the directory cannot be read.
    fn matching(&mut self, pattern: &str) -> Result<Vec<String>, String>;
}

/// What the new site needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The worker's address and port, as an upstream's `server` names it.
    pub worker: String,
}

impl Default for Options {
    fn default() -> Self {
        Options { worker: "127.0.0.1:42633".to_owned() }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// `[pushstream]` and its locations.
    pub toml: String,
    /// The site for a stock Nginx.
    pub site: String,
    /// What is not carried over, or not quite; in the order of files and lines.
    pub remarks: Vec<Remark>,
}

/// What is said of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What becomes of it, and why.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct ImportError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What it is.
    pub what: String,
}

impl ImportError {
    fn new(file: &str, line: usize, what: impl Into<String>) -> ImportError {
        ImportError { file: file.to_owned(), line, what: what.into() }
    }
}

/// Carries a configuration over: all of `nginx.conf`, or a file for its http block.
///
/// # Errors
/// The first thing in it that Nginx would not read either.
pub fn import(
    name: &str,
    text: &str,
    options: &Options,
    files: &mut dyn Files,
) -> Result<Imported, ImportError> {
    let mut loader = files::Loader::new(files);
    let root = loader.unit(name, text.to_owned(), 0)?;
    let names = std::mem::take(&mut loader.names);
    let carried = walk::walk(&root, &names, options, files)?;
    Ok(Imported {
        toml: settings::write(&carried.settings, &carried.origins, name),
        site: site::write(&root, &carried.edits),
        remarks: carried.remarks,
    })
}
