//! Colours of states. A state is always its word; the colour only helps to find it.

use anstyle::{AnsiColor, Style};

/// Headings.
pub(crate) const BOLD: Style = Style::new().bold();

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const UNDERWAY: Style = AnsiColor::Yellow.on_default();
const OVER: Style = AnsiColor::BrightBlack.on_default();

/// The columns that hold states.
const STATES: [&str; 6] = ["STATE", "STATUS", "PHASE", "READY", "TYPE", "EVENT"];

/// The cell of a column, padded, in the colour of its state if it is one.
pub(crate) fn styled(column: &str, cell: &str) -> String {
    let style = if STATES.contains(&column.to_uppercase().as_str()) { of_state(cell.trim()) } else { None };
    style.map_or_else(|| cell.to_owned(), |style| format!("{style}{cell}{style:#}"))
}

fn of_state(word: &str) -> Option<Style> {
    Some(match word.to_ascii_lowercase().as_str() {
        "ready" | "true" | "active" | "bound" | "running" | "succeeded" | "healthy" | "added" | "created" => GOOD,
        "failed" | "false" | "error" | "lost" | "degraded" | "warning" | "notready" | "deleted" => BAD,
        "pending" | "provisioning" | "scheduled" | "scheduling" | "terminating" | "unknown" | "draining"
        | "modified" | "stopping" | "cleaning" | "starting" => UNDERWAY,
        "expired" | "terminated" | "archived" | "normal" => OVER,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_states_have_a_colour_and_keep_their_word() {
        assert!(styled("STATE", "Ready  ").contains("Ready  ") && styled("STATE", "Ready").contains('\u{1b}'));
        assert_eq!(styled("NAME", "ready"), "ready");
        assert_eq!(styled("STATE", "whatever"), "whatever");
    }
}
