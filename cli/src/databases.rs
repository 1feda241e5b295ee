//! Where the modules' databases are, according to the settings.

use monolift::config::{Secret, Settings, overlay};
use monolift_data::{Common, DbSettings, Location, SharedPools};
use monolift_manifest::{Manifest, Workspace, nearest};
use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// The modules' databases, according to the settings.
pub(crate) struct Databases {
    /// The modules of the manifest.
    pub(crate) modules: Vec<String>,
    settings: Settings,
    /// What holds for the databases of all.
    pub(crate) common: Common,
    /// The settings file, whether it exists or not.
    pub(crate) file: PathBuf,
    data: PathBuf,
}

impl Databases {
    /// Reads the manifest and the settings.
    pub(crate) fn of(manifest: &Path) -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(manifest)
            .map_err(|error| format!("{} cannot be read: {error}", manifest.display()))?;
        let mut manifest = Manifest::parse(&text, manifest)?;
        let root = Workspace::find(&env::current_dir()?)?.root;
        let file = env::var_os("MONOLIFT_SETTINGS").map(PathBuf::from);
        let file = file.unwrap_or_else(|| root.join("settings.toml"));
        let settings = Settings::read(&manifest.app, &file)?;
        let data = settings.own::<Option<PathBuf>>("data")?.unwrap_or_else(|| root.join("data"));
        overlay(&mut manifest, &settings)?;
        let common = Common {
            url: manifest.db.url.map(|url| Secret::new(url.expose().to_owned())),
            app: manifest.app,
            migrate: manifest.db.migrate,
            caller: manifest.db.caller,
            pools: SharedPools::new(1),
        };
        let modules = manifest.modules.into_iter().map(|placed| placed.module).collect();
        Ok(Self { modules, settings, common, file, data })
    }

    /// Refuses a module that the manifest does not have.
    pub(crate) fn check(&self, module: &str) -> Result<(), String> {
        if self.modules.iter().any(|known| known == module) {
            return Ok(());
        }
        let near = nearest(module, self.modules.iter().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
        Err(format!("there is no module `{module}`{near}"))
    }

    /// A module's section of settings for its database.
    pub(crate) fn settings_of(&self, module: &str) -> Result<DbSettings, Box<dyn Error>> {
        Ok(self.settings.group(module, "db")?)
    }

    /// A module's database, by its section of settings and what holds for all.
    pub(crate) fn location(&self, module: &str, settings: &DbSettings) -> Location {
        let location = self.common.location(module, settings);
        location.unwrap_or_else(|| Location::File(self.data.join(format!("{module}.db"))))
    }

    /// The variable of the URL of a module's database.
    pub(crate) fn variable(&self, module: &str) -> String {
        let module = module.replace('-', "_").to_uppercase();
        format!("{}{module}__DB__URL", Settings::prefix(&self.common.app))
    }

    /// Whether that variable is set.
    pub(crate) fn is_set_by_variable(&self, module: &str) -> bool {
        let variable = self.variable(module);
        [variable.clone(), format!("{variable}__FILE")]
            .iter()
            .any(|name| env::var_os(name).is_some())
    }
}
