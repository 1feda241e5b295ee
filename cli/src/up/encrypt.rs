//! Certificates for the processes of an application whose manifest says nothing of TLS.

use super::plan::Plan;
use crate::certificates::{Folder, processes};
use monolift::{
    app::development,
    config::{Settings, overlay},
};
use monolift_manifest::Manifest;
use std::{
    collections::BTreeSet,
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// How long certificates are valid.
const DAYS: u32 = 365;
/// One that is valid for less than this is made again.
const LEFT: u32 = 30;

/// The manifest of a plan with the settings over it, and the folder of the application's data. `None` if the settings cannot be
/// read: each process says why.
pub(crate) fn in_force(plan: &Plan) -> Result<Option<(Manifest, PathBuf)>, Box<dyn Error>> {
    let mut manifest = read(&plan.manifest)?;
    let file = env::var_os("MONOLIFT_SETTINGS");
    let file = file.map_or_else(|| plan.root.join("settings.toml"), PathBuf::from);
    let Ok(settings) = Settings::read(&plan.app, &file) else { return Ok(None) };
    let data: Option<PathBuf> = settings.own("data").unwrap_or_default();
    if overlay(&mut manifest, &settings).is_err() {
        return Ok(None);
    }
    Ok(Some((manifest, plan.root.join(data.unwrap_or_else(|| "data".into())))))
}

fn read(file: &Path) -> Result<Manifest, Box<dyn Error>> {
    Ok(Manifest::parse(&fs::read_to_string(file)?, file)?)
}

/// Makes the certificates that are missing or end soon. Returns what to say of them.
pub(super) fn prepare(plan: &Plan) -> Result<Option<String>, Box<dyn Error>> {
    let Some((manifest, data)) = in_force(plan)? else { return Ok(None) };
    if !development::are_used(&manifest) {
        return Ok(None);
    }
    let folder = development::folder(&data);
    let Made { certificates, authority } = make(&folder, &plan.app, &names(plan, &manifest))?;
    let shown = folder.strip_prefix(&plan.root).unwrap_or(&folder).display();
    Ok(Some(match (certificates, authority) {
        (0, _) => format!(
            "calls between processes are encrypted, with the certificates for development in {shown}"
        ),
        (made, false) => format!(
            "calls between processes are encrypted, with the certificates for development in {shown}, of which {made} are new"
        ),
        (_, true) => format!(
            "calls between processes are encrypted from now on, with new certificates for development in {shown}: processes that \
             run already need a restart"
        ),
    }))
}

/// The processes of the plan's manifest, and those of the workspace's own one: they are the same application, and a module's
/// program uses that one if it is started by itself.
fn names(plan: &Plan, manifest: &Manifest) -> BTreeSet<String> {
    let mut names = processes(manifest);
    let usual = read(&plan.root.join("deployment.toml")).ok();
    names.extend(usual.filter(|usual| usual.app == plan.app).iter().flat_map(processes));
    names
}

/// What was made.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    certificates: usize,
    authority: bool,
}

/// Makes what is missing in a folder.
fn make(folder: &Path, app: &str, names: &BTreeSet<String>) -> Result<Made, Box<dyn Error>> {
    let folder = Folder::open(folder, app)?;
    let authority = folder.authority()?;
    let mut made = Made { certificates: 0, authority: authority.is_new };
    for name in names.iter().filter(|name| !folder.has(name, LEFT)) {
        folder.sign(&authority, name, DAYS)?;
        made.certificates += 1;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_made_if_they_are_missing_or_end_soon() {
        let path = env::temp_dir().join(format!("monolift-encrypt-{}", std::process::id()));
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let both: BTreeSet<String> = names(&["gateway", "stock"]);
        let made = |names| {
            let Made { certificates, authority } = make(&path, "shop", names).unwrap();
            (certificates, authority)
        };
        assert_eq!(made(&both), (2, true));
        assert_eq!(made(&both), (0, false));
        // A process was added to the manifest.
        let three = names(&["gateway", "stock", "orders"]);
        assert_eq!(made(&three), (1, false));
        let folder = Folder::open(&path, "shop").unwrap();
        let authority = folder.authority().unwrap();
        assert!(!authority.is_new);
        folder.sign(&authority, "stock", LEFT - 1).unwrap();
        assert!(folder.has("stock", 0) && !folder.has("stock", LEFT));
        drop(folder);
        assert_eq!(made(&both), (1, false));
        // With a new authority, all are signed again.
        fs::remove_file(path.join("authority.pem")).unwrap();
        fs::remove_file(path.join("authority.key")).unwrap();
        assert_eq!(made(&both), (2, true));
        fs::remove_dir_all(&path).unwrap();
    }
}
