//! The tables of the report, as text and as JSON.

use load::Spread;
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// All results.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The machine.
    pub machine: String,
    /// How often each row was measured.
    pub rounds: usize,
    /// The tables.
    pub tables: Vec<Table>,
    /// The ratios to watch over time, by key: the median of the rounds.
    pub ratios: BTreeMap<&'static str, f64>,
    /// The spread of each ratio.
    pub ratio_spreads: BTreeMap<&'static str, Spread>,
}

/// One table.
#[derive(Debug, Serialize)]
pub struct Table {
    /// The title.
    pub title: String,
    /// The headings of the columns.
    pub columns: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row of a table.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The first cell.
    pub name: String,
    /// The other cells, one for each column. `None` if there is no figure.
    pub cells: Vec<Option<Spread>>,
}

impl Report {
    /// Records a ratio from its values in each round.
    pub fn ratio(&mut self, key: &'static str, rounds: impl IntoIterator<Item = f64>) {
        if let Some(spread) = Spread::of(rounds) {
            self.ratios.insert(key, spread.median);
            self.ratio_spreads.insert(key, spread);
        }
    }
}

/// Formats a figure with its significant digits.
fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && grouped != "-" {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// Formats the median and, with several rounds, the range.
fn cell(spread: Option<&Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(one) if one.low == one.high => figure(one.median),
        Some(Spread { median, low, high }) => {
            format!("{} ({}…{})", figure(*median), figure(*low), figure(*high))
        }
    }
}

/// Writes rows with equal column widths.
fn lines(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (number, row) in rows.iter().enumerate() {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if at == 0 { write!(f, "| {cell:<width$} ")? } else { write!(f, "| {cell:>width$} ")? }
        }
        writeln!(f, "|")?;
        if number == 0 {
            for (at, width) in widths.iter().enumerate() {
                let end = if at == 0 { '-' } else { ':' };
                write!(f, "|{}{end}", "-".repeat(width + 1))?;
            }
            writeln!(f, "|")?;
        }
    }
    Ok(())
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n### {}\n", self.title)?;
        let mut all = vec![
            std::iter::once("").chain(self.columns.iter().copied()).map(str::to_owned).collect(),
        ];
        for Row { name, cells } in &self.rows {
            let cells = cells.iter().map(|spread| cell(spread.as_ref()));
            all.push(std::iter::once(name.clone()).chain(cells).collect());
        }
        lines(f, &all)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n### Ratios, of each round\n")?;
        let head = vec!["".to_owned(), "median (lowest…highest)".to_owned()];
        let rows = self.ratio_spreads.iter().map(|(key, spread)| {
            let Spread { median, low, high } = spread;
            vec![format!("`{key}`"), format!("{median:.2} ({low:.2}…{high:.2})")]
        });
        lines(f, &std::iter::once(head).chain(rows).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_easily() {
        assert_eq!(figure(1_234_567.8), "1,234,568");
        assert_eq!(figure(123.4), "123");
        assert_eq!(figure(12.34), "12.3");
        assert_eq!(figure(0.456), "0.46");
        assert_eq!(figure(-123_456.0), "-123,456");
    }
}
