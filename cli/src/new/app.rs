//! `cargo monolift new app NAME`: creates an application of its own, with a first module.

use super::files::{self, Names};
use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

/// The first module.
const MODULE: &str = "notes";

/// Where the new application gets Monolift from.
pub(super) enum Monolift {
    /// A checkout.
    Checkout(PathBuf),
    /// The registry, in the version of this tool.
    Registry,
}

impl Monolift {
    /// The checkout that was named; or the one that this tool was built from, if it is still there.
    pub(super) fn find(named: Option<&Path>) -> Result<Self, Box<dyn Error>> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let is_checkout = |folder: &Path| folder.join("framework/call/Cargo.toml").is_file();
        match (named, built_from) {
            (Some(folder), _) if !is_checkout(folder) => Err(format!(
                "{} is no checkout of Monolift: it has no framework/call/Cargo.toml",
                folder.display()
            )
            .into()),
            (Some(folder), _) => Ok(Self::Checkout(fs::canonicalize(folder)?)),
            (None, Some(folder)) if is_checkout(folder) => Ok(Self::Checkout(folder.to_owned())),
            (None, _) => Ok(Self::Registry),
        }
    }

    /// A dependency on one of its packages.
    fn dependency(&self, folder: &str) -> String {
        let version = env!("CARGO_PKG_VERSION");
        match self {
            Self::Checkout(root) => {
                let path = root.join(folder).display().to_string();
                format!("{{ path = {} }}", toml_edit::Value::from(path).to_string().trim())
            }
            Self::Registry => format!("\"{version}\""),
        }
    }

    /// What makes `cargo monolift` this tool: an installed `cargo-monolift` needs nothing.
    fn alias(&self) -> Option<String> {
        let Self::Checkout(root) = self else { return None };
        let manifest = root.join("Cargo.toml").display().to_string();
        let words = ["run", "--quiet", "--manifest-path", &manifest, "-p", "monolift-cli", "--"];
        let words: toml_edit::Array = words.into_iter().collect();
        Some(format!("[alias]\nmonolift = {words}\n"))
    }
}

/// Writes the application into the folder of its name, which must be empty or not be there.
pub(super) fn write(
    parent: &Path,
    app: &str,
    monolift: &Monolift,
) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    Names::of(app).map_err(|error| error.replace("a module's name", "an application's name"))?;
    let root = parent.join(app);
    if !is_empty(&root)? {
        return Err(format!("{} is there already, and is not empty", root.display()).into());
    }
    let workspace = include_str!("templates/app/workspace.toml.txt")
        .replace("{monolift}", &monolift.dependency("framework"))
        .replace("{monolift-call}", &monolift.dependency("framework/call"))
        .replace("{monolift-cli}", &monolift.dependency("cli"));
    let mut texts = vec![
        ("Cargo.toml", workspace.as_str()),
        ("README.md", include_str!("templates/app/README.md.txt")),
        ("deployment.toml", include_str!("templates/app/deployment.toml.txt")),
        ("rustfmt.toml", "use_small_heuristics = \"Max\"\n"),
        (".gitignore", include_str!("templates/app/gitignore.txt")),
        ("app-monolith/Cargo.toml", include_str!("templates/app/monolith.toml.txt")),
        ("app-monolith/src/main.rs", include_str!("templates/app/monolith.rs.txt")),
        ("app-split/Cargo.toml", include_str!("templates/app/app-split.toml.txt")),
        ("app-split/deployment.toml", include_str!("templates/app/split.toml.txt")),
        ("app-split/src/main.rs", include_str!("templates/app/split.rs.txt")),
        ("app-split/src/bin/process.rs", include_str!("templates/app/process.rs.txt")),
    ];
    let alias = monolift.alias();
    texts.extend(alias.as_deref().map(|alias| (".cargo/config.toml", alias)));
    let mut written = Vec::new();
    for (name, text) in texts {
        let file = root.join(name);
        files::put(&file, &text.replace("{app}", app))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        written.push(file);
    }
    written.extend(files::write(&root, &Names::of(MODULE)?, false)?);
    Ok(written)
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
