//! [`Hours`]: a part of each day.

use std::fmt;
use std::str::FromStr;

use roa_core::{Timestamp, Violations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Written;

/// How many minutes a day has.
const DAY: u32 = 24 * 60;

/// A time of day in UTC, `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    minutes: u32,
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let two_digits = |part: &str| (part.len() == 2).then(|| part.parse::<u32>().ok()).flatten();
        let parsed = text.split_once(':').and_then(|(hour, minute)| {
            let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
            (hour < 24 && minute < 60).then_some(Self { minutes: hour * 60 + minute })
        });
        parsed.ok_or_else(|| format!("is {text:?}, expected a time of day from 00:00 to 23:59"))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

/// From `start` until before `end`, each day, in UTC; over midnight if `end` is not after `start`.
///
/// ```
/// use roa_lab::Hours;
/// let night: Hours = serde_json::from_str(r#"{ "start": "22:00", "end": "06:00" }"#)?;
/// assert!(night.contains("2027-01-01T23:30:00Z".parse().unwrap()));
/// assert!(!night.contains("2027-01-01T12:00:00Z".parse().unwrap()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Hours {
    /// When they begin, such as 08:00.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Written<TimeOfDay>>,
    /// When they are over, such as 18:00; before `start` if they wrap midnight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Written<TimeOfDay>>,
}

impl Hours {
    /// What is wrong with them.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let mut found = Violations::none();
        for (path, time) in [("start", &self.start), ("end", &self.end)] {
            match time {
                None => found.push(path, "is missing, expected a time of day from 00:00 to 23:59"),
                Some(time) => time.problem().into_iter().for_each(|problem| found.push(path, problem)),
            }
        }
        if let Some((start, end)) = self.bounds() {
            let message = format!("is {end}, the same as start, expected another time of day");
            found.merge(Violations::unless(start != end, "end", message));
        }
        found
    }

    fn bounds(&self) -> Option<(TimeOfDay, TimeOfDay)> {
        let time = |written: &Option<Written<TimeOfDay>>| written.as_ref().and_then(Written::get).copied();
        Some((time(&self.start)?, time(&self.end)?))
    }

    /// Whether that time is within them.
    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        let Some((start, end)) = self.bounds() else { return false };
        let minute = time.as_unix_seconds().div_euclid(60).rem_euclid(i64::from(DAY));
        let minute = u32::try_from(minute).unwrap_or(0);
        if start < end {
            (start.minutes..end.minutes).contains(&minute)
        } else {
            minute >= start.minutes || minute < end.minutes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(start: &str, end: &str) -> Hours {
        Hours { start: Some(Written::new(start)), end: Some(Written::new(end)) }
    }

    fn within(hours: &Hours, time: &str) -> bool {
        hours.contains(format!("2027-03-04T{time}Z").parse().unwrap())
    }

    #[test]
    fn hours_begin_with_their_first_minute_and_end_before_their_last() {
        let day = hours("08:00", "18:00");
        for (time, expected) in
            [("07:59:59", false), ("08:00:00", true), ("17:59:59", true), ("18:00:00", false), ("00:00:00", false)]
        {
            assert_eq!(within(&day, time), expected, "{time}");
        }
    }

    #[test]
    fn hours_may_wrap_midnight() {
        let night = hours("22:00", "06:00");
        for (time, expected) in [
            ("21:59:59", false),
            ("22:00:00", true),
            ("23:59:59", true),
            ("00:00:00", true),
            ("05:59:59", true),
            ("06:00:00", false),
        ] {
            assert_eq!(within(&night, time), expected, "{time}");
        }
        assert!(night.contains("1969-12-31T23:00:00Z".parse().unwrap()), "also before 1970");
    }

    #[test]
    fn what_is_no_time_of_day_is_told() {
        for wrong in ["24:00", "8:00", "08:60", "0800", "", "-1:00", "08:00:00"] {
            let found = hours(wrong, "09:00").validate().to_string();
            assert!(found.contains("start: is") && found.contains("expected a time of day"), "{wrong}: {found}");
        }
        assert!(hours("08:00", "08:00").validate().to_string().contains("the same as start"));
        assert_eq!(Hours::default().validate().iter().count(), 2);
        assert_eq!("07:05".parse::<TimeOfDay>().unwrap().to_string(), "07:05");
    }
}
