//! Makes the tokens of `chatup token` and the ready-made one of the all-in-one. None is made that
//! the server would refuse: what goes into one is held against the same code that will read it.

use chatup_core::limits::{ADMIN_ENTRIES_MAX, ADMIN_TOKEN_BYTES_MAX, PUBLIC_BYTES_MAX, TOKEN_BYTES_MAX};
use chatup_core::message::UnixMillis;
use chatup_core::names::{NameError, RoomName, UserName};
use chatup_core::refusal::Refusal;
use chatup_core::token::{Algorithm, KeyError, KeySet, Policy, Signer, Verifier};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Audience of the tokens by which orders are tried out; they never leave this file.
const TRIAL_AUDIENCE: &str = "trial";

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is none.
    #[error("--name {name:?}: {error}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// The room is none.
    #[error("--room {room:?}: {error}")]
    Room {
        /// As given.
        room: String,
        /// What is wrong with it.
        error: NameError,
    },
    /// `_public` is too much, or cannot be what it should.
    #[error("--public: {0}")]
    Public(String),
    /// The orders are no list.
    #[error("{from}: must be a JSON array of {of}: {reason}")]
    List {
        /// The file.
        from: String,
        /// What kind of orders.
        of: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// One of the orders would be refused.
    #[error("{from}: entry {number} would be refused: it must be {form}")]
    Entry {
        /// The file.
        from: String,
        /// Which, from 1.
        number: usize,
        /// What it must be.
        form: &'static str,
    },
    /// The whole is too large.
    #[error("the token would have {0} bytes, more than the {1} that the server reads")]
    TooLarge(usize, usize),
    /// It cannot be signed.
    #[error("{0}")]
    Key(#[from] KeyError),
}

/// A user's token.
#[derive(Clone, Debug)]
pub struct UserToken<'a> {
    /// Who.
    pub name: &'a str,
    /// More for everyone in the room to see: a JSON object, empty for nothing.
    pub public: &'a str,
    /// Time to live, in seconds.
    pub lifetime_s: u64,
    /// What it names as its audience; empty for none.
    pub audience: &'a str,
}

/// What an admin's token orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orders {
    /// Messages and events to post.
    Post,
    /// Users to ban.
    Ban,
    /// Users whose bans to lift.
    Unban,
}

#[derive(Serialize)]
struct UserClaims<'a> {
    _public: &'a Map<String, Value>,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    aud: &'a str,
}

impl UserToken<'_> {
    /// Signs it.
    ///
    /// # Errors
    /// The server would not take it, or the key does not sign.
    pub fn sign(&self, signer: &Signer, now: UnixMillis) -> Result<String, TokenError> {
        let error = |error| TokenError::Name { name: self.name.to_owned(), error };
        let name = UserName::new(self.name).map_err(error)?;
        let mut public: Map<String, Value> = match self.public {
            "" => Map::new(),
            text => serde_json::from_str(text)
                .map_err(|error| TokenError::Public(format!("must be a JSON object: {error}")))?,
        };
        if public.insert("name".to_owned(), Value::String(name.as_str().to_owned())).is_some() {
            return Err(TokenError::Public("must not hold \"name\": that is what --name says".to_owned()));
        }
        let bytes = Value::Object(public.clone()).to_string().len();
        if bytes > PUBLIC_BYTES_MAX {
            return Err(TokenError::Public(format!(
                "has {bytes} bytes with the name, more than {PUBLIC_BYTES_MAX}"
            )));
        }
        let iat = now.0 / 1_000;
        let exp = iat.saturating_add(self.lifetime_s);
        let token = signer.sign(&UserClaims { _public: &public, iat, exp, aud: self.audience })?;
        no_larger(token, TOKEN_BYTES_MAX)
    }
}

/// One ban: of this user, in that room, for so many seconds or for ever.
///
/// # Errors
/// A name that is none.
pub fn ban(name: &str, room: &str, for_s: Option<u64>) -> Result<Vec<Value>, TokenError> {
    let name = UserName::new(name).map_err(|error| TokenError::Name { name: name.to_owned(), error })?;
    let channel = RoomName::new(room).map_err(|error| TokenError::Room { room: room.to_owned(), error })?;
    let mut ban = json!({ "name": name.as_str(), "channel": channel.as_str() });
    if let Some(seconds) = for_s {
        ban["expire"] = seconds.into();
    }
    Ok(vec![ban])
}

impl Orders {
    /// The orders in the text of a file named `from`: a JSON array, each entry one that the server
    /// takes.
    ///
    /// # Errors
    /// It is no such list, or the first entry that would be refused.
    pub fn read(self, from: &str, text: &str) -> Result<Vec<Value>, TokenError> {
        let list = |reason: String| TokenError::List { from: from.to_owned(), of: self.plural(), reason };
        let entries: Vec<Value> = serde_json::from_str(text).map_err(|error| list(error.to_string()))?;
        if entries.is_empty() || entries.len() > ADMIN_ENTRIES_MAX {
            return Err(list(format!(
                "it has {} entries, and may have 1 to {ADMIN_ENTRIES_MAX}",
                entries.len()
            )));
        }
        let (signer, verifier) = trial()?;
        let now = UnixMillis(0);
        for (at, entry) in entries.iter().enumerate() {
            let token = self.sign_entries(&signer, now, std::slice::from_ref(entry), &Envelope::trial())?;
            let refused: Option<Refusal> = match self {
                Orders::Post => verifier.posts(&token, now).err(),
                Orders::Ban => verifier.bans(&token, now).err(),
                Orders::Unban => verifier.unbans(&token, now).err(),
            };
            if refused.is_some() {
                return Err(TokenError::Entry { from: from.to_owned(), number: at + 1, form: self.form() });
            }
        }
        Ok(entries)
    }

    /// The token of these orders, for `envelope.lifetime_s` from now.
    ///
    /// # Errors
    /// It is too large, or the key does not sign.
    pub fn sign(
        self,
        signer: &Signer,
        now: UnixMillis,
        entries: &[Value],
        envelope: &Envelope<'_>,
    ) -> Result<String, TokenError> {
        no_larger(self.sign_entries(signer, now, entries, envelope)?, ADMIN_TOKEN_BYTES_MAX)
    }

    fn sign_entries(
        self,
        signer: &Signer,
        now: UnixMillis,
        entries: &[Value],
        envelope: &Envelope<'_>,
    ) -> Result<String, TokenError> {
        let iat = now.0 / 1_000;
        let exp = iat.saturating_add(envelope.lifetime_s);
        let jti = uuid::Builder::from_random_bytes(envelope.id.to_be_bytes()).into_uuid().to_string();
        let mut claims = json!({ "aud": envelope.audience, "iat": iat, "exp": exp, "jti": jti });
        claims[self.claim()] = Value::Array(entries.to_vec());
        Ok(signer.sign(&claims)?)
    }

    fn claim(self) -> &'static str {
        match self {
            Orders::Post => "post",
            Orders::Ban => "ban",
            Orders::Unban => "unban",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Orders::Post => "posts",
            Orders::Ban => "bans",
            Orders::Unban => "bans to lift",
        }
    }

    fn form(self) -> &'static str {
        match self {
            Orders::Post => {
                "{\"channel\": ROOM, \"msg\": TEXT}, or with \"ev\": NAME and perhaps \"data\", \
                 and perhaps with \"user\": {…}"
            }
            Orders::Unban => "{\"name\": USER, \"channel\": ROOM}",
            Orders::Ban => "{\"name\": USER, \"channel\": ROOM}, and perhaps \"expire\": SECONDS from 1",
        }
    }
}

/// A token with which an operator reads bans and workers, until it expires.
///
/// # Errors
/// The key does not sign.
pub fn reading(
    signer: &Signer,
    now: UnixMillis,
    audience: &str,
    lifetime_s: u64,
) -> Result<String, TokenError> {
    let iat = now.0 / 1_000;
    let exp = iat.saturating_add(lifetime_s);
    Ok(signer.sign(&json!({ "aud": audience, "iat": iat, "exp": exp, "read": true }))?)
}

/// What an admin's token has besides its orders.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// Whom it is for.
    pub audience: &'a str,
    /// Time to live, in seconds.
    pub lifetime_s: u64,
    /// Random bits for its id, a version 4 UUID (RFC 9562, 5.4), by which it is used only once.
    pub id: u128,
}

impl Envelope<'static> {
    fn trial() -> Self {
        Envelope { audience: TRIAL_AUDIENCE, lifetime_s: 60, id: 0 }
    }
}

/// A signer and its verifier, for trying out what a server would say.
fn trial() -> Result<(Signer, Verifier), KeyError> {
    let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let keys = KeySet::parse(secret.as_bytes(), &[Algorithm::HS256])?;
    let policy = Policy { admin_audience: TRIAL_AUDIENCE.to_owned(), ..Policy::default() };
    Ok((Signer::from_secret(secret.as_bytes())?, Verifier::new(keys, policy)))
}

fn no_larger(token: String, bytes_max: usize) -> Result<String, TokenError> {
    if token.len() > bytes_max { Err(TokenError::TooLarge(token.len(), bytes_max)) } else { Ok(token) }
}
