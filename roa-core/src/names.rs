//! What names, labels and annotations may be: the rules and limits of Kubernetes
//! (`k8s.io/apimachinery/pkg/util/validation`). Each function says what is wrong and what was expected.

use std::collections::BTreeMap;

/// How long a DNS subdomain may be, in characters: the name of an object.
pub const MAX_SUBDOMAIN: usize = 253;
/// How long a DNS label may be, in characters: a namespace, the name part of a label.
pub const MAX_LABEL: usize = 63;
/// How many bytes all annotations of an object may have together.
pub const MAX_ANNOTATION_BYTES: usize = 256 << 10;
/// How long the name of a field manager may be.
pub const MAX_FIELD_MANAGER: usize = 128;

/// An object's name.
///
/// # Errors
/// What is wrong with it.
pub fn dns_subdomain(name: &str) -> Result<(), String> {
    bounded(name, MAX_SUBDOMAIN)?;
    let proper = name.split('.').all(is_dns_part);
    rule(proper, name, "lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit")
}

/// An object's name, where it need not be a DNS subdomain: anything that is one part of a path.
///
/// # Errors
/// What is wrong with it.
pub fn segment_name(name: &str) -> Result<(), String> {
    bounded(name, MAX_SUBDOMAIN)?;
    path_segment(name)?;
    rule(!name.chars().any(char::is_control), name, "printable characters")
}

/// A namespace's name.
///
/// # Errors
/// What is wrong with it.
pub fn dns_label(name: &str) -> Result<(), String> {
    bounded(name, MAX_LABEL)?;
    rule(is_dns_part(name), name, "lower-case letters, digits and '-', beginning and ending with a letter or digit")
}

/// The key of a label or annotation, or the name of a finalizer: a name, perhaps after a DNS subdomain and `/`.
///
/// # Errors
/// What is wrong with it.
pub fn qualified_name(name: &str) -> Result<(), String> {
    let (prefix, name) = match name.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, name),
    };
    if let Some(prefix) = prefix {
        dns_subdomain(prefix).map_err(|reason| format!("prefix {reason}"))?;
    }
    bounded(name, MAX_LABEL)?;
    rule(is_name_part(name), name, "letters, digits, '-', '_' and '.', beginning and ending with a letter or digit")
}

/// The value of a label; may be empty.
///
/// # Errors
/// What is wrong with it.
pub fn label_value(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    bounded(value, MAX_LABEL)?;
    rule(is_name_part(value), value, "letters, digits, '-', '_' and '.', beginning and ending with a letter or digit")
}

/// A finalizer's name: qualified, so that its owner can be told.
///
/// # Errors
/// What is wrong with it.
pub fn finalizer(name: &str) -> Result<(), String> {
    qualified_name(name)?;
    let known = name.contains('/') || matches!(name, "foregroundDeletion" | "orphan");
    if known { Ok(()) } else { Err(format!("{name:?} has no domain, expected a name such as example.com/cleanup")) }
}

/// All annotations of an object.
///
/// # Errors
/// How many bytes they have, if too many.
pub fn annotations_size(annotations: &BTreeMap<String, String>) -> Result<(), String> {
    let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes <= MAX_ANNOTATION_BYTES {
        return Ok(());
    }
    Err(format!("{bytes} bytes together, expected at most {MAX_ANNOTATION_BYTES} bytes (256 KiB)"))
}

/// Who writes.
///
/// # Errors
/// What is wrong with it.
pub fn field_manager(name: &str) -> Result<(), String> {
    bounded(name, MAX_FIELD_MANAGER)?;
    rule(!name.chars().any(char::is_control), name, "printable characters")
}

/// A part of a path: nothing that could lead elsewhere.
///
/// # Errors
/// What is wrong with it.
pub fn path_segment(segment: &str) -> Result<(), String> {
    rule(!matches!(segment, "." | ".."), segment, "neither \".\" nor \"..\"")?;
    rule(!segment.contains(['/', '%']), segment, "no '/' and no '%'")
}

fn bounded(text: &str, max: usize) -> Result<(), String> {
    match text.chars().count() {
        0 => Err("is empty".to_owned()),
        length if length > max => Err(format!("{:?} has {length} characters, expected at most {max}", begin(text, 24))),
        _ => Ok(()),
    }
}

fn rule(holds: bool, text: &str, expected: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{:?} is not allowed, expected {expected}", begin(text, MAX_SUBDOMAIN))) }
}

/// What a message shows of a text that may be of any length.
fn begin(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn is_dns_part(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && ends_alphanumeric(part)
}

fn is_name_part(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) && ends_alphanumeric(part)
}

fn ends_alphanumeric(part: &str) -> bool {
    let alphanumeric = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    alphanumeric(part.bytes().next()) && alphanumeric(part.bytes().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dns() {
        for good in ["a", "a-b.c", "1.2.3", &"a".repeat(253)] {
            assert_eq!(dns_subdomain(good), Ok(()));
        }
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", ".", "..", "a/b", "ä", "a\0", &"a".repeat(254)] {
            assert!(dns_subdomain(bad).is_err(), "{bad:?}");
        }
        assert!(dns_label("a.b").is_err() && dns_label(&"a".repeat(64)).is_err() && dns_label("a-b").is_ok());
    }

    #[test]
    fn labels_follow_their_rules() {
        for good in ["a", "example.com/a_b.C-d", "X"] {
            assert_eq!(qualified_name(good), Ok(()));
        }
        for bad in ["", "/a", "a/", "Example.com/a", "a/b/c", "-a", &"a".repeat(64)] {
            assert!(qualified_name(bad).is_err(), "{bad:?}");
        }
        assert!(label_value("").is_ok() && label_value("a b").is_err() && label_value(&"v".repeat(64)).is_err());
        assert!(finalizer("plain").is_err() && finalizer("example.com/x").is_ok() && finalizer("orphan").is_ok());
    }

    #[test]
    fn t4_messages_are_bounded_and_hold_no_control_characters() {
        let huge = format!("\u{1b}[31m\n{}/%", "ä".repeat(1 << 20));
        let messages = [
            dns_subdomain,
            segment_name,
            dns_label,
            qualified_name,
            label_value,
            finalizer,
            field_manager,
            path_segment,
        ]
        .map(|check| check(&huge).unwrap_err());
        for message in messages {
            assert!(message.len() < 1_000 && !message.contains(char::is_control), "{message}");
        }
        assert_eq!(
            dns_label(&"a".repeat(64)).unwrap_err(),
            format!("\"{}…\" has 64 characters, expected at most 63", "a".repeat(24))
        );
        for bad in ["", "plain", "a b/c", "/x", "example.com/"] {
            assert!(finalizer(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn annotations_are_bounded_together() {
        let annotations = |bytes: usize| BTreeMap::from([("k".to_owned(), "v".repeat(bytes - 1))]);
        assert!(annotations_size(&annotations(MAX_ANNOTATION_BYTES)).is_ok());
        let message = annotations_size(&annotations(300 << 10)).unwrap_err();
        assert!(message.contains("307200 bytes") && message.contains("at most 262144"), "{message}");
    }

    #[test]
    fn path_segments_lead_nowhere() {
        for bad in [".", "..", "a/b", "a%2fb"] {
            assert!(path_segment(bad).is_err());
        }
        for good in ["system:viewer", "A b", "..."] {
            assert_eq!(segment_name(good), Ok(()));
        }
        for bad in ["", "..", "a/b", "a\nb", &"a".repeat(254)] {
            assert!(segment_name(bad).is_err(), "{bad:?}");
        }
        assert!(
            path_segment("...").is_ok() && field_manager("kubectl").is_ok() && field_manager(&"m".repeat(129)).is_err()
        );
    }
}
