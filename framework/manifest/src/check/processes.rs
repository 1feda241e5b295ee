//! Checks that every process has something to run, and that processes which are called listen
//! somewhere.

use super::{Check, did_you_mean};
use crate::connect::Connect;
use crate::graph::Graph;
use crate::suggest::nearest;

/// Reports `[process.*]` tables of processes that run nothing. A table with the name of a module is
/// allowed, because the module can be served on its own. Also reports a host's process that looks
/// like a misspelt name.
pub(super) fn empty_processes(check: &mut Check<'_>) {
    let manifest = check.manifest;
    for (name, process) in &manifest.processes {
        let is_a_modules = manifest.process_of(name).is_some();
        if manifest.is_run(name) || is_a_modules {
            continue;
        }
        let used = manifest.all_processes().filter(|process| is_used(check, process));
        let help = match nearest(name, used) {
            Some(near) => did_you_mean(near),
            None => format!(
                "place a module in it, or give it `http` to make it a gateway, or remove [process.{name}]"
            ),
        };
        let message = format!(
            "nothing runs in process `{name}`: no module lives in it, and it has no `http`"
        );
        check.wrong_placing((process.line, process.column), message, Some(help));
    }
    let Some(host) = &manifest.host else { return };
    if manifest.processes.contains_key(host) || manifest.modules_of(host).next().is_some() {
        return;
    }
    if let Some(near) = nearest(host, manifest.all_processes().filter(|process| process != host)) {
        let message = format!(
            "no process `{host}` for the host: no module lives in it, and there is no [process.{host}]"
        );
        check.wrong_placing(manifest.host_position, message, Some(did_you_mean(near)));
    }
}

/// Reports processes that are called from other processes and listen nowhere.
pub(super) fn unreachable_processes(check: &mut Check<'_>, graph: &Graph) {
    let manifest = check.manifest;
    for name in manifest.all_processes() {
        let process = manifest.processes.get(name);
        let callers = callers_of(check, graph, name);
        if callers.is_empty() || process.is_some_and(|process| process.listen.is_some()) {
            continue;
        }
        let placement = manifest.modules.iter().find(|placement| placement.process == name);
        let position = process
            .map(|process| (process.line, process.column))
            .or(placement.map(|placement| (placement.line, placement.column)))
            .unwrap_or(manifest.modules_position);
        let others = manifest.processes.keys().map(String::as_str);
        let help = match nearest(name, others).filter(|_| process.is_none()) {
            Some(near) => did_you_mean(near),
            None => format!("add `listen = \"{}\"` under [process.{name}]", free_address(check)),
        };
        let message = format!(
            "process `{name}` listens nowhere, but is called from elsewhere: {}",
            callers.join(", ")
        );
        check.wrong_placing(position, message, Some(help));
    }
}

fn is_used(check: &Check<'_>, process: &str) -> bool {
    check.manifest.host.as_deref() == Some(process)
        || check.manifest.modules_of(process).next().is_some()
}

/// The callers of a process in other processes, as text.
fn callers_of(check: &Check<'_>, graph: &Graph, process: &str) -> Vec<String> {
    let manifest = check.manifest;
    let lives_here = |module: &String| manifest.process_of(module) == Some(process);
    let mut callers = Vec::new();
    for placement in manifest.modules.iter().filter(|placement| placement.process != process) {
        let calls =
            graph.modules.get(&placement.module).map_or(&[][..], |node| node.calls.as_slice());
        callers.extend(calls.iter().filter(|called| lives_here(called)).map(|called| {
            format!("`{}` (in `{}`) calls `{called}`", placement.module, placement.process)
        }));
    }
    if let Some(host) = manifest.host.as_ref().filter(|host| *host != process) {
        let called = graph.host_calls.iter().filter(|called| lives_here(called));
        callers.extend(called.map(|called| format!("the host (in `{host}`) calls `{called}`")));
    }
    // A gateway calls every interface that has an api package.
    let is_routed =
        manifest.modules_of(process).any(|module| check.workspace.api_of(module).is_some());
    let gateways =
        manifest.processes.iter().filter(|(name, other)| *name != process && other.http.is_some());
    callers.extend(
        gateways
            .filter(|_| is_routed)
            .map(|(name, _)| format!("the gateway of `{name}` routes to it")),
    );
    let others = manifest.processes.iter().filter(|(name, _)| *name != process);
    let observers = others.filter(|(_, other)| other.observe == Some(true));
    let is_run = manifest.is_run(process);
    callers.extend(observers.filter(|_| is_run).map(|(name, _)| format!("`{name}` observes it")));
    callers
}

/// An address that the manifest does not use yet.
fn free_address(check: &Check<'_>) -> String {
    let used = |port: u16| {
        let processes = check.manifest.processes.values();
        let mut addresses = processes.flat_map(|process| {
            let connect = process.connect.iter().flat_map(Connect::addresses);
            process.listen.iter().chain(connect).filter_map(|address| address.host_and_port())
        });
        addresses.any(|(_, used)| used == port)
    };
    let port = (7100..=u16::MAX).find(|port| !used(*port)).unwrap_or(0);
    format!("127.0.0.1:{port}")
}
