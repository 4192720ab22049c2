//! `chatup config`: shows settings, or checks a file of them.

use std::io::{self, Write};

use super::{CommandError, Environment, verifier};
use crate::cli::ConfigArgs;
use crate::config::{Config, Flags, Loaded, TEMPLATE};

pub(super) fn print(arguments: &ConfigArgs, environment: Environment) -> Result<(), CommandError> {
    let text = if let Some(path) = &arguments.check {
        let loaded = Loaded::from_file(arguments.role, path)?;
        if loaded.config.auth.has_key() {
            verifier(&loaded, None)?;
        }
        format!("{} is in order\n", path.display())
    } else if arguments.effective {
        effective(&Loaded::load(arguments.role, &arguments.settings.flags(), environment)?.config)?
    } else if arguments.settings.flags() != Flags::default() {
        return Err(CommandError::Input("to see what settings come to, give --effective too".to_owned()));
    } else {
        TEMPLATE.to_owned()
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// As TOML, without secrets.
fn effective(config: &Config) -> Result<String, CommandError> {
    let mut config = config.clone();
    config.auth.key = config.auth.key.redacted();
    config.redis.password = config.redis.password.redacted();
    config.redis.sentinel_password = config.redis.sentinel_password.redacted();
    toml::to_string(&config).map_err(|error| CommandError::Input(error.to_string()))
}
