//! Copies of a store: made while it is in use, and put back in its place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use roa_core::{Clock, Epoch, Random, Revision, StoreState};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use crate::SqliteConfig;
use crate::connect;
use crate::error::{OpenError, SqliteError};
use crate::meta::Meta;
use crate::place::{self, Found};
use crate::sidecar::{Mark, Sidecar};

const READ_WRITE: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE;

/// Writes a copy of a store to a file that does not exist.
pub(crate) async fn backup(config: &SqliteConfig, to: &Path) -> Result<StoreState, SqliteError> {
    let (config, to) = (config.clone(), to.to_owned());
    aside("roa-sqlite-backup", move || write_copy(&config.path, &to)).await.unwrap_or(Err(SqliteError::Closed))
}

/// Runs `work` on a thread of its own; `None` if that panicked.
pub(crate) async fn aside<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    // Who does not wait any more does not need the answer.
    let work = move || drop(reply.send(work()));
    thread::Builder::new().name(name.to_owned()).spawn(work).ok()?;
    answer.await.ok()
}

fn write_copy(from: &Path, to: &Path) -> Result<StoreState, SqliteError> {
    if to.exists() {
        return Err(SqliteError::Failed(format!("back up to {}: it exists, expected a new file", to.display())));
    }
    let part = temporary_beside(to)?;
    let source = connect::plain(from, READ_WRITE)?;
    vacuum_into(&source, &part)?;
    let copy = connect::plain(&part, READ_WRITE)?;
    let mut meta = Meta::read(&copy)?;
    // Whoever opens it begins a new stretch of history: the store goes on after this copy.
    meta.copied = true;
    meta.write(&copy)?;
    drop(copy);
    persist(part, to)?;
    Ok(meta.state())
}

/// A copy as of one revision, without the free pages.
fn vacuum_into(source: &Connection, to: &Path) -> Result<(), SqliteError> {
    let to = to.to_str().ok_or_else(|| SqliteError::Failed(format!("{}: expected a name in UTF-8", to.display())))?;
    source.execute("VACUUM INTO ?", [to])?;
    Ok(())
}

fn temporary_beside(path: &Path) -> io::Result<tempfile::TempPath> {
    let directory = place::directory_of(path);
    Ok(tempfile::Builder::new().prefix(".roa-copy-").tempfile_in(directory)?.into_temp_path())
}

/// Gives a file its name, when the disk has all of it.
fn persist(part: tempfile::TempPath, to: &Path) -> io::Result<()> {
    File::open(&part)?.sync_all()?;
    part.persist(to).map_err(|failed| failed.error)?;
    File::open(place::directory_of(to))?.sync_all()
}

/// Puts a copy that [`SqliteStore::backup`](crate::SqliteStore::backup) made in the place of the store that `config`
/// names, or where there is none. The history goes on after all that either has seen: what was resumable before is
/// answered with `Expired`, also in processes that have the store open.
///
/// # Errors
/// [`OpenError`], also if `backup` is no store or damaged, and if what would be replaced is another program's database
/// or a later version's store; all is then as it was.
///
/// # Cancel safety
/// Safe; it is then done, or not begun.
pub async fn restore(
    backup: &Path,
    config: &SqliteConfig,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<StoreState, OpenError> {
    let (backup, config) = (backup.to_owned(), config.clone());
    let path = config.path.clone();
    let restored = aside("roa-sqlite-restore", move || put_back(&backup, &config, &*clock, &*random)).await;
    restored.unwrap_or_else(|| Err(OpenError::sqlite(&path, &"the thread that restores it ended")))
}

fn put_back(
    backup: &Path,
    config: &SqliteConfig,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<StoreState, OpenError> {
    if place::inspect(backup)? == Found::Nothing {
        return Err(OpenError::io(backup, io::ErrorKind::NotFound.into()));
    }
    place::prepare(&config.path)?;
    place::check_replaceable(&config.path)?;
    let beside = config.beside("-head");
    let sidecar = Sidecar::open(&beside).map_err(|why| OpenError::io(&beside, why))?;
    sidecar.lock().map_err(|why| OpenError::io(&beside, why))?;
    let restored = put_back_locked(backup, config, &sidecar, clock, random);
    sidecar.unlock().map_err(|why| OpenError::io(&beside, why))?;
    restored.map_err(|error| OpenError::sqlite(&config.path, &error))
}

fn put_back_locked(
    backup: &Path,
    config: &SqliteConfig,
    sidecar: &Sidecar,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<StoreState, SqliteError> {
    let part = temporary_beside(&config.path)?;
    let source = connect::plain(backup, READ_WRITE)?;
    check_pages(&source, backup)?;
    vacuum_into(&source, &part)?;
    drop(source);
    let before = present(config, sidecar)?;
    let copy = connect::plain(&part, READ_WRITE)?;
    let meta = fence_copy(&copy, before, clock, random)?;
    sidecar.write(Mark::of(&meta))?;
    sidecar.sync()?;
    if config.path.exists() {
        overwrite(&copy, part, config)?;
    } else {
        persist(part, &config.path)?;
    }
    sidecar.write(Mark::of(&meta))?;
    Ok(meta.state())
}

fn check_pages(connection: &Connection, path: &Path) -> Result<(), SqliteError> {
    let report: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    let damaged = || SqliteError::Corrupt(format!("{} is damaged: {report}", path.display()));
    if report == "ok" { Ok(()) } else { Err(damaged()) }
}

/// Where the store that is to be replaced stands, as far as that can be known.
fn present(config: &SqliteConfig, sidecar: &Sidecar) -> Result<Option<(Epoch, Revision)>, SqliteError> {
    let marked = sidecar.read()?.map(|mark| (mark.epoch, mark.head));
    if !config.path.exists() {
        return Ok(marked);
    }
    let stored = connect::reader(config).and_then(|connection| {
        connection.execute_batch("BEGIN")?;
        Meta::read(&connection)
    });
    let stored = stored.ok().map(|meta| (meta.epoch, meta.head));
    Ok([marked, stored].into_iter().flatten().max_by_key(|(epoch, head)| (*head, epoch.counter)))
}

/// Begins a new stretch of history in the copy, after all that was seen of the store.
fn fence_copy(
    copy: &Connection,
    before: Option<(Epoch, Revision)>,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Meta, SqliteError> {
    let mut meta = Meta::read(copy)?;
    let highest = before.map_or(meta.head, |(_, head)| head);
    meta.epoch.counter = meta.epoch.counter.max(before.map_or(0, |(epoch, _)| epoch.counter));
    let head = Revision::jump(meta.head, highest, clock.now(), random);
    copy.execute_batch("BEGIN IMMEDIATE")?;
    crate::fence::jump(copy, &mut meta, head, random)?;
    (meta.copied, meta.unsynced_boot) = (false, None);
    meta.write(copy)?;
    copy.execute_batch("COMMIT")?;
    Ok(meta)
}

/// Replaces what is in the store's file in one transaction. A file that can't be read is put aside.
fn overwrite(copy: &Connection, part: tempfile::TempPath, config: &SqliteConfig) -> Result<(), SqliteError> {
    match overwrite_content(copy, config) {
        Err(damaged @ (SqliteError::Corrupt(_) | SqliteError::NotADatabase)) => {
            for suffix in ["", "-wal", "-shm"] {
                put_aside(&config.beside(suffix), &config.beside(&format!("-damaged{suffix}")))?;
            }
            tracing::warn!(path = %config.path.display(), reason = %damaged, "put the damaged database aside");
            Ok(persist(part, &config.path)?)
        }
        other => other,
    }
}

fn overwrite_content(copy: &Connection, config: &SqliteConfig) -> Result<(), SqliteError> {
    let mut target = connect::writer(config)?;
    let backup = Backup::new(copy, &mut target)?;
    match backup.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(SqliteError::Busy),
    }
}

fn put_aside(from: &PathBuf, to: &PathBuf) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved,
    }
}
