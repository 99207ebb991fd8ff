//! Rules about Cargo's files.

use super::Finding;
use super::files::SourceFile;

/// The only place that dependencies come from.
const PUBLIC_REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Each crate says what it is.
pub(super) fn described(file: &SourceFile) -> Vec<Finding> {
    let package = file.lines().find(|(_, line)| *line == "[package]").filter(|_| file.name() == "Cargo.toml");
    let described = file.text.lines().any(|line| line.starts_with("description"));
    package
        .filter(|_| !described)
        .map(|(number, _)| (number, "the crate has no description".to_owned()))
        .into_iter()
        .collect()
}

/// Each dependency from outside says why it is there.
pub(super) fn reasons(file: &SourceFile) -> Vec<Finding> {
    if file.name() != "Cargo.toml" {
        return Vec::new();
    }
    let section = file.lines().skip_while(|(_, line)| *line != "[workspace.dependencies]").skip(1);
    let section = section.take_while(|(_, line)| !line.starts_with('['));
    let outside = section.filter(|(_, line)| line.contains('=') && !line.starts_with('#') && !line.contains("path ="));
    let silent = outside.filter(|(_, line)| comment(line).is_none_or(str::is_empty));
    silent.map(|(number, _)| (number, "the dependency has no reason: add it behind a #".to_owned())).collect()
}

/// What stands behind the first `#` that is not in quotes.
fn comment(line: &str) -> Option<&str> {
    let mut quoted = false;
    let start = line.find(|c| {
        quoted ^= c == '"';
        c == '#' && !quoted
    })?;
    Some(line[start + 1..].trim())
}

/// Nothing comes from a registry that others can't reach.
pub(super) fn public_registry(file: &SourceFile) -> Vec<Finding> {
    let foreign = |line: &str| match file.name() {
        "Cargo.lock" => {
            line.strip_prefix("source = ").is_some_and(|source| source.trim_matches('"') != PUBLIC_REGISTRY)
        }
        "Cargo.toml" | "config.toml" => {
            ["[source", "[registries", "registry =", "registry-index", "replace-with", "index ="].iter().any(|start| {
                line.trim_start().starts_with(start)
                    || line.contains(&format!("{{ {start}"))
                    || line.contains(&format!(", {start}"))
            })
        }
        _ => false,
    };
    let findings = file.lines().filter(|(_, line)| foreign(line));
    findings.map(|(number, _)| (number, "it comes from a registry of its own".to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(rule: fn(&SourceFile) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        rule(&file).into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn a_crate_without_a_description_is_found() {
        assert_eq!(lines(described, "a/Cargo.toml", "[package]\nname = \"a\"\n"), [1]);
        for text in ["[package]\ndescription.workspace = true\n", "[package]\ndescription = \"x\"\n", "[workspace]\n"] {
            assert!(lines(described, "a/Cargo.toml", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let text = "[workspace.dependencies]\n# all of them\na = \"1\" # letters\nb = \"1\"\nc = { path = \"c\" }\n\nd = \"#\"\ne = \"1\" #\n[profile.dev]\nx = 1\n";
        assert_eq!(lines(reasons, "Cargo.toml", text), [4, 7, 8]);
    }

    #[test]
    fn a_registry_of_its_own_is_found() {
        let lock = format!(
            "source = \"{PUBLIC_REGISTRY}\"\nsource = \"registry+https://mirror.example/index\"\nsource = \"git+https://a.example/b#1\"\n"
        );
        assert_eq!(lines(public_registry, "Cargo.lock", &lock), [2, 3]);
        let config = "[alias]\nxtask = \"run\"\n[source.crates-io]\nreplace-with = \"mirror\"\n[registries.mirror]\nindex = \"x\"\n";
        assert_eq!(lines(public_registry, ".cargo/config.toml", config), [3, 4, 5, 6]);
        assert_eq!(lines(public_registry, "Cargo.toml", "a = { version = \"1\", registry = \"mirror\" }\n"), [1]);
    }
}
