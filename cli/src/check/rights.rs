//! `cargo monolift check --rights`: who may call what, as a matrix that can be reviewed and compared.

use monolift::app::{ASK, Right};
use monolift_cli::up::{Built, Options};
use std::{collections::BTreeSet, error::Error, fmt::Write as _, fs, path::Path, process::Command};

/// What the file begins with.
const HEAD: &str = "\
# Who may call what. Written by `cargo monolift check --rights`.
# process: interface and method | route | what the method asks of the user | processes that may call it
";

/// Builds the programs of a manifest and asks each who may call it.
pub(super) fn of(manifest: &Path) -> Result<String, Box<dyn Error>> {
    let built = Built::of(manifest, &Options::default())?;
    let mut all = BTreeSet::new();
    for program in built.programs.values() {
        let answer = Command::new(program)
            .env(ASK, "rights")
            .env("MONOLIFT_MANIFEST", &built.manifest)
            .current_dir(&built.root)
            .output()?;
        if !answer.status.success() {
            return Err(String::from_utf8_lossy(&answer.stderr).into_owned().into());
        }
        let rights: Vec<Right> = serde_json::from_slice(&answer.stdout)?;
        all.extend(rights);
    }
    Ok(matrix(&all))
}

/// A line for each method, in an order that does not change.
fn matrix(all: &BTreeSet<Right>) -> String {
    let mut text = HEAD.to_owned();
    for Right { process, interface, method, route, rule, callers, .. } in all {
        let route = route.as_deref().unwrap_or("no route");
        let rule = rule.as_deref().unwrap_or("every caller");
        let callers = if callers.is_empty() { "none".to_owned() } else { callers.join(", ") };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{process}: {interface}::{method} | {route} | {rule} | {callers}");
    }
    text
}

/// Fails if the matrix in a file is another one, and says which lines.
pub(super) fn compare(file: &Path, now: &str) -> Result<(), Box<dyn Error>> {
    let before = fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let changes = changes(&before, now);
    if changes.is_empty() {
        return Ok(());
    }
    let file = file.display();
    Err(format!(
        "{changes}the rights are not those of {file}: if they are meant to change, write it anew with `--out {file}`"
    )
    .into())
}

/// Lines that were there, with `-`, and lines that are new, with `+`.
fn changes(before: &str, now: &str) -> String {
    let lines = |text: &str| -> BTreeSet<String> {
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let (before, now) = (lines(before), lines(now));
    let gone = before.difference(&now).map(|line| format!("- {line}\n"));
    let new = now.difference(&before).map(|line| format!("+ {line}\n"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(method: &str, rule: Option<&str>, callers: &[&str]) -> Right {
        Right {
            process: "orders".into(),
            module: "orders".into(),
            interface: "Orders".into(),
            method: method.into(),
            route: (method == "place").then(|| "POST /orders".into()),
            rule: rule.map(str::to_owned),
            callers: callers.iter().map(|&caller| caller.to_owned()).collect(),
        }
    }

    #[test]
    fn a_change_of_a_right_is_a_line() {
        let place = right("place", Some("a user"), &["monolith"]);
        let sweep = right("sweep", None, &[]);
        let before = matrix(&BTreeSet::from([sweep.clone(), place.clone()]));
        let line = "orders: Orders::place | POST /orders | a user | monolith";
        assert_eq!(
            before,
            format!("{HEAD}{line}\norders: Orders::sweep | no route | every caller | none\n")
        );
        assert_eq!(changes(&before, &before.replace('\n', "\r\n")), "");
        let open = right("place", None, &["monolith", "payments"]);
        let now = matrix(&BTreeSet::from([sweep, open]));
        let new = "orders: Orders::place | POST /orders | every caller | monolith, payments";
        assert_eq!(changes(&before, &now), format!("- {line}\n+ {new}\n"));
    }
}
