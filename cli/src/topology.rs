//! Which process connects to which, and in what order they are released.

use monolift_manifest::{Graph, Manifest};

/// Whether a process may open a connection to another one: it calls a module there, or it observes all, as a gateway
/// does.
pub(crate) fn may_connect(manifest: &Manifest, graph: &Graph, from: &str, to: &str) -> bool {
    from != to
        && manifest.is_run(from)
        && manifest.processes.get(to).is_some_and(|process| process.listen.is_some())
        && (manifest.observes(from)
            || manifest.modules_of(to).any(|module| graph.may_call(manifest, from, module)))
}

/// The processes that run, those that are called before those that call. Those that observe all come last.
pub(crate) fn release_order<'a>(manifest: &'a Manifest, graph: &Graph) -> Vec<&'a str> {
    let order = graph.start_order();
    let rank = |name: &str| {
        let modules = manifest.modules_of(name);
        let ranks = modules.filter_map(|module| order.iter().position(|one| one == module));
        (manifest.observes(name), ranks.max().unwrap_or(usize::MAX))
    };
    let mut names: Vec<&str> =
        manifest.all_processes().filter(|name| manifest.is_run(name)).collect();
    names.sort_by_key(|name| rank(name));
    names
}
