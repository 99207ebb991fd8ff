//! What the commands do, a file each.

pub(crate) mod apply;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod copy;
pub(crate) mod crd;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod describe;
pub(crate) mod explain;
pub(crate) mod get;
mod gone;
mod happened;
pub(crate) mod history;
pub(crate) mod kubeconfig;
pub(crate) mod logs;
pub(crate) mod outside;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod token;
pub(crate) mod wait;
pub(crate) mod watch;
pub(crate) mod why;
