//! [`render`]: the effective configuration as TOML, each value with its source. What it prints can be read again.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::keys::{KEYS, Key};
use super::load::Loaded;
use super::setting::Source;
use super::settings::{Config, Profile};

/// The configuration as TOML, with a comment after each value that says where it comes from. Secrets don't show.
pub(crate) fn render(loaded: &Loaded) -> String {
    let tables = tables(&loaded.config, KEYS, |key| origin(key, &loaded.config, &loaded.sources));
    format!("# The effective configuration, and where each value comes from.\n{tables}")
}

fn origin(key: &Key, config: &Config, sources: &BTreeMap<&'static str, Source>) -> String {
    match (sources.get(key.path), key.path) {
        (Some(source), _) => source.to_string(),
        (None, "lab.poll_interval" | "lab.sweep_interval") if config.lab.profile != Profile::Default => {
            format!("default of profile {}", config.lab.profile.name())
        }
        (None, "admin.socket" | "store.sqlite.path") => "default in data_dir".to_owned(),
        (None, _) => "default".to_owned(),
    }
}

/// The values of `keys` in `config`, table by table.
#[expect(clippy::expect_used, reason = "structs of plain values by field name are always an object in JSON")]
fn tables(config: &impl Serialize, keys: &[Key], origin: impl Fn(&Key) -> String) -> String {
    let values = serde_json::to_value(config).expect("plain fields have a form in JSON");
    let (mut text, mut table) = (String::new(), "");
    for key in keys {
        let (parent, name) = key.split();
        if parent != table {
            text.push_str(&format!("\n[{parent}]\n"));
            table = parent;
        }
        match values.pointer(&format!("/{}", key.path.replace('.', "/"))).and_then(toml) {
            Some(value) => {
                let comment = origin(key).replace(char::is_control, "?");
                text.push_str(&format!("{:<40} # {comment}\n", format!("{name} = {value}")));
            }
            None => text.push_str(&format!("# {name} is not set: {}\n", key.unset.unwrap_or("no default"))),
        }
    }
    text
}

fn toml(value: &Value) -> Option<toml_edit::Value> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Bool(on) => Some((*on).into()),
        Value::Number(number) => number.as_i64().map(Into::into).or_else(|| number.as_f64().map(Into::into)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shape::Shape;
    use crate::config::{ConfigFile, Flags, Inputs, load, secret::Secret};

    fn load_file(text: &str) -> Loaded {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roa.toml");
        std::fs::write(&path, text).unwrap();
        load(Inputs { file: ConfigFile::Named(path), variables: vec![], flags: Flags::default() }).unwrap()
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_configuration() {
        let file =
            "data_dir = \"a \\\"b\\\" # c\"\n[lab]\nprofile = 'development'\nworker.cpu = '8'\n[time]\nscale = 2\n";
        let loaded = load_file(file);
        let shown = render(&loaded);
        assert_eq!(load_file(&shown).config, loaded.config, "{shown}");
    }

    #[test]
    fn each_value_names_its_source() {
        let mut loaded = load_file("[lab]\nprofile = 'production'\n");
        loaded.sources.insert("log.filter", Source::Variable("ROA_LOG__FILTER".into()));
        let shown = render(&loaded);
        let line = |start: &str| shown.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        assert!(line("profile = ").ends_with("roa.toml:2"));
        assert!(line("sweep_interval = \"30s\"").ends_with("# default of profile production"));
        assert!(line("filter = ").ends_with("# environment variable ROA_LOG__FILTER"));
        assert!(line("backend = \"sqlite\"").ends_with("# default"));
        assert!(line("socket = ").ends_with("# default in data_dir"));
        assert_eq!(line("# cpu"), "# cpu is not set: the machine's processors");
    }

    #[test]
    fn a_source_with_a_line_break_in_its_name_stays_one_comment() {
        let mut loaded = load_file("");
        loaded.sources.insert("data_dir", Source::File { path: "x\ndata_dir = 1".into(), line: Some(1) });
        assert_eq!(load_file(&render(&loaded)).config, loaded.config);
    }

    #[test]
    fn t14_a_secret_never_shows() {
        #[derive(Debug, Serialize, serde::Deserialize)]
        struct Store {
            url: Secret,
        }
        const CANARY: &str = "canary-5f2c";
        let store: Store = serde_json::from_value(serde_json::json!({ "url": CANARY })).unwrap();
        assert_eq!(store.url.expose(), CANARY);
        let key = Key { path: "url", shape: Shape::Path, unset: None };
        let shown = tables(&store, &[key], |_| "default".to_owned());
        assert!(shown.contains("url = \"<redacted>\""), "{shown}");
        for text in [shown, format!("{store:?}"), format!("{:#?}", store.url), serde_json::to_string(&store).unwrap()] {
            assert!(!text.contains(CANARY), "{text}");
        }
    }
}
