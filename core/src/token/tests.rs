//! Tokens on their whole way: the README's samples, and whatever is not the token that was signed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::testing::{
    ALL, EXAMPLE_BANS, EXAMPLE_CERTIFICATE, EXAMPLE_USER, NOW, chatup_policy, example_verifier, next_base64,
    pair, signed, user_claims, verifier,
};
use super::{Algorithm, KeySet, Policy, Verifier};
use crate::refusal::Refusal;

#[test]
fn the_readmes_tokens_verify_where_the_operator_chose_so() {
    let compatible = example_verifier(chatup_policy());
    assert_eq!(compatible.user(EXAMPLE_USER, NOW).unwrap().name.as_str(), "Test 1");
    let bans = compatible.bans(EXAMPLE_BANS, NOW).unwrap();
    let orders: Vec<_> =
        bans.entries.iter().map(|ban| (ban.name.as_str(), ban.channel.as_str(), ban.expire_s)).collect();
    assert_eq!(orders, [("test1", "TestRoom", Some(30)), ("test2", "TestRoom2", None)]);
    assert_eq!(bans.once, None);
    // A user is no administrator even then, nor a list of bans a user or a list of posts.
    assert_eq!(compatible.bans(EXAMPLE_USER, NOW).unwrap_err(), Refusal::TokenAudience);
    assert_eq!(compatible.posts(EXAMPLE_BANS, NOW).unwrap_err(), Refusal::TokenContent);
    assert_eq!(compatible.user(EXAMPLE_BANS, NOW).unwrap_err(), Refusal::TokenContent);

    let strict = example_verifier(Policy::default());
    assert_eq!(strict.user(EXAMPLE_USER, NOW).unwrap_err(), Refusal::TokenNoExpiry);
    assert_eq!(strict.bans(EXAMPLE_BANS, NOW).unwrap_err(), Refusal::TokenContent);
    assert_eq!(strict.posts(EXAMPLE_BANS, NOW).unwrap_err(), Refusal::TokenContent);
}

#[test]
fn no_character_of_a_token_can_be_changed() {
    for algorithm in ALL {
        let verifier = verifier(pair(algorithm), Policy::default());
        let token = pair(algorithm).signer.sign(&user_claims()).unwrap();
        for at in (0..token.len()).filter(|at| token.as_bytes()[*at] != b'.') {
            let changed =
                format!("{}{}{}", &token[..at], next_base64(token.as_bytes()[at]), &token[at + 1..]);
            assert!(verifier.user(&changed, NOW).is_err(), "{algorithm:?}, {at}: {changed}");
        }
    }
}

/// Nothing but the token itself is taken by any of the three readers.
fn refused_everywhere(verifier: &Verifier, token: &str) {
    assert!(verifier.user(token, NOW).is_err(), "{token}");
    assert!(verifier.posts(token, NOW).is_err(), "{token}");
    assert!(verifier.bans(token, NOW).is_err(), "{token}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn random_text_is_refused(
        text in any::<String>(),
        parts in "[A-Za-z0-9_=-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_+-]{0,60}",
    ) {
        for algorithm in ALL {
            let verifier = verifier(pair(algorithm), chatup_policy());
            refused_everywhere(&verifier, &text);
            refused_everywhere(&verifier, &parts);
        }
        let keys = KeySet::parse(EXAMPLE_CERTIFICATE, &[Algorithm::RS256]).unwrap();
        refused_everywhere(&Verifier::new(keys, chatup_policy()), &parts);
    }

    #[test]
    fn random_changes_are_refused(
        edits in vec((any::<Index>(), 0..3_u8, any::<char>(), 32..127_u8), 1..4),
    ) {
        for algorithm in [Algorithm::HS256, Algorithm::EdDSA, Algorithm::ES256] {
            let token = pair(algorithm).signer.sign(&user_claims()).unwrap();
            let mut changed: Vec<char> = token.chars().collect();
            for (index, edit, any, ascii) in &edits {
                let at = index.index(changed.len());
                match edit {
                    0 => changed[at] = char::from(*ascii),
                    1 => changed.insert(at, *any),
                    _ => drop(changed.remove(at)),
                }
            }
            let changed: String = changed.into_iter().collect();
            if changed != token {
                refused_everywhere(&verifier(pair(algorithm), chatup_policy()), &changed);
            }
        }
    }

    /// What is signed and nonsense is refused without a panic.
    #[test]
    fn signed_nonsense_is_refused(payload in any::<String>(), value in "[\\[\\]{}\",:0-9a-z _.-]{0,40}") {
        let verifier = verifier(pair(Algorithm::HS256), Policy::default());
        for payload in [payload, value.clone(), format!(r#"{{"exp":{value},"_public":{value}}}"#)] {
            refused_everywhere(&verifier, &signed(&payload));
        }
    }
}
