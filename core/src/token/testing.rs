//! For the tests of this folder: fresh keys of every algorithm in the forms that operators have
//! them in, and tokens of any header and payload.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Algorithm, KeyError, KeySet, Policy, Signer, Verifier};
use crate::message::UnixMillis;

pub(super) const NOW_S: u64 = 1_800_000_000;
pub(super) const NOW: UnixMillis = UnixMillis(NOW_S * 1_000);
pub(super) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
pub(super) const ALL: [Algorithm; 4] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

pub(super) const EXAMPLE_CERTIFICATE: &[u8] = include_bytes!("../../tests/data/example-jwt-cert.pem");
/// The README's token of a user.
pub(super) const EXAMPLE_USER: &str = "\
eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.\
eyJuYW1lIjoiVGVzdCAxIiwiX3B1YmxpYyI6eyJuYW1lIjoiVGVzdCAxIn19.\
1uNu_T7xKtozXgqwoY31ouDo13H-RJ_q-yfqWau2Im-3PXxEcnn_hFuSJii_XJQKpVz1bVJG4vV9o67Wi0vI1B9A2WGHA2Wud9zWHj0\
UiL-jWhPd_EypMlVhr6AVe6YeP_IeguUAqD6u9tjOQhPrmIQ9zw327Pm9CHpGD_JZAgeHmVNaz67f-4nrRNZkGWrVrPXe2TKaiSz9gA\
IfMdae0ySY14QMStWHR-80YLwq2lpRmAWamxf6BCZ8f6HMv6k-0QcFb-n8j0wtOrKVxICQvSBhdyHQCTrGqKuRsLBd3eLBAMPlhmWKD\
yNYsCnvA9A73bYNPMN3w_FOy3jzv6LpBA";
/// The README's token that bans two users.
pub(super) const EXAMPLE_BANS: &str = "\
eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.\
W3sibmFtZSI6InRlc3QxIiwiY2hhbm5lbCI6IlRlc3RSb29tIiwiZXhwaXJlIjozMH0seyJuYW1lIjoidGVzdDIiLCJjaGFubmVsIjoi\
VGVzdFJvb20yIn1d.\
nQ3S48j7J4x3NgNAhi2Qz36MebQMOxc5rHrMcm0D3bERRei2kyTVYmvcLLLJSeSyCX2KzQiV9iMnYgk4JKSEfR52tw4UUXa-7jbgmhh\
cDpIwo4hiIWgsZokKdo3uRX_UX8jI4ii64Tc8aq-kZiEut4WfxGjuVLlHqj-u77ileKugzhDn7bh-m0PhvdJyZGmCMCcXLnKF-TX2w-\
XJ_5ZvET5Ki2FH_55-W-WCrX8kPA9pSg5WLrdCunqh6p4zNFMXBxRqV3q1u3TSq4DJQkQRACAKZRqhoJz3KsYNzlxfAfhkt0OsJCwoU\
AOlcg95xmmSJoxwFJTCojo2lK5YTLD3yg";

/// A key pair, as an operator has it.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) algorithm: Algorithm,
    /// PKCS#8 in PEM; empty for a secret.
    pub(super) private: String,
    /// SPKI in PEM; the secret itself for a secret.
    pub(super) public: String,
    pub(super) jwk: Value,
    pub(super) signer: Signer,
}

/// One pair of each algorithm, in the order of [`ALL`], and another.
pub(super) static PAIRS: LazyLock<[[Pair; 4]; 2]> = LazyLock::new(|| {
    let other = b"another secret of thirty-two byte";
    [[secret(SECRET), rsa(), p256(), ed25519()], [secret(other), rsa(), p256(), ed25519()]]
});

pub(super) fn pair(algorithm: Algorithm) -> &'static Pair {
    PAIRS[0].iter().find(|pair| pair.algorithm == algorithm).unwrap()
}

pub(super) fn other_pair(algorithm: Algorithm) -> &'static Pair {
    PAIRS[1].iter().find(|pair| pair.algorithm == algorithm).unwrap()
}

fn secret(secret: &[u8]) -> Pair {
    Pair {
        algorithm: Algorithm::HS256,
        private: String::new(),
        public: String::from_utf8(secret.to_vec()).unwrap(),
        jwk: json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)}),
        signer: Signer::from_secret(secret).unwrap(),
    }
}

fn rsa() -> Pair {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    // PKCS#1: a sequence of 4 bytes' head, the modulus with 4 and a zero, the exponent 65537.
    let der = pair.public_key().as_ref();
    let jwk = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(&der[9..9 + 256]), "e": "AQAB"});
    let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    of(Algorithm::RS256, private.as_ref(), &spki(pair.public_key()), jwk)
}

fn p256() -> Pair {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
    of(Algorithm::ES256, pair.to_pkcs8v1().unwrap().as_ref(), &spki(pair.public_key()), jwk)
}

fn ed25519() -> Pair {
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    of(Algorithm::EdDSA, pair.to_pkcs8v1().unwrap().as_ref(), &spki(pair.public_key()), jwk)
}

fn spki(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
    key.as_der().unwrap().as_ref().to_vec()
}

fn of(algorithm: Algorithm, private: &[u8], public: &[u8], jwk: Value) -> Pair {
    let private = pem("PRIVATE KEY", private);
    let signer = Signer::from_private_pem(private.as_bytes()).unwrap();
    assert_eq!(signer.algorithm(), algorithm);
    Pair { algorithm, private, public: pem("PUBLIC KEY", public), jwk, signer }
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The DER inside of PEM.
pub(super) fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(text).unwrap()
}

/// Verifies with one key under a policy.
pub(super) fn verifier(pair: &Pair, policy: Policy) -> Verifier {
    Verifier::new(KeySet::parse(pair.public.as_bytes(), &[pair.algorithm]).unwrap(), policy)
}

/// Verifies the README's tokens under a policy.
pub(super) fn example_verifier(policy: Policy) -> Verifier {
    Verifier::new(KeySet::parse(EXAMPLE_CERTIFICATE, &[Algorithm::RS256]).unwrap(), policy)
}

/// The policy under which ChatUp's tokens go through.
pub(super) fn chatup_policy() -> Policy {
    Policy { require_expiry: false, accept_array_tokens: true, ..Policy::default() }
}

/// A payload, signed by the secret.
pub(super) fn signed(payload: &str) -> String {
    pair(Algorithm::HS256).signer.compact(br#"{"alg":"HS256"}"#, payload.as_bytes()).unwrap()
}

/// The payload of a good token of a user.
pub(super) fn user_claims() -> Value {
    json!({"exp": NOW_S + 60, "_public": {"name": "bob"}})
}

/// What becomes of key material: the algorithms of its keys, or the error.
pub(super) fn check_keys(
    what: &str,
    material: &[u8],
    algorithms: &[Algorithm],
    expected: Result<&[Algorithm], KeyError>,
) {
    let found = KeySet::parse(material, algorithms)
        .map(|keys| keys.iter().map(|key| key.algorithm).collect::<Vec<Algorithm>>());
    assert_eq!(found, expected.map(<[Algorithm]>::to_vec), "{what}");
}

/// The character of the base64url alphabet that differs in the lowest bit.
pub(super) fn next_base64(character: u8) -> char {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = ALPHABET.iter().position(|one| *one == character).unwrap();
    ALPHABET[at ^ 1].into()
}
