//! Modules that share transactions by methods with `#[local]`: their databases have to be the same one.

use super::{App, linked::ThisProcess};
use crate::module::{ModuleEntry, RunningModule, StartError, databases::Identity};
use monolift_manifest::LocalCalls;
use std::collections::BTreeSet;

impl App {
    /// The modules that lend transactions to others, or join those of others. `here` are those that run here.
    pub(super) fn sharing(&self, here: &[ModuleEntry]) -> BTreeSet<String> {
        let joining = here.iter().map(|entry| (entry.facts)()).filter(|facts| {
            facts.provides.iter().any(|interface| !(interface.descriptor)().local.is_empty())
        });
        let lending = self.place.graph.local_calls.iter().filter_map(|calls| calls.caller.clone());
        joining.map(|facts| facts.name.to_owned()).chain(lending).collect()
    }
}

/// Refuses two modules that share transactions and have no database in common. A host's own pools are not known here:
/// what it lends is checked at each call.
pub(super) fn check(place: &ThisProcess, modules: &[RunningModule]) -> Result<(), StartError> {
    for LocalCalls { caller, module, methods } in &place.graph.local_calls {
        let here = |name: &str| modules.iter().find(|module| module.facts.name == name);
        let (Some(caller), Some(module)) = (caller.as_deref().and_then(here), here(module)) else {
            continue;
        };
        let (lends, joins) = (&caller.identities[..], &module.identities[..]);
        let is_known = !lends.is_empty() && !joins.is_empty();
        if !is_known || lends.iter().any(|one| joins.iter().any(|other| one.is_same(other))) {
            continue;
        }
        let module = module.facts.name;
        let message = format!(
            "it lends its transactions to `{module}` ({}), and the two have different databases: its own is {}, and that of \
             `{module}` is {}; hand the same pool to both (`app.pool`), set one `url` for both, and one `role` where they share a pool, or, \
             if it calls none of these methods, write `local_calls = []` under [package.metadata.monolift] in its Cargo.toml",
            methods.join(", "),
            listed(lends),
            listed(joins),
        );
        return Err(StartError::new(message).of(caller.facts.name, ""));
    }
    Ok(())
}

fn listed(identities: &[Identity]) -> String {
    identities.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
