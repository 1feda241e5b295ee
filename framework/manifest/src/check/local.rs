//! Checks that a caller and a module that takes its transactions are placed in one process: a transaction belongs to one
//! connection, and a connection to one process.

use super::{Check, did_you_mean};
use crate::graph::LocalCalls;
use crate::manifest::Manifest;
use crate::problem::{Problem, Problems};
use crate::suggest::nearest;

/// Each caller that is placed in another process than the module, with the methods that keep them together.
pub(crate) fn apart(calls: &[LocalCalls], manifest: &Manifest) -> Problems {
    let problem = |LocalCalls { caller, module, methods }: &LocalCalls| {
        let placement = manifest.placement(module)?;
        let (shown, process) = match caller {
            Some(caller) => (format!("`{caller}`"), manifest.process_of(caller)?),
            None => ("the host".to_owned(), manifest.host.as_deref()?),
        };
        if process == placement.process {
            return None;
        }
        let these = if methods.len() == 1 { "it" } else { "them" };
        let methods =
            methods.iter().map(|method| format!("`{method}`")).collect::<Vec<_>>().join(", ");
        Some(Problem {
            file: manifest.file.clone(),
            line: placement.line,
            column: placement.column,
            message: format!(
                "`{module}` (in `{}`) takes the transaction of {shown} (in `{process}`) by {methods}: a transaction \
                 does not reach another process",
                placement.process
            ),
            help: Some(format!(
                "place both in one process, or replace `#[local]` by durable work first; if {shown} does not call \
                 {these}, write `local_calls = []` under [package.metadata.monolift] in its Cargo.toml"
            )),
        })
    };
    Problems(calls.iter().filter_map(problem).collect())
}

/// Reports a list of calls that names a method which no interface of its package's dependencies has.
pub(super) fn unknown_calls(check: &mut Check<'_>) {
    for package in check.placed_packages().into_iter().chain(check.host) {
        let Some(listed) = &package.local_calls else { continue };
        let apis = check.declared(package).into_iter();
        let apis = apis.filter_map(|(module, _)| check.workspace.api_of(module));
        let known: Vec<&str> = apis.flat_map(|api| api.local.iter().map(String::as_str)).collect();
        for method in listed.methods.iter().filter(|method| !known.contains(&method.as_str())) {
            let name = &package.name;
            check.problems.push(Problem {
                file: package.cargo_toml.clone(),
                line: listed.line,
                column: listed.column,
                message: format!(
                    "`{name}` lists `{method}` in `local_calls`, and no interface that it depends on has such a \
                     method with `#[local]`"
                ),
                help: nearest(method, known.iter().copied()).map(did_you_mean),
            });
        }
    }
}
