//! The checks that every token goes through before a word of its payload is read: size, form,
//! algorithm, `crit`, key, signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::json::{Object, present};
use super::keys::algorithm_named;
use super::{KeySet, Policy};
use crate::refusal::Refusal;

/// Verifies tokens and reads them: [`Verifier::user`], [`Verifier::posts`], [`Verifier::bans`].
/// Holds no state: one serves all threads.
#[derive(Debug)]
pub struct Verifier {
    keys: KeySet,
    pub(super) policy: Policy,
}

/// The header, as far as it counts (RFC 7515, 4.1). `typ`, `jwk`, `jku` and `x5c` do not: a token
/// does not bring its own key.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

impl Verifier {
    /// Verifies with these keys and holds to this policy.
    #[must_use]
    pub fn new(keys: KeySet, policy: Policy) -> Verifier {
        Verifier { keys, policy }
    }

    /// The payload of a token that is signed.
    pub(super) fn payload(&self, token: &str, bytes_max: usize) -> Result<String, Refusal> {
        if token.len() > bytes_max {
            return Err(Refusal::TokenTooLarge);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::TokenMalformed);
        };
        // As text: serde_json does not look at the bytes of strings that nobody asks for.
        let header = String::from_utf8(base64url(header)?).map_err(|_| Refusal::TokenMalformed)?;
        let Object(header) =
            serde_json::from_str::<Object<Header>>(&header).map_err(|_| Refusal::TokenMalformed)?;
        let signed = &token.as_bytes()[..token.len() - signature.len() - 1];
        self.check_signature(&header, signed, signature)?;
        String::from_utf8(base64url(payload)?).map_err(|_| Refusal::TokenContent)
    }

    fn check_signature(&self, header: &Header, signed: &[u8], signature: &str) -> Result<(), Refusal> {
        let algorithm = algorithm_named(&header.alg)
            .filter(|algorithm| self.keys.iter().any(|key| key.algorithm == *algorithm))
            .ok_or(Refusal::TokenAlgorithm)?;
        if header.crit.is_some() {
            return Err(Refusal::TokenCritical);
        }
        // Keys without names verify tokens that name one: the issuer's names are nothing to them.
        let named = self.keys.iter().any(|key| key.id.is_some());
        let wanted = header.kid.as_deref().filter(|_| named);
        let mut candidates =
            self.keys.iter().filter(|key| wanted.is_none() || key.id.as_deref() == wanted).peekable();
        if candidates.peek().is_none() {
            return Err(Refusal::TokenKeyUnknown);
        }
        let mut candidates = candidates.filter(|key| key.algorithm == algorithm).peekable();
        if candidates.peek().is_none() {
            return Err(Refusal::TokenAlgorithm);
        }
        base64url(signature)?;
        let verifies = |key: &super::keys::Key| {
            jsonwebtoken::crypto::verify(signature, signed, &key.material, key.algorithm).unwrap_or(false)
        };
        if candidates.any(verifies) { Ok(()) } else { Err(Refusal::TokenSignature) }
    }
}

/// Strictly: no padding, no white space, no bits left over (RFC 7515, 2), so that a token has one
/// spelling only.
fn base64url(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::TokenMalformed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{ALL, NOW, Pair, next_base64, other_pair, pair, user_claims, verifier};
    use super::super::{Algorithm, Signer};
    use super::*;
    use crate::limits::{ADMIN_TOKEN_BYTES_MAX, TOKEN_BYTES_MAX};

    /// What the keys of `pair` make of a token; the name in it if they take it.
    fn check(what: &str, pair: &Pair, token: &str, expected: Result<&str, Refusal>) {
        check_by(what, &verifier(pair, Policy::default()), token, expected);
    }

    fn check_by(what: &str, verifier: &Verifier, token: &str, expected: Result<&str, Refusal>) {
        let name = verifier.user(token, NOW).map(|identity| identity.name.to_string());
        assert_eq!(name.as_deref().map_err(|refusal| *refusal), expected, "{what}: {token:.200}");
    }

    fn with_header(signer: &Signer, header: &str) -> String {
        signer.compact(header.as_bytes(), user_claims().to_string().as_bytes()).unwrap()
    }

    #[test]
    fn each_algorithm_verifies_its_own_tokens_and_no_others() {
        for ours in ALL {
            for theirs in ALL {
                let expected = if ours == theirs { Ok("bob") } else { Err(Refusal::TokenAlgorithm) };
                let token = pair(theirs).signer.sign(&user_claims()).unwrap();
                check(&format!("{ours:?} and {theirs:?}"), pair(ours), &token, expected);
            }
            let token = other_pair(ours).signer.sign(&user_claims()).unwrap();
            check("another's key", pair(ours), &token, Err(Refusal::TokenSignature));
        }
    }

    #[test]
    fn a_public_key_is_no_secret() {
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            let ours = pair(algorithm);
            // The classic: HS256 with the public key, which everybody has, as the secret; and the
            // same signature under the right name of the algorithm.
            let headers = [
                (r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(), Refusal::TokenAlgorithm),
                (format!(r#"{{"alg":"{algorithm:?}"}}"#), Refusal::TokenSignature),
            ];
            for (header, refusal) in headers {
                let token = with_header(&ours.signer, &header);
                let (signed, _) = token.rsplit_once('.').unwrap();
                for secret in [ours.public.as_str(), ours.public.trim_end()] {
                    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
                    let signature =
                        jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
                    check(&header, ours, &format!("{signed}.{signature}"), Err(refusal));
                }
            }
        }
    }

    #[test]
    fn headers() {
        let ours = pair(Algorithm::HS256);
        let table: [(&str, Result<&str, Refusal>); 24] = [
            (r#"{"alg":"HS256"}"#, Ok("bob")),
            (r#" {"alg":"HS256","typ":7,"x5c":[],"jku":"http://evil"} "#, Ok("bob")),
            // These keys have no names, so the name asked for does not count.
            (r#"{"alg":"HS256","kid":"any"}"#, Ok("bob")),
            (r#"{"alg":"none"}"#, Err(Refusal::TokenAlgorithm)),
            (r#"{"alg":"None"}"#, Err(Refusal::TokenAlgorithm)),
            (r#"{"alg":"hs256"}"#, Err(Refusal::TokenAlgorithm)),
            (r#"{"alg":"HS512"}"#, Err(Refusal::TokenAlgorithm)),
            (r#"{"alg":"RS256"}"#, Err(Refusal::TokenAlgorithm)),
            (r#"{"alg":""}"#, Err(Refusal::TokenAlgorithm)),
            (r#"{"alg":"HS256","crit":["exp"]}"#, Err(Refusal::TokenCritical)),
            (r#"{"alg":"HS256","crit":[]}"#, Err(Refusal::TokenCritical)),
            (r#"{"alg":"HS256","crit":null}"#, Err(Refusal::TokenCritical)),
            (r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, Err(Refusal::TokenCritical)),
            (r#"{"alg":"none","crit":["exp"]}"#, Err(Refusal::TokenAlgorithm)),
            (r#"{"alg":"HS256","alg":"none"}"#, Err(Refusal::TokenMalformed)),
            (r#"{"alg":"none","alg":"HS256"}"#, Err(Refusal::TokenMalformed)),
            (r#"{"alg":"HS256","kid":7}"#, Err(Refusal::TokenMalformed)),
            (r#"{"alg":"HS256","kid":null}"#, Err(Refusal::TokenMalformed)),
            (r#"{"alg":null}"#, Err(Refusal::TokenMalformed)),
            (r#"{"typ":"JWT"}"#, Err(Refusal::TokenMalformed)),
            (r#"["HS256",null,null]"#, Err(Refusal::TokenMalformed)),
            (r#""HS256""#, Err(Refusal::TokenMalformed)),
            (r#"{"alg":"HS256"}{}"#, Err(Refusal::TokenMalformed)),
            ("", Err(Refusal::TokenMalformed)),
        ];
        for (header, expected) in table {
            check(header, ours, &with_header(&ours.signer, header), expected);
        }
        let not_utf8 = ours.signer.compact(b"{\"alg\":\"HS256\",\"typ\":\"\xff\"}", b"{}").unwrap();
        check("not UTF-8", ours, &not_utf8, Err(Refusal::TokenMalformed));
    }

    #[test]
    fn the_key_that_a_token_names() {
        let named = |pair: &Pair, kid: &str| {
            let mut jwk = pair.jwk.clone();
            jwk["kid"] = kid.into();
            jwk
        };
        let (eddsa, es256) = (Algorithm::EdDSA, Algorithm::ES256);
        let (a, b, c) = (pair(eddsa), other_pair(eddsa), pair(es256));
        let keys = [named(a, "a"), named(b, "b"), named(c, "c"), other_pair(es256).jwk.clone()];
        let document = json!({ "keys": keys }).to_string();
        let keys = KeySet::parse(document.as_bytes(), &[eddsa, es256]).unwrap();
        let verifier = Verifier::new(keys, Policy::default());
        let table: [(&Pair, &str, Result<&str, Refusal>); 10] = [
            (a, r#"{"alg":"EdDSA","kid":"a"}"#, Ok("bob")),
            (b, r#"{"alg":"EdDSA","kid":"b"}"#, Ok("bob")),
            (a, r#"{"alg":"EdDSA","kid":"b"}"#, Err(Refusal::TokenSignature)),
            (a, r#"{"alg":"EdDSA","kid":"x"}"#, Err(Refusal::TokenKeyUnknown)),
            (a, r#"{"alg":"EdDSA","kid":""}"#, Err(Refusal::TokenKeyUnknown)),
            (a, r#"{"alg":"EdDSA","kid":"c"}"#, Err(Refusal::TokenAlgorithm)),
            // Without a name each key of the algorithm is tried, named or not.
            (b, r#"{"alg":"EdDSA"}"#, Ok("bob")),
            (c, r#"{"alg":"ES256"}"#, Ok("bob")),
            (other_pair(es256), r#"{"alg":"ES256"}"#, Ok("bob")),
            (other_pair(es256), r#"{"alg":"ES256","kid":"c"}"#, Err(Refusal::TokenSignature)),
        ];
        for (signer, header, expected) in table {
            check_by(header, &verifier, &with_header(&signer.signer, header), expected);
        }
    }

    #[test]
    fn form_and_size() {
        let ours = pair(Algorithm::HS256);
        let token = ours.signer.sign(&user_claims()).unwrap();
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let malformed = Err(Refusal::TokenMalformed);
        // The last character of 32 bytes in base64 has two bits to spare.
        let spare =
            format!("{}{}", &token[..token.len() - 1], next_base64(token.as_bytes()[token.len() - 1]));
        let table: [(&str, String, Result<&str, Refusal>); 20] = [
            ("as it is", token.clone(), Ok("bob")),
            ("empty", String::new(), malformed),
            ("no dot", "abc".into(), malformed),
            ("one dot", format!("{header}.{payload}"), malformed),
            ("two dots and nothing else", "..".into(), malformed),
            ("three dots", format!("{token}."), malformed),
            ("four dots", format!("{token}.a.b"), malformed),
            ("no header", format!(".{payload}.{signature}"), malformed),
            ("no payload", format!("{header}..{signature}"), Err(Refusal::TokenSignature)),
            ("no signature", format!("{header}.{payload}."), Err(Refusal::TokenSignature)),
            (
                "half a signature",
                format!("{header}.{payload}.{}", &signature[..20]),
                Err(Refusal::TokenSignature),
            ),
            ("padded signature", format!("{token}="), malformed),
            ("padded payload", format!("{header}.{payload}=.{signature}"), Err(Refusal::TokenSignature)),
            ("padded header", format!("{header}=.{payload}.{signature}"), malformed),
            ("spare bits", spare, malformed),
            ("newline behind", format!("{token}\n"), malformed),
            ("blank before", format!(" {token}"), malformed),
            ("standard alphabet", format!("{header}.{payload}.+/{}", &signature[2..]), malformed),
            ("not ASCII", format!("{header}.{payload}.é{}", &signature[2..]), malformed),
            ("NUL", format!("{header}.{payload}.\0{}", &signature[1..]), malformed),
        ];
        for (what, token, expected) in table {
            check(what, ours, &token, expected);
        }
        // Padding that is signed is still padding.
        let text = format!("{header}.{payload}==");
        let signature = ours.signer.signature(text.as_bytes()).unwrap();
        check("signed padding", ours, &format!("{text}.{signature}"), malformed);
        // Size is looked at before anything else.
        let filled = |bytes: usize| {
            format!("{header}.{payload}.{}", "A".repeat(bytes - header.len() - payload.len() - 2))
        };
        check("large", ours, &filled(TOKEN_BYTES_MAX), Err(Refusal::TokenSignature));
        check("too large", ours, &filled(TOKEN_BYTES_MAX + 1), Err(Refusal::TokenTooLarge));
        let verifier = verifier(ours, Policy::default());
        let at_most = filled(ADMIN_TOKEN_BYTES_MAX);
        assert_ne!(verifier.posts(&at_most, NOW).unwrap_err(), Refusal::TokenTooLarge);
        assert_eq!(verifier.posts(&format!("{at_most}A"), NOW).unwrap_err(), Refusal::TokenTooLarge);
        assert_eq!(verifier.bans(&format!("{at_most}A"), NOW).unwrap_err(), Refusal::TokenTooLarge);
        assert_eq!(verifier.bans(&"A".repeat(8 << 20), NOW).unwrap_err(), Refusal::TokenTooLarge);
    }
}
