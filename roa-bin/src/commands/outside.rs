//! The hidden commands that labs' processes are run by.

use std::path::Path;

use anyhow::Context as _;

use super::run::runtime;
use crate::report::Failure;

/// `roa lab-shim`: keeps one lab's process.
///
/// # Errors
/// The lab's directory has no lab, or its process can't be kept.
pub(crate) fn lab_shim(directory: &Path) -> Result<(), Failure> {
    roa_lab::provision::run_shim(directory).context("failed to keep the lab")?;
    Ok(())
}

/// `roa static-site`: serves a directory, until it is killed.
///
/// # Errors
/// The directory can't be read, or the port is taken.
pub(crate) fn static_site(directory: &Path, port: u16) -> Result<(), Failure> {
    let served = runtime()?.block_on(roa_lab::provision::serve_static(directory, port));
    match served.context("failed to serve")? {}
}
