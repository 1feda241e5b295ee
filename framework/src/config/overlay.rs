//! What of the manifest can be replaced at the start: all but which modules are linked.
//!
//! Its keys, and what they take, are the manifest's: each is defined once, in `monolift-manifest`.

use super::{
    Settings, SettingsErrors,
    found::{given, unknown_key},
};
use figment::value::{Dict, Value};
use monolift_manifest::{Given, Identity, MESH, Manifest, Retries, Section, TlsKeys};

/// Lays the sections `process`, `calls`, `http`, `identity`, `log`, `observe`, `limits`, `db` and `tls`, and the word
/// `insecure`, over the manifest. All mistakes in them are reported together.
pub fn overlay(manifest: &mut Manifest, settings: &Settings) -> Result<(), SettingsErrors> {
    let mut over = Over { settings, errors: SettingsErrors::default() };
    let root = settings.sections();
    for (name, value) in over.table(root, "process", "").into_iter().flatten() {
        let at = format!("process.{name}");
        let Some(keys) = over.as_table(value, &at) else { continue };
        let process = manifest.processes.entry(meant(manifest, name)).or_default();
        over.lay(keys, &at, process, &["retries"]);
        if let Some(keys) = over.table(keys, "retries", &at) {
            let at = format!("{at}.retries");
            over.lay::<Retries>(keys, &at, &mut process.retries, &[]);
        }
    }
    over.lay_section(root, "calls", &mut manifest.calls);
    over.lay_section(root, "http", &mut manifest.http);
    over.lay_identity(root, &mut manifest.identity);
    if let Some(keys) = over.table(root, "observe", "") {
        over.lay(keys, "observe", &mut manifest.observe, &["otlp"]);
        if let Some(keys) = over.table(keys, "otlp", "observe") {
            over.lay(keys, "observe.otlp", &mut manifest.otlp, &[]);
        }
    }
    over.lay_section(root, "log", &mut manifest.log);
    over.lay_section(root, "limits", &mut manifest.limits);
    over.lay_section(root, "db", &mut manifest.db);
    over.lay_tls(root, manifest);
    if let Some(value) = root.get("insecure") {
        match over.given_at("insecure", value) {
            Given::Truth(insecure) => manifest.insecure = insecure,
            Given::Variable(text @ ("true" | "false")) => manifest.insecure = text == "true",
            other => {
                over.error(
                    "insecure",
                    format!("must be `true` or `false`, found {}", other.kind()),
                );
            }
        }
    }
    over.errors.or(())
}

/// The process that a section's name stands for: the environment has no hyphens.
fn meant(manifest: &Manifest, name: &str) -> String {
    let modules = manifest.modules.iter().map(|placement| placement.module.as_str());
    let mut known = manifest.all_processes().chain(modules);
    known.find(|known| known.replace('-', "_") == name).unwrap_or(name).to_owned()
}

/// What is laid over, and what is wrong with it.
struct Over<'a> {
    settings: &'a Settings,
    errors: SettingsErrors,
}

impl<'a> Over<'a> {
    fn lay_section<S: Section>(&mut self, root: &'a Dict, name: &str, section: &mut S) {
        if let Some(keys) = self.table(root, name, "") {
            self.lay(keys, name, section, &[]);
        }
    }

    /// `tls` is a section, or the word that the network encrypts.
    fn lay_tls(&mut self, root: &'a Dict, manifest: &mut Manifest) {
        match root.get("tls") {
            Some(value) if value.as_dict().is_none() => match self.given_at("tls", value) {
                Given::Text(MESH) | Given::Variable(MESH) => {
                    (manifest.mesh, manifest.tls) = (true, None);
                }
                _ => self.error("tls", format!("expected a section, or `{MESH}`")),
            },
            stated => {
                let mut tls = manifest.tls.take().map_or_else(TlsKeys::default, TlsKeys::from);
                self.lay_section(root, "tls", &mut tls);
                manifest.mesh &= stated.is_none();
                match tls.files() {
                    Ok(files) => manifest.tls = files,
                    Err(missing) => {
                        let missing = missing.join("`, `");
                        let message = format!("`{missing}` is missing: {}", TlsKeys::HELP);
                        self.error("tls", message);
                    }
                }
            }
        }
    }

    /// A value, as its layer gives it.
    fn given_at(&self, path: &str, value: &'a Value) -> Given<'a> {
        self.settings.text(path).map_or(given(value), Given::Variable)
    }

    fn lay_identity(&mut self, root: &'a Dict, identity: &mut Identity) {
        const ISSUERS: &str = "issuers";
        let Some(keys) = self.table(root, "identity", "") else { return };
        self.lay(keys, "identity", &mut identity.keys, &[ISSUERS]);
        for (name, value) in self.table(keys, ISSUERS, "identity").into_iter().flatten() {
            let at = format!("identity.{ISSUERS}.{name}");
            let Some(keys) = self.as_table(value, &at) else { continue };
            let issuer = identity.issuers.entry(name.clone()).or_default();
            self.lay(keys, &at, issuer, &[]);
        }
    }

    /// Sets the keys of a section. `others` are known in its table, and read elsewhere.
    fn lay<S: Section>(&mut self, keys: &Dict, at: &str, section: &mut S, others: &[&str]) {
        for (name, value) in keys {
            let path = format!("{at}.{name}");
            match S::key(name) {
                Some(key) => {
                    let given = self.settings.text(&path).map_or(given(value), Given::Variable);
                    if let Err(message) = key.set(section, given) {
                        self.error(&path, message);
                    }
                }
                None if others.contains(&name.as_str()) => {}
                None => {
                    let known = [&S::names()[..], others].concat();
                    self.error(&path, unknown_key(name, &known));
                }
            }
        }
        if let Some((key, message)) = section.contradiction() {
            self.error(&format!("{at}.{key}"), message);
        }
    }

    fn table(&mut self, table: &'a Dict, key: &str, above: &str) -> Option<&'a Dict> {
        let path = if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") };
        self.as_table(table.get(key)?, &path)
    }

    fn as_table(&mut self, value: &'a Value, path: &str) -> Option<&'a Dict> {
        let table = value.as_dict();
        if table.is_none() {
            self.error(path, format!("expected a section, found {}", given(value).kind()));
        }
        table
    }

    fn error(&mut self, key: &str, message: String) {
        self.errors.0.push(self.settings.error(key, message));
    }
}

#[cfg(test)]
mod tests;
