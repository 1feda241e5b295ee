//! The processes and packages that changed packages reach.

use super::{
    Deployment,
    changes::Changes,
    lock::{Lock, name_of},
    members::Members,
    rules::{Effect, Rules},
};
use crate::topology::release_order;
use monolift_cli::up::Program;
use monolift_manifest::HostMark;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    error::Error,
};

/// What a change reaches.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Those that are called before those that call.
    pub(super) processes: Vec<Reached>,
    /// The packages whose tests the change reaches, by name.
    pub(super) packages: BTreeSet<String>,
    /// Each file that reaches no process, with the reason.
    pub(super) reach_none: Vec<(String, String)>,
}

/// A process that is reached.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) name: String,
    /// The package of its program.
    pub(super) package: String,
    /// Each reason, with the file.
    pub(super) because: Vec<String>,
}

impl Answer {
    /// Every process, for one reason.
    pub(super) fn all(deployment: &Deployment, because: &str) -> Result<Self, Box<dyn Error>> {
        let mut answer = Self::default();
        for name in deployment.in_order() {
            let package = deployment.package_of(name)?;
            answer.processes.push(Reached {
                name: name.to_owned(),
                package,
                because: vec![because.to_owned()],
            });
        }
        answer.packages = deployment.workspace.packages.keys().cloned().collect();
        Ok(answer)
    }
}

impl Deployment {
    /// What the changes reach.
    pub(super) fn reached_by(&self, changes: &Changes) -> Result<Answer, Box<dyn Error>> {
        let members = Members::read(&self.workspace)?;
        let lock = changes.now("Cargo.lock").and_then(|text| Lock::read(&text)).unwrap_or_default();
        let rules = Rules { deployment: self, changes, members: &members, lock: &lock };
        let mut because = BTreeMap::<&str, Vec<String>>::new();
        let names = self.in_order();
        let mut answer = Answer::default();
        let compiled = names
            .iter()
            .map(|name| Ok((*name, self.compiled_into(name, &members, &lock)?)))
            .collect::<Result<BTreeMap<_, _>, Box<dyn Error>>>()?;
        let tested = tested(&members, &lock);
        let mut all_tests = false;
        for file in &changes.files {
            let mut reached = BTreeSet::new();
            let mut none = Vec::new();
            for effect in rules.effects(file) {
                match effect {
                    Effect::All(why) => {
                        all_tests = true;
                        for name in &names {
                            reached.insert(*name);
                            because.entry(name).or_default().push(format!("{file}: {why}"));
                        }
                    }
                    Effect::Process(process, why) => {
                        if let Some(name) = names.iter().find(|name| **name == process) {
                            reached.insert(*name);
                            because.entry(name).or_default().push(format!("{file}: {why}"));
                        }
                    }
                    Effect::Package(package, what) => {
                        answer.packages.extend(tested_with(&tested, &package));
                        let mut found = false;
                        for (name, from) in &compiled {
                            if let Some(chain) = from.chain_to(&package) {
                                found = true;
                                reached.insert(*name);
                                let why = format!("{file}: {what}{chain}");
                                because.entry(name).or_default().push(why);
                            }
                        }
                        if !found {
                            let package = name_of(&package);
                            none.push(format!("no process is built from the package `{package}`"));
                        }
                    }
                    Effect::None(why) => none.push(why),
                }
            }
            if reached.is_empty() {
                let why =
                    none.into_iter().next().unwrap_or_else(|| "it changes nothing".to_owned());
                answer.reach_none.push((file.clone(), why));
            }
        }
        if all_tests {
            answer.packages = self.workspace.packages.keys().cloned().collect();
        }
        for name in names {
            let Some(mut because) = because.remove(name) else { continue };
            because.dedup();
            let package = self.package_of(name)?;
            answer.processes.push(Reached { name: name.to_owned(), package, because });
        }
        Ok(answer)
    }

    /// The processes that run, in the order of a release.
    fn in_order(&self) -> Vec<&str> {
        release_order(&self.manifest, &self.graph)
    }

    /// The package of a process's program.
    pub(super) fn package_of(&self, process: &str) -> Result<String, Box<dyn Error>> {
        if self.manifest.host.as_deref() == Some(process) {
            return self
                .host()
                .ok_or_else(|| format!("the host `{process}` has no package").into());
        }
        Ok(match Program::of(process, &self.manifest, &self.workspace)? {
            Program::Service(package) | Program::Process { package, .. } => package,
        })
    }

    /// The package of the host, which the check of the graph has found.
    fn host(&self) -> Option<String> {
        let app = &self.manifest.app;
        let packages = || self.workspace.packages.values();
        let marked = packages().find(|package| package.host == HostMark::Of(app.clone()));
        let marked = marked.or_else(|| packages().find(|package| package.host == HostMark::Any));
        let named = || {
            let names = [self.manifest.host.as_ref()?, app];
            names.into_iter().find_map(|name| self.workspace.package(name))
        };
        marked.or_else(named).map(|package| package.name.clone())
    }

    /// What the program of a process is compiled from.
    fn compiled_into(
        &self,
        process: &str,
        members: &Members,
        lock: &Lock,
    ) -> Result<Compiled, Box<dyn Error>> {
        let package = self.package_of(process)?;
        let is_host = self.manifest.host.as_deref() == Some(process);
        let is_service = !is_host
            && matches!(
                Program::of(process, &self.manifest, &self.workspace)?,
                Program::Service(_)
            );
        let linked = self.linked_into(process);
        let program = members.packages.get(&package);
        // A program that can be any process depends on all modules, and has those that the manifest places in it.
        let is_left_out = |dependency: &str| {
            let is_of_a_module =
                self.workspace.is_module(dependency) || self.workspace.is_api(dependency);
            let is_mentioned = program.is_some_and(|program| program.mentions(dependency));
            !is_host
                && !is_service
                && is_of_a_module
                && !linked.contains(dependency)
                && !is_mentioned
        };
        let mut compiled = Compiled { above: BTreeMap::from([(package.clone(), None)]) };
        let mut left = VecDeque::from([package.clone()]);
        while let Some(current) = left.pop_front() {
            for next in needs(members, lock, &current, false) {
                if (current == package && is_left_out(&next)) || compiled.above.contains_key(&next)
                {
                    continue;
                }
                compiled.above.insert(next.clone(), Some(current.clone()));
                left.push_back(next);
            }
        }
        Ok(compiled)
    }

    /// The packages that a program links because the manifest says so: its modules, and as a gateway all interfaces.
    fn linked_into(&self, process: &str) -> BTreeSet<&str> {
        let stated = self.manifest.processes.get(process);
        let is_gateway = stated.is_some_and(|process| process.http.is_some());
        let nodes = self.graph.modules.iter();
        let packages = nodes.flat_map(|(module, node)| {
            let is_here = self.manifest.process_of(module) == Some(process);
            let package = node.package.as_deref().filter(|_| is_here);
            package.into_iter().chain(node.api.as_deref().filter(|_| is_here || is_gateway))
        });
        packages.collect()
    }
}

/// What a program is compiled from: each package, and the one that needs it.
struct Compiled {
    above: BTreeMap<String, Option<String>>,
}

impl Compiled {
    /// How the program comes to a package, as ` of the package `a`, which `b` needs`. `None` if it does not.
    fn chain_to(&self, package: &str) -> Option<String> {
        let is_it = |one: &&String| *one == package || name_of(one) == package;
        let mut current = self.above.keys().find(is_it)?;
        let mut chain = format!(", package `{}`", name_of(current));
        while let Some(Some(above)) = self.above.get(current) {
            chain += &format!(", which `{}` needs", name_of(above));
            current = above;
        }
        Some(chain)
    }
}

/// What a package is compiled from directly: members by name, others as the lock resolves them.
fn needs(members: &Members, lock: &Lock, package: &str, with_tests: bool) -> Vec<String> {
    let Some(member) = members.packages.get(package) else {
        return lock.dependencies(package).map(str::to_owned).collect();
    };
    let for_tests = member.for_tests.iter().filter(|_| with_tests);
    let names: BTreeSet<&String> = member.dependencies.iter().chain(for_tests).collect();
    let resolved: Vec<&str> = lock.dependencies(package).collect();
    let mut needs = Vec::new();
    for name in names {
        if members.packages.contains_key(name) {
            needs.push(name.clone());
            continue;
        }
        let own = resolved.iter().copied().filter(|one| name_of(one) == name);
        let mut found: Vec<String> = own.map(str::to_owned).collect();
        // A lock that does not know the package yet.
        if found.is_empty() {
            found = lock.versions(name).map(str::to_owned).collect();
        }
        if found.is_empty() {
            found.push(name.clone());
        }
        needs.extend(found);
    }
    needs
}

/// What the tests of each member are compiled from.
fn tested(members: &Members, lock: &Lock) -> BTreeMap<String, BTreeSet<String>> {
    let of = |name: &String| {
        let mut seen = BTreeSet::from([name.clone()]);
        let mut left = vec![(name.clone(), true)];
        while let Some((current, with_tests)) = left.pop() {
            for next in needs(members, lock, &current, with_tests) {
                if seen.insert(next.clone()) {
                    left.push((next, false));
                }
            }
        }
        (name.clone(), seen)
    };
    members.packages.keys().map(of).collect()
}

/// The members whose tests are compiled from a package: all that need it, for whatever purpose.
fn tested_with<'a>(
    tested: &'a BTreeMap<String, BTreeSet<String>>,
    package: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let is_it = move |one: &String| one == package || name_of(one) == package;
    let from = move |(_, packages): &(&String, &BTreeSet<String>)| {
        packages.contains(package) || packages.iter().any(is_it)
    };
    tested.iter().filter(from).map(|(name, _)| name.clone())
}
