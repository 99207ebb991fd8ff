//! What the commands do, a file each.

pub(crate) mod config;
