//! What the commands do, a file each.

pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod copy;
pub(crate) mod demo;
pub(crate) mod logs;
pub(crate) mod outside;
pub(crate) mod run;
pub(crate) mod store;
pub(crate) mod why;
