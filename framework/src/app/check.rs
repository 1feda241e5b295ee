//! What only the linked code knows, checked before anything listens or any database is touched.

use super::{http, linked::ThisProcess};
use crate::{
    config::{Settings, SettingsErrors},
    interface::{InterfaceDescriptor, OwnRoutes},
    link::{InterfaceEntry, interfaces},
    module::{
        ModuleEntry, ModuleFacts, StartError, StartErrors, Wanted,
        databases::{self, pool_of},
        missing_shared,
    },
};
use monolift_manifest::nearest;
use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

pub(super) struct Facts<'a> {
    pub(super) place: &'a ThisProcess,
    pub(super) settings: &'a Settings,
    pub(super) shared: &'a HashMap<(String, TypeId), Arc<dyn Any + Send + Sync>>,
    pub(super) modules: &'a [ModuleEntry],
    /// Every module that is linked, also those that run elsewhere.
    pub(super) linked: &'a [ModuleEntry],
    pub(super) provided: Vec<InterfaceEntry>,
}

/// All that is wrong, at once.
pub(super) fn everything(facts: &Facts<'_>) -> Result<(), StartErrors> {
    let mut errors = Vec::from_iter(http::missing(facts.place));
    let providers = facts.providers(&mut errors);
    facts.modules_are_there(&providers, &mut errors);
    for entry in facts.modules {
        let module = (entry.facts)();
        if let Some(message) = misfit_of_routes(module) {
            errors.push(StartError::new(message).of(module.name, ""));
        }
        let has_database =
            module.needs.iter().any(|(_, need)| matches!(need().into(), Wanted::Database(_)));
        if !module.work.is_empty() && !has_database {
            let message = "it lists work and has no database to write it down in: add `db: Db`";
            errors.push(StartError::new(message).of(module.name, ""));
        }
        if !module.on.is_empty() && !has_database {
            let message = "it listens to events and has no database to note in how far it has come: add `db: Db`";
            errors.push(StartError::new(message).of(module.name, ""));
        }
        for message in facts.pools_of_another_type(module) {
            errors.push(StartError::new(message).of(module.name, ""));
        }
        for (field, need) in module.needs {
            if let Some(message) = facts.missing(module.name, need().into(), &providers) {
                errors.push(StartError::new(message).of(module.name, field));
            }
        }
    }
    errors.extend(facts.open_by_omission());
    errors.extend(facts.rates_of_nothing());
    errors.extend(facts.hosts_own_elsewhere());
    errors.extend(facts.values_of_unknown_modules());
    let mut sections = sections(facts.settings, facts.modules).0;
    let databases = databases::check_common(facts.settings, &facts.place.manifest);
    sections.extend(databases.err().into_iter().flat_map(|errors| errors.0));
    errors.extend(sections.into_iter().map(|error| StartError::new(error.to_string())));
    if errors.is_empty() { Ok(()) } else { Err(StartErrors(errors)) }
}

/// A prefix without routes, or routes without one prefix.
fn misfit_of_routes(module: &ModuleFacts) -> Option<String> {
    let prefixes: Vec<&str> = module.prefixes().collect();
    match (module.routes, &prefixes[..]) {
        (false, []) | (true, [_]) => None,
        (true, []) => Some(
            "it has routes of its own, and no interface that it provides says where: \
             `#[monolift::interface(routes = \"/…\")]`"
                .to_owned(),
        ),
        (false, [prefix, ..]) => Some(format!(
            "its interface says that it has routes at `{prefix}`, and it has none: add `routes` to \
             its `#[monolift::module(…)]`, and `impl Routes`"
        )),
        (true, several) => Some(format!(
            "its interfaces say several places for its own routes, and it has one router: {}",
            several.join(", ")
        )),
    }
}

/// Who provides each interface here, and which version of it.
type Providers = BTreeMap<(&'static str, &'static str), (String, &'static InterfaceDescriptor)>;

impl Facts<'_> {
    fn providers(&self, errors: &mut Vec<StartError>) -> Providers {
        let by_module = self.modules.iter().flat_map(|entry| {
            let module = (entry.facts)();
            let name = format!("the module `{}`", module.name);
            module.provides.iter().map(move |entry| (*entry, name.clone()))
        });
        let by_main = self.provided.iter().map(|entry| (*entry, "main".to_owned()));
        let mut providers = Providers::new();
        for (entry, provider) in by_module.chain(by_main) {
            let interface = (entry.descriptor)();
            self.check_provider(interface, &provider, errors);
            let key = (interface.module, interface.name);
            if let Some((first, _)) = providers.insert(key, (provider.clone(), interface)) {
                errors.push(StartError::new(format!(
                    "`{}` is provided twice: by {first} and by {provider}",
                    interface.name
                )));
            }
        }
        providers
    }

    /// Routed methods that do not say who may call them, and own routes of modules, in an application with identity. The
    /// build refuses them too, by what the packages of interfaces say.
    fn open_by_omission(&self) -> Vec<StartError> {
        let manifest = &self.place.manifest;
        if !manifest.identity.stated {
            return Vec::new();
        }
        let ours = interfaces().into_iter().map(|entry| (entry.descriptor)());
        let ours = ours.filter(|interface| manifest.process_of(interface.module).is_some());
        let mut open = Vec::new();
        for interface in ours {
            if let Some(OwnRoutes { prefix, callee }) = &interface.routes
                && callee.rule.is_none()
            {
                let text = format!(
                    "{prefix}/…: the application has [identity], and `{}` does not say who may ask for the module's own \
                     routes: write `#[monolift::interface(routes = \"{prefix}\", auth(user))]`, or `auth(public)`",
                    interface.name
                );
                open.push(StartError::new(text).of(interface.module, ""));
            }
            for method in interface.methods.iter().filter(|method| method.callee.rule.is_none()) {
                let Some(route) = method.route else { continue };
                let text = format!(
                    "{route}: the application has [identity], and `{}::{}` does not say who may call it: write \
                     `#[auth(public)]`, `#[auth(user)]` or what it asks for",
                    method.callee.interface, method.callee.method
                );
                open.push(StartError::new(text).of(method.callee.module, ""));
            }
        }
        open
    }

    /// Rates of methods and modules that there are not, which would hold for nothing.
    fn rates_of_nothing(&self) -> Vec<StartError> {
        let manifest = &self.place.manifest;
        let Some(rates) = &manifest.limits.rates else { return Vec::new() };
        let modules = manifest.modules.iter().map(|placed| placed.module.clone());
        let linked = interfaces().into_iter().map(|entry| (entry.descriptor)());
        let ours = linked.filter(|interface| manifest.process_of(interface.module).is_some());
        let routed = ours.flat_map(|interface| interface.methods);
        let routed = routed.filter(|method| method.route.is_some());
        let known: BTreeSet<String> =
            modules.chain(routed.map(|method| method.callee.to_string())).collect();
        // Only where requests come in are all methods linked.
        let names = rates.0.keys().filter(|_| self.place.takes_requests());
        let unknown = names.filter(|name| !known.contains(*name)).map(|name| {
            let help = nearest(name, known.iter().map(String::as_str))
                .map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            StartError::new(format!(
                "`limits.rates` names `{name}`, which is no module and no method with a route{help}"
            ))
        });
        unknown.collect()
    }

    /// Modules in the host's own package that the manifest places in another process. No other program has their
    /// code. The build refuses that too, of the manifest that it reads.
    fn hosts_own_elsewhere(&self) -> Vec<StartError> {
        let ThisProcess { manifest, process, .. } = self.place;
        if manifest.host.as_deref() != Some(process.as_str()) {
            return Vec::new();
        }
        let own = self.linked.iter().map(|entry| (entry.facts)());
        let own = own.filter(|module| module.name != module.package);
        own.filter_map(|ModuleFacts { name, package, .. }| {
            let other = manifest.process_of(name).filter(|other| other != process)?;
            Some(StartError::new(format!(
                "{} places `{name}` in the process `{other}`, and its code is in the package `{package}` of this \
                 program: place it in `{process}`, or move it into packages `{name}` and `{name}-api` of its own",
                manifest.file.display()
            )))
        })
        .collect()
    }

    /// Refuses values and pools for modules that do not exist. Those for a module of another process are ignored: one
    /// `main` can serve several manifests.
    fn values_of_unknown_modules(&self) -> Vec<StartError> {
        let known: Vec<&str> =
            self.place.manifest.modules.iter().map(|placed| placed.module.as_str()).collect();
        let here = self.modules.iter().map(|entry| (entry.facts)().name);
        let known: Vec<&str> = known.into_iter().chain(here).collect();
        let names: BTreeSet<&str> = self.shared.keys().map(|(module, _)| module.as_str()).collect();
        let unknown = names.into_iter().filter(|name| !known.contains(name));
        unknown
            .map(|name| {
                let help = nearest(name, known.iter().copied())
                    .map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
                StartError::new(format!(
                    "main hands a value or a pool to the module `{name}`, and there is none{help}"
                ))
            })
            .collect()
    }

    /// A pool whose type no field has. The module would open a database of its own instead, and its rows would
    /// be there.
    fn pools_of_another_type(&self, module: &ModuleFacts) -> Vec<String> {
        let handed_in = self.shared.keys().filter(|(name, _)| name == module.name);
        let handed_in = handed_in.filter_map(|(_, kind)| Some((pool_of(*kind)?, *kind)));
        let handed_in: BTreeMap<&str, TypeId> = handed_in.collect();
        let needs: Vec<Wanted> = module.needs.iter().map(|(_, need)| need().into()).collect();
        let takes = |kind: TypeId| {
            let is = |need: &Wanted| match need {
                Wanted::Database(need) => need.pool == kind,
                Wanted::Shared(value, _) => *value == kind,
                _ => false,
            };
            needs.iter().any(is)
        };
        let databases = needs.iter().filter_map(|need| match need {
            Wanted::Database(need) => pool_of(need.pool),
            _ => None,
        });
        let databases: BTreeSet<String> = databases.map(|one| format!("`Pool<{one}>`")).collect();
        let databases: Vec<String> = databases.into_iter().collect();
        let wrong = handed_in.into_iter().filter(|(_, kind)| !takes(*kind));
        wrong
            .map(|(pool, _)| match &databases[..] {
                [] => format!(
                    "main hands in a `Pool<{pool}>`, and no field takes one: add `db: Db<{pool}>`, or leave the \
                     pool out"
                ),
                some => format!(
                    "main hands in a `Pool<{pool}>`, and no field takes one: its database takes a {}; make \
                     the field a `Db<{pool}>`, or hand in a pool of the field's type",
                    some.join(" or a ")
                ),
            })
            .collect()
    }

    fn check_provider(
        &self,
        interface: &InterfaceDescriptor,
        provider: &str,
        errors: &mut Vec<StartError>,
    ) {
        if !self.place.runs_here(interface.module) {
            errors.push(StartError::new(format!(
                "{provider} provides `{}`, and {} does not place `{}` in `{}`",
                interface.name,
                self.place.manifest.file.display(),
                interface.module,
                self.place.process,
            )));
        }
    }

    /// A module that is placed here is here: as a module, or as an interface that `main` provides.
    fn modules_are_there(&self, providers: &Providers, errors: &mut Vec<StartError>) {
        for module in &self.place.modules {
            let linked = self.modules.iter().any(|entry| (entry.facts)().name == module);
            let provided = providers.keys().any(|(owner, _)| owner == module);
            if !linked && !provided {
                errors.push(StartError::new(format!(
                    "{} places `{module}` here, and nothing here is that module: write a struct \
                     with `#[monolift::module(name = \"{module}\", …)]`, or hand its interface \
                     in by `app.provide(…)`; if it has crates of its own, build the program with \
                     this manifest",
                    self.place.manifest.file.display()
                )));
            }
        }
    }

    /// What is missing for a need, in words.
    fn missing(&self, module: &str, need: Wanted, providers: &Providers) -> Option<String> {
        match need {
            Wanted::Nothing => None,
            // Looked at by `sections`.
            Wanted::Database(_) | Wanted::Settings(_) => None,
            Wanted::Shared(id, name) => {
                let there = self.shared.contains_key(&(module.to_owned(), id));
                (!there).then(|| missing_shared(name))
            }
            Wanted::Interface(entry) => self.not_provided((entry.descriptor)(), providers),
        }
    }

    fn not_provided(
        &self,
        interface: &'static InterfaceDescriptor,
        providers: &Providers,
    ) -> Option<String> {
        let (owner, name) = (interface.module, interface.name);
        if self.place.runs_here(owner) {
            return match providers.get(&(owner, name)) {
                Some((_, provided)) if std::ptr::eq(*provided, interface) => None,
                Some(_) => Some(format!(
                    "`{owner}` runs here with another version of `{name}`: two versions of \
                     `{owner}-api` are linked into this program"
                )),
                None => {
                    Some(format!("the module `{owner}` runs here and does not provide `{name}`"))
                }
            };
        }
        let placed = self.place.manifest.process_of(owner).is_some();
        let file = self.place.manifest.file.display();
        (!placed).then(|| format!("nobody provides `{name}`: {file} places `{owner}` nowhere"))
    }
}

/// What is wrong with the sections of these modules.
pub(super) fn sections(settings: &Settings, modules: &[ModuleEntry]) -> SettingsErrors {
    let mut errors = SettingsErrors::default();
    for entry in modules {
        let module = (entry.facts)();
        let mut database = false;
        for (_, need) in module.needs {
            match need().into() {
                Wanted::Settings(section) => {
                    errors.keep((section.check)(settings, module.name));
                }
                Wanted::Database(_) if !std::mem::replace(&mut database, true) => {
                    errors.keep(databases::check(settings, module.name));
                }
                _ => {}
            }
        }
    }
    errors
}
