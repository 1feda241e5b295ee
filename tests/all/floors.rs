//! The floors of `framework/`, as ARCHITECTURE.md has them: no import goes up, or to another room of the same
//! floor. The compiler keeps the floors between crates; this keeps those within one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A room: its crate's sources, and its floor. A crate that is one room is not listed.
struct Room {
    source: PathBuf,
    name: String,
    floor: u32,
}

/// Every room, read from the tables.
fn rooms() -> Vec<Room> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let floor: u32 = cells.next()?.parse().ok()?;
        let path = PathBuf::from(cells.next()?.trim_matches('`'));
        let name = path.file_name()?.to_str()?.to_owned();
        Some(Room { source: root().join(path.parent()?), name, floor })
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
    let rooms = rooms();
    assert!(rooms.len() >= 12, "the tables of ARCHITECTURE.md were not found");
    let crates: BTreeSet<&PathBuf> = rooms.iter().map(|room| &room.source).collect();
    let mut wrong = Vec::new();
    for source in crates {
        let floors: BTreeMap<&str, u32> = rooms
            .iter()
            .filter(|room| room.source == *source)
            .map(|room| (room.name.as_str(), room.floor))
            .collect();
        let mut files = Vec::new();
        sources(source, &mut files);
        for file in files {
            let path = file.strip_prefix(source).unwrap();
            let room = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
            // A door of the crate, or a file beside its rooms.
            let Some(&floor) = floors.get(room) else {
                assert!(path.iter().count() == 1, "`{}` has no floor", path.display());
                continue;
            };
            for named in rooms_named(&fs::read_to_string(&file).unwrap()) {
                let Some(&other) = floors.get(named.as_str()) else { continue };
                if named != room && other >= floor {
                    wrong.push(format!("{} imports from `{named}`", file.display()));
                }
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

/// Each mistake that can be planted says what it proves.
#[test]
fn planted_mistakes_are_listed() {
    let list = fs::read_to_string(root().join("framework/call/src/call/planted.rs")).unwrap();
    let listed: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split_once('`'))
        .map(|(mistake, _)| mistake)
        .collect();
    let mut files = Vec::new();
    sources(&root().join("framework"), &mut files);
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let planted: BTreeSet<&str> = text
        .split("planted!(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(mistake, _)| mistake)
        .collect();
    assert_eq!(planted, listed);
}
