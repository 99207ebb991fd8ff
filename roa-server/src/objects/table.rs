//! Tables: the columns of a kind, and the cells of an object. `kubectl get` prints them as they come.

use std::time::Duration;

use roa_core::{Column, ColumnFormat, DynamicObject, Timestamp};
use serde_json::{Value as Json, json};

use crate::catalog::Served;

/// The columns of a kind: its name, its own, and its age unless its own say all.
pub(crate) fn columns(served: &Served) -> Json {
    let mut columns = vec![json!({
        "name": "Name", "type": "string", "format": "name", "priority": 0,
        "description": "The name of the object, unique in its kind and namespace.",
    })];
    columns.extend(served.columns.iter().map(|(column, _)| describe(column)));
    if served.kind.age_column {
        columns.push(json!({
            "name": "Age", "type": "date", "format": "", "priority": 0, "description": "The time since it was created.",
        }));
    }
    Json::Array(columns)
}

fn describe(column: &Column) -> Json {
    json!({
        "name": column.name, "type": column.format.type_name(), "format": "", "priority": column.priority,
        "description": column.description,
    })
}

/// The cells of an object, one for each column; `tree` is the object too.
pub(crate) fn cells(served: &Served, object: &DynamicObject, tree: &Json, now: Timestamp) -> Vec<Json> {
    let mut cells = vec![json!(object.metadata.name)];
    cells.extend(served.columns.iter().map(|(column, path)| {
        let found = path.as_ref().and_then(|path| path.first(tree));
        found.map_or(Json::Null, |value| cell(column.format, value, now))
    }));
    if served.kind.age_column {
        let created = object.metadata.creation_timestamp;
        cells.push(created.map_or_else(|| json!("<unknown>"), |created| json!(age(created, now))));
    }
    cells
}

fn cell(format: ColumnFormat, value: &Json, now: Timestamp) -> Json {
    match (format, value) {
        (ColumnFormat::Date, Json::String(text)) => text.parse().map_or(Json::Null, |time| json!(age(time, now))),
        (ColumnFormat::Date, _) => Json::Null,
        (_, Json::Array(_) | Json::Object(_)) => json!(value.to_string()),
        (ColumnFormat::Text, Json::Number(number)) => json!(number.to_string()),
        (_, value) => value.clone(),
    }
}

/// The time since or until `time`, as `kubectl` says it: two units at most, and one where the other does not matter.
pub(crate) fn age(time: Timestamp, now: Timestamp) -> String {
    let distance = now.duration_since(time).max(time.duration_since(now));
    human(distance)
}

fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |whole: u64, unit: &str, rest: u64, small: &str| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{small}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{KindDescriptor, Scope};
    use std::sync::Arc;

    #[test]
    fn ages_are_those_of_kubectl() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (3600, "60m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (90_000, "25h"),
            (200_000, "2d7h"),
            (864_000, "10d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(human(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn cells_follow_the_columns() {
        let mut kind = KindDescriptor::dynamic("g.example.com", "v1", "Thing", "things", Scope::Namespaced);
        kind.columns = vec![
            Column::text("State", "status.state"),
            Column::date("Expires", "status.expiresAt"),
            Column::text("Tags", "spec.tags"),
        ];
        let now = Timestamp::from_unix_seconds(1_000_000).unwrap();
        let object = DynamicObject::from_json(json!({
            "apiVersion": "g.example.com/v1", "kind": "Thing",
            "metadata": { "name": "a", "creationTimestamp": Timestamp::from_unix_seconds(999_990).unwrap() },
            "spec": { "tags": ["x"] }, "status": { "expiresAt": Timestamp::from_unix_seconds(1_000_060).unwrap() },
        }))
        .unwrap();
        let served = Served::of_kind(&Arc::new(kind)).remove(0);
        let cells = cells(&served, &object, &object.to_json(), now);
        assert_eq!(Json::Array(cells), json!(["a", null, "60s", "[\"x\"]", "10s"]));
        assert_eq!(columns(&served).as_array().unwrap().len(), 5);
    }
}
