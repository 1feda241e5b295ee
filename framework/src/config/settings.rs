//! Reading the layers, and cutting them into sections.

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Value},
};
use monolift_manifest::nearest;
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt, path::Path};

/// The framework's own sections.
const OURS: [&str; 4] = ["process", "calls", "limits", "data"];
/// A module's keys that are the framework's: where its database is.
const OURS_IN_MODULE: [&str; 1] = ["db"];

/// Everything that was set, by section.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    sections: BTreeMap<String, Value>,
    /// The file and the environment's prefix, for errors.
    origin: String,
}

/// What is wrong with a setting.
#[derive(Debug, Clone)]
pub struct SettingsError(pub String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads `file`, if there is one, and the variables `<APP>_…`.
    pub fn read(app: &str, file: &Path) -> Result<Self, SettingsError> {
        let prefix = format!("{}_", app.to_uppercase().replace('-', "_"));
        let mut figment = Figment::new();
        if file.exists() {
            figment = figment.merge(Toml::file_exact(file));
        }
        let figment = figment.merge(Env::prefixed(&prefix).split("__"));
        let data = figment.extract::<Dict>().map_err(|error| SettingsError(error.to_string()))?;
        let origin = format!("{} or {prefix}…", file.display());
        Ok(Self { sections: data.into_iter().collect(), origin })
    }

    /// Settings made by hand, as for a test.
    pub fn with_section(mut self, name: &str, values: Dict) -> Self {
        self.sections.insert(name.to_owned(), values.into());
        self
    }

    /// The sections that belong to nobody, each with what to do about it.
    pub fn unknown_sections<'a>(
        &self,
        modules: impl Iterator<Item = &'a str>,
    ) -> Vec<SettingsError> {
        let known: Vec<&str> = modules.chain(OURS).collect();
        let unknown = self.sections.keys().filter(|section| !known.contains(&section.as_str()));
        let problem = |section: &String| {
            let help = nearest(section, known.iter().copied())
                .map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            SettingsError(format!(
                "`{section}` (in {}) is no module and no section of settings{help}",
                self.origin
            ))
        };
        unknown.map(problem).collect()
    }

    /// One of the framework's own sections, as `T`; its default when it is not there.
    pub fn own<T: DeserializeOwned + Default>(&self, section: &str) -> Result<T, SettingsError> {
        match self.sections.get(section) {
            None => Ok(T::default()),
            Some(value) => self.read_as(section, value.clone()),
        }
    }

    /// A module's section, as the module's own type.
    pub fn module<T: DeserializeOwned>(&self, module: &str) -> Result<T, SettingsError> {
        let mut section = self.section(module);
        section.retain(|key, _| !OURS_IN_MODULE.contains(&key.as_str()));
        self.read_as(module, section.into())
    }

    /// What the framework itself reads in a module's section, such as `db`.
    pub fn group<T: DeserializeOwned + Default>(
        &self,
        module: &str,
        group: &str,
    ) -> Result<T, SettingsError> {
        match self.section(module).get(group) {
            None => Ok(T::default()),
            Some(value) => self.read_as(&format!("{module}.{group}"), value.clone()),
        }
    }

    fn section(&self, module: &str) -> Dict {
        // The environment has no hyphens.
        let section =
            self.sections.get(module).or_else(|| self.sections.get(&module.replace('-', "_")));
        section.and_then(Value::as_dict).cloned().unwrap_or_default()
    }

    fn read_as<T: DeserializeOwned>(
        &self,
        section: &str,
        value: Value,
    ) -> Result<T, SettingsError> {
        let read = match value {
            // Read through figment, which knows the key that an error is about.
            Value::Dict(_, section) => Figment::from(Serialized::defaults(section)).extract(),
            plain => plain.deserialize(),
        };
        read.map_err(|errors: figment::Error| {
            let problems = errors.into_iter().map(|error| match error.path.join(".") {
                key if key.is_empty() => error.kind.to_string(),
                key => format!("{key}: {}", error.kind),
            });
            let problems = problems.collect::<Vec<_>>().join("; ");
            SettingsError(format!("[{section}] in {}: {problems}", self.origin))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Limits {
        most: u32,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self { most: 7 }
        }
    }

    #[test]
    fn a_module_reads_its_own_section_and_not_the_frameworks_keys() {
        let values = Dict::from([
            ("most".to_owned(), Value::from(3u32)),
            ("db".to_owned(), Value::from(Dict::from([("url".to_owned(), Value::from("x"))]))),
        ]);
        let settings = Settings::default().with_section("orders", values);
        assert_eq!(settings.module::<Limits>("orders").unwrap().most, 3);
        assert_eq!(settings.module::<Limits>("stock").unwrap().most, 7);
        let db: Dict = settings.group("orders", "db").unwrap();
        assert_eq!(db["url"].as_str(), Some("x"));
        let unknown = settings.unknown_sections(["order"].into_iter());
        assert!(unknown[0].to_string().contains("did you mean `order`"), "{unknown:?}");
    }

    #[test]
    fn a_wrong_type_is_named() {
        let values = Dict::from([("most".to_owned(), Value::from("many"))]);
        let settings = Settings::default().with_section("orders", values);
        let error = settings.module::<Limits>("orders").unwrap_err().to_string();
        assert!(error.contains("[orders]") && error.contains("most"), "{error}");
    }
}
