//! The key that tokens are verified with, from wherever the settings say that it is.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use chatup_core::token::{Algorithm, KeySet, Policy, Verifier};

use super::error::{Broken, ConfigError};
use super::keys::TOKEN_KEY;
use super::place::Place;
use super::tables::{Auth, Config, Secret};

/// Largest key file, in bytes: a set of as many keys as are allowed fits.
const KEY_FILE_BYTES_MAX: u64 = 1 << 20;

impl Auth {
    /// Whether the settings name a key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        !self.key.is_empty() || !self.key_file.as_os_str().is_empty()
    }
}

impl Config {
    /// What decides about tokens: with the key that the settings name, or else with the public
    /// half of the demo keys (PEM), for which only EdDSA is taken.
    ///
    /// # Errors
    /// There is no key, it cannot be read or used, or it is the public example key and nobody has
    /// allowed it. The error has no place yet: `Places::locate` finds it.
    pub fn verifier(&self, demo_public_pem: Option<&[u8]>) -> Result<Verifier, ConfigError> {
        let auth = &self.auth;
        let (key, shown, material, algorithms) = if !auth.key.is_empty() {
            (TOKEN_KEY, Secret::REDACTED.to_owned(), auth.key.expose().as_bytes().to_vec(), self.algorithms())
        } else if auth.has_key() {
            let shown = format!("{:?}", auth.key_file);
            let material = read_capped(&auth.key_file, KEY_FILE_BYTES_MAX).map_err(|error| {
                broken("auth.key_file", shown.clone(), format!("a file that can be read: {error}"))
            })?;
            ("auth.key_file", shown, material, self.algorithms())
        } else if let Some(pem) = demo_public_pem {
            ("auth.key_file", "demo key".to_owned(), pem.to_vec(), vec![Algorithm::EdDSA])
        } else {
            return Err(broken(TOKEN_KEY, "\"\"".to_owned(), "set, or auth.key_file"));
        };
        let keys = KeySet::parse(&material, &algorithms)
            .map_err(|error| broken(key, shown.clone(), format!("a key for auth.algorithms: {error}")))?;
        if keys.is_public_example() && !auth.allow_example_key {
            return Err(broken(
                key,
                shown,
                "a key of your own: this is the example key of ChatUp's README, whose private half anyone can \
                 look up; to use it all the same, set auth.allow_example_key",
            ));
        }
        Ok(Verifier::new(keys, self.policy()))
    }

    fn policy(&self) -> Policy {
        let auth = &self.auth;
        Policy {
            leeway_s: auth.leeway_s,
            require_expiry: auth.require_expiry,
            audience: (!auth.audience.is_empty()).then(|| auth.audience.clone()),
            admin_audience: auth.admin_audience.clone(),
            accept_array_tokens: auth.accept_array_tokens,
        }
    }

    fn algorithms(&self) -> Vec<Algorithm> {
        self.auth.algorithms.iter().map(|algorithm| Algorithm::from(*algorithm)).collect()
    }
}

/// A file's content, if it is not larger than that.
pub(crate) fn read_capped(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {bytes_max} bytes"),
        ));
    }
    Ok(bytes)
}

fn broken(key: &str, value: String, rule: impl Into<std::borrow::Cow<'static, str>>) -> ConfigError {
    ConfigError::new(Place::Default, Broken { key: key.to_owned(), value, rule: rule.into() })
}
