//! What can be wrong with the settings: always the place first, then key, value and rule.

use std::borrow::Cow;

use super::place::Place;

/// Something is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}{}", place.snippet())]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A file is not TOML.
    #[error("{0}")]
    Syntax(String),
    /// There is no such key.
    #[error("there is no setting {key}{}", did_you_mean(.suggestion.as_deref()))]
    UnknownKey {
        /// The key, as written.
        key: String,
        /// The nearest that there is.
        suggestion: Option<String>,
    },
    /// There is no such variable.
    #[error("there is no such variable{}", did_you_mean(.suggestion.as_deref()))]
    UnknownVariable {
        /// The nearest that there is.
        suggestion: Option<String>,
    },
    /// A setting of the original that this version does not have.
    #[error("this version does not have {0}; unset the variable")]
    NotHere(&'static str),
    /// A value breaks a rule.
    #[error("{0}")]
    Broken(#[from] Broken),
    /// One key is set twice in the same layer.
    #[error("{key} is set here and by {other}; keep one")]
    SetTwice {
        /// The key.
        key: String,
        /// The other place.
        other: Place,
    },
    /// What is written cannot be taken for a setting at all.
    #[error("{0}")]
    Form(Cow<'static, str>),
}

/// A value that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: must be {rule}")]
pub struct Broken {
    /// `table.key`.
    pub key: String,
    /// The value, as shown.
    pub value: String,
    /// What it must be.
    pub rule: Cow<'static, str>,
}

impl ConfigError {
    /// At this place.
    pub(crate) fn new(place: Place, problem: impl Into<Problem>) -> ConfigError {
        ConfigError { place, problem: problem.into() }
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |suggestion| format!("; did you mean {suggestion}?"))
}
