//! Starts worker and dispatcher, together or one alone.

use std::sync::Arc;

use chatup_core::token::Signer;

use super::{CommandError, Environment, demo_keys, now, verifier};
use crate::cli::{DemoFlags, StartFlags};
use crate::config::{FlagSetting, Flags, Loaded, Role};
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

/// One of the two, with the key that the settings name, or that for trying out.
pub(super) fn alone(
    role: Role,
    mut flags: Flags,
    demo: &DemoFlags,
    environment: &Environment,
) -> Result<(), CommandError> {
    let keys = match demo.demo {
        true => Some(demo_keys(demo.state_dir.as_deref(), environment)?),
        false => None,
    };
    if let Some(keys) = &keys {
        let public = String::from_utf8_lossy(&keys.public_pem).into_owned();
        for (key, value) in [("auth.key", public), ("auth.algorithms", "EdDSA".to_owned())] {
            flags.settings.push(FlagSetting { flag: "--demo", key: key.to_owned(), value });
        }
    }
    let loaded = Loaded::load(role, &flags, environment.iter().cloned())?;
    logging::start(&loaded.config.log.filter)?;
    let verifier = verifier(&loaded, None)?;
    if role == Role::Worker {
        return Ok(run::worker(&loaded.config, &verifier)?);
    }
    let signer = keys.map(|keys| Signer::from_private_pem(&keys.private_pem)).transpose();
    let signer = signer.map_err(TokenError::from)?;
    let tokens = signer.map(|signer| demo_tokens(signer, loaded.config.auth.audience.clone()));
    Ok(run::dispatcher(&loaded.config, &verifier, tokens)?)
}
