//! Which settings are in force in a process, and where each comes from.

use super::App;
use crate::{
    config::Setting,
    module::{Wanted, databases},
};
use monolift_manifest::{
    Calls, Databases, Http, IdentityKeys, IssuerKeys, Limits, Log, MESH, Observe, Otlp, Process,
    Retries, Section, TlsKeys,
};

/// The variable that has a program answer a question about itself instead of starting: `config` or `rights`.
pub const ASK: &str = "MONOLIFT_ASK";

impl App {
    /// Every setting that this process reads, with what is in force: what the manifest says, unless
    /// settings say otherwise, and the sections of its modules. A value that is `None` is the
    /// default of whoever reads it.
    pub fn settings_in_force(&self) -> Vec<Setting> {
        let manifest = &self.place.manifest;
        let mut all = Vec::new();
        // What is not written in the manifest is a default too.
        let written = std::fs::read_to_string(&manifest.file).unwrap_or_default();
        let written = monolift_manifest::lines(&written);
        let mut add = |key: String, value: Option<String>| {
            let line =
                || written.get(&key).map(|line| format!("{}:{line}", manifest.file.display()));
            let origin = self.settings.origin(&key).or_else(line);
            all.push(Setting { key, value, origin });
        };
        let process = manifest.processes.get(&self.place.process).cloned().unwrap_or_default();
        let at = |key: &str| format!("process.{}.{key}", self.place.process);
        for key in Process::KEYS {
            add(at(key.name), key.show(&process));
        }
        let called = manifest.all_processes().filter(|name| {
            *name != self.place.process && manifest.modules_of(name).next().is_some()
        });
        for (name, process) in called.filter_map(|name| Some((name, manifest.processes.get(name)?)))
        {
            for key in Retries::KEYS {
                add(format!("process.{name}.retries.{}", key.name), key.show(&process.retries));
            }
        }
        for key in Calls::KEYS {
            add(format!("calls.{}", key.name), key.show(&manifest.calls));
        }
        for key in Http::KEYS {
            add(format!("http.{}", key.name), key.show(&manifest.http));
        }
        for key in IdentityKeys::KEYS {
            add(format!("identity.{}", key.name), key.show(&manifest.identity.keys));
        }
        for (name, issuer) in &manifest.identity.issuers {
            for key in IssuerKeys::KEYS {
                add(format!("identity.issuers.{name}.{}", key.name), key.show(issuer));
            }
        }
        for key in Observe::KEYS {
            add(format!("observe.{}", key.name), key.show(&manifest.observe));
        }
        for key in Otlp::KEYS {
            add(format!("observe.otlp.{}", key.name), key.show(&manifest.otlp));
        }
        for key in Log::KEYS {
            add(format!("log.{}", key.name), key.show(&manifest.log));
        }
        for key in Limits::KEYS {
            add(format!("limits.{}", key.name), key.show(&manifest.limits));
        }
        for key in Databases::KEYS {
            add(format!("db.{}", key.name), key.show(&manifest.db));
        }
        let tls = manifest.tls.clone().map(TlsKeys::from).unwrap_or_default();
        for key in TlsKeys::KEYS {
            add(format!("tls.{}", key.name), key.show(&tls));
        }
        if manifest.mesh {
            add("tls".to_owned(), Some(MESH.to_owned()));
        }
        add("insecure".to_owned(), Some(manifest.insecure.to_string()));
        let data = Some(self.data.display().to_string());
        all.push(Setting {
            key: "data".to_owned(),
            value: data,
            origin: self.settings.origin("data"),
        });
        for entry in self.entries_here() {
            let module = (entry.facts)();
            let needs: Vec<Wanted> = module.needs.iter().map(|(_, need)| need().into()).collect();
            if needs.iter().any(|need| matches!(need, Wanted::Database(_))) {
                all.extend(databases::in_force(&self.settings, &self.data, manifest, module.name));
            }
            for need in needs {
                if let Wanted::Settings(section) = need {
                    all.extend((section.keys)(&self.settings, module.name));
                }
            }
        }
        all
    }
}
