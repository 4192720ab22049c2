//! `chatup token`: prints a token, and nothing else, on standard output.

use std::io::{self, Read, Write};
use std::path::Path;

use chatup_core::limits::ADMIN_TOKEN_BYTES_MAX;
use chatup_core::token::Signer;

use super::{CommandError, Environment, demo_keys, now};
use crate::cli::{AdminArgs, SigningFlags, TokenArgs, TokenCommand};
use crate::config::{Config, Loaded, Role, read_capped};
use crate::token::{Envelope, Orders, UserToken, ban, reading};

/// Largest private key file, in bytes: an RSA key of 8,192 bits has about 6,400.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Stands for standard input where a file is asked for.
const STANDARD_INPUT: &str = "-";

pub(super) fn print(arguments: &TokenArgs, environment: &Environment) -> Result<(), CommandError> {
    let token = match &arguments.admin {
        Some(TokenCommand::Admin(admin)) => admin_token(admin, environment)?,
        None => user_token(arguments, environment)?,
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{token}")?;
    Ok(out.flush()?)
}

fn user_token(arguments: &TokenArgs, environment: &Environment) -> Result<String, CommandError> {
    let config = settings(&arguments.key, environment)?;
    let token = UserToken {
        name: arguments.name.as_deref().unwrap_or_default(),
        public: &arguments.public,
        lifetime_s: arguments.expires,
        audience: &config.auth.audience,
    };
    Ok(token.sign(&signer(&arguments.key, &config, environment)?, now()?)?)
}

fn admin_token(arguments: &AdminArgs, environment: &Environment) -> Result<String, CommandError> {
    let config = settings(&arguments.key, environment)?;
    if arguments.read {
        let signer = signer(&arguments.key, &config, environment)?;
        return Ok(reading(&signer, now()?, &config.auth.admin_audience, arguments.expires)?);
    }
    if let (Some(name), Some(room)) = (&arguments.unban, &arguments.room) {
        return orders_token(arguments, &config, environment, Orders::Unban, &ban(name, room, None)?);
    }
    let (orders, entries) = match (&arguments.post, &arguments.ban, &arguments.room) {
        (_, Some(name), Some(room)) => (Orders::Ban, ban(name, room, arguments.for_s)?),
        (_, Some(file), None) => (Orders::Ban, Orders::Ban.read(file, &text_of(file)?)?),
        (Some(file), None, _) => (Orders::Post, Orders::Post.read(file, &text_of(file)?)?),
        (None, None, _) => return Err(CommandError::Input("give --post or --ban".to_owned())),
    };
    orders_token(arguments, &config, environment, orders, &entries)
}

fn orders_token(
    arguments: &AdminArgs,
    config: &Config,
    environment: &Environment,
    orders: Orders,
    entries: &[serde_json::Value],
) -> Result<String, CommandError> {
    let envelope =
        Envelope { audience: &config.auth.admin_audience, lifetime_s: arguments.expires, id: rand::random() };
    Ok(orders.sign(&signer(&arguments.key, config, environment)?, now()?, entries, &envelope)?)
}

fn settings(key: &SigningFlags, environment: &Environment) -> Result<Config, CommandError> {
    let loaded = Loaded::load(Role::Tool, &key.source.flags(), environment.iter().cloned())?;
    Ok(loaded.config)
}

/// The key to sign with: the one given, or that for trying out, if the server takes it.
fn signer(key: &SigningFlags, config: &Config, environment: &Environment) -> Result<Signer, CommandError> {
    let refused =
        |path: &Path, reason: String| CommandError::Input(format!("--key-file {}: {reason}", path.display()));
    match &key.key_file {
        None if config.auth.has_key() => Err(CommandError::Input(
            "the settings name a key of their own, so that the key for trying out is not taken; \
             give its private half by --key-file"
                .to_owned(),
        )),
        None => {
            let keys = demo_keys(key.state_dir.as_deref(), environment)?;
            Ok(Signer::from_private_pem(&keys.private_pem).map_err(crate::token::TokenError::from)?)
        }
        Some(path) => {
            let bytes =
                read_capped(path, KEY_FILE_BYTES_MAX).map_err(|error| refused(path, error.to_string()))?;
            let is_pem = bytes.trim_ascii_start().starts_with(b"-----BEGIN");
            let signer = if is_pem { Signer::from_private_pem(&bytes) } else { Signer::from_secret(&bytes) };
            signer.map_err(|error| refused(path, error.to_string()))
        }
    }
}

fn text_of(file: &str) -> Result<String, CommandError> {
    // What is larger than the token may be cannot become one.
    let bytes_max = ADMIN_TOKEN_BYTES_MAX as u64;
    let bytes = if file == STANDARD_INPUT {
        let mut bytes = Vec::new();
        io::stdin().lock().take(bytes_max).read_to_end(&mut bytes).map(|_| bytes)
    } else {
        read_capped(Path::new(file), bytes_max)
    };
    let bytes = bytes.map_err(|error| {
        CommandError::Input(format!(
            "{file}: cannot be read: {error} (to ban a user by name, give --room too)"
        ))
    })?;
    String::from_utf8(bytes).map_err(|_| CommandError::Input(format!("{file}: is not UTF-8")))
}
