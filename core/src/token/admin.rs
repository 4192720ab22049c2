//! What an administrator's token orders: messages to post, users to ban.
//!
//! Such a token is told from a user's by its audience, must expire within a day and carries an id
//! (`jti`) that the caller claims: in ChatUp any user's token would do, again and again. ChatUp's
//! own bare arrays are taken only where the policy says so.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::claims::{Audience, NumericDate, Times};
use super::json::{Object, present};
use super::orders::{ban, post};
use super::{BanOrder, Post, Verifier};
use crate::limits::{ADMIN_ENTRIES_MAX, ADMIN_TOKEN_BYTES_MAX, ADMIN_TOKEN_LIFETIME_S_MAX};
use crate::message::UnixMillis;
use crate::names::TokenId;
use crate::refusal::Refusal;

/// What a token orders, and how it is kept from being used twice.
#[derive(Clone, Debug)]
pub struct Admin<T> {
    /// The orders, in their order.
    pub entries: Vec<T>,
    /// To be claimed before anything is done; `None` only for ChatUp's bare arrays.
    pub once: Option<Once>,
}

/// The right to use a token, of which there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// The token's id.
    pub id: TokenId,
    /// Until when the id must be remembered: afterwards the token has expired.
    pub until: UnixMillis,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
    #[serde(borrow, default, deserialize_with = "present")]
    jti: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    post: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    ban: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    unban: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "present")]
    read: Option<bool>,
}

/// Which kind of orders is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Post,
    Ban,
    Unban,
}

impl Verifier {
    /// What this token posts.
    ///
    /// # Errors
    /// The refusal: one of `Refusal::Token…`.
    pub fn posts(&self, token: &str, now: UnixMillis) -> Result<Admin<Post>, Refusal> {
        self.orders(token, now, Kind::Post, post)
    }

    /// Whom this token bans.
    ///
    /// # Errors
    /// The refusal: one of `Refusal::Token…`.
    pub fn bans(&self, token: &str, now: UnixMillis) -> Result<Admin<BanOrder>, Refusal> {
        self.orders(token, now, Kind::Ban, ban)
    }

    /// Whose bans this token lifts. ChatUp's bare arrays lift none: a token that bans would, too.
    ///
    /// # Errors
    /// The refusal: one of `Refusal::Token…`.
    pub fn unbans(&self, token: &str, now: UnixMillis) -> Result<Admin<BanOrder>, Refusal> {
        self.orders(token, now, Kind::Unban, ban)
    }

    /// Whether this token may read what only administrators may (`"read": true`). It may do so until it
    /// expires, any number of times.
    ///
    /// # Errors
    /// The refusal: one of `Refusal::Token…`.
    pub fn may_read(&self, token: &str, now: UnixMillis) -> Result<(), Refusal> {
        let payload = self.payload(token, ADMIN_TOKEN_BYTES_MAX)?;
        let Object(claims) =
            serde_json::from_str::<Object<Claims<'_>>>(&payload).map_err(|_| Refusal::TokenContent)?;
        self.lifetime(&claims, now)?;
        let only_reads = claims.post.is_none() && claims.ban.is_none() && claims.unban.is_none();
        if claims.read == Some(true) && only_reads { Ok(()) } else { Err(Refusal::TokenContent) }
    }

    fn orders<T>(
        &self,
        token: &str,
        now: UnixMillis,
        kind: Kind,
        order: fn(&RawValue) -> Option<T>,
    ) -> Result<Admin<T>, Refusal> {
        let payload = self.payload(token, ADMIN_TOKEN_BYTES_MAX)?;
        let (list, once) = if payload.trim_ascii_start().starts_with('[') {
            if !self.policy.accept_array_tokens || kind == Kind::Unban {
                return Err(Refusal::TokenContent);
            }
            (payload.as_str(), None)
        } else {
            let Object(claims) = serde_json::from_str(&payload).map_err(|_| Refusal::TokenContent)?;
            let (list, once) = self.envelope(&claims, now, kind)?;
            (list.get(), Some(once))
        };
        let list: Vec<&RawValue> = serde_json::from_str(list).map_err(|_| Refusal::TokenContent)?;
        if list.len() > ADMIN_ENTRIES_MAX {
            return Err(Refusal::TokenContent);
        }
        let entries = list.into_iter().map(order).collect::<Option<Vec<T>>>();
        Ok(Admin { entries: entries.ok_or(Refusal::TokenContent)?, once })
    }

    /// The list of orders in a token that may give them.
    fn envelope<'a>(
        &self,
        claims: &Claims<'a>,
        now: UnixMillis,
        kind: Kind,
    ) -> Result<(&'a RawValue, Once), Refusal> {
        let until = self.lifetime(claims, now)?;
        let id = claims.jti.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let id = id.and_then(|id| TokenId::new(&id).ok()).ok_or(Refusal::TokenContent)?;
        // A token with several would be claimed by one and lost to the others.
        let list = match (kind, claims.post, claims.ban, claims.unban) {
            (Kind::Post, Some(list), None, None)
            | (Kind::Ban, None, Some(list), None)
            | (Kind::Unban, None, None, Some(list)) => list,
            _ => return Err(Refusal::TokenContent),
        };
        Ok((list, Once { id, until }))
    }

    /// Until when a token counts, if it is an administrator's.
    fn lifetime(&self, claims: &Claims<'_>, now: UnixMillis) -> Result<UnixMillis, Refusal> {
        if !Audience::includes(claims.aud.as_ref(), &self.policy.admin_audience) {
            return Err(Refusal::TokenAudience);
        }
        let times = Times { expires: claims.exp, not_before: claims.nbf };
        let until = times.check(now, self.policy.leeway_s, true)?.ok_or(Refusal::TokenNoExpiry)?;
        // The id is remembered for the token's whole life: that must have an end.
        let latest = now.0.saturating_add(ADMIN_TOKEN_LIFETIME_S_MAX * 1_000);
        if claims.exp.is_none_or(|exp| exp.0.0 > latest) {
            return Err(Refusal::TokenContent);
        }
        Ok(until)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{NOW, NOW_S, chatup_policy, pair, signed, user_claims, verifier};
    use super::super::{Algorithm, Policy};
    use super::*;

    const DAY_S: u64 = ADMIN_TOKEN_LIFETIME_S_MAX;

    /// How many posts, or why not.
    fn posts(policy: Policy, payload: &str) -> Result<usize, Refusal> {
        verifier(pair(Algorithm::HS256), policy).posts(&signed(payload), NOW).map(|admin| admin.entries.len())
    }

    fn bans(policy: Policy, payload: &str) -> Result<usize, Refusal> {
        verifier(pair(Algorithm::HS256), policy).bans(&signed(payload), NOW).map(|admin| admin.entries.len())
    }

    /// A good token's payload with these members changed; `null` takes one away.
    fn changed(changes: &Value) -> String {
        let mut claims = json!({
            "aud": "chatup-admin", "exp": NOW_S + 60, "jti": "1", "post": [{"channel": "lobby", "msg": "hi"}],
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims.to_string()
    }

    #[test]
    fn the_envelope() {
        let ban = json!([{"channel": "lobby", "name": "bob"}]);
        let (content, audience) = (Err(Refusal::TokenContent), Err(Refusal::TokenAudience));
        let table = [
            (json!({}), Ok(1)),
            (json!({"aud": ["x", "chatup-admin"]}), Ok(1)),
            (json!({"post": []}), Ok(0)),
            (json!({"aud": null}), audience),
            (json!({"aud": "chat"}), audience),
            (json!({"aud": null, "jti": 7, "post": "user's own"}), audience),
            (json!({"aud": 7}), content),
            (json!({"exp": null}), Err(Refusal::TokenNoExpiry)),
            (json!({"exp": "soon"}), content),
            (json!({"exp": NOW_S - 5}), Err(Refusal::TokenExpired)),
            (json!({"exp": NOW_S - 4}), Ok(1)),
            (json!({"exp": NOW_S + DAY_S}), Ok(1)),
            (json!({"exp": NOW_S + DAY_S + 1}), content),
            (json!({"exp": 1e300}), content),
            (json!({"nbf": NOW_S + 5}), Ok(1)),
            (json!({"nbf": NOW_S + 6}), Err(Refusal::TokenNotYetValid)),
            (json!({"jti": null}), content),
            (json!({"jti": ""}), content),
            (json!({"jti": 7}), content),
            (json!({"jti": "x".repeat(128)}), Ok(1)),
            (json!({"jti": "x".repeat(129)}), content),
            (json!({"jti": "a\nb"}), content),
            (json!({"post": null}), content),
            (json!({"post": null, "ban": ban}), content),
            (json!({"ban": ban}), content),
            (json!({"post": {}}), content),
            (json!({"post": {"channel": "lobby", "msg": "hi"}}), content),
        ];
        for (changes, expected) in table {
            assert_eq!(posts(Policy::default(), &changed(&changes)), expected, "{changes}");
            // ChatUp's policy loosens nothing in a token that is not ChatUp's.
            assert_eq!(posts(chatup_policy(), &changed(&changes)), expected, "{changes}");
        }
        let only_ban = changed(&json!({"post": null, "ban": ban}));
        assert_eq!(bans(Policy::default(), &only_ban), Ok(1));
        assert_eq!(bans(Policy::default(), &changed(&json!({}))), content);
        let duplicate = changed(&json!({})).replace(r#""jti""#, r#""jti":"2","jti""#);
        assert_eq!(posts(Policy::default(), &duplicate), content);
        let other = Policy { admin_audience: "root".into(), ..Policy::default() };
        assert_eq!(posts(other.clone(), &changed(&json!({}))), audience);
        assert_eq!(posts(other, &changed(&json!({"aud": "root"}))), Ok(1));
    }

    #[test]
    fn a_token_is_to_be_claimed_for_as_long_as_it_holds() {
        let verifier = verifier(pair(Algorithm::HS256), Policy::default());
        let once = verifier.posts(&signed(&changed(&json!({"jti": "id"}))), NOW).unwrap().once;
        let until = UnixMillis((NOW_S + 60 + 5) * 1_000);
        assert_eq!(once, Some(Once { id: TokenId::new("id").unwrap(), until }));
    }

    #[test]
    fn what_unbans_and_what_reads_do_nothing_else() {
        let verifier = verifier(pair(Algorithm::HS256), chatup_policy());
        let token = |more: &Value| {
            let mut claims = json!({"aud": "chatup-admin", "exp": NOW_S + 60, "jti": "1"});
            claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            signed(&claims.to_string())
        };
        let list = json!([{"name": "Ada", "channel": "lobby"}]);
        let (unban, ban, read) = (json!({"unban": list}), json!({"ban": list}), json!({"read": true}));
        let both = json!({"unban": list, "ban": list});
        let reads_too = json!({"unban": list, "read": true});
        let table = [
            // What it says, and whether it may unban, ban, read.
            (&unban, [true, false, false]),
            (&ban, [false, true, false]),
            (&read, [false, false, true]),
            (&both, [false, false, false]),
            (&reads_too, [true, false, false]),
            (&json!({"read": false}), [false, false, false]),
        ];
        for (claims, expected) in table {
            let token = token(claims);
            let may = [
                verifier.unbans(&token, NOW).is_ok(),
                verifier.bans(&token, NOW).is_ok(),
                verifier.may_read(&token, NOW).is_ok(),
            ];
            assert_eq!(may, expected, "{claims}");
        }
        // A bare array bans where that is allowed, and never unbans.
        let bare = signed(&list.to_string());
        assert!(verifier.bans(&bare, NOW).is_ok() && verifier.unbans(&bare, NOW).is_err());
        let user = signed(&user_claims().to_string());
        assert_eq!(verifier.may_read(&user, NOW).unwrap_err(), Refusal::TokenAudience);
        let old = signed(&json!({"aud": "chatup-admin", "exp": NOW_S - 60, "read": true}).to_string());
        assert_eq!(verifier.may_read(&old, NOW).unwrap_err(), Refusal::TokenExpired);
    }

    #[test]
    fn users_and_administrators_are_told_apart() {
        let user = user_claims().to_string();
        assert_eq!(posts(Policy::default(), &user), Err(Refusal::TokenAudience));
        assert_eq!(bans(chatup_policy(), &user), Err(Refusal::TokenAudience));
        let admin = signed(&changed(&json!({"_public": {"name": "root"}})));
        let verifier = verifier(pair(Algorithm::HS256), Policy::default());
        assert_eq!(verifier.user(&admin, NOW).unwrap_err(), Refusal::TokenAudience);
    }

    #[test]
    fn bare_arrays_are_taken_only_where_the_operator_chose_so() {
        let (post, ban) = (r#" [{"channel":"lobby","msg":"hi"}]"#, r#"[{"channel":"lobby","name":"bob"}]"#);
        let refused = Err(Refusal::TokenContent);
        let lax = Policy { accept_array_tokens: true, ..Policy::default() };
        assert_eq!((posts(Policy::default(), post), bans(Policy::default(), ban)), (refused, refused));
        assert_eq!((posts(lax.clone(), post), bans(lax.clone(), ban)), (Ok(1), Ok(1)));
        assert_eq!((posts(lax.clone(), ban), bans(lax.clone(), post)), (refused, refused));
        assert_eq!((posts(lax.clone(), "[]x"), posts(lax.clone(), "[")), (refused, refused));
        let admin = verifier(pair(Algorithm::HS256), lax).posts(&signed(post), NOW).unwrap();
        assert_eq!(admin.once, None);
    }

    #[test]
    fn too_many_entries() {
        let list = |count: usize| json!(vec![json!({"channel": "a", "msg": ""}); count]);
        let strict = Policy::default;
        assert_eq!(
            posts(strict(), &changed(&json!({"post": list(ADMIN_ENTRIES_MAX)}))),
            Ok(ADMIN_ENTRIES_MAX)
        );
        let more = list(ADMIN_ENTRIES_MAX + 1);
        assert_eq!(posts(strict(), &changed(&json!({"post": more}))), Err(Refusal::TokenContent));
        assert_eq!(posts(chatup_policy(), &more.to_string()), Err(Refusal::TokenContent));
    }
}
