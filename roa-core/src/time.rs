//! [`Timestamp`]: a point in time. [`HumanDuration`]: a length of time as people write it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A point in time; in JSON, RFC 3339 in UTC.
///
/// ```
/// use roa_core::Timestamp;
/// let time: Timestamp = "2027-01-02T03:04:05Z".parse()?;
/// assert_eq!(time.to_string(), "2027-01-02T03:04:05Z");
/// # Ok::<(), roa_core::TimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

/// Text or a number that is no time or no duration.
///
/// ```
/// use roa_core::{TimeError, Timestamp};
/// assert!(matches!("yesterday".parse::<Timestamp>(), Err(TimeError::Timestamp(_))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimeError {
    /// No time.
    #[error("parse time {0:?}: expected RFC 3339, such as 2027-01-02T03:04:05Z")]
    Timestamp(String),
    /// No duration.
    #[error("parse duration {text:?}: {reason}, expected a number and a unit, such as 90s, 60m or 1h30m")]
    Duration {
        /// What was given.
        text: String,
        /// Why not.
        reason: &'static str,
    },
}

impl Timestamp {
    /// The last time that a calendar has.
    pub const MAX: Self = Self(jiff::Timestamp::MAX);

    /// The time this many seconds after the begin of 1970; `None` if no calendar reaches it.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        jiff::Timestamp::from_second(seconds).ok().map(Self)
    }

    /// The time this many milliseconds after the begin of 1970; `None` if no calendar reaches it.
    #[must_use]
    pub fn from_unix_millis(millis: i64) -> Option<Self> {
        jiff::Timestamp::from_millisecond(millis).ok().map(Self)
    }

    /// The time this many microseconds after the begin of 1970; `None` if no calendar reaches it.
    #[must_use]
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        jiff::Timestamp::from_microsecond(micros).ok().map(Self)
    }

    /// Seconds since the begin of 1970.
    #[must_use]
    pub fn as_unix_seconds(self) -> i64 {
        self.0.as_second()
    }

    /// Milliseconds since the begin of 1970.
    #[must_use]
    pub fn as_unix_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// The same without a fraction of a second.
    #[must_use]
    pub fn truncate_to_seconds(self) -> Self {
        Self::from_unix_seconds(self.0.as_millisecond().div_euclid(1000)).unwrap_or(self)
    }

    /// This much later; `None` past the last time.
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        self.0.checked_add(jiff::SignedDuration::try_from(duration).ok()?).ok().map(Self)
    }

    /// This much later, or the last time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        self.checked_add(duration).unwrap_or(Self::MAX)
    }

    /// This much earlier, or the first time.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let earlier =
            jiff::SignedDuration::try_from(duration).ok().and_then(|duration| self.0.checked_sub(duration).ok());
        Self(earlier.unwrap_or(jiff::Timestamp::MIN))
    }

    /// How long after `earlier` it is; zero if it is before.
    #[must_use]
    pub fn duration_since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_microsecond() == 0 { write!(f, "{:.0}", self.0) } else { write!(f, "{:.6}", self.0) }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Whole microseconds, as they are written: what was read compares equal after it was written and read again.
        let read: Option<jiff::Timestamp> = text.parse().ok();
        let whole = read.and_then(|read| jiff::Timestamp::from_microsecond(read.as_microsecond()).ok());
        whole.map(Self).ok_or_else(|| TimeError::Timestamp(text.chars().take(64).collect()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A length of time as people write it: `60m`, `1h30m`, `1.5h`.
///
/// ```
/// use roa_core::HumanDuration;
/// let duration: HumanDuration = "1.5h".parse()?;
/// assert_eq!(duration.to_string(), "1h30m");
/// assert!("-5m".parse::<HumanDuration>().is_err());
/// # Ok::<(), roa_core::TimeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// So many seconds, as exactly as a reader cares: whole milliseconds below one second, whole seconds from there on.
    /// What is no length of time, as less than nothing, is none.
    ///
    /// ```
    /// use roa_core::HumanDuration;
    /// assert_eq!(HumanDuration::about(3_599.715).to_string(), "1h");
    /// assert_eq!(HumanDuration::about(0.2504).to_string(), "250ms");
    /// ```
    #[must_use]
    pub fn about(seconds: f64) -> Self {
        let rounded = if seconds < 1.0 { (seconds * 1_000.0).round() / 1_000.0 } else { seconds.round() };
        Self(Duration::try_from_secs_f64(rounded).unwrap_or_default())
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
        for (number, unit) in parts.into_iter().filter(|(number, _)| *number > 0) {
            write!(f, "{number}{unit}")?;
        }
        match self.0.subsec_nanos() {
            0 if seconds == 0 => f.write_str("0s"),
            0 => Ok(()),
            nanos if nanos % 1_000_000 == 0 => write!(f, "{}ms", nanos / 1_000_000),
            nanos => write!(f, "{nanos}ns"),
        }
    }
}

impl FromStr for HumanDuration {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let failed = |reason| TimeError::Duration { text: text.chars().take(64).collect(), reason };
        match text.trim() {
            "" => Err(failed("empty")),
            "0" => Ok(Self::default()),
            negative if negative.starts_with('-') => Err(failed("negative")),
            plain if plain.contains('.') => fractional(plain).map(Self).map_err(failed),
            plain => humantime::parse_duration(plain).map(Self).map_err(|error| failed(reason(&error))),
        }
    }
}

/// The form of Go: numbers with fractions, each with its unit.
fn fractional(mut text: &str) -> Result<Duration, &'static str> {
    let mut total = Duration::ZERO;
    while !text.is_empty() {
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(NO_UNIT)?;
        let (number, rest) = text.split_at(unit_at);
        let (unit, rest) = rest.split_at(rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len()));
        let seconds = number.parse::<f64>().map_err(|_| NO_DURATION)? * seconds_of(unit.trim()).ok_or(UNKNOWN_UNIT)?;
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| TOO_LARGE)?;
        total = total.checked_add(part).ok_or(TOO_LARGE)?;
        text = rest;
    }
    Ok(total)
}

const NO_DURATION: &str = "not a duration";
const NO_UNIT: &str = "a number without a unit";
const TOO_LARGE: &str = "too large";
const UNKNOWN_UNIT: &str = "unknown unit";

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "d" => 86_400.0,
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

fn reason(error: &humantime::DurationError) -> &'static str {
    match error {
        humantime::DurationError::NumberOverflow => TOO_LARGE,
        humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => NO_UNIT,
        humantime::DurationError::UnknownUnit { .. } => UNKNOWN_UNIT,
        humantime::DurationError::Empty => "empty",
        _ => NO_DURATION,
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_and_go_write_them() {
        let cases = [
            ("60m", 3600.0),
            ("1h30m", 5400.0),
            ("1h0m0s", 3600.0),
            ("1.5h", 5400.0),
            ("90s", 90.0),
            ("250ms", 0.25),
            ("1.5d", 129_600.0),
            ("1h 1.5 m", 3690.0),
        ];
        for (text, seconds) in cases {
            assert_eq!(text.parse::<HumanDuration>().unwrap().0, Duration::from_secs_f64(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_reason() {
        let cases = [
            ("", "empty"),
            ("-5m", "negative"),
            ("60", "without a unit"),
            ("5 parsecs", "unknown unit"),
            ("1.h.5", "without a unit"),
            ("1..5h", "not a duration"),
            ("1e400s", ""),
            ("99999999999999999999h", "too large"),
            ("1.5", "without a unit"),
            ("1.5 parsecs", "unknown unit"),
            ("99999999999999999999.5h", "too large"),
        ];
        for (text, reason) in cases {
            let message = text.parse::<HumanDuration>().unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains("expected"), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_time_that_was_read_is_the_same_after_it_was_written() {
        for (text, written) in [
            ("2027-01-02T03:04:05.1234567Z", "2027-01-02T03:04:05.123456Z"),
            ("2027-01-02T03:04:05.0000005Z", "2027-01-02T03:04:05Z"),
        ] {
            let read: Timestamp = text.parse().unwrap();
            assert_eq!(read.to_string(), written);
            assert_eq!(written.parse(), Ok(read));
        }
    }

    #[test]
    fn lesson_19_times_are_utc_and_compare() {
        let local: Timestamp = "2027-01-02T05:04:05+02:00".parse().unwrap();
        assert_eq!(local.to_string(), "2027-01-02T03:04:05Z");
        assert_eq!(local.duration_since(local.saturating_add(Duration::from_secs(1))), Duration::ZERO);
        assert!("2027-01-02".parse::<Timestamp>().is_err());
    }

    proptest! {
        #[test]
        fn durations_and_times_round_trip(millis in 0..1_000_000_000_000_i64) {
            let duration = HumanDuration(Duration::from_millis(millis.unsigned_abs()));
            prop_assert_eq!(duration.to_string().parse::<HumanDuration>().unwrap(), duration);
            let time = Timestamp::from_unix_millis(millis).unwrap();
            prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        }
    }
}
