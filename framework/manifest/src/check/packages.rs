//! Checks the dependencies between packages: modules depend on interfaces only, and there is no
//! circle.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::cargo_toml::{Dependency, Package};
use crate::circles;
use crate::graph::Graph;

/// Reports modules that depend on another module's crate, and api packages that depend on a
/// module's crate.
pub(super) fn dependencies_on_modules(check: &mut Check<'_>) {
    let placed = check.placed_packages();
    for package in &placed {
        for (dependency, path) in modules_behind(check, package) {
            let module = path.last().copied().unwrap_or_default();
            let through = match path.split_last() {
                Some((_, libraries)) if !libraries.is_empty() => {
                    format!(" through `{}`", libraries.join("`, `"))
                }
                _ => String::new(),
            };
            let message = format!(
                "module `{}` depends on the crate of module `{module}`{through}: a module knows another only by its interface",
                package.name
            );
            let help = match check.workspace.api_of(module) {
                Some(api) if through.is_empty() => format!("depend on `{}` instead", api.name),
                Some(api) => {
                    format!("let `{}` depend on `{}` instead", path[path.len() - 2], api.name)
                }
                None => {
                    format!("`{module}` provides no interface: it needs a package `{module}-api`")
                }
            };
            check.wrong_dependency(package, dependency, message, Some(help));
        }
    }
    for api in apis_in_use(check, &placed) {
        for dependency in &api.dependencies {
            if check.package_of(&dependency.package).is_some() {
                let message = format!(
                    "`{}` depends on the crate of module `{}`: an interface depends on no module",
                    api.name, dependency.package
                );
                let help = "move the types that both need into an api package or a library";
                check.wrong_dependency(api, dependency, message, Some(help.to_owned()));
            }
        }
    }
}

/// Reports modules that call each other in a circle.
pub(super) fn circles(check: &mut Check<'_>, graph: &Graph) {
    for circle in circles::among(&graph.modules) {
        let [first, second, ..] = circle.as_slice() else {
            continue;
        };
        let Some(package) = check.package_of(first) else {
            continue;
        };
        let declared = check.declared(package);
        let Some((_, dependency)) = declared.iter().find(|(module, _)| module == second) else {
            continue;
        };
        let message = format!("modules call each other in a circle: {}", circle.join(" -> "));
        let help = "take one of these dependencies out: let its module be told, by work that it is handed, instead of asking";
        check.wrong_dependency(package, dependency, message, Some(help.to_owned()));
    }
}

/// The modules whose crates a module's package depends on, directly or through libraries. Each
/// comes with the direct dependency that leads to it and the path of packages.
///
/// The search ends at api packages. If an api package depends on a module, that is reported for the
/// api package.
fn modules_behind<'a>(
    check: &Check<'a>,
    package: &'a Package,
) -> Vec<(&'a Dependency, Vec<&'a str>)> {
    let mut found = BTreeMap::new();
    for dependency in &package.dependencies {
        let mut seen = BTreeSet::new();
        let mut left = vec![vec![dependency.package.as_str()]];
        while let Some(path) = left.pop() {
            let name = path.last().copied().unwrap_or_default();
            let Some(next) = check.workspace.package(name).filter(|next| next.name != package.name)
            else {
                continue;
            };
            if !seen.insert(name) || check.workspace.is_api(name) {
                continue;
            }
            if check.package_of(name).is_some() {
                // If several paths lead to the module, the shortest one is reported.
                let known = found.entry(name).or_insert_with(|| (dependency, path.clone()));
                if path.len() < known.1.len() {
                    *known = (dependency, path);
                }
                continue;
            }
            left.extend(next.dependencies.iter().rev().map(|dependency| {
                path.iter().copied().chain([dependency.package.as_str()]).collect()
            }));
        }
    }
    found.into_values().collect()
}

/// The api packages of placed modules, those that these modules and the host depend on, and the
/// dependencies of those.
fn apis_in_use<'a>(check: &Check<'a>, placed: &[&'a Package]) -> Vec<&'a Package> {
    let workspace = check.workspace;
    let own =
        check.manifest.modules.iter().filter_map(|placement| workspace.api_of(&placement.module));
    let mut left: Vec<&Package> = own.chain(placed.iter().copied()).chain(check.host).collect();
    let mut seen = BTreeSet::new();
    let mut apis = BTreeMap::new();
    while let Some(package) = left.pop() {
        if !seen.insert(package.name.as_str()) {
            continue;
        }
        if workspace.is_api(&package.name) {
            apis.insert(package.name.as_str(), package);
        }
        let dependencies =
            package.dependencies.iter().filter(|dependency| workspace.is_api(&dependency.package));
        left.extend(dependencies.filter_map(|dependency| workspace.package(&dependency.package)));
    }
    apis.into_values().collect()
}
