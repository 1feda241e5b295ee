//! What was measured, a row for each kind of abuse and each shape of the shop.

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) under: String,
    pub(super) shape: &'static str,
    pub(super) requests: String,
    pub(super) memory: String,
    pub(super) holds: bool,
}

/// The rows as a table in Markdown.
pub(super) fn table(rows: &[Row]) -> String {
    let head = "| under | shape | honest requests | memory | holds |\n|---|---|---|---|---|\n";
    let rows = rows.iter().map(|row| {
        let Row { under, shape, requests, memory, holds } = row;
        let holds = if *holds { "yes" } else { "**no**" };
        format!("| {under} | {shape} | {requests} | {memory} | {holds} |\n")
    });
    std::iter::once(head.to_owned()).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_line() {
        let row = Row {
            under: "a flood".to_owned(),
            shape: "split",
            requests: "p99 1 ms".to_owned(),
            memory: String::new(),
            holds: false,
        };
        let table = table(&[row]);
        assert_eq!(table.lines().count(), 3);
        assert!(table.ends_with("| a flood | split | p99 1 ms |  | **no** |\n"), "{table}");
    }
}
