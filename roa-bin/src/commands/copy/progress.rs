//! [`Progress`]: how far a copy is, on a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use roa_core::{Result, Store};

use super::content;

/// A bar on stderr.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar if stderr is a terminal.
    pub(super) fn on_terminal() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} entries, {msg}, {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    /// Counts what there is to do, if somebody looks.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub(super) async fn begin(&self, source: &dyn Store) -> Result<()> {
        if !self.bar.is_hidden() {
            let (content, _) = content::of(source).await?;
            self.bar.reset();
            self.bar.set_length(content.entries);
        }
        Ok(())
    }

    /// So many entries of the source are in the target.
    pub(super) fn reach(&self, entries: u64, written: &[u64; 3]) {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{} written", written.iter().sum::<u64>()));
            self.bar.set_position(entries);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
