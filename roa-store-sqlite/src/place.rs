//! Whether a store can live at a path: the library, the file system, the permissions, and whose file is there already.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::sys::statfs::statfs;
use rusqlite::{Connection, OpenFlags};

use crate::connect;
use crate::error::{OpenError, SqliteError};
use crate::migrate::{APPLICATION_ID, Identity, VERSION};

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or an empty file.
    Nothing,
    /// A store of a version that this program knows.
    Store,
}

/// File systems of other machines, by the numbers of Linux's `statfs(2)`.
const NETWORK: &[(i64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x7375_7245, "Coda"),
];

/// Refuses a library, and a place, that can't be trusted. Makes the directory, for its owner alone.
pub(crate) fn prepare(path: &Path) -> Result<(), OpenError> {
    check_library(rusqlite::version_number(), rusqlite::version())?;
    let directory = directory_of(path);
    if !directory.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|why| OpenError::io(directory, why))?;
    }
    let found = statfs(directory).map_err(|why| OpenError::io(directory, why.into()))?;
    check_file_system(path, found.filesystem_type().0)
}

/// The directory that a path's file lies in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// WAL mode with several connections could corrupt a database from SQLite 3.7.0 to 3.51.2, except in 3.44.6 and
/// 3.50.7 and what followed those: <https://www.sqlite.org/wal.html#walresetbug>.
fn check_library(number: i32, version: &str) -> Result<(), OpenError> {
    let fixed = matches!(number, 3_044_006..3_045_000 | 3_050_007..3_051_000 | 3_051_003..);
    if fixed { Ok(()) } else { Err(OpenError::AffectedVersion { version: version.to_owned() }) }
}

fn check_file_system(path: &Path, kind: i64) -> Result<(), OpenError> {
    let network = NETWORK.iter().find(|(number, _)| *number == kind & 0xffff_ffff);
    network.map_or(Ok(()), |(_, kind)| Err(OpenError::NetworkFileSystem { path: path.to_owned(), kind }))
}

/// Whose file is at a path, without changing or locking it.
pub(crate) fn inspect(path: &Path) -> Result<Found, OpenError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(OpenError::io(path, error)),
        Ok(metadata) if !metadata.is_file() => return Err(foreign(path, "not a file")),
        Ok(metadata) if metadata.len() == 0 => return Ok(Found::Nothing),
        Ok(_) => {}
    }
    match identify(path) {
        Ok(identity) => check_identity(path, identity),
        Err(SqliteError::NotADatabase) => Err(foreign(path, "not a SQLite database")),
        Err(error) => Err(OpenError::unreadable(path, error)),
    }
}

/// Refuses a file that a restore must not replace: another program's database, or a store of a later version. One that
/// can't be read may be the store that is to be restored.
pub(crate) fn check_replaceable(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {}
        _ => return inspect(path).map(drop),
    }
    identify(path).map_or(Ok(()), |identity| check_identity(path, identity).map(drop))
}

fn identify(path: &Path) -> Result<Identity, SqliteError> {
    match untouched(path).and_then(|connection| Identity::read(&connection)) {
        Err(SqliteError::NotADatabase) => Err(SqliteError::NotADatabase),
        // Its pages are being moved, or were when their process ended: then the file alone is not the whole database.
        Err(_) => connect::plain(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|whole| Identity::read(&whole)),
        identity => identity,
    }
}

fn check_identity(path: &Path, found: Identity) -> Result<Found, OpenError> {
    if found.application_id != APPLICATION_ID {
        let found = format!("another program's database (application id {:#x})", found.application_id);
        return Err(foreign(path, &found));
    }
    match found.version {
        1..=VERSION => Ok(Found::Store),
        newer if newer > VERSION => Err(OpenError::Newer { path: path.to_owned(), found: newer, supported: VERSION }),
        other => Err(foreign(path, &format!("a store of version {other}"))),
    }
}

fn foreign(path: &Path, found: &str) -> OpenError {
    OpenError::Foreign { path: path.to_owned(), found: found.to_owned() }
}

/// A connection that neither locks the file nor writes beside it. It is not `std::fs` that reads the file, since closing
/// a file drops all locks that the process has on it, SQLite's included.
fn untouched(path: &Path) -> Result<Connection, SqliteError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(uri(path), flags)?)
}

fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Makes the file, empty, for its owner alone; SQLite gives those beside it the same permissions.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

/// Takes what others may do with a file that is there away.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { fs::set_permissions(path, Permissions::from_mode(0o600)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q1_affected_versions_of_sqlite_are_refused() {
        let accepted = |number| check_library(number, "3.x").is_ok();
        assert!([3_044_006, 3_050_007, 3_051_003, 3_054_001].into_iter().all(accepted));
        assert!(![3_007_000, 3_040_001, 3_044_005, 3_045_000, 3_050_006, 3_051_002].into_iter().any(accepted));
        assert!(check_library(rusqlite::version_number(), rusqlite::version()).is_ok(), "the bundled one");
    }

    #[test]
    fn file_systems_of_other_machines_are_refused() {
        let path = Path::new("roa.db");
        assert!(check_file_system(path, 0xef53).is_ok(), "ext4");
        let error = check_file_system(path, 0x6969).unwrap_err().to_string();
        assert!(error.contains("NFS") && error.contains("expected a local disk"), "{error}");
        assert!(check_file_system(path, i64::from(0xff53_4d42_u32.cast_signed())).is_err(), "a sign-extended number");
    }

    #[test]
    fn s13_another_files_bytes_are_refused_and_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b%20?.db");
        fs::write(&path, "these are my notes").unwrap();
        assert!(matches!(inspect(&path), Err(OpenError::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"these are my notes");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made beside it");
        fs::remove_file(&path).unwrap();
        assert_eq!(inspect(&path).unwrap(), Found::Nothing);
        assert!(matches!(inspect(dir.path()), Err(OpenError::Foreign { .. })), "a directory");
    }

    #[test]
    fn s13_a_path_is_the_file_that_is_opened_whatever_is_in_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b%20?#ä.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
        let error = inspect(&path).unwrap_err().to_string();
        assert!(error.contains("application id 0x0"), "{error}");
    }
}
