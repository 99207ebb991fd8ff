//! Stub.
use std::path::Path;

pub(super) fn run(_root: &Path, _update: bool) -> Result<(), String> {
    Err("not there yet".to_owned())
}
