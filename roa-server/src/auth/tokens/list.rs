//! [`TokenList`]: the tokens of a file, by their hashes.

use std::fmt;
use std::path::Path;

use roa_core::Timestamp;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::TokenFileError;
use super::parse::parse;
use crate::auth::User;
use crate::files::read_private;

pub(super) const DIGEST_BYTES: usize = 32;
/// A token's SHA-256. It needs no salt and no slowness: a token is random, not chosen by a person.
pub(super) type Digest = [u8; DIGEST_BYTES];

const MAX_FILE_BYTES: u64 = 4 << 20;

pub(super) fn digest(token: &str) -> Digest {
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
    digest
}

pub(super) struct Token {
    pub(super) hash: Digest,
    pub(super) user: User,
    pub(super) expires: Option<Timestamp>,
}

/// The tokens of a file.
pub(crate) struct TokenList(Vec<Token>);

impl TokenList {
    /// The tokens of a file that only its owner can read. Blocks.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenFileError> {
        let bytes = read_private(path, MAX_FILE_BYTES)?;
        let wrong = |(line, reason)| TokenFileError::Line { path: path.to_owned(), line, reason };
        parse(&bytes).map(Self).map_err(wrong)
    }

    /// Whose token it is, if it is one and has not expired. How long it takes says nothing about the tokens.
    pub(crate) fn find(&self, token: &str, now: Timestamp) -> Option<&User> {
        let shown = digest(token);
        let (mut found, mut place) = (Choice::from(0), 0_u64);
        for (position, token) in (0_u64..).zip(&self.0) {
            let equal = token.hash.ct_eq(&shown);
            place.conditional_assign(&position, equal);
            found |= equal;
        }
        let token = self.0.get(usize::try_from(place).ok()?).filter(|_| bool::from(found))?;
        token.expires.is_none_or(|expires| now < expires).then_some(&token.user)
    }
}

impl fmt::Debug for TokenList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenList({} tokens)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::auth::{AUTHENTICATED, MASTERS, NewToken};

    fn now() -> Timestamp {
        "2027-01-01T00:00:00Z".parse().unwrap()
    }

    fn error(text: &str) -> (usize, String) {
        let (line, reason) = parse(text.as_bytes()).err().unwrap();
        (line, reason.to_string())
    }

    #[test]
    fn t1_a_token_is_found_by_its_hash_and_no_other_is() {
        let alice = NewToken::generate("alice", &["ops".into(), MASTERS.into()]).unwrap();
        let bob = NewToken::generate("bob", &[]).unwrap();
        let text = format!("# tokens\n\n{}\r\n  {}  \n", alice.line, bob.line);
        let list = TokenList(parse(text.as_bytes()).unwrap());
        assert!(!text.contains(alice.token.expose_secret()));
        let found = list.find(alice.token.expose_secret(), now()).unwrap();
        assert_eq!(
            (&*found.name, &found.groups[..]),
            ("alice", &["ops", MASTERS, AUTHENTICATED].map(String::from)[..])
        );
        assert_eq!(list.find(bob.token.expose_secret(), now()).unwrap().name, "bob");
        for wrong in ["", "roa_", &alice.line, &alice.token.expose_secret()[1..]] {
            assert_eq!(list.find(wrong, now()), None);
        }
        assert_eq!(TokenList(Vec::new()).find(alice.token.expose_secret(), now()), None);
    }

    #[test]
    fn t24_a_token_is_good_until_it_expires() {
        let token = NewToken::generate("alice", &["ops".into()]).unwrap();
        for (expires, good) in [("2027-01-01T00:00:01Z", true), ("2027-01-01T00:00:00Z", false)] {
            let list = TokenList(parse(format!("{} expires={expires}", token.line).as_bytes()).unwrap());
            assert_eq!(list.find(token.token.expose_secret(), now()).is_some(), good);
        }
    }

    #[test]
    fn t14_a_plain_token_is_refused_with_a_hint_and_not_repeated() {
        let hash = format!("sha256:{}", "0".repeat(64));
        let (line, message) = error(&format!("{hash} alice\nmy-secret-token alice"));
        assert!(line == 2 && message.contains("sha256sum") && !message.contains("my-secret"), "{message}");
        for wrong in ["sha256:00 a".to_owned(), format!("{hash}0 a"), format!("sha256:{} a", "g".repeat(64))] {
            assert!(error(&wrong).1.contains("sha256sum"));
        }
        let token = NewToken::generate("alice", &[]).unwrap();
        assert!(!format!("{token:?}").contains(token.token.expose_secret()));
    }

    #[test]
    fn a_wrong_line_is_named_with_what_was_expected() {
        let hash = format!("sha256:{}", "0".repeat(64));
        assert!(error(&hash).1.contains("user's name"));
        assert!(error(&format!("{hash} a\n{hash} b")).1.contains("same hash"));
        assert!(error(&format!("{hash} a b expires=never")).1.contains("2027-01-02T03:04:05Z"));
        assert!(error(&format!("{hash} a b c")).1.contains("or nothing"));
        assert!(error(&format!("{hash} system:anonymous")).1.contains("not recognised"));
        assert!(error(&format!("{hash} a x,system:unauthenticated")).1.contains("not recognised"));
        let many: Vec<String> = (0..=1000).map(|number| format!("sha256:{number:064x} a")).collect();
        assert_eq!(error(&many.join("\n")), (1001, "expected at most 1000 tokens".to_owned()));
        assert!(matches!(parse(b"\xff\xfe").err(), Some((1, super::super::TokenLineError::NoText))));
    }

    #[test]
    fn a_name_that_could_not_be_read_again_gets_no_token() {
        for name in ["", "a b", "a,b", "a\nb", "expires=x", "system:anonymous"] {
            assert!(NewToken::generate(name, &[]).is_err() && NewToken::generate("a", &[name.into()]).is_err());
        }
    }

    #[test]
    fn t1_a_token_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(TokenList::read(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    proptest! {
        #[test]
        fn parsing_a_token_file_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn parsing_what_looks_like_a_token_file_never_panics(text in "(sha256:[0-9a-f]{62,66} [ -~é]{0,20}\n?){0,4}") {
            let _ = parse(text.as_bytes());
        }
    }
}
