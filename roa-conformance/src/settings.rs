//! [`Settings`]: how much a run of the suite does, and how long it waits.

use std::time::Duration;

use thiserror::Error;

/// How much a run of the suite does, and how long it waits.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The sizes of the heavy cases are multiplied by it; 1 by default. Each case has a least size that still proves
    /// something.
    pub scale: f64,
    /// How long anything that must happen may take; 10 s by default.
    pub patience: Duration,
    /// How long a change may take to reach a watcher of a store that is otherwise idle (W11); 1 s by default.
    pub latency: Duration,
    /// How long a whole case may take; 120 s by default.
    pub deadline: Duration,
}

/// The environment says something that can't be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("read {}: expected a positive number, found {found:?}", Settings::SCALE_VARIABLE)]
pub struct SettingsError {
    /// What it says.
    pub found: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scale: 1.0,
            patience: Duration::from_secs(10),
            latency: Duration::from_secs(1),
            deadline: Duration::from_secs(120),
        }
    }
}

impl Settings {
    /// The environment variable that sets the scale.
    pub const SCALE_VARIABLE: &'static str = "ROA_CONFORMANCE_SCALE";

    /// The settings that the environment asks for.
    ///
    /// # Errors
    /// [`SettingsError`] if the scale is no positive number.
    pub fn from_env() -> Result<Self, SettingsError> {
        match std::env::var(Self::SCALE_VARIABLE) {
            Ok(text) => Ok(Self::default().scale(parse(&text)?)),
            Err(_) => Ok(Self::default()),
        }
    }

    /// The sizes of the heavy cases are multiplied by it.
    #[must_use]
    pub const fn scale(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    /// How long anything that must happen may take.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The size of a heavy case: `full` times the scale, but `least` at least.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes are small and positive; a conversion that does not fit saturates"
    )]
    pub(crate) fn times(&self, full: usize, least: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(least)
    }
}

fn parse(text: &str) -> Result<f64, SettingsError> {
    match text.parse::<f64>() {
        Ok(scale) if scale.is_finite() && scale > 0.0 => Ok(scale),
        _ => Err(SettingsError { found: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_scale_down_to_what_still_proves_something() {
        let size = |scale| Settings::default().scale(scale).times(1_000, 50);
        assert_eq!([size(1.0), size(0.1), size(0.001), size(3.0)], [1_000, 100, 50, 3_000]);
    }

    #[test]
    fn a_scale_that_is_no_positive_number_is_refused() {
        for text in ["", "0", "-1", "many", "inf", "NaN"] {
            assert_eq!(parse(text), Err(SettingsError { found: text.to_owned() }));
        }
        assert_eq!(parse("0.25"), Ok(0.25));
    }
}
