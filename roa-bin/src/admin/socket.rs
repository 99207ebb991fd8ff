//! [`PrivateSocket`]: a Unix socket that one process holds, and only its owner can connect to.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// Why a socket can't be held.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// A process answers on it, or holds its lock.
    #[error("failed to listen on {}: another process does", path.display())]
    InUse { path: PathBuf, key: &'static str },
    /// Something else has that name.
    #[error("failed to listen on {}: it exists and is not a socket", path.display())]
    NotASocket { path: PathBuf, key: &'static str },
    /// The kernel's limit.
    #[error("failed to listen on {}: its path has {bytes} bytes, sockets may have {MAX_PATH_BYTES}", path.display())]
    PathTooLong { path: PathBuf, bytes: usize, key: &'static str },
    /// The file system refused.
    #[error("failed to {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl SocketError {
    /// What its reader can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { key, .. } => {
                Some(format!("stop the other roa, or give this one its own `data_dir` or `{key}`"))
            }
            Self::NotASocket { key, .. } => Some(format!("move it away, or set `{key}` to another path")),
            Self::PathTooLong { key, .. } => Some(format!("set `{key}` to a shorter path")),
            Self::Io { .. } => None,
        }
    }
}

/// Bytes of the longest path that a socket can have.
const MAX_PATH_BYTES: usize = 107;
/// How long an old socket may take to show whether somebody listens.
const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// A listening socket. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct PrivateSocket {
    listener: UnixListener,
    held: HeldPath,
}

/// The path of a socket. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct HeldPath {
    path: PathBuf,
    /// Held as long as the socket: two starting processes can't both take an old one for dead.
    _lock: File,
}

impl PrivateSocket {
    /// Listens on `path`, readable and writable by the owner only. Missing directories are made, private ones. What a
    /// dead process left is replaced. `key` is where the configuration has the path.
    ///
    /// # Errors
    /// Another process listens there, something else has that name, the path is too long, or the file system refuses.
    ///
    /// # Cancel safety
    /// A dropped future leaves nothing but the lock file.
    pub(crate) async fn bind(path: &Path, key: &'static str) -> Result<Self, SocketError> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io_error("create", directory))?;
        let lock = lock(path, key)?;
        refuse_if_alive(path, key).await?;
        let listener = listen(directory, path, key)?;
        Ok(Self { listener, held: HeldPath { path: path.to_owned(), _lock: lock } })
    }

    /// The next connection. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    /// What accepts connections, and what has to be kept as long as that does.
    pub(crate) fn into_parts(self) -> (UnixListener, HeldPath) {
        (self.listener, self.held)
    }
}

impl Drop for HeldPath {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove a socket");
        }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::Io { action, path, source }
}

/// Takes the lock beside the socket. The kernel releases it with the process, however that ends.
fn lock(path: &Path, key: &'static str) -> Result<File, SocketError> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let name = PathBuf::from(name);
    let mut options = OpenOptions::new();
    let file =
        options.write(true).create(true).truncate(false).mode(0o600).open(&name).map_err(io_error("open", &name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SocketError::InUse { path: path.to_owned(), key }),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &name)(error)),
    }
}

/// Whether what stands at `path` may be replaced: nothing, or a socket on which nobody listens.
async fn refuse_if_alive(path: &Path, key: &'static str) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("look at", path)(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned(), key });
        }
        Ok(_) => {}
    }
    match timeout(PROBE_DEADLINE, UnixStream::connect(path)).await {
        Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(()),
        _ => Err(SocketError::InUse { path: path.to_owned(), key }),
    }
}

/// Listens in a private directory first, so that nobody can connect before the permissions are right, then moves the
/// socket over `path`.
fn listen(directory: &Path, path: &Path, key: &'static str) -> Result<UnixListener, SocketError> {
    let private = tempfile::Builder::new()
        .prefix(".")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(directory)
        .map_err(io_error("create a directory in", directory))?;
    let socket = private.path().join("s");
    let bytes = path.as_os_str().as_bytes().len().max(socket.as_os_str().as_bytes().len());
    if bytes > MAX_PATH_BYTES {
        return Err(SocketError::PathTooLong { path: path.to_owned(), bytes, key });
    }
    let listener = UnixListener::bind(&socket).map_err(io_error("listen on", path))?;
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).map_err(io_error("protect", path))?;
    fs::rename(&socket, path).map_err(io_error("listen on", path))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn t19_only_the_owner_can_connect() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/roa/admin.sock");
        let socket = PrivateSocket::bind(&path, "admin.socket").await.unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!((mode(path.parent().unwrap()), mode(&directory.path().join("data"))), (0o700, 0o700));
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(socket);
        assert!(!path.exists(), "it is removed");
        let left: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["admin.sock.lock"]);
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _socket = PrivateSocket::bind(&path, "admin.socket").await.unwrap();
        assert!(UnixStream::connect(&path).await.is_ok());
    }

    #[tokio::test]
    async fn a_live_socket_is_refused_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let _ours = PrivateSocket::bind(&path, "admin.socket").await.unwrap();
        let error = PrivateSocket::bind(&path, "admin.socket").await.unwrap_err();
        assert_eq!(error.to_string(), format!("failed to listen on {}: another process does", path.display()));
        assert!(error.hint().unwrap().contains("admin.socket"));
        assert!(UnixStream::connect(&path).await.is_ok());
    }

    #[tokio::test]
    async fn a_live_socket_of_another_program_is_refused_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let _theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(PrivateSocket::bind(&path, "admin.socket").await, Err(SocketError::InUse { .. })));
        assert!(UnixStream::connect(&path).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        fs::write(&path, "thesis").unwrap();
        assert!(matches!(PrivateSocket::bind(&path, "admin.socket").await, Err(SocketError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "thesis");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_refused_with_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("d".repeat(100)).join("admin.sock");
        let error = PrivateSocket::bind(&path, "admin.socket").await.unwrap_err();
        assert!(error.to_string().ends_with("bytes, sockets may have 107"), "{error}");
    }
}
