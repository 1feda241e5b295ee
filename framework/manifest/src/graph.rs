//! Who may call whom: plain data that the build checks and a running process consults.

use std::collections::{BTreeMap, BTreeSet};

use crate::check;
use crate::manifest::Manifest;
use crate::problem::Problems;
use crate::workspace::Workspace;

/// The modules of an application and the calls that they declare.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// The modules that the manifest places, by name.
    pub modules: BTreeMap<String, Node>,
    /// The modules that the host's package declares to call.
    pub host_calls: Vec<String>,
    /// Circles that leave the host and come back by an interface that it provides, each as
    /// `host, payments, profiles, host`. They are allowed, and worth knowing. Empty in a graph made by [`Graph::new`].
    pub circles_through_host: Vec<Vec<String>>,
    /// The methods of the interfaces in the host's own crate that take their caller's transaction. Only the host can call
    /// them. Empty in a graph made by [`Graph::new`].
    pub host_local: Vec<String>,
    /// Who shares its transactions with which module. The two are placed in one process. Empty in a graph made by
    /// [`Graph::new`].
    pub local_calls: Vec<LocalCalls>,
}

/// The methods of one module that take the transaction of one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCalls {
    /// The module that calls them. `None` is the host.
    pub caller: Option<String>,
    /// The module whose methods they are.
    pub module: String,
    /// Each as `Stock::reserve_in`.
    pub methods: Vec<String>,
}

/// A module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The modules that it declares to call, in the order of its Cargo.toml.
    pub calls: Vec<String>,
    /// The package that implements it. `None` where the host does, and in a graph made by [`Graph::new`].
    pub package: Option<String>,
    /// The package that holds its interface. `None` where it provides none, or the host's own crate declares it, and
    /// in a graph made by [`Graph::new`].
    pub api: Option<String>,
    /// The methods of its interface that take their caller's transaction, each as `Stock::reserve_in`. Empty in a graph
    /// made by [`Graph::new`].
    pub local: Vec<String>,
}

impl Graph {
    /// The graph that a build has checked and written into a program: each module and what it calls.
    pub fn new(
        calls: impl IntoIterator<Item = (String, Vec<String>)>,
        host_calls: Vec<String>,
    ) -> Graph {
        let node = |calls| Node { calls, ..Node::default() };
        let modules = calls.into_iter().map(|(module, calls)| (module, node(calls))).collect();
        Graph { modules, host_calls, ..Graph::default() }
    }

    /// Checks a manifest against the workspace that it is for, and gives the graph of the modules that it places.
    ///
    /// `host_package` is the package of the host's `main`, where the caller knows it. Where it does not, and the
    /// manifest has a host, it is the package that says `[package.metadata.monolift] host = true` (or the
    /// application's name); else the one that is named like the host's process or the application; if there is none,
    /// that is a mistake. Without a host in the manifest it means nothing.
    ///
    /// What is refused, all of it at once:
    ///
    /// - A module that has no package, unless it lives in the host's process: there, the host may provide it.
    /// - A module that is placed nowhere. A workspace can hold several applications, so a module counts only if this
    ///   one can be meant: if a placed module or the host reaches it by dependencies (directly or not; one on `x-api`
    ///   reaches `x`), or if it lives under the same top-level folder of the workspace as a placed module.
    /// - A dependency on an interface that nobody provides.
    /// - A module that depends on another module's crate, directly or through a library, and an api package that
    ///   depends on a module.
    /// - A `[process.*]` in which nothing runs: no module, no host, no `http`. One that is named like a module may
    ///   wait there: that is where the module listens when it is served on its own.
    /// - A process that is called from another one, or by a gateway, and listens nowhere.
    /// - Two listeners on one address. Two processes whose `connect` names different hosts share no machine.
    /// - Modules that call each other in a circle. Circles through the host are listed instead.
    /// - A caller of methods that take its transaction, in another process than their module; and a list of such calls
    ///   that names a method which there is none of.
    pub fn check(
        manifest: &Manifest,
        workspace: &Workspace,
        host_package: Option<&str>,
    ) -> Result<Graph, Problems> {
        check::graph(manifest, workspace, host_package)
    }

    /// The modules in an order in which each comes after those that it calls; by name where that leaves a choice.
    ///
    /// In a circle (which [`Graph::check`] refuses) the first by name comes last.
    pub fn start_order(&self) -> Vec<String> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for module in self.modules.keys() {
            self.visit(module, &mut seen, &mut order);
        }
        order
    }

    /// Whether a process may call a module: whether a module that lives there declares it, or the host does and that
    /// is its process.
    ///
    /// A process that the manifest does not know but that is named as a module is that module, served on its own.
    pub fn may_call(&self, manifest: &Manifest, caller_process: &str, module: &str) -> bool {
        let declares = |caller: &str| {
            self.modules
                .get(caller)
                .is_some_and(|node| node.calls.iter().any(|called| called == module))
        };
        let is_host = manifest.host.as_deref() == Some(caller_process);
        if is_host && self.host_calls.iter().any(|called| called == module) {
            return true;
        }
        if manifest.modules_of(caller_process).any(declares) {
            return true;
        }
        !manifest.all_processes().any(|process| process == caller_process)
            && declares(caller_process)
    }

    /// Each caller that a manifest places in another process than a module that takes its transactions.
    pub fn local_calls_apart(&self, manifest: &Manifest) -> Problems {
        check::local_calls_apart(&self.local_calls, manifest)
    }

    fn visit<'a>(&'a self, module: &'a str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<String>) {
        let Some(node) = self.modules.get(module) else {
            return;
        };
        if !seen.insert(module) {
            return;
        }
        let called: BTreeSet<&str> = node.calls.iter().map(String::as_str).collect();
        for called in called {
            self.visit(called, seen, order);
        }
        order.push(module.to_owned());
    }
}
