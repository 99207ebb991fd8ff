//! [`safe`]: text of objects on a terminal.

use std::borrow::Cow;

/// Text without anything that a terminal would obey: what objects hold was written by others.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) { clean.extend(character.escape_default()) } else { clean.push(character) }
    }
    Cow::Owned(clean)
}

/// Control characters, and those that change the direction of what follows.
fn is_unsafe(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelt_out() {
        assert_eq!(safe("a b ü 漢"), "a b ü 漢");
        assert_eq!(safe("\u{1b}[31mred\u{7}\n"), "\\u{1b}[31mred\\u{7}\\n");
        assert_eq!(safe("a\u{202e}b"), "a\\u{202e}b");
    }
}
