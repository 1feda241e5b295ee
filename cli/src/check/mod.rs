//! `cargo monolift check`: checks a manifest like a build would, without building, and warns of migrations that break
//! the release before them.

mod breaking;
mod known;
mod reader;
mod rights;

use crate::migrations;
use breaking::{Breaking, breaking};
use clap::Args;
use monolift_manifest::{Graph, LocalCalls, Manifest, Workspace};
use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// Check a manifest and the modules' Cargo.toml files, and print which module calls which
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The manifest
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// Build the programs, and print who may call what: each process, method, route, rule and caller
    #[arg(long)]
    rights: bool,
    /// With --rights: write them to this file
    #[arg(long, value_name = "FILE", requires = "rights")]
    out: Option<PathBuf>,
    /// With --rights: fail if they are not those of this file, and print what has changed
    #[arg(long, value_name = "FILE", requires = "rights", conflicts_with = "out")]
    compare: Option<PathBuf>,
}

impl Check {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        if self.rights {
            return self.rights();
        }
        let text = fs::read_to_string(&self.manifest)
            .map_err(|error| format!("{} cannot be read: {error}", self.manifest.display()))?;
        let workspace = Workspace::find(&env::current_dir()?)?;
        let manifest = Manifest::parse_in(&text, &self.manifest, &workspace, None)?;
        let graph = Graph::check(&manifest, &workspace, None)?;
        for process in manifest.all_processes() {
            println!("{process}");
            for module in manifest.modules_of(process) {
                println!("  {module}{}", calls_of(module, &graph));
            }
        }
        print!("{}", local_methods(&graph));
        if manifest.identity.stated {
            println!("\nevery method with a route says who may call it (`#[auth(…)]`)");
        }
        let modules: Vec<&str> = manifest.modules.iter().map(|one| one.module.as_str()).collect();
        let warnings = warnings(&self.manifest, &modules)?;
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
        if !warnings.is_empty() {
            eprintln!("{BREAKING}");
        }
        println!("\n{ONE_CONNECTION}");
        Ok(())
    }
}

impl Check {
    fn rights(self) -> Result<(), Box<dyn Error>> {
        let rights = rights::of(&self.manifest)?;
        if let Some(file) = &self.out {
            fs::write(file, &rights)
                .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
            eprintln!("{} is written", file.display());
            return Ok(());
        }
        if let Some(file) = &self.compare {
            rights::compare(file, &rights)?;
            eprintln!("the rights are those of {}", file.display());
            return Ok(());
        }
        print!("{rights}");
        Ok(())
    }
}

/// ` calls payments, stock (lends it transactions)`, or nothing.
fn calls_of(module: &str, graph: &Graph) -> String {
    let lends = |called: &str| {
        let mut calls = graph.local_calls.iter();
        calls.any(|calls| calls.caller.as_deref() == Some(module) && calls.module == called)
    };
    let shown = |called: &String| match lends(called) {
        true => format!("{called} (lends it transactions)"),
        false => called.clone(),
    };
    let calls = graph.modules.get(module).map_or(&[][..], |node| node.calls.as_slice());
    let calls: Vec<String> = calls.iter().map(shown).collect();
    if calls.is_empty() { String::new() } else { format!(" calls {}", calls.join(", ")) }
}

/// How many methods take their caller's transaction, and for each who calls it. Nothing if there is none.
fn local_methods(graph: &Graph) -> String {
    let of_modules = graph
        .modules
        .iter()
        .flat_map(|(module, node)| node.local.iter().map(move |method| (module.as_str(), method)));
    let mut lines: Vec<String> = of_modules
        .map(|(module, method)| {
            let calls =
                |calls: &&LocalCalls| calls.module == module && calls.methods.contains(method);
            let callers = graph.local_calls.iter().filter(calls);
            let callers: Vec<&str> =
                callers.map(|calls| calls.caller.as_deref().unwrap_or("the host")).collect();
            let callers =
                if callers.is_empty() { "no caller".to_owned() } else { callers.join(", ") };
            format!("  {method} of {module}: {callers}\n")
        })
        .collect();
    lines.extend(graph.host_local.iter().map(|method| format!("  {method}: the host alone\n")));
    let count = match lines.len() {
        0 => return String::new(),
        1 => {
            "1 method takes its caller's transaction (`#[local]`), which keeps both in one process:"
                .to_owned()
        }
        count => format!(
            "{count} methods take their caller's transaction (`#[local]`), which keeps both in one process:"
        ),
    };
    format!("\n{count}\n{}", lines.concat())
}

/// Each statement of the modules' migrations that breaks the release before, with its place.
fn warnings(manifest: &Path, modules: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut warnings = Vec::new();
    for module in modules {
        let Some(folder) = migrations::of(manifest, module) else { continue };
        let (paths, texts): (Vec<PathBuf>, Vec<String>) =
            migrations::files(&folder)?.into_iter().unzip();
        for Breaking { file, line, what } in breaking(&texts) {
            warnings.push(format!("{}:{line}: {what}", paths[file].display()));
        }
    }
    Ok(warnings)
}

/// What to do about statements that break the release before.
const BREAKING: &str = "\
these statements usually break the release before them, which still runs during a rolling restart and after a
roll-back. Release the code that no longer uses what is removed first, and the statement with the next
release. A comment on the statement accepts it: `-- monolift: breaks nothing, because …`.";

/// What cannot be seen in a manifest: how long a module's code holds a connection.
const ONE_CONNECTION: &str = "\
not checked here, but when it runs: a call that holds a transaction must not ask its database for
another connection or call another module, since callers could then wait for each other for ever.
A process warns of such a method once, and tests with `monolift::testing::System` fail.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_take_transactions_are_counted_and_their_callers_are_told() {
        let calls = |caller: Option<&str>, methods: &[&str]| LocalCalls {
            caller: caller.map(str::to_owned),
            module: "stock".to_owned(),
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
        };
        let none =
            Graph::new([("orders".into(), vec!["stock".into()]), ("stock".into(), vec![])], vec![]);
        assert_eq!(local_methods(&none), "");
        assert_eq!(calls_of("orders", &none), " calls stock");
        assert_eq!(calls_of("stock", &none), "");
        let mut graph = none;
        let [one, two, three] = ["Stock::reserve_in", "Stock::release_in", "Stock::count_in"];
        if let Some(stock) = graph.modules.get_mut("stock") {
            stock.local = [one, two, three].map(str::to_owned).to_vec();
        }
        graph.local_calls = vec![calls(Some("orders"), &[one]), calls(None, &[one, two])];
        graph.host_local = vec!["Profiles::follow_in".to_owned()];
        assert_eq!(calls_of("orders", &graph), " calls stock (lends it transactions)");
        assert_eq!(
            local_methods(&graph),
            "\n4 methods take their caller's transaction (`#[local]`), which keeps both in one process:\n  \
             Stock::reserve_in of stock: orders, the host\n  Stock::release_in of stock: the host\n  \
             Stock::count_in of stock: no caller\n  Profiles::follow_in: the host alone\n"
        );
    }

    #[test]
    fn a_warning_has_the_file_and_the_line_of_its_statement() {
        let root = env::temp_dir().join(format!("monolift-breaking-{}", std::process::id()));
        let folder = root.join("migrations/orders");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("0001_orders.sql"), "CREATE TABLE orders (note TEXT);\n").unwrap();
        let drop = "-- Nothing reads it.\n\nALTER TABLE orders\n    DROP COLUMN note;\n";
        fs::write(folder.join("0002_drop.sql"), drop).unwrap();
        let found = warnings(&root.join("deployment.toml"), &["orders", "stock"]).unwrap();
        let file = folder.join("0002_drop.sql");
        assert_eq!(found, [format!("{}:3: drops the column note of orders", file.display())]);
        fs::remove_dir_all(&root).unwrap();
    }
}
