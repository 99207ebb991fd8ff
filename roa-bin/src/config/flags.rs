//! The flags of the command line that set keys.

use std::path::PathBuf;

use super::setting::{Raw, Setting, Source};

/// What the command line sets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) store_backend: Option<String>,
    pub(crate) log_format: Option<String>,
    pub(crate) log_filter: Option<String>,
    /// How often `-v` was given.
    pub(crate) verbose: u8,
}

impl Flags {
    /// The keys that they set.
    pub(super) fn settings(self) -> Vec<Setting> {
        let data_dir = self.data_dir.map(|path| path.into_os_string().into_string().map_or(Raw::Binary, Raw::Text));
        let given = [
            ("data_dir", "--data-dir", data_dir),
            ("store.backend", "--store-backend", self.store_backend.map(Raw::Text)),
            ("log.format", "--log-format", self.log_format.map(Raw::Text)),
            ("log.filter", "-v", verbose_filter(self.verbose).map(|filter| Raw::Text(filter.to_owned()))),
            ("log.filter", "--log-filter", self.log_filter.map(Raw::Text)),
        ];
        given.into_iter().filter_map(|(path, flag, raw)| Some(setting(path, flag, raw?))).collect()
    }
}

fn setting(path: &str, flag: &'static str, raw: Raw) -> Setting {
    Setting { path: path.to_owned(), raw, source: Source::Flag(flag) }
}

/// The filter for so many `-v`. A directive covers every crate whose name begins with it.
fn verbose_filter(times: u8) -> Option<&'static str> {
    match times {
        0 => None,
        1 => Some("info,roa=debug"),
        2 => Some("info,roa=trace"),
        _ => Some("trace"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_set() {
        assert_eq!(Flags::default().settings(), []);
        let flags = Flags { data_dir: Some("d".into()), verbose: 2, ..Flags::default() };
        let expected = [
            setting("data_dir", "--data-dir", Raw::Text("d".into())),
            setting("log.filter", "-v", Raw::Text("info,roa=trace".into())),
        ];
        assert_eq!(flags.settings(), expected);
    }
}
