//! Reads a report from its JSON file.
//!
//! The version of the format is looked at first: a report of another version is told apart from
//! what is no report at all.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::model::{FORMAT, Report};

/// Largest report that is read, in bytes: a day's timeline at a moment a second is 20 MB.
pub const REPORT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why a report could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is longer than any report.
    #[error("{0} is larger than {REPORT_BYTES_MAX} bytes: this is no report")]
    TooLarge(PathBuf),
    /// It is not JSON, or says nothing of a format.
    #[error("{path} is not a report of this program: {reason}")]
    NoReport {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// It is a report, of a version that this program does not know.
    #[error("{path} is a report of format {found}, and this program reads format {FORMAT}: {advice}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// What to do.
        advice: &'static str,
    },
    /// It says that it is of this version, and is not.
    #[error("{path} is a broken report of format {FORMAT}: {source}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where it is broken, and how.
        source: serde_json::Error,
    },
}

/// The one field that all versions share.
#[derive(Deserialize)]
struct Head {
    format: Option<u64>,
}

/// Reads the report in this file.
///
/// # Errors
///
/// When it cannot be read, is no report, or one of another format.
pub fn read(path: &Path) -> Result<Report, ReadError> {
    let mut bytes = Vec::new();
    let whole = File::open(path).and_then(|file| file.take(REPORT_BYTES_MAX + 1).read_to_end(&mut bytes));
    whole.map_err(|source| ReadError::File { path: path.to_owned(), source })?;
    if bytes.len() as u64 > REPORT_BYTES_MAX {
        return Err(ReadError::TooLarge(path.to_owned()));
    }
    let no_report = |reason: String| ReadError::NoReport { path: path.to_owned(), reason };
    let head: Head = serde_json::from_slice(&bytes).map_err(|error| no_report(error.to_string()))?;
    let found = head.format.ok_or_else(|| no_report("it has no field `format`".to_owned()))?;
    if found != u64::from(FORMAT) {
        let older = found < u64::from(FORMAT);
        let advice = if older { "make it anew" } else { "use the program that made it, or a newer one" };
        return Err(ReadError::Format { path: path.to_owned(), found, advice });
    }
    serde_json::from_slice(&bytes).map_err(|source| ReadError::Broken { path: path.to_owned(), source })
}
