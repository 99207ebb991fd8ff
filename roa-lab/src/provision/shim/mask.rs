//! [`Mask`]: takes secrets out of output as it comes.

use crate::provision::environment::{REDACTED, secrets};
use crate::provision::process::LabRecord;

/// Takes the values of a lab's secret variables out of what it writes, also where one comes in pieces: what may be the
/// begin of one is held back until more comes. So no one who may read a lab's output learns its secrets, unless the lab
/// writes them in another form.
#[derive(Default)]
pub(super) struct Mask {
    /// The longest first: a secret may be part of another.
    secrets: Vec<Vec<u8>>,
    held_back: Vec<u8>,
}

/// What stands at a place of the output.
enum Found {
    Secret(usize),
    /// What may become one.
    Begin,
    Nothing,
}

impl Mask {
    pub(super) fn of(record: &LabRecord) -> Self {
        let secrets = secrets(&record.environment).into_iter().map(|secret| secret.as_bytes().to_vec()).collect();
        Self { secrets, held_back: Vec::new() }
    }

    /// What can be written after this came.
    pub(super) fn push(&mut self, output: &[u8]) -> Vec<u8> {
        if self.secrets.is_empty() {
            return output.to_vec();
        }
        self.held_back.extend_from_slice(output);
        self.take(false)
    }

    /// What is left when no more comes.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.take(true)
    }

    fn take(&mut self, is_last: bool) -> Vec<u8> {
        let text = std::mem::take(&mut self.held_back);
        let (mut rest, mut written) = (&text[..], Vec::with_capacity(text.len()));
        while let Some(first) = rest.first() {
            match self.look(rest, is_last) {
                Found::Secret(length) => {
                    written.extend_from_slice(REDACTED.as_bytes());
                    rest = &rest[length..];
                }
                Found::Begin => break,
                Found::Nothing => {
                    written.push(*first);
                    rest = &rest[1..];
                }
            }
        }
        self.held_back = rest.to_vec();
        written
    }

    fn look(&self, text: &[u8], is_last: bool) -> Found {
        for secret in &self.secrets {
            if text.starts_with(secret) {
                return Found::Secret(secret.len());
            }
            if !is_last && secret.starts_with(text) {
                return Found::Begin;
            }
        }
        Found::Nothing
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        let mut secrets: Vec<Vec<u8>> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Mask { secrets, held_back: Vec::new() }
    }

    fn masked(mask: &mut Mask, pieces: &[&str]) -> String {
        let mut written: Vec<u8> = pieces.iter().flat_map(|piece| mask.push(piece.as_bytes())).collect();
        written.extend(mask.finish());
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn t14_a_secret_is_taken_out_whole_also_when_it_comes_in_pieces() {
        let cases: [(&[&str], &str); 6] = [
            (&["a canary sings"], "a <redacted> sings"),
            (&["a can", "ar", "y sings"], "a <redacted> sings"),
            (&["a canar", "d"], "a canard"),
            (&["canary", "canary"], "<redacted><redacted>"),
            (&["canary-bird!"], "<redacted>!"),
            (&["canary-bir", "th"], "<redacted>-birth"),
        ];
        for (pieces, expected) in cases {
            assert_eq!(masked(&mut mask(&["canary", "canary-bird"]), pieces), expected, "{pieces:?}");
        }
    }

    #[test]
    fn only_what_may_be_a_secret_is_held_back() {
        let mut mask = mask(&["canary"]);
        assert_eq!(mask.push(b"password: "), b"password: ");
        assert_eq!(mask.push(b"x ca"), b"x ");
        assert_eq!(mask.push(b"t"), b"cat");
        assert_eq!(mask.finish(), b"");
    }

    proptest! {
        #[test]
        fn t14_however_it_is_cut_the_outcome_is_the_same(text in "[ab\n]{0,40}", cuts in prop::collection::vec(0_usize..40, 0..6)) {
            let whole = masked(&mut mask(&["ab", "abba", "bb"]), &[&text]);
            prop_assert!(!whole.contains("ab") && !whole.contains("bb"));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(masked(&mut mask(&["ab", "abba", "bb"]), &pieces), whole);
        }
    }
}
