//! Starts worker and dispatcher, together or one alone.

use std::sync::Arc;

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
    let (token, demo_tokens) = match &demo {
        None => (None, None),
        Some(keys) => {
            let signer = Signer::from_private_pem(&keys.private_pem).map_err(TokenError::from)?;
            let token = demo_token(&signer, DEMO_NAME, &config.auth.audience)?;
            (Some(token), Some(demo_tokens(signer, config.auth.audience.clone())))
        }
    };
    let printed = Printed { format: start.print, token, demo_page: config.dispatcher.demo_page };
    Ok(run::all_in_one(config, &verifier, demo_tokens, &printed)?)
}

fn demo_token(signer: &Signer, name: &str, audience: &str) -> Result<String, CommandError> {
    let token = UserToken { name, public: "", lifetime_s: DEMO_TOKEN_LIFETIME_S, audience };
    Ok(token.sign(signer, now()?)?)
}

/// Makes tokens for whoever asks the demo page for one.
fn demo_tokens(signer: Signer, audience: String) -> run::DemoTokens {
    Arc::new(move |name| demo_token(&signer, name, &audience).ok())
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
