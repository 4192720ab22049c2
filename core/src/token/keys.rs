//! Keys that verify tokens. Each is bound to exactly one algorithm when it is read, so that no
//! token can choose how its key is used (RFC 8725, 3.1).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::{Algorithm, KeyError, jwks, pem};

/// The algorithms that are taken here, as `alg` writes them (RFC 7518, 3.1; RFC 8037, 3.1).
const TAKEN: [(Algorithm, &str); 4] = [
    (Algorithm::HS256, "HS256"),
    (Algorithm::RS256, "RS256"),
    (Algorithm::ES256, "ES256"),
    (Algorithm::EdDSA, "EdDSA"),
];

/// Below, an RSA modulus can be factored by those who care (NIST SP 800-131A); above, one
/// signature takes milliseconds and the back end refuses it.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// HS256 needs a key as long as its hash (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The modulus of the README's example key in base64url. Its private half is published.
const EXAMPLE_MODULUS: &str = "\
5UEqqnKsfoHMkm9OMdnAcYLlO5oezfAnn8K6IsLnssdNvEOqevr3aJPsRZF8A7ddWVfvgZig3RUiQJKvxmPAGh\
Aja8inDRkef6GyWE4Z_yxXqZCaFAfZlDV5uYCMoHBKa5xlxquN0hDVkyrCgrUUGUKiz-j-j6T72iXHiYaxiYr4\
U8oOjUH1r0hsdMHOQw1NQs0CBLT9dke1S_pPbjL8GdX2SYBkvw1xio4huDv1K-FOsnlBvCIxVEb5brqxTwl9ez\
dZ2kyo6P3kMoAi_Fgi7yRZTTDBSZ4V3PqYZOyE1b1zrU45Vp194f6pUce70NgrfXKlHT9hFWjYEEEg2D1JCQ";

/// A key with the one algorithm that it is for.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    /// The name that a token may ask for it by; only keys of a JWKS document have one.
    pub(super) id: Option<Box<str>>,
    pub(super) material: DecodingKey,
    /// Whether everybody can sign with it.
    example: bool,
}

impl Key {
    fn new(algorithm: Algorithm, material: DecodingKey) -> Key {
        Key { algorithm, id: None, material, example: false }
    }

    /// From the big-endian bytes of the modulus and the exponent; leading zeros do not count.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Key, KeyError> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = bits(modulus);
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::RsaBits(bits));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        // The back end takes exponents from 3 to 33 bits; better to hear of it now.
        if !odd(modulus) || !odd(exponent) || exponent == [1] || self::bits(exponent) > 33 {
            return Err(KeyError::BadKey("the RSA key's numbers cannot be right"));
        }
        let example = URL_SAFE_NO_PAD.encode(modulus) == EXAMPLE_MODULUS;
        let material = DecodingKey::from_rsa_raw_components(modulus, exponent);
        Ok(Key { example, ..Key::new(Algorithm::RS256, material) })
    }

    /// From an uncompressed point: 4, then 32 bytes each of x and y. Whether it lies on the curve is
    /// looked at with each signature: a point that does not verifies none.
    pub(super) fn p256(point: &[u8]) -> Result<Key, KeyError> {
        if point.len() != 65 || point[0] != 4 {
            return Err(KeyError::BadKey("a P-256 key is an uncompressed point of 65 bytes"));
        }
        Ok(Key::new(Algorithm::ES256, DecodingKey::from_ec_der(point)))
    }

    pub(super) fn ed25519(point: &[u8]) -> Result<Key, KeyError> {
        if point.len() != 32 {
            return Err(KeyError::BadKey("an Ed25519 key has 32 bytes"));
        }
        Ok(Key::new(Algorithm::EdDSA, DecodingKey::from_ed_der(point)))
    }

    pub(super) fn secret(secret: &[u8]) -> Result<Key, KeyError> {
        check_secret(secret)?;
        Ok(Key::new(Algorithm::HS256, DecodingKey::from_secret(secret)))
    }

    fn found(&self) -> &'static str {
        match self.algorithm {
            Algorithm::HS256 => "a secret (HS256)",
            Algorithm::RS256 => "an RSA key (RS256)",
            Algorithm::ES256 => "an EC P-256 key (ES256)",
            _ => "an Ed25519 key (EdDSA)",
        }
    }
}

/// The keys that verify tokens here. Never empty.
#[derive(Clone, Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// Reads keys: a PEM public key (SPKI or PKCS#1), an X.509 certificate in PEM (the first of a
    /// chain; its dates and its issuer do not count, the operator vouches for it), a JWKS document
    /// (RFC 7517; keys for other uses and algorithms are passed over), or, if HS256 is allowed,
    /// a secret of at least 32 bytes, one newline at its end left off.
    ///
    /// # Errors
    /// If there is no key, a bad key, a private key, or one of an algorithm that `algorithms` does
    /// not hold; or if `algorithms` holds another than HS256, RS256, ES256 and EdDSA.
    pub fn parse(material: &[u8], algorithms: &[Algorithm]) -> Result<KeySet, KeyError> {
        if algorithms.is_empty() {
            return Err(KeyError::NoAlgorithm);
        }
        if let Some(other) = algorithms.iter().find(|one| TAKEN.iter().all(|(taken, _)| taken != *one)) {
            return Err(KeyError::AlgorithmNotTaken(*other));
        }
        let keys = if pem::looks_like(material) {
            vec![allowed(pem::public_key(material)?, algorithms)?]
        } else if jwks::looks_like(material) {
            jwks::keys(material, algorithms)?
        } else if algorithms.contains(&Algorithm::HS256) {
            vec![Key::secret(without_newline(material))?]
        } else {
            return Err(KeyError::Unrecognised);
        };
        Ok(KeySet { keys })
    }

    /// Whether one of the keys is the README's example key. Its private half is published: whoever
    /// accepts it lets everybody be anybody.
    #[must_use]
    pub fn is_public_example(&self) -> bool {
        self.keys.iter().any(|key| key.example)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }
}

fn allowed(key: Key, algorithms: &[Algorithm]) -> Result<Key, KeyError> {
    if algorithms.contains(&key.algorithm) {
        Ok(key)
    } else if algorithms.iter().all(|algorithm| *algorithm == Algorithm::HS256) {
        Err(KeyError::SecretLooksPublic)
    } else {
        Err(KeyError::Mismatch { found: key.found(), allowed: names(algorithms) })
    }
}

/// The algorithm of that name, if it is taken here.
pub(super) fn algorithm_named(name: &str) -> Option<Algorithm> {
    TAKEN.iter().find(|(_, taken)| *taken == name).map(|(algorithm, _)| *algorithm)
}

pub(super) fn names(algorithms: &[Algorithm]) -> String {
    let names: Vec<String> = algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    names.join(", ")
}

/// A secret as it stands in a file: editors put a newline behind it.
pub(super) fn without_newline(material: &[u8]) -> &[u8] {
    let material = material.strip_suffix(b"\n").unwrap_or(material);
    material.strip_suffix(b"\r").unwrap_or(material)
}

/// Checks that a secret can be one: long enough, and nothing that is published.
pub(super) fn check_secret(secret: &[u8]) -> Result<(), KeyError> {
    if looks_public(secret) {
        return Err(KeyError::SecretLooksPublic);
    }
    if secret.len() < SECRET_BYTES_MIN { Err(KeyError::SecretShort(secret.len())) } else { Ok(()) }
}

/// Whether this is a public key in PEM, in DER, in DER as base64 or in OpenSSH's form. Verifying
/// HS256 with one would let everybody sign (RFC 8725, 2.1).
fn looks_public(secret: &[u8]) -> bool {
    let der = |bytes: &[u8]| {
        SubjectPublicKeyInfo::from_der(bytes).is_ok() || X509Certificate::from_der(bytes).is_ok()
    };
    let text: Vec<u8> = secret.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    pem::looks_like(secret)
        || secret.starts_with(b"ssh-")
        || secret.starts_with(b"ecdsa-sha2-")
        || der(secret)
        || STANDARD.decode(text).is_ok_and(|bytes| der(&bytes))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// Bits of a big-endian number without leading zero bytes.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{ALL, EXAMPLE_CERTIFICATE, SECRET, check_keys as check, der, pair, pem};
    use super::*;

    #[test]
    fn each_form_gives_a_key_bound_to_one_algorithm() {
        use Algorithm::{ES256, EdDSA, HS256, RS256};
        let certificate = str::from_utf8(EXAMPLE_CERTIFICATE).unwrap();
        for algorithm in ALL {
            check("alone", pair(algorithm).public.as_bytes(), &[algorithm], Ok(&[algorithm]));
            check(
                "JWKS",
                json!({"keys": [pair(algorithm).jwk]}).to_string().as_bytes(),
                &ALL,
                Ok(&[algorithm]),
            );
        }
        for algorithm in [RS256, ES256, EdDSA] {
            check("among all", pair(algorithm).public.as_bytes(), &ALL, Ok(&[algorithm]));
        }
        let pkcs1 = der(&pair(RS256).public)[24..].to_vec();
        check("PKCS#1", pem("RSA PUBLIC KEY", &pkcs1).as_bytes(), &[RS256], Ok(&[RS256]));
        check("chain", format!("A comment\n{certificate}{certificate}").as_bytes(), &[RS256], Ok(&[RS256]));
        check("CRLF", certificate.replace('\n', "\r\n").as_bytes(), &[RS256], Ok(&[RS256]));
        check("newline", &[SECRET, b"\r\n"].concat(), &[HS256], Ok(&[HS256]));
    }

    #[test]
    fn the_published_example_key_is_known_in_every_form() {
        let keys = KeySet::parse(EXAMPLE_CERTIFICATE, &[Algorithm::RS256]).unwrap();
        assert!(keys.is_public_example());
        assert_eq!((keys.len(), keys.is_empty()), (1, false));
        let (fresh, example) =
            (&pair(Algorithm::RS256).jwk, json!({"kty": "RSA", "n": EXAMPLE_MODULUS, "e": "AQAB"}));
        let document = json!({"keys": [fresh, example]}).to_string();
        assert!(KeySet::parse(document.as_bytes(), &[Algorithm::RS256]).unwrap().is_public_example());
        for algorithm in ALL {
            let keys = KeySet::parse(pair(algorithm).public.as_bytes(), &[algorithm]).unwrap();
            assert!(!keys.is_public_example(), "{algorithm:?}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let keys = KeySet::parse(SECRET, &[Algorithm::HS256]).unwrap();
        let text = format!("{keys:?} {:?}", pair(Algorithm::HS256).signer);
        assert!(
            text.contains("redacted") && !text.contains("48, 49, 50") && !text.contains("0123"),
            "{text}"
        );
    }
}
