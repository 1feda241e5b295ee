//! The floors of `framework/src`, as ARCHITECTURE.md has them: no import goes up, or to another room
//! of the same floor.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Each room and its floor, read from the table.
fn floors() -> BTreeMap<String, u32> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let floor: u32 = cells.next()?.parse().ok()?;
        let room = cells.next()?.trim_matches('`').to_owned();
        Some((room, floor))
    });
    rows.collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a file names, in `use crate::a::…`, `use crate::{a::…, b}` and `crate::a::…`.
fn rooms_named(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if !rest.starts_with('{') {
            rooms.push(word(rest));
            continue;
        }
        let mut depth = 0;
        for (at, character) in rest.char_indices() {
            match character {
                '{' | ',' if depth == usize::from(character == ',') => {
                    rooms.push(word(&rest[at + 1..]));
                    depth += usize::from(character == '{');
                }
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

#[test]
fn no_import_goes_up() {
    let floors = floors();
    assert!(floors.len() >= 12, "the table of ARCHITECTURE.md was not found: {floors:?}");
    let source = root().join("framework/src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(&source).unwrap();
        let room = path.iter().next().unwrap().to_str().unwrap();
        if room == "lib.rs" {
            continue;
        }
        let floor = *floors.get(room).unwrap_or_else(|| panic!("`{room}` has no floor"));
        for named in rooms_named(&fs::read_to_string(&file).unwrap()) {
            let Some(&other) = floors.get(&named) else { continue };
            let allowed =
                named == room || other < floor || (room == "interface" && named == "call");
            if !allowed {
                wrong.push(format!("{} imports from `{named}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_named_is_found() {
    let text = "use crate::{\n    call::{A, B},\n    link,\n    wire::C,\n};\nuse crate::data::D;\n// crate::app\nfn f() -> crate::serve::E {}";
    assert_eq!(rooms_named(text), ["call", "link", "wire", "data", "serve"]);
}
