//! Writes a report into a file, in the form that its ending names.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::histogram_log::{HistogramLogError, histogram_log};
use super::html::html;
use super::model::Report;
use super::text::text;

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For programs, and for merging.
    Json,
    /// For a browser.
    Html,
    /// For a terminal.
    Text,
    /// For HdrHistogram's tools.
    HistogramLog,
}

/// Every ending and its form.
const ENDINGS: [(&str, Form); 4] =
    [("json", Form::Json), ("html", Form::Html), ("txt", Form::Text), ("hlog", Form::HistogramLog)];

/// A file that a report goes into. It can exist only with an ending that names a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFile {
    path: PathBuf,
    form: Form,
}

/// Why a report cannot be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The ending names no form.
    #[error("{0}: a report's file ends in .json, .html, .txt or .hlog")]
    Ending(PathBuf),
    /// There is no such folder.
    #[error("{path}: there is no folder {folder}")]
    Folder {
        /// The file.
        path: PathBuf,
        /// The folder that it should be in.
        folder: PathBuf,
    },
    /// It is there, and no file.
    #[error("{0} is not a file")]
    NoFile(PathBuf),
    /// The report has no such form.
    #[error("{path} cannot be made: {source}")]
    HistogramLog {
        /// The file.
        path: PathBuf,
        /// Why.
        source: HistogramLogError,
    },
    /// The file could not be written.
    #[error("{path} cannot be written: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OutputFile {
    /// The file of this path. Looks at all that can be known before a run begins: nobody wants to
    /// learn at its end that it cannot be kept.
    ///
    /// # Errors
    ///
    /// When the ending names no form, or there is no folder for it.
    pub fn parse(path: &str) -> Result<OutputFile, WriteError> {
        let path = PathBuf::from(path);
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let form = ENDINGS.iter().find(|(known, _)| Some(*known) == ending.as_deref());
        let Some(&(_, form)) = form else { return Err(WriteError::Ending(path)) };
        let folder = folder_of(&path);
        if !folder.is_dir() {
            let folder = folder.to_owned();
            return Err(WriteError::Folder { path, folder });
        }
        if path.exists() && !path.is_file() {
            return Err(WriteError::NoFile(path));
        }
        Ok(OutputFile { path, form })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In which form it is written.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }
}

/// Writes the report whole or not at all: whoever reads the file meanwhile reads the one before.
///
/// # Errors
///
/// When it cannot be written, or a histogram is broken and the form needs it.
pub fn write(report: &Report, file: &OutputFile) -> Result<(), WriteError> {
    let path = || file.path.clone();
    let content = match file.form {
        Form::Json => {
            let mut json = serde_json::to_string_pretty(report).expect("a report is JSON");
            json.push('\n');
            json
        }
        Form::Html => html(report),
        Form::Text => text(report),
        Form::HistogramLog => {
            histogram_log(report).map_err(|source| WriteError::HistogramLog { path: path(), source })?
        }
    };
    replace(&file.path, content.as_bytes()).map_err(|source| WriteError::File { path: path(), source })
}

/// Writes beside the file and renames: a rename is atomic (rename(2)).
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder_of(path).join(format!(".{name}.{}.part", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // What failed is told; that the part could not be removed either would not help.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
