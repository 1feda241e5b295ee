//! Whether every line that the shop logged is one of the Elastic Common Schema, and holds no secret.

#[path = "../../tests/all/ecs.rs"]
mod ecs;

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

/// The token of each process's admin address.
pub(crate) const ADMIN_TOKEN: &str = "c4n4ry-of-the-admin-address";
/// What no line may have in it: that token, and the cards of orders.
const SECRETS: [&str; 2] = ["c4n4ry", "card-"];
/// As many lines that are wrong are told.
const TOLD: usize = 20;

/// What is in the logs.
#[derive(Default)]
pub(crate) struct Logs {
    pub(crate) lines: usize,
    /// What is wrong with some of them.
    pub(crate) wrong: Vec<String>,
}

impl Logs {
    /// Reads the log of one process.
    pub(crate) fn read(&mut self, log: &Path) -> anyhow::Result<()> {
        for line in BufReader::new(File::open(log)?).lines() {
            let line = line?;
            self.lines += 1;
            let secret = SECRETS.iter().find(|secret| line.contains(*secret));
            let secret = secret.map(|secret| format!("a line has a secret in it ({secret})"));
            let wrong = secret.or_else(|| ecs::check(&line).err());
            if let Some(wrong) = wrong.filter(|_| self.wrong.len() < TOLD) {
                self.wrong.push(format!("{}: {wrong}: {line}", log.display()));
            }
        }
        Ok(())
    }
}
