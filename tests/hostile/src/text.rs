//! What an operator writes: manifests and settings.

use monolift::{
    Secret,
    config::{Settings, overlay},
};
use monolift_manifest::{Manifest, lines, positions};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

const FILE: &str = "deployment.toml";

/// The bytes are a manifest.
pub(crate) fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    drop(lines(text));
    drop(positions(text, Path::new(FILE)).map_err(|problem| problem.to_string()));
    match Manifest::parse(text, Path::new(FILE)) {
        Err(problems) => drop(problems.to_string()),
        Ok(manifest) => {
            for process in manifest.all_processes() {
                drop((manifest.connect_to(process), manifest.is_run(process)));
                if let Some(stated) = manifest.processes.get(process) {
                    drop((stated.listens(), stated.https(), stated.admins()));
                }
            }
        }
    }
}

/// A module's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[allow(dead_code, reason = "they are only read in")]
struct Section {
    most: u32,
    names: Vec<String>,
    key: Secret,
    pin: Secret<u16>,
    kind: Kind,
    inner: BTreeMap<String, Option<f64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Red,
    Blue {
        #[allow(dead_code, reason = "it is only read in")]
        deep: bool,
    },
}

/// The bytes are settings.
pub(crate) fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let settings = match Settings::parse("hostile", text, Path::new("settings.toml")) {
        Ok(settings) => settings,
        Err(errors) => return drop(errors.to_string()),
    };
    let text = "app = \"hostile\"\n[modules]\ndesk = \"main\"\n[process.main]\n";
    let mut manifest = Manifest::parse(text, Path::new(FILE)).expect("it is a manifest");
    drop(settings.unknown_sections(["desk"].into_iter()).to_string());
    drop(overlay(&mut manifest, &settings).map_err(|errors| errors.to_string()));
    drop(settings.module::<Section>("desk").map_err(|errors| errors.to_string()));
    drop(settings.keys::<Section>("desk"));
    drop(format!("{settings:?} {manifest:?}"));
}
