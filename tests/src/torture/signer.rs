//! Tokens, signed by the program itself.

use std::path::PathBuf;
use std::process::Command;

use crate::server::program;

/// Whoever has the key.
#[derive(Clone)]
pub struct Signer {
    /// Where it is.
    pub key_file: PathBuf,
}

impl Signer {
    /// A user's token.
    ///
    /// # Panics
    /// The program makes none.
    #[must_use]
    pub fn user(&self, name: &str) -> String {
        self.token(&["--name", name])
    }

    /// An operator's, with the arguments of `chatup token admin`.
    ///
    /// # Panics
    /// The program makes none.
    #[must_use]
    pub fn admin(&self, arguments: &[&str]) -> String {
        self.token(&[&["admin"], arguments].concat())
    }

    fn token(&self, arguments: &[&str]) -> String {
        let output = Command::new(program())
            .arg("token")
            .args(arguments)
            .args(["--set", "auth.algorithms=HS256", "--key-file"])
            .arg(&self.key_file)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }
}
