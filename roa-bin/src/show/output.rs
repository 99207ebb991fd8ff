//! Output: data goes to stdout, what is said about it to stderr. Colours are left out of pipes.

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::Value as Json;

/// Prints a line to stdout.
///
/// # Errors
/// It can't be written: its reader may have left.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    writeln!(anstream::stdout().lock(), "{line}").context("failed to write to stdout")
}

/// Prints text to stdout as it is.
///
/// # Errors
/// As [`say`].
pub(crate) fn say_all(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("failed to write to stdout")
}

/// Says something about what is shown, on stderr.
pub(crate) fn note(line: &str) {
    // There is nowhere left to say that stderr can't be written.
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    Json,
    Yaml,
}

/// A document, with the end of its last line.
///
/// # Errors
/// It can't be written so.
pub(crate) fn document(value: &Json, how: Document) -> anyhow::Result<String> {
    match how {
        Document::Json => Ok(serde_json::to_string_pretty(value).context("failed to write JSON")? + "\n"),
        Document::Yaml => {
            let text = serde_saphyr::to_string(value).context("failed to write YAML")?;
            Ok(if text.ends_with('\n') { text } else { text + "\n" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_reads_as_it_was() {
        let value = json!({
            "metadata": {"name": "a", "labels": {"on": "yes", "n": "1", "x": "null"}},
            "spec": {"text": "a: b\n# no comment\n", "list": [1, 2.5, true, null, {"a": []}], "empty": {}, "t": "\u{1b}[31m"},
        });
        for how in [Document::Json, Document::Yaml] {
            let text = document(&value, how).unwrap();
            assert_eq!(serde_saphyr::from_str::<Json>(&text).unwrap(), value, "{text}");
            assert!(text.ends_with('\n') && !text.contains('\u{1b}'), "{text}");
        }
    }
}
