//! Rules about text and code.

use super::Finding;
use super::files::SourceFile;

/// Lines of the longest `lib.rs`: it is a table of contents.
const LIB_LINES: usize = 79;
/// Where machines keep their users' files. Parted, so that this file keeps the rule.
const FOREIGN_FOLDERS: &[&str] =
    &[concat!("/", "work"), concat!("/", "root"), concat!("/", "home"), concat!("/", "Users")];

/// No space at the end of a line, no carriage return, one line break at the end.
pub(super) fn whitespace(file: &SourceFile) -> Vec<Finding> {
    let mut findings: Vec<_> = file
        .text
        .split('\n')
        .enumerate()
        .filter(|(_, line)| line.ends_with([' ', '\t', '\r']))
        .map(|(index, _)| (index + 1, "white space at the end of the line".to_owned()))
        .collect();
    let last = file.text.lines().count().max(1);
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push((last, "no line break at the end of the file".to_owned()));
    }
    if file.text.ends_with("\n\n") {
        findings.push((last, "empty lines at the end of the file".to_owned()));
    }
    findings
}

/// No path that exists on one machine only.
pub(super) fn absolute_paths(file: &SourceFile) -> Vec<Finding> {
    let found = |line| FOREIGN_FOLDERS.iter().find(|folder| names_folder(line, folder));
    file.lines().filter_map(|(number, line)| Some((number, format!("absolute path {}", found(line)?)))).collect()
}

/// Whether `folder` stands in `line` as the beginning of a path.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        !before.is_some_and(|c| goes_on(c) || "./~}$)]>".contains(c)) && !after.is_some_and(goes_on)
    })
}

/// A `lib.rs` says what is where, and no more.
pub(super) fn short_lib(file: &SourceFile) -> Vec<Finding> {
    let lines = file.text.lines().count();
    let long = file.path.ends_with("src/lib.rs") && lines > LIB_LINES;
    long.then(|| (lines, format!("lib.rs has {lines} lines, at most {LIB_LINES}"))).into_iter().collect()
}

/// Each test runs.
pub(super) fn no_ignored_tests(file: &SourceFile) -> Vec<Finding> {
    let ignored = |line: &str| file.name().ends_with(".rs") && line.contains(concat!("#[", "ignore"));
    let reason = "an ignored test is no test";
    file.lines().filter(|(_, line)| ignored(line)).map(|(number, _)| (number, reason.to_owned())).collect()
}

/// Each example compiles.
pub(super) fn no_ignored_examples(file: &SourceFile) -> Vec<Finding> {
    let reason = "an ignored example does not compile: use no_run, or text";
    let ours = file.name().ends_with(".rs") || file.name().ends_with(".md");
    let findings = file.lines().filter(|(_, line)| ours && is_ignored_fence(line));
    findings.map(|(number, _)| (number, reason.to_owned())).collect()
}

/// The crates whose users read their pages: each public type there has an example.
const SHOWN: &[&str] = &["roa-core/src/", "roa-runtime/src/"];

/// Each public type of the libraries is documented with an example.
pub(super) fn examples(file: &SourceFile) -> Vec<Finding> {
    if !SHOWN.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    let (mut findings, mut has_example) = (Vec::new(), false);
    for (number, line) in file.lines() {
        let name = ["pub struct ", "pub enum ", "pub trait ", "pub type "].iter().find_map(|it| line.strip_prefix(it));
        match name {
            Some(name) if !has_example => {
                let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                findings.push((number, format!("{name} is public and has no example")));
            }
            _ if line.starts_with("/// ```") => has_example = true,
            // What stands between the documentation and the type: attributes, also over several lines.
            _ if line.starts_with("///") || line.starts_with(['#', ' ', ')']) => continue,
            _ => {}
        }
        has_example &= line.starts_with("///");
    }
    findings
}

fn is_ignored_fence(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).unwrap_or(line).trim_start();
    let words = line.strip_prefix("```").into_iter().flat_map(|words| words.split([',', ' ']));
    words.map(|word| word.trim_start_matches('`')).any(|word| word == "ignore" || word.starts_with("ignore-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|(line, _)| *line).collect()
    }

    #[test]
    fn white_space_at_an_end_is_found() {
        let found = |text| lines(&whitespace(&file("a.md", text)));
        assert_eq!(found("a\n  b\n\nc\n"), [0; 0]);
        assert_eq!(found(""), [0; 0]);
        assert_eq!(found("a \nb\t\nc\r\nd"), [1, 2, 3, 4]);
        assert_eq!(found("a\n\n"), [2]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let bad = [
            format!("see {}/x", FOREIGN_FOLDERS[0]),
            format!("\"{}\"", FOREIGN_FOLDERS[1]),
            FOREIGN_FOLDERS[2].to_owned(),
        ];
        for line in bad {
            assert_eq!(lines(&absolute_paths(&file("a", &line))), [1], "{line}");
        }
        for line in
            ["https://a.b/root", "{dir}/work", "./work", "/workspace", "/rooted", "a/home/b", "/usr/bin", "~/work"]
        {
            assert_eq!(lines(&absolute_paths(&file("a", line))), [0; 0], "{line}");
        }
    }

    #[test]
    fn only_a_lib_must_be_short() {
        assert!(short_lib(&file("a/src/lib.rs", &"\n".repeat(LIB_LINES))).is_empty());
        assert_eq!(lines(&short_lib(&file("a/src/lib.rs", &"\n".repeat(LIB_LINES + 1)))), [80]);
        assert!(short_lib(&file("a/src/main.rs", &"\n".repeat(1000))).is_empty());
    }

    #[test]
    fn a_public_type_of_a_library_without_an_example_is_found() {
        let text = "/// One.\n///\n/// ```\n/// a();\n/// ```\n#[derive(\n    Debug,\n)]\npub struct One {\n    a: u8,\n}\n\n\
                    /// Two.\n#[derive(Debug)]\npub enum Two {}\npub(crate) struct Three;\npub trait Four {\n";
        assert_eq!(lines(&examples(&file("roa-core/src/a/b.rs", text))), [15, 17]);
        assert!(examples(&file("roa-bin/src/a.rs", text)).is_empty());
    }

    #[test]
    fn ignored_tests_and_examples_are_found() {
        let test = format!("#[test]\n    {} = \"slow\"]\n", concat!("#[", "ignore"));
        assert_eq!(lines(&no_ignored_tests(&file("a.rs", &test))), [2]);
        assert!(no_ignored_tests(&file("a.md", &test)).is_empty());
        for fence in ["/// ```ignore", "//! ```rust,ignore", "```ignore-windows", "    /// ```compile_fail, ignore"] {
            assert_eq!(lines(&no_ignored_examples(&file("a.rs", fence))), [1], "{fence}");
        }
        for fence in ["/// ```", "/// ```no_run", "/// ignore", "```text"] {
            assert!(no_ignored_examples(&file("a.md", fence)).is_empty(), "{fence}");
        }
    }
}
