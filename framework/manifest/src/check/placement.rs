//! Checks that every module of the application is placed, and that every placed module exists.

use std::collections::BTreeSet;

use super::{Check, did_you_mean};
use crate::cargo_toml::Package;
use crate::suggest::nearest;

/// Reports names in `[modules]` that have no package.
pub(super) fn unknown_modules(check: &mut Check<'_>) {
    for placement in &check.manifest.modules {
        let module = &placement.module;
        if check.package_of(module).is_some() || check.lives_with_host(module) {
            continue;
        }
        let near = near_module(check, module);
        let (message, help) = if check.workspace.package(module).is_some() {
            let help = "a module that provides no interface says so in its Cargo.toml: \
                        [package.metadata.monolift] module = true";
            (
                format!("package `{module}` is not a module: there is no `{module}-api`"),
                Some(help.to_owned()),
            )
        } else if let Some(host) = &check.manifest.host {
            let message = format!(
                "`{module}` has no package of its own, so it can live only in the host's process `{host}`"
            );
            (message, near.map(did_you_mean))
        } else {
            (format!("no module `{module}` in this workspace"), near.map(did_you_mean))
        };
        check.wrong_placing((placement.line, placement.column), message, help);
    }
}

/// Reports modules of this application that have no line in `[modules]`. See
/// [`Graph::check`](crate::Graph::check) for which modules belong to it.
pub(super) fn unplaced_modules(check: &mut Check<'_>) {
    let placed = check.placed_packages();
    let near = reachable(check, placed.iter().copied().chain(check.host));
    let folders: BTreeSet<_> =
        placed.iter().filter_map(|package| top_folder(check, package)).collect();
    // Leaves out a module whose name is misspelt in the manifest. It was reported as unknown
    // already.
    let mistyped: BTreeSet<&str> = check
        .manifest
        .modules
        .iter()
        .filter(|placement| {
            check.package_of(&placement.module).is_none()
                && !check.lives_with_host(&placement.module)
        })
        .filter_map(|placement| near_module(check, &placement.module))
        .collect();
    let process = likely_process(check);
    for package in check.workspace.modules() {
        let name = &package.name;
        let is_ours = near.contains(name.as_str())
            || top_folder(check, package).is_some_and(|top| folders.contains(top));
        let is_host = check.host.is_some_and(|host| host.name == *name);
        if !is_ours
            || is_host
            || check.manifest.process_of(name).is_some()
            || mistyped.contains(name.as_str())
        {
            continue;
        }
        let folder = check.workspace.relative(&package.directory).display();
        let mut message = format!("module `{name}` ({folder}) is placed nowhere");
        if let Some((caller, line)) = caller_of(check, name) {
            let file = check.workspace.relative(&caller.cargo_toml).display();
            message += &format!(", and `{}` depends on `{name}-api` ({file}:{line})", caller.name);
        }
        let help = format!("add `{name} = \"{process}\"` under [modules]");
        check.wrong_placing(check.manifest.modules_position, message, Some(help));
    }
}

/// Reports interfaces that a placed module or the host depends on, but that no module provides.
pub(super) fn unprovided_interfaces(check: &mut Check<'_>) {
    for package in callers(check) {
        for (module, dependency) in check.declared(package) {
            if check.manifest.process_of(module).is_some() || check.workspace.is_module(module) {
                continue;
            }
            let message = format!(
                "`{}` depends on `{}`, but no module `{module}` is placed: nobody provides it",
                package.name, dependency.package
            );
            let help = check.manifest.host.as_ref().map(|host| {
                format!("if the host provides it, add `{module} = \"{host}\"` under [modules]")
            });
            check.wrong_dependency(package, dependency, message, help);
        }
    }
}

/// The packages whose dependencies count: those of placed modules, and the host's.
fn callers<'a>(check: &Check<'a>) -> Vec<&'a Package> {
    check.placed_packages().into_iter().chain(check.host).collect()
}

fn caller_of<'a>(check: &Check<'a>, module: &str) -> Option<(&'a Package, usize)> {
    callers(check).into_iter().find_map(|package| {
        let declared = check.declared(package).into_iter().find(|(called, _)| *called == module);
        declared.map(|(_, dependency)| (package, dependency.line))
    })
}

/// All packages of the workspace that the given packages depend on, directly or not. For each api
/// package among them the module's package is included.
fn reachable<'a>(check: &Check<'a>, from: impl Iterator<Item = &'a Package>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&Package> = from.collect();
    while let Some(package) = left.pop() {
        if !reached.insert(package.name.as_str()) {
            continue;
        }
        let behind =
            package.name.strip_suffix("-api").filter(|_| check.workspace.is_api(&package.name));
        let names =
            package.dependencies.iter().map(|dependency| dependency.package.as_str()).chain(behind);
        left.extend(names.filter_map(|name| check.workspace.package(name)));
    }
    reached
}

/// The top-level folder that holds a package, or `None` if the package itself is at the top.
fn top_folder<'a>(check: &Check<'_>, package: &'a Package) -> Option<&'a std::path::Path> {
    let relative = package.directory.strip_prefix(&check.workspace.root).ok()?;
    relative
        .ancestors()
        .filter(|folder| !folder.as_os_str().is_empty())
        .last()
        .filter(|top| *top != relative)
}

fn near_module<'a>(check: &Check<'a>, module: &str) -> Option<&'a str> {
    // An unplaced module is more likely to be meant than a placed one.
    let manifest = check.manifest;
    let (placed, free): (Vec<&str>, Vec<&str>) = check
        .workspace
        .modules()
        .map(|package| package.name.as_str())
        .partition(|name| manifest.process_of(name).is_some());
    nearest(module, free).or_else(|| nearest(module, placed))
}

/// The best guess for where a module belongs: the host's process, or else the process with most
/// modules.
fn likely_process<'a>(check: &Check<'a>) -> &'a str {
    let manifest = check.manifest;
    let most = manifest.modules.iter().rev().map(|placement| placement.process.as_str());
    let most = most.max_by_key(|process| manifest.modules_of(process).count());
    manifest.host.as_deref().or(most).unwrap_or("monolith")
}
