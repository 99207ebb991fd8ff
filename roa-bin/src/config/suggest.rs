//! What somebody may have meant by a key that does not exist.

use super::keys::{KEYS, Key};

/// The known key that is nearest to `path`; `None` if none is near.
pub(super) fn nearest(path: &str) -> Option<&'static Key> {
    let wanted = normal(path);
    let distances = KEYS.iter().map(|key| (distance(&wanted, &normal(key.path)), key));
    let near = distances.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= wanted.len() / 4);
    near.map(|(_, key)| key).or_else(|| by_name(path))
}

/// The word that is nearest to `wanted`; `None` if none is near.
pub(crate) fn nearest_word<'a>(wanted: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = words.map(|word| (distance(wanted, word), word));
    let near = distances.min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, word)| *distance <= (wanted.len().max(word.len()) / 3).max(1)).map(|(_, word)| word)
}

/// The only key of that name in any table: it stands in the wrong one.
fn by_name(path: &str) -> Option<&'static Key> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let mut same = KEYS.iter().filter(|key| key.split().1 == name);
    same.next().filter(|_| same.next().is_none())
}

/// Without what is easily mixed up: case, and which separator stands between words.
fn normal(path: &str) -> String {
    path.to_lowercase().replace(['.', '-'], "_")
}

/// Levenshtein's distance in bytes: how many of them must be added, removed or changed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_changes() {
        for (a, b, expected) in [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_word_is_near_if_a_third_of_it_is_wrong_at_most() {
        let words = ["python-basics-lab", "web", "labs"];
        for (word, meant) in
            [("pyton-basics-lab", Some("python-basics-lab")), ("wep", Some("web")), ("xyz", None), ("", None)]
        {
            assert_eq!(nearest_word(word, words.into_iter()), meant, "{word}");
        }
    }

    #[test]
    fn a_misspelt_or_misplaced_key_finds_the_one_that_was_meant() {
        for (path, meant) in [
            ("store.backnd", Some("store.backend")),
            ("stroe.backend", Some("store.backend")),
            ("store_backend", Some("store.backend")),
            ("Store.Backend", Some("store.backend")),
            ("lab.sweep-interval", Some("lab.sweep_interval")),
            ("backend", Some("store.backend")),
            ("lab.poll_intervall", Some("lab.poll_interval")),
            ("kitchen.knife", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(path).map(|key| key.path), meant, "{path}");
        }
    }
}
