//! [`Sidecar`]: a small file beside the database that repeats where the history stands.
//!
//! It serves four ends. Its changes wake other processes, which watch it. A database that is behind it, or without it,
//! was copied or has lost commits, which is noticed at the next opening. Whoever opens the database locks it, so that one
//! process at a time creates, migrates and fences. And whoever has the database open holds a lock on one byte of it that
//! others can hold as well, so that each knows whether there are others.

use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, flock};
use roa_core::{Epoch, Revision, StoreId};
use siphasher::sip::SipHasher13;
use uuid::Uuid;

use crate::meta::Meta;

const MAGIC: &[u8; 8] = b"roa-head";
const CONTENT: usize = 48;
const BYTES: usize = CONTENT + 8;
/// Which byte says by its lock that the database is open; nothing is ever written there.
const PRESENCE: i64 = 1 << 20;

/// Where a history stood when the file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) store: StoreId,
    pub(crate) epoch: Epoch,
    pub(crate) head: Revision,
}

impl Mark {
    pub(crate) const fn of(meta: &Meta) -> Self {
        Self { store: meta.store, epoch: meta.epoch, head: meta.head }
    }
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Sidecar {
    file: File,
}

impl Sidecar {
    /// Opens it, or makes it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(Self { file })
    }

    /// Waits until no other process opens the database.
    pub(crate) fn lock(&self) -> io::Result<()> {
        self.file.lock()
    }

    pub(crate) fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    /// Says to others that the database is open, until this is dropped.
    pub(crate) fn enter(&self) -> io::Result<()> {
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&presence(libc::F_RDLCK)?))?;
        Ok(())
    }

    /// Whether others have the database open. What this one says of itself does not count.
    pub(crate) fn others(&self) -> io::Result<bool> {
        let mut found = presence(libc::F_WRLCK)?;
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut found))?;
        Ok(i32::from(found.l_type) != libc::F_UNLCK)
    }

    /// What it says; `None` if it says nothing that was written whole.
    pub(crate) fn read(&self) -> io::Result<Option<Mark>> {
        let mut bytes = [0; BYTES];
        match self.file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(decode(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it, which wakes other processes. The disk may have it later.
    pub(crate) fn write(&self, mark: Mark) -> io::Result<()> {
        self.file.write_all_at(&encode(mark), 0)
    }

    /// Waits until the disk has it.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn presence(kind: i32) -> io::Result<flock> {
    let [l_type, l_whence] = [kind, libc::SEEK_SET].map(|number| number.try_into().map_err(io::Error::other));
    Ok(flock { l_type: l_type?, l_whence: l_whence?, l_start: PRESENCE, l_len: 1, l_pid: 0 })
}

fn encode(mark: Mark) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..24].copy_from_slice(mark.store.0.as_bytes());
    bytes[24..32].copy_from_slice(&mark.epoch.counter.to_le_bytes());
    bytes[32..40].copy_from_slice(&mark.epoch.nonce.to_le_bytes());
    bytes[40..CONTENT].copy_from_slice(&mark.head.get().to_le_bytes());
    let check = checksum(&bytes[..CONTENT]);
    bytes[CONTENT..].copy_from_slice(&check.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; BYTES]) -> Option<Mark> {
    let number = |from: usize| bytes.get(from..from + 8)?.try_into().ok().map(u64::from_le_bytes);
    if !bytes.starts_with(MAGIC) || number(CONTENT)? != checksum(&bytes[..CONTENT]) {
        return None;
    }
    Some(Mark {
        store: StoreId(Uuid::from_slice(&bytes[8..24]).ok()?),
        epoch: Epoch { counter: number(24)?, nonce: number(32)? },
        head: Revision::new(number(40)?).ok()?,
    })
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(head: u64) -> Mark {
        let epoch = Epoch { counter: 3, nonce: u64::MAX };
        Mark { store: StoreId(Uuid::from_u128(5)), epoch, head: Revision::new(head).unwrap() }
    }

    #[test]
    fn who_has_it_open_knows_of_others_as_long_as_they_have() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Sidecar::open(&dir.path().join("head")).unwrap();
        let (one, two) = (open(), open());
        one.enter().unwrap();
        assert!(!one.others().unwrap(), "two has not entered");
        two.enter().unwrap();
        assert!(one.others().unwrap() && two.others().unwrap());
        drop(one);
        assert!(!two.others().unwrap());
    }

    #[test]
    fn it_says_what_was_written_last_and_nothing_if_that_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let sidecar = Sidecar::open(&dir.path().join("head")).unwrap();
        assert_eq!(sidecar.read().unwrap(), None);
        sidecar.write(mark(7)).unwrap();
        sidecar.write(mark(8)).unwrap();
        assert_eq!(sidecar.read().unwrap(), Some(mark(8)));
        let mut torn = encode(mark(9));
        torn[44] ^= 1;
        sidecar.file.write_all_at(&torn, 0).unwrap();
        assert_eq!(sidecar.read().unwrap(), None);
    }
}
