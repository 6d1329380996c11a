//! Tables of text.

use crate::printable::OneLine;
use std::fmt;

/// Rows under a heading. Each column is as wide as its widest cell; numbers are aligned right.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned).to_vec()] }
    }

    /// A table whose columns are known at run time. Each row has as many cells.
    pub(crate) fn with_columns(heading: Vec<String>) -> Self {
        Self { rows: vec![heading] }
    }

    pub(crate) fn add(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| OneLine(cell).to_string()).collect());
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.add(cells.to_vec());
    }

    fn width(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    }

    fn is_number(&self, column: usize) -> bool {
        let cells = || self.rows.iter().skip(1).filter_map(|row| row.get(column));
        cells().all(|cell| cell == "-" || cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit()))
            && cells().any(|cell| cell.parse::<f64>().is_ok())
    }

    fn line(&self, row: &[String]) -> String {
        let cell = |(column, cell): (usize, &String)| {
            let width = self.width(column);
            if self.is_number(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        };
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.rows.iter().map(|row| self.line(row)).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// A cell with a value, or `-`.
pub(crate) fn cell(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_right() {
        let mut table = Table::new(["name", "n"]);
        table.row(["a".to_owned(), "12345".to_owned()]);
        table.row(["longer".to_owned(), cell(None::<i64>)]);
        assert_eq!(table.to_string(), "name        n\na       12345\nlonger      -");
    }

    #[test]
    fn a_cell_stays_on_its_line() {
        let mut table = Table::new(["reason", "n"]);
        table.row(["a\n\u{1b}b".to_owned(), "1".to_owned()]);
        assert_eq!(table.to_string(), "reason          n\na\\u000a\\u001bb  1");
    }
}
