//! [`load`]: from settings to a [`Config`], or to all [`Problems`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::Value;

use super::environment;
use super::file::ConfigFile;
use super::flags::Flags;
use super::keys::{Key, is_table};
use super::problem::{Problem, Problems};
use super::rules::{RULES, Rule};
use super::setting::{Setting, Source};
use super::settings::{Config, Profile};
use super::suggest::nearest;

/// Where settings come from, the weakest first.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) file: ConfigFile,
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) flags: Flags,
}

/// A configuration, and which source gave each key that is not at its default.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) sources: BTreeMap<&'static str, Source>,
}

/// The configuration that `inputs` give over the defaults. Reads the file; blocks that long.
///
/// # Errors
/// Everything that is wrong with any of them, also with values that a stronger source replaces.
pub(crate) fn load(inputs: Inputs) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let file = inputs.file.read().unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    let settings = file.into_iter().chain(environment::settings(inputs.variables)).chain(inputs.flags.settings());
    let mut accepted = Vec::new();
    for setting in settings {
        match accept(setting) {
            Ok(setting) => accepted.push(setting),
            Err(problem) => problems.push(problem),
        }
    }
    conclude(&accepted, problems)
}

/// A setting whose key exists and admits its value.
struct Accepted {
    key: &'static Key,
    value: Value,
    source: Source,
}

fn accept(setting: Setting) -> Result<Accepted, Problem> {
    let Some(key) = Key::find(&setting.path) else { return Err(stranger(setting)) };
    match key.shape.check(&setting.raw) {
        Ok(value) => Ok(Accepted { key, value, source: setting.source }),
        Err(reason) => Err(Problem::with_key(Some(setting.source), key.path, reason)),
    }
}

/// What is wrong with a setting that names no key.
fn stranger(setting: Setting) -> Problem {
    let Setting { path, raw, source } = setting;
    if is_table(&path) {
        return Problem::with_key(Some(source), path, format!("expected a table of keys, found {raw}"));
    }
    let hint = nearest(&path).map(|key| match source {
        Source::Variable(_) => format!("did you mean {}?", key.variable()),
        _ => format!("did you mean `{}`?", key.path),
    });
    let hint = hint.or_else(|| Some("`roa config show` prints every key".to_owned()));
    Problem::with_key(Some(source), path, "unknown key").hint(hint)
}

fn conclude(accepted: &[Accepted], mut problems: Vec<Problem>) -> Result<Loaded, Problems> {
    let sources: BTreeMap<_, _> = accepted.iter().map(|setting| (setting.key.path, setting.source.clone())).collect();
    let config = match merge(accepted) {
        Ok(config) => config,
        Err(error) => {
            // Each value was checked, so this is a key whose shape admits what its field does not.
            problems.push(Problem::with_key(None, error.path.join("."), error.kind.to_string()));
            return Err(Problems(problems));
        }
    };
    let broken: Vec<_> = RULES
        .iter()
        .filter(|rule| !touches(rule, &problems))
        .filter_map(|rule| judge(rule, &config, &sources))
        .collect();
    problems.extend(broken);
    if problems.is_empty() { Ok(Loaded { config, sources }) } else { Err(Problems(problems)) }
}

/// The settings over the defaults; the later ones win.
fn merge(accepted: &[Accepted]) -> Result<Config, Box<figment::Error>> {
    let text =
        |path| accepted.iter().rfind(|setting| setting.key.path == path).and_then(|setting| setting.value.as_str());
    let profile = text("lab.profile").and_then(Profile::named).unwrap_or(Profile::Default);
    let data_dir = text("data_dir").unwrap_or(Config::DATA_DIR);
    let defaults = Figment::from(Serialized::defaults(Config::defaults(profile, Path::new(data_dir))));
    let merge = |figment: Figment, setting: &Accepted| {
        figment.merge(Serialized::default(setting.key.path, setting.value.clone()))
    };
    accepted.iter().fold(defaults, merge).extract().map_err(Box::new)
}

/// Whether a problem may be the reason why a rule looks broken.
fn touches(rule: &Rule, problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.key.as_deref().is_none_or(|key| rule.keys.contains(&key)))
}

fn judge(rule: &Rule, config: &Config, sources: &BTreeMap<&'static str, Source>) -> Option<Problem> {
    let reason = (rule.broken)(config)?;
    let source = rule.keys.iter().find_map(|key| sources.get(key)).cloned();
    Some(Problem::with_key(source, rule.keys[0], reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::setting::Raw;
    use crate::config::settings::{LogFormat, StoreBackend};

    fn load_from(file: &str, variables: &[(&str, &str)], flags: Flags) -> Result<Loaded, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roa.toml");
        std::fs::write(&path, file).unwrap();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let loaded = load(Inputs { file: ConfigFile::Named(path), variables, flags });
        let prefix = format!("{}/", dir.path().display());
        loaded.map_err(|Problems(problems)| problems.iter().map(|p| p.to_string().replace(&prefix, "")).collect())
    }

    fn problems(file: &str, variables: &[(&str, &str)]) -> Vec<String> {
        load_from(file, variables, Flags::default()).unwrap_err()
    }

    #[test]
    fn nothing_given_is_the_defaults() {
        let loaded = load_from("", &[], Flags::default()).unwrap();
        assert_eq!(loaded.config, Config::default());
        assert_eq!(loaded.sources, BTreeMap::new());
    }

    #[test]
    fn flags_win_over_variables_over_the_file_over_defaults() {
        let file = "data_dir = 'file'\n[log]\nformat = 'json'\nfilter = 'warn'\n[lab]\nmax_retries = 7\n";
        let variables = [("ROA_DATA_DIR", "variable"), ("ROA_LOG__FILTER", "error")];
        let flags = Flags { data_dir: Some("flag".into()), ..Flags::default() };
        let loaded = load_from(file, &variables, flags).unwrap();
        let config = &loaded.config;
        assert_eq!(config.data_dir, Path::new("flag"));
        assert_eq!((config.log.format, config.log.filter.as_str()), (LogFormat::Json, "error"));
        assert_eq!((config.lab.max_retries, config.store.backend), (7, StoreBackend::Sqlite));
        assert_eq!(loaded.sources["data_dir"], Source::Flag("--data-dir"));
        assert_eq!(loaded.sources["log.filter"], Source::Variable("ROA_LOG__FILTER".into()));
        assert!(loaded.sources["lab.max_retries"].to_string().ends_with("roa.toml:6"));
    }

    #[test]
    fn a_profile_changes_defaults_and_explicit_keys_win_whichever_source_they_have() {
        let file = "[lab]\nprofile = 'production'\npoll_interval = '3s'\n";
        let config = load_from(file, &[], Flags::default()).unwrap().config.lab;
        assert_eq!((config.poll_interval.to_string(), config.sweep_interval.to_string()), ("3s".into(), "30s".into()));
        let config = load_from(file, &[("ROA_LAB__PROFILE", "development")], Flags::default()).unwrap().config.lab;
        assert_eq!((config.poll_interval.to_string(), config.sweep_interval.to_string()), ("3s".into(), "5s".into()));
    }

    #[test]
    fn the_admin_socket_and_the_database_follow_the_data_directory_unless_it_is_set() {
        let database = load_from("data_dir = 'x'", &[], Flags::default()).unwrap().config.store.sqlite.path;
        assert_eq!(database, Path::new("x/roa.db"));
        let admin = |file| load_from(file, &[], Flags::default()).unwrap().config.admin.socket;
        assert_eq!(admin("data_dir = 'x'"), Path::new("x/admin.sock"));
        assert_eq!(admin("data_dir = 'x'\nadmin.socket = 'y'"), Path::new("y"));
    }

    #[test]
    fn every_problem_of_every_source_is_named_at_once() {
        let file =
            "[store]\nbackend = 'mysql'\nbackned = 1\n[lab]\npoll_interval = 5\nworker = 3\n[lease]\nduration = '1s'\n";
        let variables = [("ROA_TIME__SCALE", "0"), ("ROA_NOPE", "1"), ("ROA_LAB__MAX_RETRIES", "many")];
        let expected = [
            "roa.toml:2: store.backend: expected one of \"sqlite\", \"redis\", \"memory\", found \"mysql\"",
            "roa.toml:3: store.backned: unknown key",
            "roa.toml:5: lab.poll_interval: expected a duration from 1ms to 1h such as \"90s\" or \"1h30m\", found 5",
            "roa.toml:6: lab.worker: expected a table of keys, found 3",
            "environment variable ROA_LAB__MAX_RETRIES: lab.max_retries: expected a whole number of retries from 0 to 100, found \"many\"",
            "environment variable ROA_NOPE: nope: unknown key",
            "environment variable ROA_TIME__SCALE: time.scale: expected a whole number of seconds from 1 to 1000, found 0",
            "roa.toml:8: lease.duration: expected more than lease.renew_deadline (10s), found 1s",
        ];
        assert_eq!(problems(file, &variables), expected);
    }

    #[test]
    fn a_wrong_value_is_refused_even_where_a_stronger_source_replaces_it() {
        let found = problems("time.scale = 'fast'\n", &[("ROA_TIME__SCALE", "2")]);
        assert_eq!(
            found,
            ["roa.toml:1: time.scale: expected a whole number of seconds from 1 to 1000, found \"fast\""]
        );
    }

    #[test]
    fn rules_are_silent_where_another_problem_may_be_the_reason() {
        let found = problems("[lease]\nrenew_deadline = '20s'\nduration = 60\n", &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        let found = problems("[lease\n", &[("ROA_LEASE__RENEW_DEADLINE", "20s")]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_rule_blames_the_source_that_set_one_of_its_keys() {
        let found = problems("", &[("ROA_LEASE__RENEW_DEADLINE", "15s")]);
        let expected = "environment variable ROA_LEASE__RENEW_DEADLINE: lease.duration: \
                        expected more than lease.renew_deadline (15s), found 15s";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest_in_its_own_spelling() {
        let hint = |setting| stranger(setting).hint.unwrap();
        let setting = |path: &str, source| Setting { path: path.into(), raw: Raw::Integer(1), source };
        let file = Source::File { path: "roa.toml".into(), line: Some(1) };
        assert_eq!(hint(setting("store.backnd", file.clone())), "did you mean `store.backend`?");
        let variable = Source::Variable("ROA_STORE_BACKEND".into());
        assert_eq!(hint(setting("store_backend", variable)), "did you mean ROA_STORE__BACKEND?");
        assert_eq!(hint(setting("zzz", file)), "`roa config show` prints every key");
    }
}
