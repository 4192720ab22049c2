//! Verification of a user's token, an algorithm each.
//!
//! Keys and tokens are fixed, so that a case counts the same instructions each time: an ECDSA
//! signature's cost depends on its numbers. They were made once for this file; the private halves
//! are kept nowhere. The tokens run out in the year 2100, but here it is always [`NOW`].

use std::hint::black_box;

use chatup_core::token::{Algorithm, KeySet, Policy, Verifier};

use super::NOW;

/// A key, and a token signed with it.
pub struct Sample {
    /// The only algorithm taken.
    pub algorithm: Algorithm,
    /// The secret, or the public key in PEM.
    pub key: &'static str,
    /// `{"exp":4102444800,"_public":{"name":"Ada"}}`, signed.
    pub token: &'static str,
}

impl Sample {
    /// What verifies the token.
    ///
    /// # Panics
    /// Never: the key is in order.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        let keys = KeySet::parse(self.key.as_bytes(), &[self.algorithm]).expect("a key in order");
        Verifier::new(keys, Policy::default())
    }
}

/// Verifies a token and reads who it is for.
///
/// # Panics
/// If it is refused.
pub fn verify(sample: &'static Sample) -> impl FnMut() {
    let verifier = sample.verifier();
    move || assert!(black_box(verifier.user(black_box(sample.token), NOW)).is_ok())
}

/// A shared secret.
pub const HS256: Sample = Sample {
    algorithm: Algorithm::HS256,
    key: "0123456789abcdef0123456789abcdef",
    token: "\
eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDAsIl9wdWJsaWMiOnsibmFtZSI6IkFkYSJ9fQ.\
N1zV80Nva2KqWFjeFKN9-BZMgxpndZsGwSceXVTusPQ",
};

/// RSA, 2,048 bits.
pub const RS256: Sample = Sample {
    algorithm: Algorithm::RS256,
    key: "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmPhhIGniwXtxZWug2/MP
DsfLbdaAYGmqe8dym/i7dZY1/uOsyE0YLz0s/GcdrJOJHbWGicZqS1AWKLLuxLNt
7toaUKdHzfSqk5ZWUmBCtwq0HdjO4y0EblalwqXpDiKii6Vv4f0SrBXOFzyhvbLF
J0FkXWzOaPgJn1idmDtHz+5E5IbJWM0tcDZ1WmNVqBNKMNJBYzAFCupx3rutbYDG
Kl+pJx//7RQQVsg3cJTT496VtvfR1KYKNefEh1pSOKT2fQ6rSSjt17wOGgLDOQsb
jFk4rGCelKu4kiz9eTYPhwqJXhmmKEZl+D7nSLO92bD74yeLfZ2gQ6Oyt3Ofsa7f
AwIDAQAB
-----END PUBLIC KEY-----
",
    token: "\
eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDAsIl9wdWJsaWMiOnsibmFtZSI6IkFkYSJ9fQ.\
X-PiWddc4aEuvHa6saCoLUXoWuJHkzJ52Pl_s3aOf8YVhRD2sOXWIwFkifjDguNbUiYykiVWbzoaVTipt0szuzBv2WXWzr77\
DyKqpQ-Xp-vy564VEyXDPDmydU8oxvfETMOZIC0moGWKuV7komXv-RI-cnXX-xKXdPIJs_18V78Pnle_p_0Y1z8bXfSCVxfW\
DfMY6iFY7jTgQyuq1qeRMX2deJlpCRQfN8OeKHQmxosDjtfHUzYZpvuRz3GAaaG_jIcwHpMfT777fr-sa5azrj1C2OxM0CGk\
FO3938j5Mr3zhy9OuKNKnbCouvc8Y3bK0mWMnyKmsVYW9jcLQMJuag",
};

/// ECDSA on P-256.
pub const ES256: Sample = Sample {
    algorithm: Algorithm::ES256,
    key: "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEc30AONh3xnuiz9Lk9PnMdH6zcM64
sJ6VO/kkjOlot+ECeEU4jTiTkPTWSKjEk0XKXj0zZNUH2MKEDscTaD2yyA==
-----END PUBLIC KEY-----
",
    token: "\
eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDAsIl9wdWJsaWMiOnsibmFtZSI6IkFkYSJ9fQ.\
ws0E6OGlRDwCXEZUbotRr8QbyzL9SolvP9zCw0LZ6YmZluMcaNjM1tKfj5Rpu-xHgdoMAjQD5ziSsYt3XpchYA",
};

/// Ed25519.
pub const EDDSA: Sample = Sample {
    algorithm: Algorithm::EdDSA,
    key: "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAOZR342of4d2cFpGlkLgPYPoR90eZZ1Gu4APtvLxH/vA=
-----END PUBLIC KEY-----
",
    token: "\
eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDAsIl9wdWJsaWMiOnsibmFtZSI6IkFkYSJ9fQ.\
lCBQksT4YY0-3ncf-9fdanzkHZQuYk1HH2VhDME26E-B1U5_I10JrpPpPkXeyBa-rMhCFl5QFPZIaaI_FNhWDw",
};
