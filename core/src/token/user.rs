//! What a user's token says: who this is (`_public`), and until when.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Verifier;
use super::claims::{Audience, NumericDate, Times};
use super::json::{Object, canonical, present};
use crate::limits::{PUBLIC_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::message::UnixMillis;
use crate::names::UserName;
use crate::refusal::Refusal;

/// Who somebody is, as a token of theirs says.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `_public.name`, which bans match.
    pub name: UserName,
    /// `_public`, as everybody in the room reads it: a compact JSON object in which each key comes
    /// once, at most [`PUBLIC_BYTES_MAX`] bytes.
    pub public: Arc<RawValue>,
    /// When the token no longer holds: `exp` and the leeway.
    pub expires: Option<UnixMillis>,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
    #[serde(borrow, rename = "_public", default, deserialize_with = "present")]
    public: Option<&'a RawValue>,
}

impl Verifier {
    /// Whom this token is for. The rest of it stays private to the server.
    ///
    /// # Errors
    /// The refusal: one of `Refusal::Token…`.
    pub fn user(&self, token: &str, now: UnixMillis) -> Result<Identity, Refusal> {
        let payload = self.payload(token, TOKEN_BYTES_MAX)?;
        let Object(claims) =
            serde_json::from_str::<Object<Claims<'_>>>(&payload).map_err(|_| Refusal::TokenContent)?;
        self.check_user_audience(claims.aud.as_ref())?;
        let times = Times { expires: claims.exp, not_before: claims.nbf };
        let expires = times.check(now, self.policy.leeway_s, self.policy.require_expiry)?;
        let (name, public) = claims.public.and_then(identity).ok_or(Refusal::TokenContent)?;
        Ok(Identity { name, public, expires })
    }

    fn check_user_audience(&self, audience: Option<&Audience>) -> Result<(), Refusal> {
        // An administrator's token is no user's, whoever else it is meant for.
        let admin = Audience::includes(audience, &self.policy.admin_audience);
        let ours = self.policy.audience.as_deref().is_none_or(|who| Audience::includes(audience, who));
        if ours && !admin { Ok(()) } else { Err(Refusal::TokenAudience) }
    }
}

fn identity(public: &RawValue) -> Option<(UserName, Arc<RawValue>)> {
    let (value, text) = canonical(public)?;
    let name = UserName::new(value.as_object()?.get("name")?.as_str()?).ok()?;
    (text.get().len() <= PUBLIC_BYTES_MAX).then(|| (name, Arc::from(text)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{NOW, NOW_S, pair, signed, user_claims, verifier};
    use super::super::{Algorithm, Policy};
    use super::*;

    fn check(policy: &Policy, payload: &str, expected: Result<(), Refusal>) {
        let verifier = verifier(pair(Algorithm::HS256), policy.clone());
        let found = verifier.user(&signed(payload), NOW).map(|_| ());
        assert_eq!(found, expected, "{payload} under {policy:?}");
    }

    #[test]
    fn what_is_read_out_of_a_token() {
        let verifier = verifier(pair(Algorithm::HS256), Policy::default());
        let table = [
            (
                format!(
                    r#"{{"exp":{NOW_S},"x":1,"_public":{{ "name" : "bob", "a":1,"a":{{"b":1,"b":2}} }} }}"#
                ),
                ("bob", r#"{"a":{"b":2},"name":"bob"}"#, NOW_S * 1_000 + 5_000),
            ),
            (
                format!(r#"{{"exp":{NOW_S}.25,"_public":{{"name":"eve","n\u0061me":"Zoë \"Z\""}}}}"#),
                ("Zoë \"Z\"", r#"{"name":"Zoë \"Z\""}"#, NOW_S * 1_000 + 5_250),
            ),
            (r#"{"exp":1e300,"_public":{"name":"bob"}}"#.into(), ("bob", r#"{"name":"bob"}"#, u64::MAX)),
        ];
        for (payload, (name, public, expires)) in table {
            let identity = verifier.user(&signed(&payload), NOW).unwrap();
            assert_eq!(identity.name.as_str(), name, "{payload}");
            assert_eq!(identity.public.get(), public, "{payload}");
            assert_eq!(identity.expires, Some(UnixMillis(expires)), "{payload}");
        }
    }

    #[test]
    fn times_at_their_edges() {
        let of = |members: Value| {
            let mut claims = members;
            claims["_public"] = json!({"name": "bob"});
            claims.to_string()
        };
        let strict = Policy::default();
        let lax = Policy { require_expiry: false, leeway_s: 0, ..Policy::default() };
        let wide = Policy { leeway_s: u64::MAX, ..Policy::default() };
        let exp = |exp: f64| of(json!({ "exp": exp }));
        let nbf = |nbf: u64| of(json!({"exp": NOW_S + 60, "nbf": nbf}));
        let now = 1_800_000_000.0;
        let table: [(&Policy, String, Result<(), Refusal>); 14] = [
            (&strict, exp(now - 4.999), Ok(())),
            (&strict, exp(now - 5.0), Err(Refusal::TokenExpired)),
            (&strict, of(json!({"exp": NOW_S - 4})), Ok(())),
            (&strict, of(json!({"exp": NOW_S - 5})), Err(Refusal::TokenExpired)),
            (&strict, of(json!({"exp": 0})), Err(Refusal::TokenExpired)),
            (&strict, of(json!({})), Err(Refusal::TokenNoExpiry)),
            (&lax, of(json!({})), Ok(())),
            (&lax, exp(now), Err(Refusal::TokenExpired)),
            (&lax, exp(now + 0.001), Ok(())),
            (&wide, of(json!({"exp": 0, "nbf": u64::MAX})), Ok(())),
            (&strict, nbf(NOW_S + 5), Ok(())),
            (&strict, nbf(NOW_S + 6), Err(Refusal::TokenNotYetValid)),
            (&strict, nbf(0), Ok(())),
            (&lax, of(json!({"nbf": now + 0.001})), Err(Refusal::TokenNotYetValid)),
        ];
        for (policy, payload, expected) in table {
            check(policy, &payload, expected);
        }
        for claim in ["exp", "nbf"] {
            for value in [r#""1900000000""#, "null", "true", "[]", "{}", "-1", "-0.001", "1e999", "NaN"] {
                let payload = format!(r#"{{"{claim}":{value},"_public":{{"name":"bob"}}}}"#);
                check(&lax, &payload, Err(Refusal::TokenContent));
            }
        }
    }

    #[test]
    fn audiences() {
        let any = Policy::default();
        let ours = Policy { audience: Some("chat".into()), ..Policy::default() };
        let (ok, refused, bad) = (Ok(()), Err(Refusal::TokenAudience), Err(Refusal::TokenContent));
        // What comes of a user's token with this `aud` if the policy asks for nobody, or for "chat".
        let table = [
            (None, ok, refused),
            (Some(json!("chat")), ok, ok),
            (Some(json!(["shop", "chat"])), ok, ok),
            (Some(json!("shop")), ok, refused),
            (Some(json!("Chat")), ok, refused),
            (Some(json!([])), ok, refused),
            (Some(json!("chatup-admin")), refused, refused),
            (Some(json!(["chat", "chatup-admin"])), refused, refused),
            (Some(json!(null)), bad, bad),
            (Some(json!(7)), bad, bad),
            (Some(json!(["chat", 7])), bad, bad),
            (Some(json!({"chat": 1})), bad, bad),
        ];
        for (audience, by_any, by_ours) in table {
            let mut claims = user_claims();
            if let Some(audience) = audience {
                claims["aud"] = audience;
            }
            check(&any, &claims.to_string(), by_any);
            check(&ours, &claims.to_string(), by_ours);
        }
    }

    #[test]
    fn public_objects_in_and_out_of_order() {
        let with = |public: &str| format!(r#"{{"exp":{},"_public":{public}}}"#, NOW_S + 60);
        let fill = |bytes: usize| format!(r#"{{"a":"{}","name":"bob"}}"#, "x".repeat(bytes - 21));
        let long_name = format!(r#"{{"name":"{}"}}"#, "x".repeat(65));
        check(&Policy::default(), &with(&fill(PUBLIC_BYTES_MAX)), Ok(()));
        // Blanks do not count: what is broadcast has none.
        check(&Policy::default(), &with(&format!("{{\"name\":{}\"bob\"}}", " ".repeat(3_000))), Ok(()));
        let deep = format!(r#"{{"name":"bob","a":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        let table = [
            fill(PUBLIC_BYTES_MAX + 1),
            long_name,
            deep,
            r#"{"name":"bob","a":"\ud800"}"#.into(),
            r#"{"name":{"$serde_json::private::RawValue":"\"bob\""}}"#.into(),
            r#"{"name":"bob","name":7}"#.into(),
            r#"{"name":"a\nb"}"#.into(),
            r#"{"name":""}"#.into(),
            r#"{"name":7}"#.into(),
            r#"{"name":null}"#.into(),
            r#"{"Name":"bob"}"#.into(),
            r#"["bob"]"#.into(),
            r#"[["name","bob"]]"#.into(),
            r#""bob""#.into(),
            "null".into(),
            "{}".into(),
        ];
        for public in table {
            check(&Policy::default(), &with(&public), Err(Refusal::TokenContent));
        }
    }

    #[test]
    fn payloads_that_are_no_object_with_a_public_object() {
        let good = user_claims().to_string();
        let table = [
            format!("[{good}]"),
            format!(r#"[{},null,null,{{"name":"bob"}}]"#, NOW_S + 60),
            format!("{good}{good}"),
            // Twice is an error: another reader might take the other one.
            good.replace(r#""_public""#, r#""_public":{"name":"eve"},"_public""#),
            good.replace(r#""exp""#, r#""exp":1,"exp""#),
            r#"{"exp":1900000000}"#.into(),
            r#"{"exp":1900000000,"_public":null}"#.into(),
            "null".into(),
            "7".into(),
            String::new(),
            "\u{feff}{}".into(),
        ];
        for payload in table {
            check(&Policy::default(), &payload, Err(Refusal::TokenContent));
        }
        let ours = pair(Algorithm::HS256);
        let bytes = [br#"{"exp":1900000000,"_public":{"name":"b"#.as_slice(), b"\xff", br#""}}"#].concat();
        let token = ours.signer.compact(br#"{"alg":"HS256"}"#, &bytes).unwrap();
        let found = verifier(ours, Policy::default()).user(&token, NOW).map(|_| ());
        assert_eq!(found, Err(Refusal::TokenContent), "not UTF-8");
    }
}
