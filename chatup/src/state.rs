//! The state directory, and in it the demo keys: an Ed25519 key pair that the all-in-one makes at
//! its first start, so that anyone can try it with tokens that are nevertheless worth something.
//!
//! The private key is what counts; the public file beside it is for people to copy. Starts at once
//! agree on one pair: each writes its own under a name of its own, and whoever first links it to
//! the right name has made it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::read_capped;

/// The private key's file in the state directory.
pub const PRIVATE_FILE: &str = "demo-private.pem";
/// The public key's file in the state directory.
pub const PUBLIC_FILE: &str = "demo-public.pem";

/// Largest demo key file, in bytes: both are under 200.
const KEY_FILE_BYTES_MAX: u64 = 4_096;
const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";
/// Characters of base64 in a line of a PEM file (RFC 7468, 2).
const PEM_LINE_CHARS: usize = 64;

/// What is wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is nowhere to put it.
    #[error("there is no state directory: neither XDG_STATE_HOME nor HOME is set; give --state-dir DIR")]
    Nowhere,
    /// The operating system refuses.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Others could put their own keys there.
    #[error("{path}: others can write to it (mode {mode:04o}); run: chmod go-w {path}")]
    OpenDirectory {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Others could use the private key.
    #[error(
        "{path}: others can get at it (mode {mode:04o}); delete it for a new one, or run: chmod 600 {path}"
    )]
    OpenKey {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file that is not what it should be.
    #[error(
        "{path}: {reason}; delete {PRIVATE_FILE} and {PUBLIC_FILE} there, and the next start makes new ones"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        reason: &'static str,
    },
    /// The random generator or the encoder failed.
    #[error("the demo keys cannot be made")]
    Generation,
}

/// The demo keys, each as PEM.
#[derive(Clone)]
pub struct DemoKeys {
    /// PKCS #8 (RFC 5958). Not for printing.
    pub private_pem: Vec<u8>,
    /// SubjectPublicKeyInfo (RFC 5280).
    pub public_pem: Vec<u8>,
}

/// Where the state directory is: as given, else `$XDG_STATE_HOME/chatup`, else
/// `~/.local/state/chatup`. Relative paths in either variable are void (XDG Base Directory 0.8).
///
/// # Errors
/// Nothing says where.
pub fn directory(
    given: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, StateError> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match given {
        Some(given) => Ok(given.to_owned()),
        None => absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|base| base.join("chatup"))
            .ok_or(StateError::Nowhere),
    }
}

impl DemoKeys {
    /// The keys of that directory; makes both where they are missing.
    ///
    /// # Errors
    /// The directory or a file in it cannot be used, or is open to others.
    pub fn load_or_create(directory: &Path) -> Result<DemoKeys, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(io_error(directory, "make it"))?;
        let mode = mode_of(directory)?;
        if mode & 0o022 != 0 {
            return Err(StateError::OpenDirectory { path: directory.to_owned(), mode });
        }
        let private = directory.join(PRIVATE_FILE);
        if !private.try_exists().map_err(io_error(&private, "look for it"))? {
            let pair = Ed25519KeyPair::generate().map_err(|_| StateError::Generation)?;
            // Version 1, without the public half: OpenSSL does not read version 2.
            let der = pair.to_pkcs8v1().map_err(|_| StateError::Generation)?;
            put(&private, &pem(PRIVATE_LABEL, der.as_ref()), 0o600)?;
        }
        DemoKeys::load(directory)
    }

    fn load(directory: &Path) -> Result<DemoKeys, StateError> {
        let path = directory.join(PRIVATE_FILE);
        let mode = mode_of(&path)?;
        if mode & 0o077 != 0 {
            return Err(StateError::OpenKey { path, mode });
        }
        let private_pem = read_capped(&path, KEY_FILE_BYTES_MAX).map_err(io_error(&path, "read it"))?;
        let Some(pair) =
            from_pem(PRIVATE_LABEL, &private_pem).and_then(|der| Ed25519KeyPair::from_pkcs8(&der).ok())
        else {
            return Err(StateError::Damaged { path, reason: "it is not an Ed25519 private key in PEM" });
        };
        let der = pair.public_key().as_der().map_err(|_| StateError::Generation)?;
        let public_pem = pem(PUBLIC_LABEL, der.as_ref());

        let path = directory.join(PUBLIC_FILE);
        if !path.try_exists().map_err(io_error(&path, "look for it"))? {
            put(&path, &public_pem, 0o644)?;
        }
        let found = read_capped(&path, KEY_FILE_BYTES_MAX).map_err(io_error(&path, "read it"))?;
        if found != public_pem {
            return Err(StateError::Damaged {
                path,
                reason: "it does not belong to the private key beside it",
            });
        }
        Ok(DemoKeys { private_pem, public_pem })
    }
}

/// Puts a file there whole, unless there is one already: a half-written file is never seen under
/// its name, and of two that do this at once the first one's stays.
fn put(path: &Path, content: &[u8], mode: u32) -> Result<(), StateError> {
    let own = path.with_extension(format!("{:032x}.new", rand::random::<u128>()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&own)
        .and_then(|mut file: File| file.write_all(content).and_then(|()| file.sync_all()));
    let linked = match written {
        Ok(()) => fs::hard_link(&own, path),
        Err(error) => Err(error),
    };
    // Best effort: what is left behind is read by nobody.
    let _ = fs::remove_file(&own);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(io_error(path, "write it")),
    }
}

fn mode_of(path: &Path) -> Result<u32, StateError> {
    let metadata = fs::metadata(path).map_err(io_error(path, "look at it"))?;
    Ok(metadata.permissions().mode() & 0o7777)
}

fn io_error(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io { path, doing, source }
}

/// PEM as RFC 7468 has it.
fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (at, character) in text.chars().enumerate() {
        if at > 0 && at % PEM_LINE_CHARS == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str(&format!("\n-----END {label}-----\n"));
    pem.into_bytes()
}

fn from_pem(label: &str, pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?.trim();
    let inner = text
        .strip_prefix(&format!("-----BEGIN {label}-----"))?
        .strip_suffix(&format!("-----END {label}-----"))?;
    STANDARD.decode(inner.split_ascii_whitespace().collect::<String>()).ok()
}
