//! Opening a file: whose it is, whether it is whole, and whether its history may have been broken while it was closed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use roa_core::{Clock, Random, Revision};
use rusqlite::{Connection, OpenFlags};

use crate::SqliteConfig;
use crate::connect;
use crate::error::{OpenError, SqliteError};
use crate::fence;
use crate::meta::Meta;
use crate::migrate;
use crate::place::{self, FileId, Found};
use crate::sidecar::{Mark, Sidecar};

/// An opened file.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) sidecar: Sidecar,
    pub(crate) file: FileId,
    pub(crate) meta: Meta,
    pub(crate) boot: String,
}

/// Opens the file of a store, or makes it. One process at a time does so.
pub(crate) fn open(config: &SqliteConfig, clock: &dyn Clock, random: &dyn Random) -> Result<Opened, OpenError> {
    place::prepare(&config.path)?;
    // A refusal leaves nothing behind, so the sidecar comes after the first look.
    place::inspect(&config.path)?;
    let beside = config.beside("-head");
    let sidecar = Sidecar::open(&beside).map_err(|why| OpenError::io(&beside, why))?;
    sidecar.lock().map_err(|why| OpenError::io(&beside, why))?;
    let opened = open_locked(config, &sidecar, clock, random);
    // Under the lock: a restore puts another file in its place.
    let file = FileId::at(&config.path).map_err(|why| OpenError::io(&config.path, why));
    sidecar.unlock().map_err(|why| OpenError::io(&beside, why))?;
    let (connection, meta, boot) = opened?;
    Ok(Opened { connection, sidecar, file: file?, meta, boot })
}

fn open_locked(
    config: &SqliteConfig,
    sidecar: &Sidecar,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<(Connection, Meta, String), OpenError> {
    let refused = |error| OpenError::unreadable(&config.path, error);
    let io = |error| OpenError::io(&config.path, error);
    // Another process may have made it in the meantime.
    if place::inspect(&config.path)? == Found::Nothing {
        create(config, sidecar, clock, random).map_err(refused)?;
    }
    place::make_private(&config.path).map_err(io)?;
    let was_left = was_left(config, sidecar).map_err(io)?;
    let connection = connect::writer(config).map_err(refused)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(|why| refused(why.into()))?;
    if was_left {
        check_pages(&connection).map_err(refused)?;
    }
    let boot = boot_id().map_err(io)?;
    let meta = resume((&connection, config.busy_timeout), sidecar, &boot, clock, random).map_err(refused)?;
    Ok((connection, meta, boot))
}

/// Makes the store under another name first: at its own, it is there whole or not at all.
fn create(config: &SqliteConfig, sidecar: &Sidecar, clock: &dyn Clock, random: &dyn Random) -> Result<(), SqliteError> {
    let new = config.beside("-new");
    // What a process left that ended while it did this. The lock keeps others from being at it.
    for left in [&new, &config.beside("-new-journal")] {
        remove(left)?;
    }
    place::create_private(&new)?;
    let connection = connect::plain(&new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let meta = migrate::create(&connection, config.opening, clock, random)?;
    drop(connection);
    sidecar.write(Mark::of(&meta))?;
    sidecar.sync()?;
    fs::rename(&new, &config.path)?;
    // The file's name is on the disk before anything in it is acknowledged.
    Ok(fs::File::open(place::directory_of(&config.path))?.sync_all()?)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whether a process has ended that did not close the file. As long as others have it open, what it left is theirs, and
/// whoever was the first of them has looked at it.
fn was_left(config: &SqliteConfig, sidecar: &Sidecar) -> io::Result<bool> {
    let has_log = fs::metadata(config.beside("-wal")).is_ok_and(|wal| wal.len() > 0);
    Ok(has_log && !sidecar.others()?)
}

/// After a process that did not close the file, its pages are looked at.
fn check_pages(connection: &Connection) -> Result<(), SqliteError> {
    let report: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if report == "ok" { Ok(()) } else { Err(SqliteError::Corrupt(report)) }
}

/// Where the history goes on: after a jump, if it may have been broken.
fn resume(
    (connection, busy_timeout): (&Connection, Duration),
    sidecar: &Sidecar,
    boot: &str,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Meta, SqliteError> {
    connect::begin(connection, busy_timeout)?;
    let mut meta = Meta::read(connection)?;
    let mark = sidecar.read()?;
    if let Some(reason) = fence::broken(&meta, mark, boot) {
        let highest = mark.map_or(meta.head, |mark| mark.head);
        let head = Revision::jump(meta.head, highest, clock.now(), random);
        tracing::warn!(store = %meta.store, %reason, before = %meta.head, %head, "fenced: the history may be broken");
        fence::jump(connection, &mut meta, head, random)?;
        (meta.copied, meta.unsynced_boot) = (false, None);
        meta.write(connection)?;
        // Before the commit: if that is lost, the next opening finds the mark ahead of the file.
        sidecar.write(Mark::of(&meta))?;
        sidecar.sync()?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(meta)
}

/// Which start of the machine this is.
fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use roa_core::{ManualClock, SeededRandom, Timestamp};

    use super::*;

    #[test]
    fn what_a_process_left_is_looked_at_but_not_what_one_has_open() {
        let dir = tempfile::tempdir().unwrap();
        let config = SqliteConfig::new(dir.path().join("roa.db"));
        let (clock, random) = (ManualClock::new(Timestamp::from_unix_seconds(1).unwrap()), SeededRandom::new(1));
        let first = open(&config, &clock, &random).unwrap();
        let presence = Sidecar::open(&config.beside("-head")).unwrap();
        presence.enter().unwrap();
        first.connection.execute_batch("CREATE TABLE more (id INTEGER PRIMARY KEY)").unwrap();
        let second = Sidecar::open(&config.beside("-head")).unwrap();
        assert!(!was_left(&config, &second).unwrap(), "the first has it open");
        drop(presence);
        assert!(was_left(&config, &second).unwrap(), "nobody has it open, and it was not closed");
        drop(first);
        assert!(!was_left(&config, &second).unwrap(), "it was closed");
    }
}
