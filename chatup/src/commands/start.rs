//! Starts worker and dispatcher, together or one alone.

use chatup_core::token::Signer;

use super::{CommandError, Environment, demo_keys, now, verifier};
use crate::cli::StartFlags;
use crate::config::{Flags, Loaded, Role};
use crate::printed::{DEMO_NAME, DEMO_TOKEN_LIFETIME_S, Printed};
use crate::token::{TokenError, UserToken};
use crate::{logging, run};

/// Both in this process; with the demo keys, unless the settings name a key.
pub(super) fn all_in_one(start: &StartFlags, environment: &Environment) -> Result<(), CommandError> {
    let loaded = Loaded::load(Role::AllInOne, &start.settings.flags(), environment.iter().cloned())?;
    let config = &loaded.config;
    logging::start(&config.log.filter)?;
    let demo = match config.auth.has_key() {
        true => None,
        false => Some(demo_keys(start.state_dir.as_deref(), environment)?),
    };
    let verifier = verifier(&loaded, demo.as_ref().map(|keys| keys.public_pem.as_slice()))?;
    let token = match &demo {
        None => None,
        Some(keys) => {
            let signer = Signer::from_private_pem(&keys.private_pem).map_err(TokenError::from)?;
            let token = UserToken {
                name: DEMO_NAME,
                public: "",
                lifetime_s: DEMO_TOKEN_LIFETIME_S,
                audience: &config.auth.audience,
            };
            Some(token.sign(&signer, now()?)?)
        }
    };
    let printed = Printed { format: start.print, token, demo_page: config.dispatcher.demo_page };
    Ok(run::all_in_one(config, &verifier, &printed)?)
}

/// One of the two, with the key that the settings name.
pub(super) fn alone(role: Role, flags: &Flags, environment: Environment) -> Result<(), CommandError> {
    let loaded = Loaded::load(role, flags, environment)?;
    logging::start(&loaded.config.log.filter)?;
    let verifier = verifier(&loaded, None)?;
    match role {
        Role::Dispatcher => run::dispatcher(&loaded.config, &verifier)?,
        _ => run::worker(&loaded.config, &verifier)?,
    }
    Ok(())
}
