//! A table of the running processes.

/// A line of the table.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) process: String,
    pub(super) modules: String,
    pub(super) address: String,
    pub(super) pid: String,
    pub(super) state: String,
}

const HEAD: [&str; 5] = ["process", "modules", "address", "pid", "state"];

/// Formats the lines under their headings. Each column is as wide as its longest cell.
pub(super) fn table(lines: &[Line]) -> String {
    let cells = |line: &Line| {
        let Line { process, modules, address, pid, state } = line.clone();
        [process, modules, address, pid, state]
    };
    let rows: Vec<[String; 5]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(lines.iter().map(cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEAD.len()).filter_map(width).collect();
    let text = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    });
    text.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let line = Line {
            process: "gateway".into(),
            modules: "-".into(),
            address: "http://127.0.0.1:8080".into(),
            pid: "7".into(),
            state: "ready".into(),
        };
        assert_eq!(
            table(&[line]),
            "process  modules  address                pid  state\n\
             gateway  -        http://127.0.0.1:8080  7    ready\n"
        );
    }
}
