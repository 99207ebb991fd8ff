//! Which file a request's path means, and of which type it is.

use std::io;
use std::path::{Path, PathBuf};

const INDEX: &str = "index.html";

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    File(PathBuf),
    /// A directory that was asked for as if it were a file: relative links in its index would miss.
    Directory,
    Nothing,
}

/// Finds the file that a path means. `root` must be canonical.
pub(super) async fn resolve(root: &Path, path: &str) -> io::Result<Target> {
    let Some(relative) = decode(path).as_deref().and_then(plain_relative) else { return Ok(Target::Nothing) };
    let Some(found) = canonical_inside(root, &root.join(&relative)).await? else { return Ok(Target::Nothing) };
    if !tokio::fs::metadata(&found).await?.is_dir() {
        return file(found, path).await;
    }
    if !path.ends_with('/') {
        return Ok(Target::Directory);
    }
    match canonical_inside(root, &found.join(INDEX)).await? {
        Some(index) => file(index, INDEX).await,
        None => Ok(Target::Nothing),
    }
}

/// A pipe or a device would keep its reader waiting.
async fn file(found: PathBuf, path: &str) -> io::Result<Target> {
    let readable = tokio::fs::metadata(&found).await?.is_file() && !path.ends_with('/');
    Ok(if readable { Target::File(found) } else { Target::Nothing })
}

/// The path without links, if it exists and does not lead out of the root.
async fn canonical_inside(root: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    match tokio::fs::canonicalize(path).await {
        Ok(found) => Ok(found.starts_with(root).then_some(found)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// The path relative to the root, unless a part of it is empty, hidden or climbs.
fn plain_relative(path: &str) -> Option<PathBuf> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(PathBuf::new());
    }
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
    path.split('/').all(plain).then(|| path.into())
}

/// Undoes percent-encoding; `None` if it is not valid or not text.
fn decode(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hexadecimal(bytes.next()?)? << 4 | hexadecimal(bytes.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The type of a file, by its name.
pub(super) fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn t11_no_path_climbs_or_finds_what_is_hidden() {
        for path in
            ["/../x", "/a/../x", "/.git/config", "//etc/passwd", "/a//b", "/a\\..\\b", "/\0", "x", "", "/..", "/."]
        {
            assert_eq!(plain_relative(path), None, "{path:?}");
        }
        assert_eq!(plain_relative("/a/b.html"), Some("a/b.html".into()));
        assert_eq!(plain_relative("/"), Some(PathBuf::new()));
    }

    #[test]
    fn percent_encoding_is_undone_once() {
        assert_eq!(decode("/a%20b%2Fc").as_deref(), Some("/a b/c"));
        assert_eq!(decode("/%252e%252e").as_deref(), Some("/%2e%2e"));
        for broken in ["/%", "/%2", "/%zz", "/%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn types_go_by_the_extension_in_any_case() {
        assert_eq!(content_type(Path::new("a/INDEX.HTML")), "text/html; charset=utf-8");
        assert_eq!(content_type(Path::new("a.css/b")), "application/octet-stream");
    }

    #[tokio::test]
    async fn only_files_below_the_root_are_found_by_links_too() {
        let parent = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(parent.path()).unwrap().join("site");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("page.html"), "").unwrap();
        fs::write(root.join("sub/index.html"), "").unwrap();
        fs::write(parent.path().join("secret"), "").unwrap();
        symlink(parent.path().join("secret"), root.join("out")).unwrap();
        symlink("page.html", root.join("in")).unwrap();

        let resolve = async |path| resolve(&root, path).await.unwrap();
        assert_eq!(resolve("/in").await, Target::File(root.join("page.html")));
        assert_eq!(resolve("/out").await, Target::Nothing);
        assert_eq!(resolve("/%2e%2e/secret").await, Target::Nothing);
        assert_eq!(resolve("/sub").await, Target::Directory);
        assert_eq!(resolve("/sub/").await, Target::File(root.join("sub/index.html")));
        for path in ["/", "/page.html/", "/page.html/x", "/none", &format!("/{}", "x".repeat(300))] {
            assert_eq!(resolve(path).await, Target::Nothing, "{path}");
        }
    }

    proptest! {
        #[test]
        fn t11_whatever_is_asked_for_stays_below_the_root(path in "(/|%2[eEfF]|\\.|a|%5c){0,12}") {
            if let Some(relative) = decode(&path).as_deref().and_then(plain_relative) {
                prop_assert!(relative.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }
}
