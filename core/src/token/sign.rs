//! Makes tokens: for demonstrations, for `chatup token` and for tests. A server needs none of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde::Serialize;

use super::keys::{check_secret, without_newline};
use super::{Algorithm, KeyError, pem};

/// Bytes of a signature by the smallest RSA key that is taken, of 2048 bits.
const RSA_SIGNATURE_BYTES_MIN: usize = 256;

/// A private key or a secret, with the one algorithm that it signs with.
#[derive(Clone, Debug)]
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    /// Reads a PKCS#8 private key in PEM: Ed25519, EC P-256, or RSA (PKCS#1 too).
    ///
    /// # Errors
    /// If it is none of these.
    pub fn from_private_pem(pem: &[u8]) -> Result<Signer, KeyError> {
        // `from_rsa_pem` would take a public key too, and fail only when it has to sign.
        if !pem::holds_private_key(pem) {
            return Err(KeyError::SigningKey);
        }
        let readings = [
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem)),
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
        ];
        readings
            .into_iter()
            .filter_map(|(algorithm, key)| key.ok().map(|key| Signer { algorithm, key }))
            .find(Signer::works)
            .ok_or(KeyError::SigningKey)
    }

    /// Takes a secret of at least 32 bytes for HS256, one newline at its end left off.
    ///
    /// # Errors
    /// If it is too short, or no secret at all.
    pub fn from_secret(secret: &[u8]) -> Result<Signer, KeyError> {
        let secret = without_newline(secret);
        check_secret(secret)?;
        Ok(Signer { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(secret) })
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// A token of these claims.
    ///
    /// # Errors
    /// If the claims are no JSON.
    pub fn sign<T: Serialize>(&self, claims: &T) -> Result<String, KeyError> {
        let header = format!(r#"{{"alg":"{:?}","typ":"JWT"}}"#, self.algorithm);
        let claims = serde_json::to_vec(claims).map_err(|error| KeyError::Sign(error.to_string()))?;
        self.compact(header.as_bytes(), &claims)
    }

    /// The compact form (RFC 7515, 3.1) of any header and any payload.
    pub(super) fn compact(&self, header: &[u8], payload: &[u8]) -> Result<String, KeyError> {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.signature(signed.as_bytes())?;
        Ok(format!("{signed}.{signature}"))
    }

    /// In base64url.
    pub(super) fn signature(&self, signed: &[u8]) -> Result<String, KeyError> {
        jsonwebtoken::crypto::sign(signed, &self.key, self.algorithm)
            .map_err(|error| KeyError::Sign(error.to_string()))
    }

    fn works(&self) -> bool {
        let bytes = self.signature(b"").ok().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let enough = if self.algorithm == Algorithm::RS256 { RSA_SIGNATURE_BYTES_MIN } else { 1 };
        bytes.is_some_and(|signature| signature.len() >= enough)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ALL, EXAMPLE_CERTIFICATE, SECRET, der, pair, pem};
    use super::*;

    #[test]
    fn the_header_says_what_it_is_signed_with() {
        for algorithm in ALL {
            let token = pair(algorithm).signer.sign(&[1, 2]).unwrap();
            let parts: Vec<_> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
            let header = format!(r#"{{"alg":"{algorithm:?}","typ":"JWT"}}"#);
            assert_eq!((parts[0].as_slice(), parts[1].as_slice()), (header.as_bytes(), b"[1,2]".as_slice()));
        }
    }

    #[test]
    fn keys_that_sign_and_keys_that_do_not() {
        let rsa = &pair(Algorithm::RS256).private;
        // PKCS#1 is what PKCS#8 holds behind 26 bytes of head.
        let pkcs1 = pem("RSA PRIVATE KEY", &der(rsa)[26..]);
        assert_eq!(Signer::from_private_pem(pkcs1.as_bytes()).unwrap().algorithm(), Algorithm::RS256);
        let secret = Signer::from_secret(&[SECRET, b"\n"].concat()).unwrap();
        assert_eq!(secret.sign(&1).unwrap(), pair(Algorithm::HS256).signer.sign(&1).unwrap());

        let cut = pem("PRIVATE KEY", &der(rsa)[..100]);
        let public = &pair(Algorithm::RS256).public;
        let renamed = public.replace("PUBLIC", "PRIVATE");
        for text in ["", "-----BEGIN PRIVATE KEY-----", &cut, public, &renamed] {
            assert_eq!(
                Signer::from_private_pem(text.as_bytes()).unwrap_err(),
                KeyError::SigningKey,
                "{text}"
            );
        }
        assert_eq!(Signer::from_private_pem(EXAMPLE_CERTIFICATE).unwrap_err(), KeyError::SigningKey);
        assert_eq!(Signer::from_secret(&SECRET[1..]).unwrap_err(), KeyError::SecretShort(31));
        assert_eq!(Signer::from_secret(rsa.as_bytes()).unwrap_err(), KeyError::SecretLooksPublic);
        assert!(matches!(secret.sign(&f64::NAN).and(secret.sign(&Unwritable)), Err(KeyError::Sign(_))));
    }

    struct Unwritable;

    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not to be written"))
        }
    }
}
