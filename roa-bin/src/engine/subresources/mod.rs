//! Parts of objects that the API tells, and the store does not hold: `labinstances/log`, and `why` of every kind.

mod lab_log;
mod why;

use std::sync::Arc;

use roa_core::ResourceStore;
use roa_runtime::{Clocks, Explainer, WatchHub};
use roa_server::Subresource;

pub(crate) use lab_log::why_there_is_none;
pub(crate) use why::{Asked, Told, ask_owner, ask_process};

use crate::config::settings::Config;

/// All of them. Without an `explainer` nothing is handled here: the store tells, and the process that handles an object.
pub(super) fn all(
    config: &Config,
    clocks: &Clocks,
    hub: &WatchHub,
    resources: &ResourceStore,
    explainer: Option<Explainer>,
) -> Vec<Arc<dyn Subresource>> {
    let log = lab_log::LabLog::new(&config.data_dir, Arc::clone(&clocks.io));
    let why = why::Why::new(Arc::clone(hub.store()), resources.clone(), explainer);
    vec![Arc::new(log), Arc::new(why)]
}
