//! Reading the layers, and cutting them into sections.

use super::{SettingsError, SettingsErrors, found::given, reader};
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Value},
};
use monolift_manifest::{nearest, positions, shown_key};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt, fs,
    io::{self, Read},
    path::Path,
};

/// The framework's own sections.
const OURS: [&str; 12] = [
    "process",
    "calls",
    "http",
    "identity",
    "log",
    "observe",
    "limits",
    "db",
    "tls",
    "insecure",
    "data",
    "admin_token",
];
/// Settings that are no section: only these have a variable without `__`.
const SINGLE: [&str; 3] = ["data", "admin_token", "insecure"];
/// A module's keys that are the framework's.
const OURS_IN_MODULE: [&str; 1] = ["db"];

/// The variable that states the prefix of all others.
const PREFIX: &str = "MONOLIFT_PREFIX";

/// What the name of a variable ends in that names a file with the value: as containers give secrets.
const FILE: &str = "__FILE";

/// The most that such a file holds, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// Whether a variable, without its prefix, can be a setting: a key in a section, or one of the few without.
fn can_be_a_setting(key: &str) -> bool {
    let key = key.to_lowercase();
    // `tls` is a section, or one word.
    key.contains("__") || SINGLE.contains(&key.as_str()) || key == "tls"
}

/// Whether a variable ends as those that Kubernetes sets in every container for each service: `…_SERVICE_HOST`,
/// `…_SERVICE_PORT`, `…_SERVICE_PORT_HTTP`, `…_PORT`, `…_PORT_7100_TCP`, `…_PORT_7100_TCP_ADDR`. Before that is the
/// service's name, which may begin with a module's: `shop-orders-db`.
fn is_of_kubernetes(rest: &str) -> bool {
    let words: Vec<&str> = rest.split('_').collect();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_protocol = |word: &str| matches!(word, "tcp" | "udp" | "sctp");
    (0..words.len()).any(|at| match &words[at..] {
        ["service", "host"] | ["service", "port", ..] | ["port"] => true,
        ["port", number, protocol] => is_number(number) && is_protocol(protocol),
        ["port", number, protocol, "proto" | "port" | "addr"] => {
            is_number(number) && is_protocol(protocol)
        }
        _ => false,
    })
}

/// Everything that was set, by section.
#[derive(Clone, Default)]
pub struct Settings {
    sections: Dict,
    /// Where each key was set, by its dotted path: `settings.toml:7`, `SHOP_ORDERS__MAX_LINES`.
    origins: BTreeMap<String, String>,
    /// What the environment says, as it was written.
    texts: BTreeMap<String, String>,
    /// What every variable of a setting begins with.
    prefix: String,
    /// Variables that begin so and cannot be settings: mostly the program's own, or those of Kubernetes.
    others: Vec<String>,
}

/// Which sections there are, and nothing that they hold.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.sections.keys().map(|section| shown_key(section))).finish()
    }
}

/// A key, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its dotted path.
    pub key: String,
    /// What is in force; `None` where the default is. Never a secret's.
    pub value: Option<String>,
    /// Where it was set.
    pub origin: Option<String>,
}

impl Settings {
    /// What the variables of an application's settings begin with: `SHOP_`, or what `MONOLIFT_PREFIX` states.
    pub fn prefix(app: &str) -> String {
        let usual = || format!("{}_", app.to_uppercase().replace('-', "_"));
        env::var(PREFIX).ok().filter(|prefix| !prefix.is_empty()).unwrap_or_else(usual)
    }

    /// Reads `file`, if there is one, and the variables `<APP>_…`, or those with the prefix that
    /// `MONOLIFT_PREFIX` states.
    pub fn read(app: &str, file: &Path) -> Result<Self, SettingsErrors> {
        let prefix = Self::prefix(app);
        let mut others = Vec::new();
        let mut figment = Figment::new();
        let mut origins = BTreeMap::new();
        if file.exists() {
            let unreadable = |error: std::io::Error| SettingsError {
                origin: file.display().to_string(),
                key: String::new(),
                message: format!("cannot be read: {error}"),
            };
            let text = fs::read_to_string(file).map_err(unreadable)?;
            (figment, origins) = layer(&text, file)?;
        }
        let mut texts = BTreeMap::new();
        let mut from_files = BTreeMap::new();
        let mut errors = SettingsErrors::default();
        for (name, text) in env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            let Some(key) = name.strip_prefix(&prefix) else { continue };
            if !can_be_a_setting(key) {
                others.push(name.to_owned());
                continue;
            }
            let value = match of_file(key) {
                Some(key) => (key, read_file(text), true),
                None => (key, text.into_string().map_err(|_| "expected UTF-8".to_owned()), false),
            };
            let (key, value, is_from_file) = value;
            let key = key.to_lowercase().replace("__", ".");
            let error = |message: String| SettingsError {
                origin: name.to_owned(),
                key: key.clone(),
                message,
            };
            match value {
                Err(message) => errors.0.push(error(message)),
                Ok(_) if texts.contains_key(&key) => {
                    let message = format!("it is set twice: by itself and by `…{FILE}`");
                    errors.0.push(error(message));
                }
                Ok(text) => {
                    texts.insert(key.clone(), text.clone());
                    if is_from_file {
                        from_files.insert(key.clone(), text);
                    }
                }
            }
            origins.insert(key, name.to_owned());
        }
        if !errors.0.is_empty() {
            return Err(errors);
        }
        let is_value = |key: &str| can_be_a_setting(key) && of_file(&key.to_uppercase()).is_none();
        let variables = Env::prefixed(&prefix).filter(move |key| is_value(key.as_str()));
        let mut figment = figment.merge(variables.split("__"));
        for (key, text) in &from_files {
            // As the text of a variable is read.
            let Ok(value) = text.parse::<Value>();
            figment = figment.merge(Serialized::default(key, value));
        }
        Ok(Self { sections: sections(&figment, file)?, origins, texts, prefix, others })
    }

    /// Reads the text of a file, and no variables.
    pub fn parse(app: &str, text: &str, file: &Path) -> Result<Self, SettingsErrors> {
        let (figment, origins) = layer(text, file)?;
        let (sections, prefix) = (sections(&figment, file)?, Self::prefix(app));
        Ok(Self { sections, origins, prefix, ..Self::default() })
    }

    /// Settings made by hand, as for a test.
    pub fn with_section(mut self, name: &str, values: Dict) -> Self {
        self.sections.insert(name.to_owned(), values.into());
        self
    }

    /// The same with words that are in no section.
    #[cfg(test)]
    pub(super) fn with_words(mut self, words: impl IntoIterator<Item = (String, Value)>) -> Self {
        self.sections.extend(words);
        self
    }

    /// The sections that belong to nobody, each with what to do about it.
    pub fn unknown_sections<'a>(&self, modules: impl Iterator<Item = &'a str>) -> SettingsErrors {
        let known: Vec<&str> = modules.chain(OURS).collect();
        // The environment has no hyphens.
        let is_known = |section: &str| {
            known.iter().any(|one| one.replace('-', "_") == *section.replace('-', "_"))
        };
        let unknown = self.sections.keys().filter(|section| !is_known(section));
        let problem = |section: &String| {
            let help = nearest(section, known.iter().copied())
                .map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            let message = format!("no module, and no section of settings{help}");
            self.error(section, message)
        };
        let mut errors = SettingsErrors(unknown.map(problem).collect());
        errors.0.extend(self.others.iter().filter_map(|name| self.meant(name, &known)));
        // The framework's own are looked at where they are read.
        let of_modules = self.sections.iter().filter(|(section, value)| {
            is_known(section) && !OURS.contains(&section.as_str()) && value.as_dict().is_none()
        });
        for (section, value) in of_modules {
            let found = given(value).kind();
            errors.0.push(self.error(section, format!("expected a section, found {found}")));
        }
        errors
    }

    /// What is wrong with a variable that cannot be a setting, if it looks as if it was meant to be one.
    fn meant(&self, name: &str, known: &[&str]) -> Option<SettingsError> {
        let key = name.strip_prefix(&self.prefix)?.to_lowercase();
        let error = |message: String| {
            Some(SettingsError { origin: name.to_owned(), key: String::new(), message })
        };
        let names = known.iter().map(|section| section.replace('-', "_"));
        for section in names.filter(|section| !SINGLE.contains(&section.as_str())) {
            let Some(rest) = key.strip_prefix(section.as_str()) else { continue };
            if rest.is_empty() {
                return error(format!("`{section}` is a section: name a key, `{name}__…`"));
            }
            let Some(rest) = rest.strip_prefix('_') else { continue };
            if !rest.is_empty() && !is_of_kubernetes(rest) {
                let meant = format!("{}{section}__{rest}", self.prefix).to_uppercase();
                return error(format!(
                    "two underscores stand behind a section: did you mean `{meant}`?"
                ));
            }
        }
        let near = nearest(&key, SINGLE)?;
        error(format!("did you mean `{}{}`?", self.prefix, near.to_uppercase()))
    }

    /// The variable of a key.
    pub(crate) fn variable(&self, key: &str) -> String {
        let name = key.replace('-', "_").replace('.', "__").to_uppercase();
        format!("{}{name}", self.prefix)
    }

    /// One of the framework's own sections, as `T`; its default when it is not there.
    pub fn own<T: DeserializeOwned + Default>(&self, section: &str) -> Result<T, SettingsErrors> {
        match self.sections.get(section) {
            None => Ok(T::default()),
            Some(value) => self.read_as(section, value),
        }
    }

    /// A module's section, as the module's own type.
    pub fn module<T: DeserializeOwned>(&self, module: &str) -> Result<T, SettingsErrors> {
        self.read_as(module, &self.own_section(module))
    }

    /// What the framework itself reads in a module's section, such as `db`.
    pub fn group<T: DeserializeOwned + Default>(
        &self,
        module: &str,
        group: &str,
    ) -> Result<T, SettingsErrors> {
        match self.section(module).get(group) {
            None => Ok(T::default()),
            Some(value) => self.read_as(&format!("{module}.{group}"), value),
        }
    }

    /// Every key that a module's type has, with what is in force of it.
    pub fn keys<T: DeserializeOwned>(&self, module: &str) -> Vec<Setting> {
        let section = self.own_section(module);
        let (_, found) = reader::read::<T>(&section, &self.texts_of(module));
        let keys = found.keys.iter().map(|key| {
            let path = format!("{module}.{key}");
            let secret = found.is_secret(key);
            let value = key.split('.').try_fold(&section, |value, part| value.as_dict()?.get(part));
            let origin = value.and_then(|_| self.origin(&path));
            let shown = |value| if secret { "…".to_owned() } else { shown(value) };
            Setting { value: value.map(shown), origin, key: path }
        });
        keys.collect()
    }

    /// Everything that was set.
    pub(super) fn sections(&self) -> &Dict {
        &self.sections
    }

    /// What the environment says of a key, as it was written.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }

    /// An error about a key, with where it was set.
    pub(crate) fn error(&self, key: &str, message: impl Into<String>) -> SettingsError {
        let origin = self.origin(key).unwrap_or_default();
        SettingsError { origin, key: shown_key(key).to_owned(), message: message.into() }
    }

    /// Where a key was set: it, or something below it, or what it is in.
    pub fn origin(&self, key: &str) -> Option<String> {
        let key = key.to_lowercase();
        let below = format!("{key}.");
        let exact =
            [key.clone(), key.replace('-', "_")].into_iter().find_map(|key| self.origins.get(&key));
        let inside = || {
            self.origins
                .iter()
                .find(|(other, _)| other.starts_with(&below))
                .map(|(_, origin)| origin)
        };
        exact.or_else(inside).cloned()
    }

    fn section(&self, module: &str) -> Dict {
        // The environment has no hyphens.
        let section =
            self.sections.get(module).or_else(|| self.sections.get(&module.replace('-', "_")));
        section.and_then(Value::as_dict).cloned().unwrap_or_default()
    }

    /// A module's section without what is the framework's.
    fn own_section(&self, module: &str) -> Value {
        let mut section = self.section(module);
        section.retain(|key, _| !OURS_IN_MODULE.contains(&key.as_str()));
        section.into()
    }

    fn texts_of(&self, section: &str) -> BTreeMap<String, String> {
        let above = format!("{}.", section.replace('-', "_"));
        let texts = self
            .texts
            .iter()
            .filter_map(|(key, text)| Some((key.strip_prefix(&above)?.to_owned(), text.clone())));
        texts.collect()
    }

    fn read_as<T: DeserializeOwned>(
        &self,
        section: &str,
        value: &Value,
    ) -> Result<T, SettingsErrors> {
        let mut texts = self.texts_of(section);
        // A section that is one value.
        texts.extend(self.texts.get(section).map(|text| (String::new(), text.clone())));
        let (value, found) = reader::read::<T>(value, &texts);
        let errors = found.mistakes.into_iter().map(|(key, message)| {
            let path = if key.is_empty() { section.to_owned() } else { format!("{section}.{key}") };
            self.error(&path, message)
        });
        let errors = SettingsErrors(errors.collect());
        match value {
            Some(value) => errors.or(value),
            None if errors.0.is_empty() => Err(self.error(section, "cannot be read").into()),
            None => Err(errors),
        }
    }
}

/// The settings of a file, and where each stands.
fn layer(text: &str, file: &Path) -> Result<(Figment, BTreeMap<String, String>), SettingsError> {
    // The reader below would show the line that it cannot read; this one does not.
    let lines = positions(text, file).map_err(|problem| SettingsError {
        origin: format!("{}:{}:{}", file.display(), problem.line, problem.column),
        key: String::new(),
        message: format!("this is no TOML: {}", problem.message),
    })?;
    let origins = lines.into_iter().map(|(key, line)| (key, format!("{}:{line}", file.display())));
    Ok((Figment::new().merge(Toml::string(text)), origins.collect()))
}

fn sections(figment: &Figment, file: &Path) -> Result<Dict, SettingsError> {
    figment.extract::<Dict>().map_err(|_| SettingsError {
        origin: file.display().to_string(),
        key: String::new(),
        message: "cannot be read as sections of settings".to_owned(),
    })
}

/// The setting whose value is in the file that a variable names. The variable is without its prefix.
fn of_file(variable: &str) -> Option<&str> {
    let key = variable.strip_suffix(FILE)?;
    // A module may have a setting that is called so.
    can_be_a_setting(key).then_some(key)
}

/// The text of a file, without the end of its last line. An error does not name the file: that may be the secret itself,
/// in the wrong variable.
fn read_file(path: OsString) -> Result<String, String> {
    let unreadable =
        |error: io::Error| format!("the file that it names cannot be read: {}", error.kind());
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    let read = file.take(LONGEST_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if read as u64 > LONGEST_FILE {
        return Err(format!("the file that it names has more than {LONGEST_FILE} bytes"));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// A value, for a person.
fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, letter) => format!("{letter:?}"),
        Value::Bool(_, truth) => truth.to_string(),
        Value::Num(_, number) => match (number.to_u128(), number.to_i128(), number.to_f64()) {
            (Some(number), _, _) => number.to_string(),
            (_, Some(number), _) => number.to_string(),
            (_, _, number) => number.map_or_else(String::new, |number| number.to_string()),
        },
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(..) => "{…}".to_owned(),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
