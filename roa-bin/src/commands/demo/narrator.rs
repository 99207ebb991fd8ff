//! [`Narrator`]: prints what happens, a line each, as it happens.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use roa_core::{Clock, Monotonic};

/// Prints what happens, with the time since the begin and the component that acted.
pub(super) struct Narrator {
    clock: Arc<dyn Clock>,
    begun: Monotonic,
}

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    Watcher,
    Controller,
    Reconciler,
    Demo,
}

impl Actor {
    const fn word(self) -> &'static str {
        match self {
            Self::Watcher => "watcher",
            Self::Controller => "controller",
            Self::Reconciler => "reconciler",
            Self::Demo => "demo",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Watcher => AnsiColor::Cyan.on_default(),
            Self::Controller => AnsiColor::Green.on_default(),
            Self::Reconciler => AnsiColor::Yellow.on_default(),
            Self::Demo => AnsiColor::Magenta.on_default(),
        }
    }
}

impl Narrator {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let begun = clock.monotonic();
        Self { clock, begun }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_since(self.begun)
    }

    pub(super) fn say(&self, actor: Actor, lab: &str, text: &str) {
        let (style, seconds) = (actor.style(), self.elapsed().as_secs_f64());
        print(&format!("{seconds:6.2}s  {style}{:<10}{style:#}  {lab:<12}  {text}", actor.word()));
    }
}

/// A line to stdout. A reader that has left does not end the story: its verdict is the exit status.
pub(super) fn print(line: &str) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// A table with the width that its cells need.
pub(super) fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| unicode_width::UnicodeWidthStr::width(cell.as_str()))
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let padding = width.saturating_sub(unicode_width::UnicodeWidthStr::width(cell.as_str()));
            format!("{cell}{}", " ".repeat(padding))
        });
        print(cells.collect::<Vec<_>>().join("   ").trim_end());
    }
}
