//! Adds the lines of a new module to existing files. Their other lines stay unchanged.

use super::{files::Names, readable};
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};
use toml_edit::{DocumentMut, InlineTable, Item, Table, value};

/// Adds the new packages to the workspace's members, unless a pattern among the members covers
/// them.
pub(super) fn members(root: &Path, names: &Names) -> Result<Option<PathBuf>, Box<dyn Error>> {
    let file = root.join("Cargo.toml");
    let mut document: DocumentMut = fs::read_to_string(&file)?.parse()?;
    let Some(members) = document["workspace"]["members"].as_array_mut() else { return Ok(None) };
    let mut changed = false;
    for (pattern, path) in [
        ("modules/*", format!("modules/{}", names.name)),
        ("modules/*/api", format!("modules/{}/api", names.name)),
    ] {
        let covers = |member: &str| [pattern, "modules/**", path.as_str()].contains(&member);
        if !members.iter().filter_map(|member| member.as_str()).any(covers) {
            members.push(path.as_str());
            changed = true;
        }
    }
    if !changed {
        return Ok(None);
    }
    fs::write(&file, document.to_string())?;
    Ok(Some(file))
}

/// Adds the dependencies of a program on the module and its interface.
pub(super) fn dependencies(
    file: &Path,
    root: &Path,
    names: &Names,
) -> Result<PathBuf, Box<dyn Error>> {
    let mut document: DocumentMut = fs::read_to_string(file)?.parse()?;
    let folder = file.parent().unwrap_or(root).strip_prefix(root)?;
    let up = "../".repeat(folder.components().count());
    let table = document["dependencies"].or_insert(Item::Table(Table::new()));
    let table = table.as_table_mut().ok_or("[dependencies] is no table")?;
    for (name, path) in [
        (names.name.clone(), format!("{up}modules/{}", names.name)),
        (format!("{}-api", names.name), format!("{up}modules/{}/api", names.name)),
    ] {
        let mut dependency = InlineTable::new();
        dependency.insert("path", path.into());
        table.insert(&name, value(dependency));
    }
    table.sort_values();
    fs::write(file, document.to_string())?;
    Ok(file.to_owned())
}

/// Adds the module to a manifest: to the process with most modules, or to a process of its own if
/// every module has one.
pub(super) fn manifest(file: &Path, names: &Names) -> Result<PathBuf, Box<dyn Error>> {
    let read = readable(file).ok_or("the manifest cannot be read")?;
    let mut document: DocumentMut = fs::read_to_string(file)?.parse()?;
    let fullest = read.all_processes().max_by_key(|process| read.modules_of(process).count());
    let shared = fullest.filter(|process| read.modules_of(process).count() > 1);
    let process = shared.unwrap_or(&names.name);
    document["modules"][&names.name] = value(process);
    if shared.is_none() {
        let ports = read.processes.values().flat_map(|process| process.listens());
        let ports = ports.filter_map(|address| {
            let text = address.to_string();
            text.rsplit_once(':')?.1.parse::<u16>().ok()
        });
        let port = ports.max().unwrap_or(7100).checked_add(1).ok_or("there is no port left")?;
        let mut own = Table::new();
        own["listen"] = value(format!("127.0.0.1:{port}"));
        document["process"][&names.name] = Item::Table(own);
    }
    fs::write(file, document.to_string())?;
    Ok(file.to_owned())
}
