//! The environment: `ROA_` and the key's path in capitals, with `__` between levels.

use std::ffi::{OsStr, OsString};

use super::keys::{KEYS, Key};
use super::setting::{Raw, Setting, Source};

/// What begins the name of each variable that is ours.
const PREFIX: &str = "ROA_";
/// The variable that names the configuration file. It is not a key.
pub(crate) const CONFIG_VARIABLE: &str = "ROA_CONFIG";
/// The variable that names the server whose objects commands show and change. It is not a key.
pub(crate) const SERVER_VARIABLE: &str = "ROA_SERVER";
/// The variable that names the kubeconfig that says how to reach it. It is not a key.
pub(crate) const KUBECONFIG_VARIABLE: &str = "ROA_KUBECONFIG";
/// Variables of ours that are no keys.
const NO_KEYS: [&str; 3] = [CONFIG_VARIABLE, SERVER_VARIABLE, KUBECONFIG_VARIABLE];

/// The settings among `variables`, in the order of their names.
pub(super) fn settings(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<Setting> {
    let mut settings: Vec<_> =
        variables.into_iter().filter_map(|(name, value)| setting(&name.to_string_lossy(), &value)).collect();
    settings.sort_by(|a, b| a.path.cmp(&b.path));
    settings
}

fn setting(name: &str, value: &OsStr) -> Option<Setting> {
    let rest = name.strip_prefix(PREFIX).filter(|_| !NO_KEYS.contains(&name))?;
    let key = KEYS.iter().find(|key| key.variable() == name);
    let path = key.map_or_else(|| unknown_path(rest), |key| key.path.to_owned());
    let raw = value.to_str().map_or(Raw::Binary, |text| parse(key, text));
    Some(Setting { path, raw, source: Source::Variable(name.to_owned()) })
}

fn parse(key: Option<&Key>, text: &str) -> Raw {
    key.map_or_else(|| Raw::Text(text.to_owned()), |key| key.shape.parse(text))
}

/// The path that a variable seems to mean. In small letters only if it is all capitals: others name no key.
fn unknown_path(rest: &str) -> String {
    let path = rest.replace("__", ".");
    if path.chars().any(char::is_lowercase) { path } else { path.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn one(name: &str, value: &str) -> Option<(String, Raw)> {
        let mut settings = settings([(OsString::from(name), OsString::from(value))]);
        settings.pop().map(|setting| (setting.path, setting.raw))
    }

    #[test]
    fn two_underscores_part_levels_and_one_belongs_to_the_name() {
        assert_eq!(one("ROA_DATA_DIR", "x"), Some(("data_dir".into(), Raw::Text("x".into()))));
        assert_eq!(
            one("ROA_STORE__MEMORY__LOG_MAX_BATCHES", "20"),
            Some(("store.memory.log_max_batches".into(), Raw::Integer(20)))
        );
        assert_eq!(
            one("ROA_LAB__COMPONENTS__WATCHER", "false"),
            Some(("lab.components.watcher".into(), Raw::Switch(false)))
        );
    }

    #[test]
    fn a_directory_named_by_digits_stays_text() {
        assert_eq!(one("ROA_DATA_DIR", "123"), Some(("data_dir".into(), Raw::Text("123".into()))));
    }

    #[test]
    fn variables_of_others_and_the_name_of_the_file_are_no_settings() {
        for name in ["PATH", "ROAD", "ROA", "roa_data_dir", CONFIG_VARIABLE, SERVER_VARIABLE] {
            assert_eq!(one(name, "x"), None, "{name}");
        }
    }

    #[test]
    fn what_names_no_key_is_kept_to_be_refused() {
        for (name, path) in
            [("ROA_STORE_BACKEND", "store_backend"), ("ROA_STORE", "store"), ("ROA_Data_Dir", "Data_Dir"), ("ROA_", "")]
        {
            assert_eq!(one(name, "x"), Some((path.into(), Raw::Text("x".into()))), "{name}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_kept_to_be_refused() {
        let settings = settings([("ROA_DATA_DIR".into(), OsString::from_vec(vec![0xff]))]);
        assert_eq!(settings[0].raw, Raw::Binary);
    }
}
