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
        insert_in_order(table, &name, value(dependency));
    }
    fs::write(file, document.to_string())?;
    Ok(file.to_owned())
}

/// Inserts before the first key that comes later in the alphabet. The other keys keep their order, which need not be the
/// alphabet's.
fn insert_in_order(table: &mut Table, name: &str, item: Item) {
    let mut order: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    let place = order.iter().position(|key| key.as_str() > name).unwrap_or(order.len());
    order.insert(place, name.to_owned());
    table.insert(name, item);
    // The keys of a dotted entry, such as `workspace` of `serde.workspace`, are sorted too. None of them is in `order`,
    // so they stay as they are.
    let rank = |key: &toml_edit::Key| order.iter().position(|known| known == key.get());
    table.sort_values_by(|a, _, b, _| rank(a).cmp(&rank(b)));
}

/// Adds the module to a manifest: to the process with most modules, or to a process of its own if
/// every module has one. A process with one module of another name is shared.
pub(super) fn manifest(file: &Path, names: &Names) -> Result<PathBuf, Box<dyn Error>> {
    let read = readable(file).ok_or("the manifest cannot be read")?;
    let mut document: DocumentMut = fs::read_to_string(file)?.parse()?;
    let fullest = read.all_processes().max_by_key(|process| read.modules_of(process).count());
    let shared =
        fullest.filter(|process| read.modules_of(process).any(|module| module != *process));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_lines_stay_where_they_are() {
        let text = "# Calls.\ntokio.workspace = true\ntower = \"1\" # not sorted\nstream.workspace = true\n";
        let mut document: DocumentMut = text.parse().unwrap();
        insert_in_order(document.as_table_mut(), "tower-api", value("2"));
        insert_in_order(document.as_table_mut(), "coupons", value("3"));
        let mut rest: Vec<String> = document.to_string().lines().map(str::to_owned).collect();
        let added =
            |line: &String| ["coupons = \"3\"", "tower-api = \"2\""].contains(&line.as_str());
        assert_eq!(rest.iter().position(added), Some(0), "{document}");
        rest.retain(|line| !added(line));
        assert_eq!(rest, text.lines().collect::<Vec<_>>(), "{document}");
    }
}
