//! What a statement of SQL does, in a word, and to which table: few values, for the name of a span.

/// The operation of a statement, and the table that it names first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) operation: String,
    pub(crate) table: Option<String>,
}

impl Summary {
    /// Reads the beginning of a statement. It does not understand SQL: what it does not find is not told.
    pub(crate) fn of(text: &str) -> Self {
        let mut words =
            text.split(|letter: char| letter.is_whitespace() || "(),;".contains(letter));
        let first = words.by_ref().find(|word| !word.is_empty()).unwrap_or_default();
        let operation = match first.chars().all(|letter| letter.is_ascii_alphabetic()) {
            true if !first.is_empty() => first.to_ascii_uppercase(),
            _ => "SQL".to_owned(),
        };
        let mut before = operation.clone();
        let mut table = None;
        for word in words.filter(|word| !word.is_empty()) {
            // `UPDATE` and `INTO` are followed by a table, and so is the first `FROM`. Of a common table expression that
            // is a guess, so none is made.
            let names = matches!(before.as_str(), "INTO" | "FROM" | "UPDATE" | "TABLE");
            if names && operation != "WITH" {
                table = name(word);
                break;
            }
            before = word.to_ascii_uppercase();
        }
        Self { operation, table }
    }

    /// Both, as one text.
    pub(crate) fn name(&self) -> String {
        match &self.table {
            Some(table) => format!("{} {table}", self.operation),
            None => self.operation.clone(),
        }
    }
}

/// A table's name, without quotes and without its schema.
fn name(word: &str) -> Option<String> {
    let last = word.rsplit('.').next().unwrap_or(word).trim_matches(['"', '`', '[', ']']);
    let fits = !last.is_empty()
        && last.len() <= 64
        && last.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    // `DELETE FROM ONLY orders`, `UPDATE OR IGNORE orders`: rare, and not told.
    let is_keyword =
        ["ONLY", "OR", "IF", "SELECT"].iter().any(|word| last.eq_ignore_ascii_case(word));
    (fits && !is_keyword).then(|| last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn a_statement_is_told_in_two_words() {
        for (text, expected) in [
            ("SELECT level FROM products WHERE sku = $1", "SELECT products"),
            ("select 1", "SELECT"),
            ("INSERT INTO orders (id) VALUES ($1)", "INSERT orders"),
            ("insert into \"shop\".\"orders\"(id) values ($1)", "INSERT orders"),
            ("UPDATE products SET level = level - $1", "UPDATE products"),
            ("UPDATE OR IGNORE products SET level = 1", "UPDATE"),
            ("DELETE FROM holds WHERE id = $1", "DELETE holds"),
            ("BEGIN IMMEDIATE", "BEGIN"),
            ("WITH due AS (SELECT id FROM work) UPDATE work SET id = 1", "WITH"),
            ("SELECT a FROM (SELECT b FROM c)", "SELECT"),
            ("", "SQL"),
            ("-- a comment", "SQL"),
        ] {
            assert_eq!(Summary::of(text).name(), expected, "{text}");
        }
    }
}
