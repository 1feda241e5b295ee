//! How far a copy has come: for the person who waits, and for the error if it does not end in time.

/// How far a copy has come.
pub(super) struct Progress {
    shown: load::Progress,
    /// The rows of all tables. The databases estimate them.
    about: u64,
    /// The rows that were copied of the tables before this one.
    before: u64,
    table: Option<String>,
    /// The rows that were copied of this table.
    rows: u64,
    is_compared: bool,
}

impl Progress {
    pub(super) fn new(module: &str) -> Self {
        Self {
            shown: load::Progress::new(module),
            about: 0,
            before: 0,
            table: None,
            rows: 0,
            is_compared: false,
        }
    }

    /// States how many rows there are, about.
    pub(super) fn expect(&mut self, about: u64) {
        self.about = about;
    }

    /// A table is next.
    pub(super) fn begin(&mut self, table: &str) {
        self.before += std::mem::take(&mut self.rows);
        self.table = Some(table.to_owned());
        self.is_compared = false;
        self.show();
    }

    /// So many rows of the table were copied.
    pub(super) fn has(&mut self, rows: u64) {
        self.rows = rows;
        self.show();
    }

    /// All rows of the table were copied, and are compared next.
    pub(super) fn compare(&mut self) {
        self.is_compared = true;
        self.show();
    }

    /// The rows of a table are compared next.
    pub(super) fn begin_compare(&mut self, table: &str) {
        self.table = Some(table.to_owned());
        self.compare();
    }

    fn show(&mut self) {
        let Some(table) = &self.table else { return };
        // Estimates may be too low.
        let done = self.before + self.rows;
        let part = done as f64 / self.about.max(done).max(1) as f64;
        let what = if self.is_compared { "compares" } else { "copies" };
        self.shown.at(part, &format!("{what} {table}"));
    }

    /// The table that was reached.
    pub(super) fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// What was reached, as a part of a sentence.
    pub(super) fn reached(&self) -> String {
        match &self.table {
            None => {
                "the locks were not free: a transaction that writes goes on for longer".to_owned()
            }
            Some(table) if self.is_compared => {
                format!("the table {table} was copied and not yet compared")
            }
            Some(table) => {
                let done = self.before + self.rows;
                format!(
                    "the copy was in the table {table}, after {done} of about {} rows",
                    self.about.max(done)
                )
            }
        }
    }
}
