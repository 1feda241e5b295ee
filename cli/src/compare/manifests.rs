//! The manifests of the two sides, and free ports for their processes.

use monolift_manifest::Manifest;
use std::{
    error::Error,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};
use toml_edit::{DocumentMut, Item, Table, value};

/// The manifest of one side.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) file: PathBuf,
}

/// The two manifests that were named. If only one was named, the first side has all its modules in
/// one process, and the second has each in its own.
pub(super) fn of(named: &[PathBuf], folder: &Path) -> Result<[Chosen; 2], Box<dyn Error>> {
    match named {
        [one] => {
            let text = read(one)?;
            Manifest::parse(&text, one)?;
            let (monolith, split) = (write(folder, "monolith", &together(&text)?)?, apart(&text)?);
            Ok([monolith, write(folder, "split", &split)?])
        }
        [one, other] => {
            let name = |file: &Path| file.with_extension("").display().to_string();
            let chosen = |file: &PathBuf| Chosen { name: name(file), file: file.clone() };
            Ok([chosen(one), chosen(other)])
        }
        _ => Err("one manifest or two are compared, not more".into()),
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

/// Writes the file only if its content changes, so that cargo rebuilds nothing.
fn write(folder: &Path, name: &str, text: &DocumentMut) -> Result<Chosen, Box<dyn Error>> {
    let (file, text) = (folder.join(format!("{name}.toml")), text.to_string());
    if fs::read_to_string(&file).ok().as_ref() != Some(&text) {
        fs::write(&file, text)?;
    }
    Ok(Chosen { name: name.to_owned(), file })
}

/// A copy of the manifest in which `process_of` decides the placement of each module.
fn placed(text: &str, process_of: impl Fn(&str) -> &str) -> Result<DocumentMut, Box<dyn Error>> {
    let mut document: DocumentMut = text.parse()?;
    document.remove("host");
    document.remove("process");
    // Existing certificates are for the names of other processes.
    document.remove("tls");
    let mut processes = Table::new();
    processes.set_implicit(true);
    if let Some(modules) = document.get_mut("modules").and_then(Item::as_table_mut) {
        for (module, place) in modules.iter_mut() {
            let process = process_of(&module).to_owned();
            let mut section = Table::new();
            section.insert("listen", value("127.0.0.1:0"));
            processes.insert(&process, Item::Table(section));
            *place = value(process);
        }
    }
    document.insert("process", Item::Table(processes));
    Ok(document)
}

fn together(text: &str) -> Result<DocumentMut, Box<dyn Error>> {
    let mut document = placed(text, |_| "monolith")?;
    let mut front = Table::new();
    front.insert("http", value("127.0.0.1:0"));
    document["process"]["monolith"] = Item::Table(front);
    Ok(document)
}

fn apart(text: &str) -> Result<DocumentMut, Box<dyn Error>> {
    let mut document = placed(text, |module| module)?;
    let mut front = Table::new();
    front.insert("http", value("127.0.0.1:0"));
    document["process"]["gateway"] = Item::Table(front);
    Ok(document)
}

/// A copy of the manifest with free ports, so that both sides can run at once, beside other
/// programs.
pub(super) fn with_free_ports(file: &Path) -> Result<String, Box<dyn Error>> {
    let mut document: DocumentMut = read(file)?.parse()?;
    let mut taken = Vec::new();
    if let Some(processes) = document.get_mut("process").and_then(Item::as_table_like_mut) {
        for (_, process) in processes.iter_mut() {
            let Some(process) = process.as_table_like_mut() else { continue };
            process.remove("connect");
            for key in ["listen", "http", "admin"] {
                // A stated port, not that there is none.
                if process.get(key).and_then(Item::as_str) == Some("off") {
                    continue;
                }
                if process.contains_key(key) {
                    let listener = TcpListener::bind("127.0.0.1:0")?;
                    process.insert(key, value(listener.local_addr()?.to_string()));
                    // The listener is kept until all ports are chosen, so that no port is chosen
                    // twice.
                    taken.push(listener);
                }
            }
        }
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "app = \"shop\" # a shop\n[modules]\nstock = \"m\"\norders = \"p\"\n\
        [process.m]\nhttp = \"127.0.0.1:8080\"\n[process.p]\nlisten = \"127.0.0.1:7100\"\n\
        [calls]\ndeadline = \"3s\"\n";

    #[test]
    fn modules_are_put_together_and_apart() {
        let file = Path::new("deployment.toml");
        let together = together(SHOP).unwrap().to_string();
        let manifest = Manifest::parse(&together, file).unwrap();
        assert_eq!(manifest.modules_of("monolith").count(), 2, "{together}");
        assert_eq!(manifest.calls.deadline.as_secs(), 3);
        let apart = apart(SHOP).unwrap().to_string();
        let manifest = Manifest::parse(&apart, file).unwrap();
        assert_eq!(manifest.modules_of("stock").count(), 1, "{apart}");
        assert!(manifest.processes["gateway"].http.is_some());
        assert_eq!(manifest.processes.len(), 3);
    }
}
