//! What is wrong with a key or with the list of algorithms: for the operator, at start-up.

use super::Algorithm;

/// Why a key, or a list of algorithms, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The list of algorithms is empty.
    #[error("no algorithm is allowed: name at least one of HS256, RS256, ES256, EdDSA")]
    NoAlgorithm,
    /// The list holds an algorithm that this product does not take.
    #[error("{0:?} is not taken here: HS256, RS256, ES256 and EdDSA are")]
    AlgorithmNotTaken(Algorithm),
    /// Neither PEM nor a JWKS document, and a secret is not allowed.
    #[error(
        "this is neither a PEM public key, nor a PEM certificate, nor a JWKS document (a secret needs HS256)"
    )]
    Unrecognised,
    /// A private key where a public one belongs.
    #[error(
        "this is a private key: give its public key (`openssl pkey -pubout`) and keep this one away from here"
    )]
    PrivateKey,
    /// Text that begins like PEM and does not go on like it.
    #[error("the PEM text cannot be read: {0}")]
    Pem(String),
    /// A PEM block that is something else than a key.
    #[error("a PEM block of the kind {0:?} is not a public key or certificate")]
    PemKind(String),
    /// Several public keys in one PEM text.
    #[error("the PEM text holds {0} blocks after its public key: give several keys as a JWKS document")]
    PemTrailing(usize),
    /// DER that does not hold what it should.
    #[error("the {0} cannot be read")]
    Unreadable(&'static str),
    /// A key of a type or curve that no algorithm here uses.
    #[error("{0} are not taken here: RSA, EC P-256 and Ed25519 are")]
    TypeNotTaken(String),
    /// A key of an algorithm that is not allowed.
    #[error("found {found}, but only {allowed} may be used")]
    Mismatch {
        /// The key and its algorithm.
        found: &'static str,
        /// The algorithms that the operator allows.
        allowed: String,
    },
    /// An RSA key that is too small or too large.
    #[error("the RSA key has {0} bits: 2048 to 8192 are needed")]
    RsaBits(usize),
    /// A key whose numbers cannot be right.
    #[error("{0}")]
    BadKey(&'static str),
    /// A secret that is too short.
    #[error("the secret has {0} bytes: at least 32 random ones are needed")]
    SecretShort(usize),
    /// Something public where a secret belongs.
    #[error("HS256 needs a secret, and this looks like a public key, which everybody may know")]
    SecretLooksPublic,
    /// JSON that is no JWKS document.
    #[error("the JWKS document cannot be read: {0} (a secret must not begin with a brace)")]
    Jwks(String),
    /// A key of a JWKS document that should be usable and is not.
    #[error("key {index} of the JWKS document: {error}")]
    Jwk {
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        error: Box<KeyError>,
    },
    /// A JWKS document in which every key is for something else.
    #[error("none of the {keys} keys of the JWKS document is for signatures with {allowed}")]
    JwksUnusable {
        /// How many keys there are.
        keys: usize,
        /// The algorithms that the operator allows.
        allowed: String,
    },
    /// More keys than the limit.
    #[error("the JWKS document holds {0} keys, more than {max}", max = crate::limits::VERIFICATION_KEYS_MAX)]
    TooManyKeys(usize),
    /// No private key that this product can sign with.
    #[error("this is not a PKCS#8 private key in PEM for Ed25519, EC P-256 or RSA of at least 2048 bits")]
    SigningKey,
    /// Claims that cannot be made into a token.
    #[error("the token cannot be made: {0}")]
    Sign(String),
}
