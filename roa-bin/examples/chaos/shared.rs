//! [`SharedStore`]: what all members run on.

use std::path::{Path, PathBuf};

use roa_store_redis::test_util::RedisServer;

use crate::options::Backend;

/// A file in the directory of the run, or a server that lives as long as this does.
pub(crate) enum SharedStore {
    Sqlite(PathBuf),
    Redis(RedisServer),
}

impl SharedStore {
    pub(crate) fn begin(backend: Backend, directory: &Path) -> Self {
        match backend {
            Backend::Sqlite => Self::Sqlite(directory.join("shared.db")),
            Backend::Redis => Self::Redis(RedisServer::start()),
        }
    }

    /// Where it is, for an onlooker.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Sqlite(file) => file.display().to_string(),
            Self::Redis(server) => server.url(),
        }
    }

    /// What a member is told about it.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        match self {
            Self::Sqlite(_) => [("ROA_STORE__BACKEND", "sqlite".to_owned()), ("ROA_STORE__SQLITE__PATH", self.place())],
            Self::Redis(_) => [("ROA_STORE__BACKEND", "redis".to_owned()), ("ROA_STORE__REDIS__URL", self.place())],
        }
    }
}
