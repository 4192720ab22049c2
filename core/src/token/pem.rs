//! Public keys out of PEM text: SPKI (RFC 5280, 4.1.2.7), PKCS#1 (RFC 8017, A.1.1), certificates.

use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};
use x509_parser::public_key::RSAPublicKey;

use super::KeyError;
use super::keys::Key;

/// Whether somebody meant this to be PEM, however broken it is.
pub(super) fn looks_like(material: &[u8]) -> bool {
    holds(material, b"-----BEGIN")
}

/// Whether there is a private key of any kind in it: PKCS#8, PKCS#1, SEC 1, OpenSSH, encrypted.
pub(super) fn holds_private_key(material: &[u8]) -> bool {
    holds(material, b"PRIVATE KEY-----")
}

fn holds(material: &[u8], needle: &[u8]) -> bool {
    material.windows(needle.len()).any(|window| window == needle)
}

/// The public key, or the key of the first certificate of a chain.
pub(super) fn public_key(material: &[u8]) -> Result<Key, KeyError> {
    if holds_private_key(material) {
        return Err(KeyError::PrivateKey);
    }
    let blocks = Pem::iter_from_buffer(material)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| KeyError::Pem(error.to_string()))?;
    let (first, rest) =
        blocks.split_first().ok_or_else(|| KeyError::Pem("there is no whole block".into()))?;
    if first.label == "CERTIFICATE" {
        let unreadable = KeyError::Unreadable("certificate");
        let (_, certificate) = X509Certificate::from_der(&first.contents).map_err(|_| unreadable)?;
        return subject_key(certificate.public_key());
    }
    if !rest.is_empty() {
        return Err(KeyError::PemTrailing(rest.len()));
    }
    match first.label.as_str() {
        "PUBLIC KEY" => match SubjectPublicKeyInfo::from_der(&first.contents) {
            Ok(([], info)) => subject_key(&info),
            _ => Err(KeyError::Unreadable("public key")),
        },
        "RSA PUBLIC KEY" => rsa(&first.contents),
        other => Err(KeyError::PemKind(other.into())),
    }
}

fn subject_key(info: &SubjectPublicKeyInfo<'_>) -> Result<Key, KeyError> {
    let bytes: &[u8] = &info.subject_public_key.data;
    if info.subject_public_key.unused_bits != 0 {
        return Err(KeyError::Unreadable("public key"));
    }
    let kind = &info.algorithm.algorithm;
    if *kind == OID_PKCS1_RSAENCRYPTION {
        rsa(bytes)
    } else if *kind == OID_SIG_ED25519 {
        Key::ed25519(bytes)
    } else if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        match info.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok()) {
            Some(curve) if curve == OID_EC_P256 => Key::p256(bytes),
            Some(curve) => Err(KeyError::TypeNotTaken(format!("keys of the elliptic curve {curve}"))),
            None => Err(KeyError::TypeNotTaken("elliptic curves without a name".into())),
        }
    } else {
        Err(KeyError::TypeNotTaken(format!("keys of the type {kind}")))
    }
}

fn rsa(der: &[u8]) -> Result<Key, KeyError> {
    let unreadable = KeyError::Unreadable("RSA public key");
    let Ok(([], key)) = RSAPublicKey::from_der(der) else { return Err(unreadable) };
    // DER's integers have a sign; a modulus without its leading zero is a negative number.
    if [key.modulus, key.exponent].iter().any(|number| number.first().is_none_or(|byte| byte & 0x80 != 0)) {
        return Err(unreadable);
    }
    Key::rsa(key.modulus, key.exponent)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ALL, EXAMPLE_CERTIFICATE, SECRET, check_keys as check, der, pair, pem};
    use super::super::{Algorithm, KeySet};
    use super::*;

    #[test]
    fn what_is_no_key_for_the_algorithms_is_named() {
        use Algorithm::{ES256, EdDSA, HS256, HS384, PS256, RS256};
        let rsa = &pair(RS256).public;
        let spki = der(rsa);
        let p384 = hex("3076301006072a8648ce3d020106052b81040022036200")
            .into_iter()
            .chain([4; 97])
            .collect::<Vec<_>>();
        let small = rsa_der(&[0xff; 128]);
        let huge = rsa_der(&[0xff; 1025]);
        // The modulus without the zero that makes it positive.
        let mut negative = rsa_der(&[0xff; 256]);
        negative[8] = 0xff;
        // The count of unused bits stands before an Ed25519 key's 32 bytes.
        let mut spare = der(&pair(EdDSA).public);
        spare[11] = 1;
        spare[43] &= 0xfe;
        let longer = [spki.as_slice(), &[0]].concat();
        let unreadable = KeyError::Unreadable;
        let mismatch = |found, allowed: &str| KeyError::Mismatch { found, allowed: allowed.into() };
        let unrecognised = KeyError::Unrecognised;
        let cut = &rsa.as_bytes()[..rsa.len() / 2];
        let private = &pair(EdDSA).private;
        let both = format!("{rsa}{private}");
        let base64 = rsa.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>().join("\n");
        let table: [(&str, Vec<u8>, &[Algorithm], KeyError); 28] = [
            ("no algorithm", rsa.clone().into(), &[], KeyError::NoAlgorithm),
            ("HS384", SECRET.to_vec(), &[HS256, HS384], KeyError::AlgorithmNotTaken(HS384)),
            ("PS256", rsa.clone().into(), &[PS256], KeyError::AlgorithmNotTaken(PS256)),
            ("RSA", rsa.clone().into(), &[ES256, EdDSA], mismatch("an RSA key (RS256)", "ES256, EdDSA")),
            ("EC", pair(ES256).public.clone().into(), &[RS256], mismatch("an EC P-256 key (ES256)", "RS256")),
            (
                "Ed",
                pair(EdDSA).public.clone().into(),
                &[HS256, RS256],
                mismatch("an Ed25519 key (EdDSA)", "HS256, RS256"),
            ),
            ("PEM as secret", rsa.clone().into(), &[HS256], KeyError::SecretLooksPublic),
            ("certificate as secret", EXAMPLE_CERTIFICATE.to_vec(), &[HS256], KeyError::SecretLooksPublic),
            ("DER as secret", spki.clone(), &[HS256], KeyError::SecretLooksPublic),
            ("base64 as secret", base64.clone().into(), &[HS256], KeyError::SecretLooksPublic),
            (
                "OpenSSH as secret",
                b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGQw bob".to_vec(),
                &[HS256],
                KeyError::SecretLooksPublic,
            ),
            ("private", private.clone().into(), &[EdDSA], KeyError::PrivateKey),
            ("private, HS256", private.clone().into(), &[HS256], KeyError::PrivateKey),
            ("private behind public", both.into(), &[RS256], KeyError::PrivateKey),
            ("short secret", SECRET[1..].to_vec(), &[HS256], KeyError::SecretShort(31)),
            ("secret, RS256", SECRET.to_vec(), &[RS256], unrecognised.clone()),
            ("nothing", b"".to_vec(), &[RS256], unrecognised),
            ("two keys", format!("{rsa}{rsa}").into(), &[RS256], KeyError::PemTrailing(1)),
            ("cut off", cut.to_vec(), &[RS256], KeyError::Pem("incomplete PEM".into())),
            ("no block", b"# -----BEGIN".to_vec(), &[RS256], KeyError::Pem("there is no whole block".into())),
            (
                "another block",
                pem("CERTIFICATE REQUEST", b"x").into(),
                &[RS256],
                KeyError::PemKind("CERTIFICATE REQUEST".into()),
            ),
            (
                "P-384",
                pem("PUBLIC KEY", &p384).into(),
                &[ES256],
                KeyError::TypeNotTaken("keys of the elliptic curve 1.3.132.0.34".into()),
            ),
            ("negative RSA", pem("RSA PUBLIC KEY", &negative).into(), &[RS256], unreadable("RSA public key")),
            ("bits to spare", pem("PUBLIC KEY", &spare).into(), &[EdDSA], unreadable("public key")),
            ("more behind", pem("PUBLIC KEY", &longer).into(), &[RS256], unreadable("public key")),
            ("no certificate", pem("CERTIFICATE", &spki).into(), &[RS256], unreadable("certificate")),
            ("short RSA", pem("RSA PUBLIC KEY", &small).into(), &[RS256], KeyError::RsaBits(1024)),
            ("huge RSA", pem("RSA PUBLIC KEY", &huge).into(), &[RS256], KeyError::RsaBits(8200)),
        ];
        for (what, material, algorithms, error) in table {
            check(what, &material, algorithms, Err(error));
        }
        // Whatever is cut off or flipped in DER, it is an error or a key, and no panic.
        for at in 0..spki.len() {
            let mut flipped = spki.clone();
            flipped[at] ^= 0x55;
            for bytes in [&spki[..at], &flipped] {
                for label in ["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"] {
                    let _ = KeySet::parse(pem(label, bytes).as_bytes(), &ALL);
                }
            }
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// A PKCS#1 public key of this modulus and the exponent 65537.
    fn rsa_der(modulus: &[u8]) -> Vec<u8> {
        let integer = [&length(0x02, modulus.len() + 1), &[0][..], modulus, &[2, 3, 1, 0, 1]].concat();
        [length(0x30, integer.len()), integer].concat()
    }

    fn length(tag: u8, length: usize) -> Vec<u8> {
        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
        vec![tag, 0x82, high, low]
    }
}
