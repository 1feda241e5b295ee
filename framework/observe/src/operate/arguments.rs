//! What stands behind the name of the program.

use super::Failed;
use monolift_manifest::nearest;

/// A command, its words and its options.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) command: String,
    pub(super) words: Vec<String>,
    pub(super) admin: Option<String>,
    pub(super) token: Option<String>,
    pub(super) json: bool,
    pub(super) help: bool,
    /// Options of the command, each with its value or without.
    options: Vec<(String, Option<String>)>,
}

/// Options of commands that take a value, and those that take none.
const WITH_VALUE: [&str; 11] = [
    "--kind",
    "--state",
    "--route",
    "--module",
    "--min-ms",
    "--limit",
    "--level",
    "--trace",
    "--text",
    "--listener",
    "--event",
];
const WITHOUT: [&str; 9] = [
    "--yes",
    "--all",
    "--partial",
    "--slow",
    "--failed",
    "--kept",
    "--recurring",
    "--once",
    "--follow",
];
/// The options of all commands.
const COMMON: [&str; 4] = ["--admin", "--token", "--json", "--help"];

impl Arguments {
    pub(super) fn read(arguments: &[String]) -> Result<Self, Failed> {
        let mut all = arguments.iter();
        let command = all.next().cloned().unwrap_or_default();
        let mut read = Self { command, ..Self::default() };
        while let Some(argument) = all.next() {
            if !argument.starts_with("--") && argument != "-h" {
                read.words.push(argument.clone());
                continue;
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut value_of = || {
                let value = value.clone().or_else(|| all.next().cloned());
                value.ok_or_else(|| Failed::from(format!("`{name}` takes a value")))
            };
            match name {
                "--admin" => read.admin = Some(value_of()?),
                "--token" => read.token = Some(value_of()?),
                "--json" => read.json = true,
                "--help" | "-h" => read.help = true,
                _ if WITH_VALUE.contains(&name) => {
                    let value = value_of()?;
                    read.options.push((name.to_owned(), Some(value)));
                }
                _ if WITHOUT.contains(&name) => read.options.push((name.to_owned(), None)),
                _ => {
                    let known = WITH_VALUE.iter().chain(&WITHOUT).chain(&COMMON).copied();
                    let near = nearest(name, known);
                    let near =
                        near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
                    return Err(format!("there is no option `{name}`{near}").into());
                }
            }
        }
        Ok(read)
    }

    /// The words, of which there may be so many.
    pub(super) fn at_most(&self, most: usize) -> Result<&[String], Failed> {
        match self.words.get(most) {
            None => Ok(&self.words),
            Some(further) => Err(format!("`{}` does not take `{further}`", self.command).into()),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| known == name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name)?.1.as_deref()
    }

    /// These options as a query: `--min-ms 5` is `min_ms=5`.
    pub(super) fn query(&self, names: &[&str]) -> String {
        let stated = names.iter().filter_map(|name| Some((name, self.value(name)?)));
        let pairs = stated.map(|(name, value)| {
            let key = name.trim_start_matches('-').replace('-', "_");
            format!("{key}={}", super::admin::encoded(value))
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Arguments::read(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn options_stand_anywhere() {
        let read =
            read("work --admin=[::1]:9100 retry orders --kind settle --token t o-1").unwrap();
        assert_eq!(read.words, ["retry", "orders", "o-1"]);
        assert_eq!((read.admin.as_deref(), read.token.as_deref()), (Some("[::1]:9100"), Some("t")));
        assert_eq!(read.query(&["--kind", "--min-ms"]), "kind=settle");
    }

    #[test]
    fn mistakes_are_told() {
        assert_eq!(
            read("top --onec").unwrap_err(),
            "there is no option `--onec`: did you mean `--once`?"
        );
        assert_eq!(read("top --admin").unwrap_err(), "`--admin` takes a value");
        let read = read("config now").unwrap();
        assert_eq!(read.at_most(0).unwrap_err().to_string(), "`config` does not take `now`");
    }
}
