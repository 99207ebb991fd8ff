//! [`CappedLog`]: the newest output of a lab, in two files of half the cap each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::mask::Mask;

const CHUNK: usize = 8 << 10;

/// Appends to the newer file; when that is full it becomes the older one, and what the older one held is forgotten.
#[derive(Debug)]
pub(super) struct CappedLog {
    newer: PathBuf,
    older: PathBuf,
    file: File,
    size: usize,
    half: usize,
    /// How many bytes could not be written since the last that could.
    lost: u64,
}

impl CappedLog {
    /// Goes on where an earlier run stopped.
    pub(super) fn open([newer, older]: [PathBuf; 2], cap_bytes: u64) -> io::Result<Self> {
        let file = append_to(&newer)?;
        let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let half = usize::try_from(cap_bytes / 2).unwrap_or(usize::MAX).max(1);
        Ok(Self { newer, older, file, size, half, lost: 0 })
    }

    /// Writes all that comes, until nobody can write to the other end. A disk that is full does not stop the lab: what
    /// can't be written is read all the same, and counted.
    pub(super) fn copy(&mut self, mut from: impl Read, mask: &mut Mask) {
        let mut chunk = [0; CHUNK];
        loop {
            match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => self.append_or_count(&mask.push(&chunk[..length])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.append_or_count(&mask.finish());
    }

    fn append_or_count(&mut self, output: &[u8]) {
        let notice = match self.lost {
            0 => String::new(),
            lost => format!("\n[{lost} bytes of output could not be written]\n"),
        };
        if self.append(notice.as_bytes()).and_then(|()| self.append(output)).is_ok() {
            self.lost = 0;
        } else {
            self.lost = self.lost.saturating_add(output.len() as u64);
        }
    }

    fn append(&mut self, mut output: &[u8]) -> io::Result<()> {
        while !output.is_empty() {
            if self.size >= self.half {
                self.rotate()?;
            }
            let (now, later) = output.split_at(output.len().min(self.half - self.size));
            self.file.write_all(now)?;
            self.size += now.len();
            output = later;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(&self.newer, &self.older)?;
        self.file = append_to(&self.newer)?;
        self.size = 0;
        Ok(())
    }
}

fn append_to(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn paths(parent: &TempDir) -> [PathBuf; 2] {
        [parent.path().join("log"), parent.path().join("log.1")]
    }

    fn kept(parent: &TempDir) -> Vec<u8> {
        let [newer, older] = paths(parent);
        let mut kept = fs::read(older).unwrap_or_default();
        kept.extend(fs::read(newer).unwrap_or_default());
        kept
    }

    #[test]
    fn a_later_run_goes_on_below_the_cap() {
        let parent = tempfile::tempdir().unwrap();
        CappedLog::open(paths(&parent), 8).unwrap().copy(&b"abc"[..], &mut Mask::default());
        CappedLog::open(paths(&parent), 8).unwrap().copy(&b"defgh"[..], &mut Mask::default());
        assert_eq!(kept(&parent), b"abcdefgh");
        CappedLog::open(paths(&parent), 8).unwrap().copy(&b"i"[..], &mut Mask::default());
        assert_eq!(kept(&parent), b"efghi");
    }

    #[test]
    fn what_a_full_disk_swallowed_is_counted_and_said_when_it_has_room() {
        let parent = tempfile::tempdir().unwrap();
        let mut log = CappedLog::open(paths(&parent), 1000).unwrap();
        log.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        log.copy(&b"lost"[..], &mut Mask::default());
        log.file = append_to(&log.newer).unwrap();
        log.copy(&b"kept"[..], &mut Mask::default());
        assert_eq!(String::from_utf8(kept(&parent)).unwrap(), "\n[4 bytes of output could not be written]\nkept");
    }

    proptest! {
        // Each case writes real files.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_newest_output_is_kept_and_never_more_than_the_cap(
            writes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20), half in 1..30_u64,
        ) {
            let parent = tempfile::tempdir().unwrap();
            let mut log = CappedLog::open(paths(&parent), half * 2).unwrap();
            for write in &writes {
                log.copy(write.as_slice(), &mut Mask::default());
            }
            let (all, kept) = (writes.concat(), kept(&parent));
            prop_assert!(kept.len() as u64 <= half * 2 && all.ends_with(&kept));
            prop_assert!(kept.len() as u64 >= half.min(all.len() as u64));
        }
    }
}
