//! What can be told of an expression before it is parsed: that the parser, which recurses, can take it.

/// How long one expression may be, in bytes.
const MAX_BYTES: usize = 4 << 10;
/// How deep parentheses in an expression may nest.
const MAX_DEPTH: usize = 24;
/// How many operators an expression may have that stand before an operand, or choose between two. For the parser, each
/// is one more level.
const MAX_OPERATORS: usize = 8 * MAX_DEPTH;

/// Whether an expression is short and flat enough to be parsed. Text and comments in it count for nothing; text that is
/// not well-formed is refused, since the parser would go on within it.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.len() > MAX_BYTES {
        return Err(format!("{} bytes, expected at most {MAX_BYTES}", text.len()));
    }
    let (mut depth, mut operators) = (0_usize, 0);
    for symbol in Symbols::of(text) {
        match symbol? {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'!' | b'-' | b'?' => operators += 1,
            _ => {}
        }
        if depth > MAX_DEPTH || operators > MAX_OPERATORS {
            return Err(format!("nests too deep, expected at most {MAX_DEPTH} levels"));
        }
    }
    Ok(())
}

/// The symbols of an expression, without its words, text and comments.
struct Symbols<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Symbols<'_> {
    type Item = Result<u8, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let byte = *self.rest().first()?;
            let skipped = match byte {
                b'/' if self.rest().starts_with(b"//") => Ok(self.length_while(|byte| byte != b'\n')),
                b'`' => self.quoted_name(),
                b'\'' | b'"' => self.quoted(0, false),
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
                _ => {
                    self.at += 1;
                    return Some(Ok(byte));
                }
            };
            match skipped {
                Ok(length) => self.at += length,
                Err(reason) => {
                    self.at = self.text.len();
                    return Some(Err(reason));
                }
            }
        }
    }
}

impl<'a> Symbols<'a> {
    const fn of(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn length_while(&self, wanted: impl Fn(u8) -> bool) -> usize {
        self.rest().iter().take_while(|byte| wanted(**byte)).count()
    }

    /// A name, a keyword or a number; with text, if it is the prefix of one.
    fn word(&self) -> Result<usize, String> {
        let length = self.length_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let (word, after) = self.rest().split_at(length);
        match word {
            _ if !matches!(after.first(), Some(b'\'' | b'"')) => Ok(length),
            b"r" | b"R" | b"br" | b"bR" | b"Br" | b"BR" => self.quoted(length, true),
            b"b" | b"B" => self.quoted(length, false),
            _ => Err(malformed("text follows a name or a number")),
        }
    }

    /// A name between backticks.
    fn quoted_name(&self) -> Result<usize, String> {
        let name = self.rest().get(1..).unwrap_or_default();
        let length = name.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_.-/ ".contains(byte)).count();
        let ends = length > 0 && name.get(length) == Some(&b'`');
        if ends { Ok(length + 2) } else { Err(malformed("` begins no name")) }
    }

    /// Text between one quote or three at each end. In raw text a backslash is no escape.
    fn quoted(&self, prefix: usize, raw: bool) -> Result<usize, String> {
        let text = self.rest().get(prefix..).unwrap_or_default();
        let Some(quote) = text.first() else { return Ok(prefix) };
        let triple = text.len() >= 3 && text.iter().take(3).all(|byte| byte == quote);
        let end = if triple { vec![*quote; 3] } else { vec![*quote] };
        let mut at = end.len();
        loop {
            let inner = text.get(at..).unwrap_or_default();
            at += match inner.first() {
                None => return Err(malformed("text does not end")),
                Some(_) if inner.starts_with(&end) => return Ok(prefix + at + end.len()),
                Some(b'\n' | b'\r') if !triple => return Err(malformed("text does not end in its line")),
                Some(b'\\') if !raw => escape(inner).ok_or_else(|| malformed("text has an unknown escape"))?,
                Some(_) => 1,
            };
        }
    }
}

fn malformed(why: &str) -> String {
    format!("failed to compile: {why}")
}

/// How long the escape at the beginning of `text` is, if it is one.
fn escape(text: &[u8]) -> Option<usize> {
    let digits = |from: usize, count: usize, is_digit: fn(&u8) -> bool| {
        text.get(from..from + count).is_some_and(|found| found.iter().all(is_digit)).then_some(from + count)
    };
    match text.get(1)? {
        b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`' => Some(2),
        b'x' | b'X' => digits(2, 2, u8::is_ascii_hexdigit),
        b'u' => digits(2, 4, u8::is_ascii_hexdigit),
        b'U' => digits(2, 8, u8::is_ascii_hexdigit),
        b'0'..=b'3' => digits(2, 2, |byte| (b'0'..=b'7').contains(byte)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;
    use std::sync::LazyLock;

    /// The tokens that are not symbols.
    static TOKENS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let escape = r#"\\(?:[abfnrtv"'\\?`]|[0-3][0-7]{2}|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"#;
        let tokens = [
            format!(r#"[bB]?"(?:{escape}|[^\\"\n\r])*""#),
            format!(r"[bB]?'(?:{escape}|[^\\'\n\r])*'"),
            format!(r#"[bB]?"""(?:{escape}|[^\\])*?""""#),
            format!(r"[bB]?'''(?:{escape}|[^\\])*?'''"),
            r#"[bB]?[rR]"[^"\n\r]*""#.to_owned(),
            r"[bB]?[rR]'[^'\n\r]*'".to_owned(),
            r#"(?s)[bB]?[rR]""".*?""""#.to_owned(),
            r"(?s)[bB]?[rR]'''.*?'''".to_owned(),
            r"//[^\n]*".to_owned(),
            r"`[a-zA-Z0-9_./ -]+`".to_owned(),
            r"[a-zA-Z_][a-zA-Z0-9_]*".to_owned(),
            r"0x[0-9a-fA-F]+[uU]?".to_owned(),
            r"[0-9]+[uU]?".to_owned(),
        ];
        tokens.iter().map(|token| Regex::new(&format!("^(?:{token})")).unwrap()).collect()
    });

    /// The symbols as the grammar of CEL has them: at each place the longest token counts.
    fn by_grammar(text: &str) -> Option<Vec<u8>> {
        let (mut at, mut symbols) = (0, Vec::new());
        while at < text.len() {
            let rest = &text[at..];
            let longest = TOKENS.iter().filter_map(|token| token.find(rest)).map(|found| found.len()).max();
            let first = rest.chars().next().unwrap();
            match longest {
                Some(length) => at += length,
                None if matches!(first, '\'' | '"' | '`') => return None,
                None => {
                    symbols.extend(first.to_string().as_bytes());
                    at += first.len_utf8();
                }
            }
        }
        Some(symbols)
    }

    fn symbols(text: &str) -> Option<Vec<u8>> {
        Symbols::of(text).collect::<Result<_, _>>().ok()
    }

    #[test]
    fn text_and_comments_count_for_nothing() {
        for (text, expected) in [
            (r"'\\' == '\\' && (", "==&&("),
            (r"'\'(' + [", "+["),
            (r"r'\' + (", "+("),
            (r#"bR"\" + ("#, "+("),
            (r#"""" ("'( """ ("#, "("),
            ("'''a''' + (", "+("),
            ("1 // it's\n (", "("),
            ("'//' + (", "+("),
            ("`a//b` (", "("),
            ("'' + (", "+("),
            ("äö (", "äö("),
        ] {
            let found: Vec<u8> =
                symbols(text).unwrap().into_iter().filter(|byte| *byte != b' ' && *byte != b'\n').collect();
            assert_eq!(String::from_utf8(found).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn text_that_is_none_is_refused() {
        for text in ["'", "'a\n'", r"'\q' + '('", r"'\400'", "'''a'", "x'a'", "1r'a'", "`a(`", "``", r"b'\u12'"] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_counted_behind_any_text() {
        let deep = "(".repeat(1900);
        for before in
            [r"'\\' == '\\' && ", r"r'\' == '' && ", "''' \" ''' == '' && ", "// it's\n", r#""""'"""=="" && "#]
        {
            assert!(check(&format!("{before}{deep}")).unwrap_err().contains("nests too deep"), "{before}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn symbols_are_those_of_the_grammar(text in r#"[\\'"`/rRbBnux01 \n(\[!ä]{0,30}"#) {
            // It may refuse more: a name next to text is no expression.
            if let Some(found) = symbols(&text) {
                prop_assert_eq!(Some(found), by_grammar(&text));
            }
        }
    }
}
