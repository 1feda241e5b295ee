//! Who may call what of this process, as its listener and its gateway decide it.

use super::{App, build::caller_check};
use crate::link::interfaces;
use serde::{Deserialize, Serialize};

/// A method of a process, and who may call it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Right {
    /// The process that the method is served by.
    pub process: String,
    /// The module.
    pub module: String,
    /// The interface.
    pub interface: String,
    /// The method, or `routes` for the routes of the module's own.
    pub method: String,
    /// The route that requests reach it by, if there is one and an application with a gateway.
    pub route: Option<String>,
    /// What its `#[auth(…)]` asks of the user.
    pub rule: Option<String>,
    /// The processes from which it may be called, its own among them if one of the modules there calls it.
    pub callers: Vec<String>,
}

impl App {
    /// Every method that this process serves, with who may call it. Nothing has to be started for that.
    pub fn rights(&self) -> Vec<Right> {
        let place = &self.place;
        let (manifest, process) = (&place.manifest, place.process.as_str());
        let may_call = caller_check(place);
        let has_gateway = manifest.processes.values().any(|process| process.http.is_some());
        let others: Vec<&str> = manifest
            .all_processes()
            .filter(|other| *other != process && manifest.is_run(other))
            .collect();
        let mut rights = Vec::new();
        for entry in interfaces() {
            let interface = (entry.descriptor)();
            if !place.runs_here(interface.module) {
                continue;
            }
            let of = |method: &str| Right {
                process: process.to_owned(),
                module: interface.module.to_owned(),
                interface: interface.name.to_owned(),
                method: method.to_owned(),
                route: None,
                rule: None,
                callers: Vec::new(),
            };
            if let Some(routes) = interface.routes.as_ref().filter(|_| has_gateway) {
                let gateways = manifest.all_processes().filter(|other| manifest.vouches(other));
                rights.push(Right {
                    route: Some(format!("{}/…", routes.prefix)),
                    rule: Some(routes.callee.rule.map_or_else(
                        || "what the module's own routes check".to_owned(),
                        ToString::to_string,
                    )),
                    callers: gateways.map(str::to_owned).collect(),
                    ..of("routes")
                });
            }
            let called_here = place.graph.may_call(manifest, process, interface.module);
            for method in interface.methods {
                let callers = others.iter().filter(|other| may_call(other, interface, method));
                let callers = callers.copied().chain(called_here.then_some(process));
                let mut callers: Vec<String> = callers.map(str::to_owned).collect();
                callers.sort();
                rights.push(Right {
                    route: method.route.filter(|_| has_gateway).map(|route| route.to_string()),
                    rule: method.callee.rule.map(ToString::to_string),
                    callers,
                    ..of(method.name())
                });
            }
        }
        rights.sort();
        rights
    }
}
