//! Times as people speak of them.

use std::time::Duration;

use roa_core::Timestamp;

/// The time since `time`, or until it: two units at most, and one where the other does not matter.
pub(crate) fn age(time: Timestamp, now: Timestamp) -> String {
    short(now.duration_since(time).max(time.duration_since(now)))
}

/// A time, and how long ago it was.
pub(crate) fn since(text: &str, now: Timestamp) -> String {
    match text.parse::<Timestamp>() {
        Ok(time) if time > now => format!("{text} (in {})", age(time, now)),
        Ok(time) => format!("{text} ({} ago)", age(time, now)),
        Err(_) => text.to_owned(),
    }
}

fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |whole: u64, unit: &str, rest: u64, small: &str| match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit}{rest}{small}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(seconds / 60, "m", seconds % 60, "s"),
        600..10_800 => format!("{}m", seconds / 60),
        10_800..28_800 => pair(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        28_800..172_800 => format!("{}h", seconds / 3600),
        172_800..691_200 => pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_two_units_where_the_second_matters() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3_600, "60m"),
            (12_060, "3h21m"),
            (200_000, "2d7h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(short(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn what_is_to_come_is_told_apart_from_what_was() {
        let now = Timestamp::from_unix_seconds(1_000_000).unwrap();
        assert!(since("1970-01-12T13:46:30Z", now).ends_with("(10s ago)"));
        assert!(since("1970-01-12T13:46:50Z", now).ends_with("(in 10s)"));
        assert_eq!(since("soon", now), "soon");
    }
}
