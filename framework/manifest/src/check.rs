//! Checks a manifest against its workspace. The docs of [`Graph::check`] list what is refused.

use std::collections::BTreeMap;

use crate::cargo_toml::{Dependency, HostMark, Package};
use crate::circles;
use crate::graph::{Graph, LocalCalls, Node};
use crate::manifest::Manifest;
use crate::problem::{Problem, Problems};
use crate::suggest::nearest;
use crate::workspace::Workspace;

mod addresses;
mod auth;
mod local;
mod packages;
mod placement;
mod processes;

pub(crate) use local::apart as local_calls_apart;

pub(crate) fn graph(
    manifest: &Manifest,
    workspace: &Workspace,
    host_package: Option<&str>,
) -> Result<Graph, Problems> {
    let mut check = Check { manifest, workspace, host: None, problems: Problems::default() };
    check.host = check.find_host(host_package);
    let mut graph = check.read();
    placement::unknown_modules(&mut check);
    placement::unplaced_modules(&mut check);
    placement::unprovided_interfaces(&mut check);
    packages::dependencies_on_modules(&mut check);
    processes::empty_processes(&mut check);
    processes::unreachable_processes(&mut check, &graph);
    addresses::clashes(&mut check);
    packages::circles(&mut check, &graph);
    auth::unstated(&mut check);
    local::unknown_calls(&mut check);
    check.problems.extend(graph.local_calls_apart(manifest));
    let provided_by_host: Vec<String> = graph
        .modules
        .iter()
        .filter(|(module, node)| node.package.is_none() && check.lives_with_host(module))
        .map(|(module, _)| module.clone())
        .collect();
    graph.circles_through_host =
        circles::through_host(&graph.modules, &graph.host_calls, &provided_by_host);
    check.problems.0.sort_by_key(|problem| {
        let is_elsewhere = problem.file != manifest.file;
        (is_elsewhere, problem.file.clone(), problem.line, problem.column)
    });
    check.problems.unless_empty(graph)
}

/// The input of every part of the check, and the problems found so far.
struct Check<'a> {
    manifest: &'a Manifest,
    workspace: &'a Workspace,
    host: Option<&'a Package>,
    problems: Problems,
}

impl<'a> Check<'a> {
    /// The package that implements a module. The host's own package does not count: an interface
    /// that the host provides is no module with a crate of its own.
    fn package_of(&self, module: &str) -> Option<&'a Package> {
        let package =
            self.workspace.package(module).filter(|_| self.workspace.is_module(module))?;
        (self.host.map(|host| &host.name) != Some(&package.name)).then_some(package)
    }

    /// The packages of placed modules, in the order of the manifest.
    fn placed_packages(&self) -> Vec<&'a Package> {
        self.manifest
            .modules
            .iter()
            .filter_map(|placement| self.package_of(&placement.module))
            .collect()
    }

    fn declared(&self, package: &'a Package) -> Vec<(&'a str, &'a Dependency)> {
        let manifest = self.manifest;
        self.workspace
            .declared(package, move |module| manifest.process_of(module).is_some())
            .collect()
    }

    /// Whether a module is placed in the host's process.
    fn lives_with_host(&self, module: &str) -> bool {
        self.manifest.host.is_some()
            && self.manifest.process_of(module) == self.manifest.host.as_deref()
    }

    /// Adds a problem in the manifest.
    fn wrong_placing(
        &mut self,
        (line, column): (usize, usize),
        message: String,
        help: Option<String>,
    ) {
        self.problems.push(Problem {
            file: self.manifest.file.clone(),
            line,
            column,
            message,
            help,
        });
    }

    /// Adds a problem in a package's Cargo.toml.
    fn wrong_dependency(
        &mut self,
        package: &Package,
        dependency: &Dependency,
        message: String,
        help: Option<String>,
    ) {
        let (line, column) = (dependency.line, dependency.column);
        self.problems.push(Problem {
            file: package.cargo_toml.clone(),
            line,
            column,
            message,
            help,
        });
    }

    fn find_host(&mut self, named: Option<&str>) -> Option<&'a Package> {
        self.manifest.host.as_ref()?;
        let workspace = self.workspace;
        if let Some(name) = named {
            let found = workspace.package(name);
            if found.is_none() {
                let near = nearest(name, workspace.packages.keys().map(String::as_str));
                let message = format!("the host's package `{name}` is not in this workspace");
                self.wrong_placing(self.manifest.host_position, message, near.map(did_you_mean));
            }
            return found;
        }
        let app = &self.manifest.app;
        let own: Vec<_> = workspace
            .packages
            .values()
            .filter(|package| package.host == HostMark::Of(app.clone()))
            .collect();
        let any: Vec<_> =
            workspace.packages.values().filter(|package| package.host == HostMark::Any).collect();
        match if own.is_empty() { any } else { own }.as_slice() {
            [] => {
                let process = self.manifest.host.as_ref()?;
                let named = [process, app].into_iter().find_map(|name| workspace.package(name));
                let host = named.filter(|package| !workspace.is_module(&package.name));
                if host.is_none() {
                    let message = "no package is known to be the host".to_owned();
                    let help = "write `host = true` under [package.metadata.monolift] in the \
                                Cargo.toml of the package that the host's `main` is in"
                        .to_owned();
                    self.wrong_placing(self.manifest.host_position, message, Some(help));
                }
                host
            }
            [host] => Some(host),
            [first, second, ..] => {
                let message = format!(
                    "both `{}` and `{}` say that they are the host",
                    first.name, second.name
                );
                let help = format!(
                    "write `host = \"{app}\"` under [package.metadata.monolift] of the one that is"
                );
                self.wrong_placing(self.manifest.host_position, message, Some(help));
                None
            }
        }
    }

    fn read(&self) -> Graph {
        let calls = |package| {
            unique(self.declared(package).into_iter().map(|(module, _)| module.to_owned()))
        };
        let modules: BTreeMap<String, Node> = self
            .manifest
            .modules
            .iter()
            .map(|placement| {
                let package = self.package_of(&placement.module);
                let api = self.workspace.api_of(&placement.module);
                let node = Node {
                    calls: package.map(calls).unwrap_or_default(),
                    package: package.map(|package| package.name.clone()),
                    api: api.map(|api| api.name.clone()),
                    local: api.map(|api| api.local.clone()).unwrap_or_default(),
                };
                (placement.module.clone(), node)
            })
            .collect();
        Graph {
            modules,
            host_calls: self.host.map(calls).unwrap_or_default(),
            host_local: self.host.map(|host| host.local.clone()).unwrap_or_default(),
            local_calls: self.local_calls(),
            ..Graph::default()
        }
    }

    /// The callers are the placed modules with a package, and the host.
    fn local_calls(&self) -> Vec<LocalCalls> {
        let modules = self.placed_packages().into_iter().map(|package| (Some(package), package));
        let host = self.host.map(|host| (None, host));
        let of_caller = |(module, package): (Option<&Package>, &'a Package)| {
            let caller = module.map(|module| module.name.clone());
            let called =
                unique(self.declared(package).into_iter().map(|(called, _)| called.to_owned()));
            let calls = called.into_iter().map(move |module| {
                let methods = self.local_methods_called(package, &module);
                LocalCalls { caller: caller.clone(), module, methods }
            });
            calls.filter(|calls| !calls.methods.is_empty()).collect::<Vec<_>>()
        };
        modules.chain(host).flat_map(of_caller).collect()
    }

    /// The methods of a module that take the transaction of a package that depends on it.
    fn local_methods_called(&self, package: &Package, module: &str) -> Vec<String> {
        let Some(api) = self.workspace.api_of(module) else { return Vec::new() };
        let is_called = |method: &&String| {
            package.local_calls.as_ref().is_none_or(|listed| listed.methods.contains(method))
        };
        api.local.iter().filter(is_called).cloned().collect()
    }
}

fn did_you_mean(near: &str) -> String {
    format!("did you mean `{near}`?")
}

/// Removes duplicates and keeps the order. A dependency can stand in several tables of a
/// Cargo.toml.
fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut unique = Vec::new();
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}
