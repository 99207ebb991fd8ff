//! `roa serve`: the API alone, until it is told to stop.

use roa_core::CancellationSource;

use super::config::load_from;
use super::run::{Signals, runtime};
use crate::cli::{LogArgs, ServeArgs};
use crate::engine::Engine;
use crate::logging;
use crate::report::Failure;

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// The configuration is wrong, or something can't be started.
pub(crate) fn run(args: &ServeArgs, log: &LogArgs) -> Result<(), Failure> {
    let config = load_from(&args.config, log)?.config;
    logging::start(&config.log)?;
    runtime()?.block_on(async {
        let stop = CancellationSource::new();
        let signals = Signals::new()?;
        let token = stop.token();
        tokio::select! {
            outcome = Engine::serve(config, token) => Ok(outcome?),
            never = signals.cancel_on_first(&stop) => match never {},
        }
    })
}
