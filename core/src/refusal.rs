//! The one table of refusals: every reason for which the product says no, what the client reads,
//! how the connection closes, which HTTP status answers, and whether trying again helps.
//!
//! `docs/PROTOCOL.md` carries the same table; a test holds the two together.

use serde::Serialize;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The code that programs read.
    pub code: &'static str,
    /// The sentence that people read.
    pub message: &'static str,
    /// The WebSocket close code, where this ends a connection.
    pub close: Option<u16>,
    /// The HTTP status, where this answers an HTTP request.
    pub http: Option<u16>,
    /// Whether the same may succeed later without a change.
    pub retry: bool,
}

macro_rules! refusals {
    ($($variant:ident $code:literal $close:expr, $http:expr, $retry:literal, $message:literal;)+) => {
        /// A reason to say no.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $(#[doc = $message] $variant,)+
        }

        impl Refusal {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$variant,)+];

            /// The row of the table.
            #[must_use]
            pub const fn row(self) -> Row {
                match self {
                    $(Refusal::$variant => Row {
                        code: $code, message: $message, close: $close, http: $http, retry: $retry,
                    },)+
                }
            }
        }
    };
}

refusals! {
    // Calls.
    BadJson "bad_json" None, Some(400), false, "This is not a well-formed JSON object.";
    MissingId "missing_id" None, None, false, "A call needs an id: an integer from 0 to 9007199254740991.";
    UnknownCall "unknown_call" None, None, false, "There is no such call.";
    BadField "bad_field" None, Some(400), false, "A field of the call is missing or of the wrong type.";
    InvalidName "invalid_name" None, Some(400), false, "This is not a valid room, channel or user name.";
    AlreadySubscribed "already_subscribed" None, None, false, "This connection is subscribed to that channel already.";
    NotSubscribed "not_subscribed" None, None, false, "This connection is not subscribed to that channel.";
    TooManyChannels "too_many_channels" None, None, false, "Too many channels for one connection.";
    ChannelsFull "channels_full" None, None, true, "This worker can open no more channels now.";
    NotAuthenticated "not_authenticated" None, None, false, "You need to be authenticated for this.";
    IdentityLocked "identity_locked" None, None, false, "A member of a room cannot become somebody else: leave first.";
    AlreadyJoined "already_joined" None, None, false, "Already in another room: leave it first.";
    NeverJoined "never_joined" None, None, false, "Never joined a room.";
    Banned "banned" None, None, true, "You are banned from this room.";
    MessageEmpty "message_empty" None, Some(400), false, "There is no text in this message.";
    MessageTooLong "message_too_long" None, Some(400), false, "This message is too long.";
    TooManyInFlight "too_many_in_flight" None, None, true, "Too many calls wait for an answer.";
    Overloaded "overloaded" Some(1013), Some(503), true, "The server is too busy for this now.";
    Unavailable "unavailable" None, Some(503), true, "The store of messages cannot be reached now.";
    // Tokens.
    TokenTooLarge "token_too_large" None, Some(401), false, "The token is too large.";
    TokenMalformed "token_malformed" None, Some(401), false, "This is not a JSON Web Token.";
    TokenAlgorithm "token_algorithm" None, Some(401), false, "The token's algorithm is not accepted here.";
    TokenKeyUnknown "token_key_unknown" None, Some(401), false, "No key here verifies this token.";
    TokenSignature "token_signature" None, Some(401), false, "The token's signature is wrong.";
    TokenCritical "token_critical" None, Some(401), false, "The token demands an extension that is not known here.";
    TokenExpired "token_expired" None, Some(401), false, "The token has expired.";
    TokenNoExpiry "token_no_expiry" None, Some(401), false, "The token has no expiry (exp), which is needed here.";
    TokenNotYetValid "token_not_yet_valid" None, Some(401), false, "The token is not valid yet.";
    TokenAudience "token_audience" None, Some(401), false, "The token is meant for somebody else (aud).";
    TokenContent "token_content" None, Some(401), false, "The token's content is not what is needed here.";
    TokenReplayed "token_replayed" None, Some(401), false, "This token has been used already.";
    // The end of a connection.
    ShuttingDown "shutting_down" Some(1001), Some(503), true, "The worker is stopping.";
    ProtocolError "protocol_error" Some(1002), None, false, "The WebSocket protocol was broken.";
    BinaryFrame "binary_frame" Some(1003), None, false, "Only text frames are taken.";
    InvalidUtf8 "invalid_utf8" Some(1007), None, false, "A text frame must be UTF-8.";
    FrameTooLarge "frame_too_large" Some(1009), None, false, "The message is too large.";
    IdleTooLong "idle" Some(4000), None, true, "Neither subscribed to anything nor a member of a room for too long.";
    PingTimeout "ping_timeout" Some(4001), None, true, "The ping was not answered.";
    SlowSubscriber "slow_subscriber" Some(4002), None, true, "Messages were read too slowly.";
    SlowReader "slow_reader" Some(4003), None, false, "Answers were not read.";
    WrongTokens "wrong_tokens" Some(4004), None, false, "Too many wrong tokens.";
    // HTTP.
    BadRequest "bad_request" None, Some(400), false, "This request cannot be understood.";
    ForbiddenOrigin "forbidden_origin" None, Some(403), false, "Pages of this origin are not let in.";
    ForbiddenAddress "forbidden_address" None, Some(403), false, "This address may not read that.";
    NotFound "not_found" None, Some(404), false, "There is nothing here.";
    MethodNotAllowed "method_not_allowed" None, Some(405), false, "This method is not known here.";
    LengthRequired "length_required" None, Some(411), false, "A body needs its length, or to come in chunks.";
    HandshakeTimeout "handshake_timeout" None, Some(408), true, "The request took too long.";
    BodyTooLarge "body_too_large" None, Some(413), false, "The body is too large.";
    NoWorkers "no_workers" None, Some(418), true, "No workers available";
    UpgradeRequired "upgrade_required" None, Some(426), false, "This is a WebSocket of version 13.";
    HandshakeTooLarge "handshake_too_large" None, Some(431), false, "The request's head is too large.";
    TooManyConnections "too_many_connections" None, Some(503), true, "The worker is full.";
}

impl Refusal {
    /// The code that programs read.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The HTTP status that answers with this refusal; 400 where the table names none.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self.row().http {
            Some(status) => status,
            None => 400,
        }
    }

    /// The table as Markdown, as it stands in `docs/PROTOCOL.md`.
    #[must_use]
    pub fn markdown() -> String {
        let mut text = String::from("| code | close | HTTP | retry | means |\n|---|---|---|---|---|\n");
        let or_dash = |number: Option<u16>| number.map_or_else(String::new, |n| n.to_string());
        for refusal in Refusal::ALL {
            let row = refusal.row();
            let retry = if row.retry { "yes" } else { "no" };
            text.push_str(&format!(
                "| `{}` | {} | {} | {retry} | {} |\n",
                row.code,
                or_dash(row.close),
                or_dash(row.http),
                row.message
            ));
        }
        text
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.row().message)
    }
}

impl std::error::Error for Refusal {}

/// How long a ban goes on, in seconds; −1 for ever, as ChatUp writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BanTtl(i64);

impl BanTtl {
    /// For ever.
    pub const FOREVER: BanTtl = BanTtl(-1);

    /// What is left at `now_ms` of a ban that ends at `until_ms`, in whole seconds, rounded up.
    #[must_use]
    pub fn left(until_ms: u64, now_ms: u64) -> BanTtl {
        BanTtl(i64::try_from(until_ms.saturating_sub(now_ms).div_ceil(1_000)).unwrap_or(i64::MAX))
    }

    /// Seconds, −1 for ever.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }
}

/// A refusal with what only this one case knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub refusal: Refusal,
    /// For [`Refusal::Banned`]: how long still.
    pub ttl: Option<BanTtl>,
    /// For [`Refusal::BadField`] and the like: which field.
    pub field: Option<&'static str>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused { refusal, ttl: None, field: None }
    }
}

impl Refused {
    /// Banned, for so long still.
    #[must_use]
    pub fn banned(ttl: BanTtl) -> Refused {
        Refused { ttl: Some(ttl), ..Refusal::Banned.into() }
    }

    /// Because of this field.
    #[must_use]
    pub fn field(refusal: Refusal, field: &'static str) -> Refused {
        Refused { field: Some(field), ..refusal.into() }
    }
}

impl Serialize for Refused {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let row = self.refusal.row();
        let mut object = serializer.serialize_struct("Refused", 5)?;
        object.serialize_field("code", row.code)?;
        object.serialize_field("message", row.message)?;
        object.serialize_field("retry", &row.retry)?;
        if let Some(ttl) = self.ttl {
            object.serialize_field("ttl_s", &ttl)?;
        }
        if let Some(field) = self.field {
            object.serialize_field("field", field)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_closes_are_allowed_by_the_rfc() {
        let mut seen = HashSet::new();
        for refusal in Refusal::ALL {
            let row = refusal.row();
            assert!(seen.insert(row.code), "{} twice", row.code);
            assert!(row.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()));
            if let Some(code) = row.close {
                assert!(
                    tungstenite::protocol::frame::coding::CloseCode::from(code).is_allowed(),
                    "{}",
                    row.code
                );
            }
        }
    }

    #[test]
    fn a_refusal_as_the_client_reads_it() {
        let table = [
            (
                Refused::banned(BanTtl::left(30_500, 1_000)),
                r#"{"code":"banned","message":"You are banned from this room.","retry":true,"ttl_s":30}"#,
            ),
            (
                Refused::field(Refusal::BadField, "room"),
                r#"{"code":"bad_field","message":"A field of the call is missing or of the wrong type.","retry":false,"field":"room"}"#,
            ),
        ];
        for (refused, text) in table {
            assert_eq!(serde_json::to_string(&refused).unwrap(), text);
        }
    }
}
