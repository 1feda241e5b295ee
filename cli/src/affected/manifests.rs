//! What a changed manifest reaches. A process is built with its text: where the others are, and who may call whom.

use crate::topology::may_connect;
use monolift_manifest::{Graph, Manifest, Process};
use std::collections::{BTreeMap, BTreeSet};

/// What changed, and which processes that reaches.
pub(super) enum Reached {
    /// Comments, spaces or the order of lines.
    Nothing,
    /// Every process, with what changed.
    All(&'static str),
    /// These, each with what changed.
    Some(BTreeMap<String, BTreeSet<String>>),
}

/// Compares two manifests. `graph` is that of the newer one.
pub(super) fn reached(before: &Manifest, now: &Manifest, graph: &Graph) -> Reached {
    if let Some(section) = different_for_all(before, now) {
        return Reached::All(section);
    }
    let mut reached = BTreeMap::<String, BTreeSet<String>>::new();
    let mut reach = |process: &str, what: String| {
        reached.entry(process.to_owned()).or_default().insert(what);
    };
    let modules: BTreeSet<&str> =
        before.modules.iter().chain(&now.modules).map(|placed| placed.module.as_str()).collect();
    for module in modules {
        let (from, to) = (before.process_of(module), now.process_of(module));
        if from == to {
            continue;
        }
        let what = match (from, to) {
            (Some(from), Some(to)) => format!("`{module}` moved from `{from}` to `{to}`"),
            (None, Some(to)) => format!("`{module}` is new in `{to}`"),
            (Some(from), None) => format!("`{module}` is no longer in `{from}`"),
            (None, None) => continue,
        };
        from.into_iter().chain(to).for_each(|process| reach(process, what.clone()));
        for process in now.all_processes() {
            let calls_it = graph.may_call(now, process, module);
            let is_called = now.modules_of(process).any(|called| calls(graph, module, called));
            if calls_it || is_called || now.observes(process) {
                reach(process, what.clone());
            }
        }
    }
    let names: BTreeSet<&str> = before.all_processes().chain(now.all_processes()).collect();
    for name in names {
        if facts(before, name) == facts(now, name) {
            continue;
        }
        let what = format!("[process.{name}] has changed");
        for process in now.all_processes() {
            if process == name
                || may_connect(now, graph, process, name)
                || may_connect(now, graph, name, process)
            {
                reach(process, what.clone());
            }
        }
    }
    reached.retain(|process, _| now.is_run(process));
    if reached.is_empty() { Reached::Nothing } else { Reached::Some(reached) }
}

fn calls(graph: &Graph, caller: &str, called: &str) -> bool {
    graph.modules.get(caller).is_some_and(|node| node.calls.iter().any(|one| one == called))
}

/// The first thing that differs and that every process reads.
fn different_for_all(before: &Manifest, now: &Manifest) -> Option<&'static str> {
    let differs = [
        ("the application's name", before.app != now.app),
        ("the host", before.host != now.host),
        ("[calls]", before.calls != now.calls),
        ("[http]", before.http != now.http),
        ("[identity]", before.identity != now.identity),
        ("[observe]", before.observe != now.observe),
        ("[observe.otlp]", before.otlp != now.otlp),
        ("[log]", before.log != now.log),
        ("[limits]", before.limits != now.limits),
        ("[db]", before.db != now.db),
        ("[tls]", before.tls != now.tls),
    ];
    differs.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what)
}

/// What a manifest says of a process, without where it stands. A process without a table has defaults.
fn facts(manifest: &Manifest, name: &str) -> impl PartialEq + use<> {
    let Process { http, listen, connect, admin, observe, retries, replicas, .. } =
        manifest.processes.get(name).cloned().unwrap_or_default();
    (http, listen, connect, admin, observe, retries, replicas)
}
