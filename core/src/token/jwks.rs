//! Keys out of a JWKS document (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).
//!
//! A key that is for something else is passed over, as RFC 7517, 5 asks; a key that is for us and
//! broken is an error, lest an operator wonder why half of the tokens fail.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::json::Object;
use super::keys::{Key, algorithm_named, names};
use super::{Algorithm, KeyError};
use crate::limits::VERIFICATION_KEYS_MAX;

#[derive(Deserialize)]
struct Document {
    keys: Vec<Object<Jwk>>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

/// Whether somebody meant this to be JSON.
pub(super) fn looks_like(material: &[u8]) -> bool {
    material.trim_ascii_start().starts_with(b"{")
}

/// The keys of the document that verify signatures with one of `algorithms`, at least one.
pub(super) fn keys(material: &[u8], algorithms: &[Algorithm]) -> Result<Vec<Key>, KeyError> {
    let Object(document) = serde_json::from_slice::<Object<Document>>(material)
        .map_err(|error| KeyError::Jwks(error.to_string()))?;
    let count = document.keys.len();
    if count > VERIFICATION_KEYS_MAX {
        return Err(KeyError::TooManyKeys(count));
    }
    let mut keys = Vec::new();
    for (index, Object(jwk)) in document.keys.into_iter().enumerate() {
        if let Some(algorithm) = jwk.algorithm(algorithms) {
            let key = jwk.key(algorithm).map_err(|error| KeyError::Jwk { index, error: Box::new(error) })?;
            keys.push(key);
        }
    }
    if keys.is_empty() {
        return Err(KeyError::JwksUnusable { keys: count, allowed: names(algorithms) });
    }
    Ok(keys)
}

impl Jwk {
    /// The algorithm of `allowed` that this key is for, if it is for one at all.
    fn algorithm(&self, allowed: &[Algorithm]) -> Option<Algorithm> {
        let verifies = self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") || !verifies {
            return None;
        }
        let algorithm = match &self.alg {
            Some(name) => algorithm_named(name)?,
            None => self.fitting()?,
        };
        allowed.contains(&algorithm).then_some(algorithm)
    }

    /// The one algorithm that keys of this type are used with here.
    fn fitting(&self) -> Option<Algorithm> {
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Some(Algorithm::RS256),
            ("EC", Some("P-256")) => Some(Algorithm::ES256),
            ("OKP", Some("Ed25519")) => Some(Algorithm::EdDSA),
            ("oct", _) => Some(Algorithm::HS256),
            _ => None,
        }
    }

    fn key(self, algorithm: Algorithm) -> Result<Key, KeyError> {
        if self.fitting() != Some(algorithm) {
            return Err(KeyError::BadKey("its type does not fit its algorithm"));
        }
        if self.d.is_some() {
            return Err(KeyError::PrivateKey);
        }
        let mut key = match algorithm {
            Algorithm::RS256 => Key::rsa(&bytes(self.n)?, &bytes(self.e)?),
            Algorithm::ES256 => {
                let (x, y) = (bytes(self.x)?, bytes(self.y)?);
                if x.len() != 32 {
                    return Err(KeyError::BadKey("a coordinate of a P-256 key has 32 bytes"));
                }
                Key::p256(&[&[4], x.as_slice(), y.as_slice()].concat())
            }
            Algorithm::EdDSA => Key::ed25519(&bytes(self.x)?),
            _ => Key::secret(&bytes(self.k)?),
        }?;
        key.id = self.kid.map(Into::into);
        Ok(key)
    }
}

fn bytes(member: Option<String>) -> Result<Vec<u8>, KeyError> {
    let bad = KeyError::BadKey("a member of the key is missing or not base64url");
    member.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).ok_or(bad)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::KeySet;
    use super::super::testing::{ALL, check_keys as check, pair};
    use super::*;

    /// A JWK with some members changed; `null` takes one away.
    fn jwk(algorithm: Algorithm, changes: &Value) -> Value {
        let mut key = pair(algorithm).jwk.clone();
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        key
    }

    #[test]
    fn a_jwks_document() {
        use Algorithm::{ES256, EdDSA, HS256, RS256};
        let document = |keys: &[Value]| json!({"keys": keys, "more": 1}).to_string();
        let at_0 = |error| KeyError::Jwk { index: 0, error: Box::new(error) };
        let none = |keys, allowed: &str| KeyError::JwksUnusable { keys, allowed: allowed.into() };
        let missing = KeyError::BadKey("a member of the key is missing or not base64url");
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let passed_over = [
            jwk(RS256, &json!({"use": "enc"})),
            jwk(RS256, &json!({"key_ops": ["sign"]})),
            jwk(RS256, &json!({"alg": "RS512"})),
            jwk(RS256, &json!({"alg": "none"})),
            jwk(ES256, &json!({"crv": "P-521"})),
            jwk(EdDSA, &json!({"crv": "X25519"})),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
            // For an algorithm that is not pinned, broken or not.
            jwk(HS256, &json!({"k": "AA"})),
        ];
        let mixed = [
            passed_over.as_slice(),
            &[
                pair(RS256).jwk.clone(),
                jwk(EdDSA, &json!({"alg": "EdDSA", "use": "sig", "key_ops": ["verify"], "kid": "a"})),
            ],
        ]
        .concat();
        let many = vec![pair(EdDSA).jwk.clone(); VERIFICATION_KEYS_MAX + 1];
        type Row<'a> = (&'a str, String, &'a [Algorithm], Result<&'a [Algorithm], KeyError>);
        let table: [Row<'_>; 17] = [
            ("mixed", document(&mixed), &[RS256, EdDSA, ES256], Ok(&[RS256, EdDSA])),
            ("pinned", document(&mixed), &[EdDSA], Ok(&[EdDSA])),
            ("none left", document(&passed_over), &[RS256, ES256], Err(none(8, "RS256, ES256"))),
            ("empty", document(&[]), &[RS256], Err(none(0, "RS256"))),
            ("as many as allowed", document(&many[1..]), &[EdDSA], Ok(&[EdDSA; VERIFICATION_KEYS_MAX])),
            ("too many", document(&many), &[EdDSA], Err(KeyError::TooManyKeys(VERIFICATION_KEYS_MAX + 1))),
            (
                "private",
                document(&[jwk(EdDSA, &json!({"d": "AA"}))]),
                &[EdDSA],
                Err(at_0(KeyError::PrivateKey)),
            ),
            (
                "short RSA",
                document(&[jwk(RS256, &json!({"n": short}))]),
                &[RS256],
                Err(at_0(KeyError::RsaBits(1024))),
            ),
            (
                "even exponent",
                document(&[jwk(RS256, &json!({"e": "AQAA"}))]),
                &[RS256],
                Err(at_0(KeyError::BadKey("the RSA key's numbers cannot be right"))),
            ),
            ("no x", document(&[jwk(EdDSA, &json!({"x": null}))]), &[EdDSA], Err(at_0(missing.clone()))),
            ("padding", document(&[jwk(EdDSA, &json!({"x": "AA=="}))]), &[EdDSA], Err(at_0(missing))),
            (
                "short x",
                document(&[jwk(EdDSA, &json!({"x": "AA"}))]),
                &[EdDSA],
                Err(at_0(KeyError::BadKey("an Ed25519 key has 32 bytes"))),
            ),
            (
                "short y",
                document(&[jwk(ES256, &json!({"y": "AA"}))]),
                &[ES256],
                Err(at_0(KeyError::BadKey("a P-256 key is an uncompressed point of 65 bytes"))),
            ),
            (
                "x of 33 bytes, y of 31",
                document(&[jwk(ES256, &json!({"x": "A".repeat(44), "y": format!("{}AA", "A".repeat(40))}))]),
                &[ES256],
                Err(at_0(KeyError::BadKey("a coordinate of a P-256 key has 32 bytes"))),
            ),
            (
                "short secret",
                document(&[jwk(HS256, &json!({"k": "AA"}))]),
                &[HS256],
                Err(at_0(KeyError::SecretShort(1))),
            ),
            (
                "type against alg",
                document(&[jwk(RS256, &json!({"alg": "HS256", "k": "AA"}))]),
                &ALL,
                Err(at_0(KeyError::BadKey("its type does not fit its algorithm"))),
            ),
            (
                "public key as secret",
                document(&[jwk(HS256, &json!({"k": URL_SAFE_NO_PAD.encode(&pair(RS256).public)}))]),
                &[HS256],
                Err(at_0(KeyError::SecretLooksPublic)),
            ),
        ];
        for (what, text, algorithms, expected) in table {
            check(what, text.as_bytes(), algorithms, expected);
        }
        for text in [
            "{",
            "{}",
            r#"{"keys":1}"#,
            r#"{"keys":[["RSA"]]}"#,
            r#"{"keys":[],"keys":[]}"#,
            r#"{"keys":[{"kty":"RSA","kty":"oct"}]}"#,
        ] {
            assert!(matches!(KeySet::parse(text.as_bytes(), &ALL), Err(KeyError::Jwks(_))), "{text}");
        }
    }
}
