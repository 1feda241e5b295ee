//! Circles in who calls whom.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::graph::Node;

/// The circles among modules: for each module in one, the shortest that it is in, each circle once.
///
/// A path begins at its first module by name, and ends where it begins: `orders, payments, orders`.
pub(crate) fn among(modules: &BTreeMap<String, Node>) -> Vec<Vec<String>> {
    let calls = |module: &str| modules.get(module).map_or(&[][..], |node| node.calls.as_slice());
    let mut found = BTreeSet::new();
    for module in modules.keys() {
        if let Some(mut path) = shortest(calls(module), calls, |reached| reached == module) {
            let first =
                path.iter().enumerate().min_by_key(|(_, name)| *name).map_or(0, |(index, _)| index);
            path.rotate_left(first);
            path.extend(path.first().cloned());
            found.insert(path);
        }
    }
    found.into_iter().collect()
}

/// The circles that leave the host and come back by an interface that it provides, one for each such interface:
/// `host, payments, profiles, host`.
pub(crate) fn through_host(
    modules: &BTreeMap<String, Node>,
    host_calls: &[String],
    provided_by_host: &[String],
) -> Vec<Vec<String>> {
    // That the host can call what it provides itself is no circle: the first step must leave it.
    let leaving: Vec<String> =
        host_calls.iter().filter(|module| !provided_by_host.contains(module)).cloned().collect();
    let calls = |module: &str| modules.get(module).map_or(&[][..], |node| node.calls.as_slice());
    let paths = provided_by_host
        .iter()
        .filter_map(|provided| shortest(&leaving, calls, |reached| reached == provided));
    paths
        .map(|path| {
            std::iter::once("host".to_owned()).chain(path).chain(["host".to_owned()]).collect()
        })
        .collect()
}

/// The shortest path from one of the first modules to the one that is wanted, both included.
fn shortest<'a>(
    first: &'a [String],
    calls: impl Fn(&str) -> &'a [String],
    is_wanted: impl Fn(&str) -> bool,
) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, Option<&str>> =
        first.iter().map(|module| (module.as_str(), None)).collect();
    let mut next: VecDeque<&str> = first.iter().map(String::as_str).collect();
    while let Some(module) = next.pop_front() {
        if is_wanted(module) {
            let mut path: Vec<String> = std::iter::successors(Some(module), |module| {
                came_from.get(module).copied().flatten()
            })
            .map(str::to_owned)
            .collect();
            path.reverse();
            return Some(path);
        }
        for called in calls(module) {
            if !came_from.contains_key(called.as_str()) {
                came_from.insert(called, Some(module));
                next.push_back(called);
            }
        }
    }
    None
}
