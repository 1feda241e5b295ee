//! Checks that no two listeners have the same address.

use super::Check;
use crate::address::Address;
use crate::connect::Connect;
use crate::manifest::Process;

/// A listener of the manifest.
struct Listener<'a> {
    key: &'static str,
    name: &'a str,
    process: &'a Process,
    address: Address,
    position: (usize, usize),
}

/// Reports a listener whose address an earlier one has taken.
pub(super) fn clashes(check: &mut Check<'_>) {
    let manifest = check.manifest;
    let mut listeners: Vec<Listener<'_>> = Vec::new();
    for (name, process) in &manifest.processes {
        let listener = |key, address, position| Listener { key, name, process, address, position };
        let https = process.https().into_iter();
        listeners.extend(https.map(|http| listener("http", http, process.http_position)));
        let admins = process.admins().into_iter();
        listeners.extend(admins.map(|admin| listener("admin", admin, process.admin_position)));
        let listens = process.listens().into_iter();
        listeners.extend(listens.map(|listen| listener("listen", listen, process.listen_position)));
    }
    listeners.sort_by_key(|listener| listener.position);
    for (index, later) in listeners.iter().enumerate() {
        let taken_by = listeners[..index].iter().find(|earlier| {
            earlier.address.clashes_with(&later.address)
                && !on_other_machines(earlier.process, later.process)
        });
        if let Some(earlier) = taken_by {
            let message = format!(
                "`{}` of process `{}` is taken by `{}` of process `{}`: `{}` and `{}` (line {}) cannot both be listened on",
                later.key,
                later.name,
                earlier.key,
                earlier.name,
                later.address,
                earlier.address,
                earlier.position.0
            );
            let help =
                "use another port; processes on different machines say so by a `connect` for each";
            check.wrong_placing(later.position, message, Some(help.to_owned()));
        }
    }
}

/// Whether the `connect` settings of two processes name different hosts. Then the processes are on
/// different machines, and both can listen on `0.0.0.0:7100`.
fn on_other_machines(one: &Process, other: &Process) -> bool {
    let hosts = |process: &Process| -> Vec<String> {
        let addresses = process.connect.iter().flat_map(Connect::addresses);
        let hosts = addresses.filter_map(|address| address.host_and_port());
        hosts.map(|(host, _)| host.to_ascii_lowercase()).collect()
    };
    let (one, other) = (hosts(one), hosts(other));
    !one.is_empty() && !other.is_empty() && !one.iter().any(|host| other.contains(host))
}
