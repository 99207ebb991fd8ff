//! [`Rows`]: the rows that a server made of objects, as cells of a table.

use std::cmp::Ordering;

use roa_core::FieldPath;
use serde_json::Value as Json;

use crate::cli::{Format, GetArgs};
use crate::client::Kind;
use crate::show::{Align, Table};

/// What stands where there is nothing.
const NOTHING: &str = "-";

/// What rows are made of.
pub(super) struct Rows {
    pub(super) table: Table,
    /// Which cells of the server's are shown.
    shown: Vec<usize>,
    with_namespace: bool,
    /// What stands before a name, if several kinds are shown.
    prefix: String,
}

impl Rows {
    /// Of a kind with columns as the server describes them.
    pub(super) fn new(args: &GetArgs, kind: &Kind, columns: &[Json], several: bool) -> Self {
        let wide = args.output == Format::Wide;
        let shown: Vec<usize> =
            (0..columns.len()).filter(|index| wide || columns[*index]["priority"].as_i64().unwrap_or(0) == 0).collect();
        let with_namespace = args.places.all_namespaces && kind.namespaced;
        let heading = |index: &usize| {
            let column = &columns[*index];
            let align = match column["type"].as_str() {
                Some("integer" | "number") => Align::Right,
                _ => Align::Left,
            };
            (column["name"].as_str().unwrap_or_default().to_uppercase(), align)
        };
        let namespace = with_namespace.then(|| ("NAMESPACE".to_owned(), Align::Left));
        let table = Table::new(namespace.into_iter().chain(shown.iter().map(heading)));
        let table = if args.no_headers { table.without_heading() } else { table };
        let prefix = if several { kind.object("") } else { String::new() };
        Self { table, shown, with_namespace, prefix }
    }

    /// The cells of a row.
    pub(super) fn cells(&mut self, row: &Json) -> Vec<String> {
        let namespace = self.with_namespace.then(|| text(&row["object"]["metadata"]["namespace"]));
        let own = self.shown.iter().map(|index| {
            let cell = text(&row["cells"][*index]);
            if *index == 0 { format!("{}{cell}", self.prefix) } else { cell }
        });
        namespace.into_iter().chain(own).collect()
    }
}

fn text(cell: &Json) -> String {
    match cell {
        Json::Null => NOTHING.to_owned(),
        Json::String(text) if text.is_empty() => NOTHING.to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Sorts objects, or rows with their objects, by a field; those without it come last.
///
/// # Errors
/// It is no path of a field.
pub(super) fn sort(path: &str, items: &mut [Json]) -> Result<(), String> {
    let path: FieldPath = path.parse().map_err(|error| format!("--sort-by: {error}"))?;
    let value = |item: &Json| path.first(item).or_else(|| path.first(&item["object"])).cloned();
    items.sort_by(|a, b| match (value(a), value(b)) {
        (Some(a), Some(b)) => compare(&a, &b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
    Ok(())
}

fn compare(a: &Json, b: &Json) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => text(a).cmp(&text(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_sort_as_numbers_and_what_is_missing_comes_last() {
        let mut items = [json!({"object": {"n": 10}}), json!({"n": null}), json!({}), json!({"n": 9})];
        sort(".n", &mut items[..]).unwrap();
        assert_eq!(items[..2], [json!({"n": 9}), json!({"object": {"n": 10}})]);
        assert!(sort("{[", &mut items).unwrap_err().starts_with("--sort-by: "));
    }
}
