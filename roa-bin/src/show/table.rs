//! [`Table`]: columns that align whatever script their cells are in.

use unicode_width::UnicodeWidthStr as _;

use super::{BOLD, safe, styled};

/// Columns between two of which there is so much room.
const GAP: usize = 3;
/// No cell but the last makes its column wider.
const MAX_WIDTH: usize = 120;

/// Where the text of a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Columns that align. Rows that come later keep to the widths of before, as far as they fit.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    headings: Vec<(String, Align)>,
    widths: Vec<usize>,
}

impl Table {
    pub(crate) fn new(headings: impl IntoIterator<Item = (String, Align)>) -> Self {
        let headings: Vec<_> =
            headings.into_iter().map(|(heading, align)| (safe(&heading).into_owned(), align)).collect();
        let widths = headings.iter().map(|(heading, _)| heading.width()).collect();
        Self { headings, widths }
    }

    /// With columns that are all text.
    pub(crate) fn of_text(headings: &[&str]) -> Self {
        Self::new(headings.iter().map(|heading| ((*heading).to_owned(), Align::Left)))
    }

    /// The same without room for headings, which are not shown.
    pub(crate) fn without_heading(mut self) -> Self {
        self.widths.fill(0);
        self
    }

    /// Makes room for these rows.
    pub(crate) fn fit<'a>(&mut self, rows: impl IntoIterator<Item = &'a Vec<String>>) {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(safe(cell).width().min(MAX_WIDTH));
            }
        }
    }

    /// The line of headings.
    pub(crate) fn heading(&self) -> String {
        let cells: Vec<_> = self.headings.iter().map(|(heading, _)| heading.clone()).collect();
        self.line(&cells, |_, cell| format!("{BOLD}{cell}{BOLD:#}"))
    }

    /// The line of a row, with states in colour.
    pub(crate) fn row(&self, cells: &[String]) -> String {
        self.line(cells, styled)
    }

    /// All of it, a line each.
    pub(crate) fn lines(&mut self, rows: &[Vec<String>]) -> Vec<String> {
        self.fit(rows);
        std::iter::once(self.heading()).chain(rows.iter().map(|row| self.row(row))).collect()
    }

    fn line(&self, cells: &[String], style: impl Fn(&str, &str) -> String) -> String {
        let last = cells.len().saturating_sub(1);
        let columns = self.headings.iter().zip(&self.widths).zip(cells).enumerate();
        let mut line = String::new();
        for (index, (((heading, align), width), cell)) in columns {
            let cell = safe(cell);
            let padding = width.saturating_sub(cell.width());
            // Nothing stands behind the last column, not even blanks.
            let (before, after) = match align {
                Align::Right => (padding, 0),
                Align::Left if index == last => (0, 0),
                Align::Left => (0, padding),
            };
            line += &" ".repeat(before);
            line += &style(heading, &cell);
            line += &" ".repeat(if index == last { 0 } else { after + GAP });
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn columns_align_in_any_script() {
        let mut table = Table::of_text(&["NAME", "STATE"]);
        let rows = [["a", "Ready"], ["漢字漢字", "Failed"], ["", "x"]].map(|row| row.map(str::to_owned).to_vec());
        let lines = plain(&table.lines(&rows));
        assert_eq!(lines, ["NAME       STATE", "a          Ready", "漢字漢字   Failed", "           x"]);
    }

    #[test]
    fn numbers_stand_to_the_right_and_nothing_ends_in_blanks() {
        let headings = [("NAME", Align::Left), ("COUNT", Align::Right), ("NOTE", Align::Left)];
        let mut table = Table::new(headings.map(|(heading, align)| (heading.to_owned(), align)));
        let lines = plain(&table.lines(&[["a", "7", ""].map(str::to_owned).to_vec()]));
        assert_eq!(lines, ["NAME   COUNT   NOTE", "a          7"]);
    }

    #[test]
    fn a_cell_can_not_steer_the_terminal() {
        let mut table = Table::of_text(&["A"]);
        let lines = table.lines(&[vec!["\u{1b}[2J".to_owned()]]);
        assert_eq!(plain(&lines)[1], "\\u{1b}[2J");
    }
}
