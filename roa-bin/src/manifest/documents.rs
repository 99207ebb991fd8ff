//! The documents of a YAML stream. They are parted by hand, so that one broken document hides no other.

/// One document of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Document<'a> {
    /// Its text, with its `---`.
    pub(super) text: &'a str,
    /// The line of the stream on which its text begins, counted from 0.
    pub(super) offset: usize,
}

/// The documents of `stream` that hold more than comments. A marker ends a document wherever it stands at the beginning
/// of a line: YAML admits it inside of no value.
pub(super) fn documents(stream: &str) -> Vec<Document<'_>> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let mut found = Vec::new();
    let (mut start, mut offset, mut position) = (0, 0, 0);
    for (number, line) in stream.split_inclusive('\n').enumerate() {
        if is_marker(line, "---") {
            found.push(Document { text: &stream[start..position], offset });
            (start, offset) = (position, number);
        }
        position += line.len();
        if is_marker(line, "...") {
            found.push(Document { text: &stream[start..position], offset });
            (start, offset) = (position, number + 1);
        }
    }
    found.push(Document { text: &stream[start..], offset });
    found.retain(|document| !is_blank(document.text));
    found
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether `text` is nothing but markers, directives and comments.
fn is_blank(text: &str) -> bool {
    text.lines().all(|line| {
        let content = if is_marker(line, "---") || is_marker(line, "...") { &line[3..] } else { line };
        let content = content.trim();
        content.is_empty() || content.starts_with('#') || line.starts_with('%')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(stream: &str) -> Vec<(usize, &str)> {
        documents(stream).into_iter().map(|document| (document.offset, document.text)).collect()
    }

    #[test]
    fn documents_are_parted_at_markers_that_stand_alone() {
        assert_eq!(parts("a: 1\n"), [(0, "a: 1\n")]);
        assert_eq!(parts("a: 1\n---\nb: 2\n"), [(0, "a: 1\n"), (1, "---\nb: 2\n")]);
        assert_eq!(parts("---\r\na: 1\r\n---\r\nb: 2"), [(0, "---\r\na: 1\r\n"), (2, "---\r\nb: 2")]);
        assert_eq!(parts("--- {a: 1}\n--- {b: 2}"), [(0, "--- {a: 1}\n"), (1, "--- {b: 2}")]);
        assert_eq!(parts("a: 1\n...\nb: 2\n"), [(0, "a: 1\n...\n"), (2, "b: 2\n")]);
    }

    #[test]
    fn what_only_looks_like_a_marker_parts_nothing() {
        for stream in ["a: |\n  ---\n  b\n", "----\n", "---a\n", "a: ---\n", " ---\n"] {
            assert_eq!(parts(stream).len(), 1, "{stream:?}");
        }
    }

    #[test]
    fn documents_without_content_are_not_counted() {
        for stream in
            ["", "\n\n", "# x\n", "---\n---\n# y\n---", "%YAML 1.2\n---\n", "--- # nothing\n...\n", "\u{feff}"]
        {
            assert_eq!(parts(stream), [], "{stream:?}");
        }
        assert_eq!(parts("# licence\n---\na: 1\n---\n# the end\n"), [(1, "---\na: 1\n")]);
    }
}
