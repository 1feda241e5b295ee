//! The files of a new module.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};
use toml_edit::DocumentMut;

/// The edition of new packages in a workspace that does not say one.
const EDITION: &str = "2024";

/// Names that clash in every workspace.
#[rustfmt::skip]
const MEAN_SOMETHING_ELSE: [&str; 75] = [
    // Words of Rust.
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
    // Crates that every program has, and folders of cargo that cannot be a program's name.
    "alloc", "core", "inventory", "proc-macro", "std", "test", "build", "deps", "examples", "incremental",
    // Their types would be those that the new files use: `Call` has a `CallError`.
    "call", "db", "deserialize", "error", "interface", "json-schema", "note", "option", "result", "serialize", "string",
    // Variables of the new tests.
    "missing", "mode", "system",
];

/// A module's name in the spellings that the files need.
#[derive(Debug)]
pub(super) struct Names {
    /// `gift-cards`
    pub(super) name: String,
    /// `gift_cards`
    snake: String,
    /// `GiftCards`
    camel: String,
}

impl Names {
    pub(super) fn of(name: &str) -> Result<Self, String> {
        let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
        let fits = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !begins || !fits || name.ends_with('-') || name.contains("--") || name.len() > 40 {
            return Err(format!(
                "`{name}` cannot be a module's name: small letters, digits and single hyphens, \
                 beginning with a letter"
            ));
        }
        if MEAN_SOMETHING_ELSE.contains(&name)
            || name.starts_with("monolift")
            || name.ends_with("-api")
        {
            return Err(format!("`{name}` cannot be a module's name: it means something else"));
        }
        let capitals = |part: &str| {
            let mut letters = part.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(letters).collect::<String>()
            })
        };
        Ok(Self {
            name: name.to_owned(),
            snake: name.replace('-', "_"),
            camel: name.split('-').map(capitals).collect(),
        })
    }

    fn fill(&self, template: &str) -> String {
        let Self { name, snake, camel } = self;
        template.replace("{name}", name).replace("{snake}", snake).replace("{Name}", camel)
    }
}

/// Who may call the methods of a new module, until its author says who should.
const AUTH: &str = "#[auth(public)] // everyone: write who should, `#[auth(user)]` or `#[auth(role = \"staff\")]`\n";
/// That all routed methods of the package say so.
const STATED: &str = "[package.metadata.monolift]\nauth = true\n";

/// Writes all files. None of them may exist. In an application `with_identity` the methods say who may call them.
pub(super) fn write(
    root: &Path,
    names: &Names,
    with_identity: bool,
) -> Result<Vec<PathBuf>, String> {
    let workspace =
        fs::read_to_string(root.join("Cargo.toml")).map_err(|error| error.to_string())?;
    let workspace: DocumentMut =
        workspace.parse().map_err(|error| format!("Cargo.toml: {error}"))?;
    let name = &names.name;
    let module = root.join("modules").join(name);
    let shared = workspace["workspace"].get("dependencies");
    let is_shared = |name: &str| shared.is_some_and(|shared| shared.get(name).is_some());
    // An interface compiles faster without the rest of the framework.
    let monolift = if is_shared("monolift-call") { "monolift-call" } else { "monolift" };
    let api = [monolift, "schemars", "serde", "thiserror"];
    let mut own = vec!["monolift", "sqlx"];
    if is_shared("one-build") {
        own.push("one-build");
    }
    let interface = names.fill(include_str!("templates/api.rs.txt"));
    let interface = interface.replace("{monolift}", &monolift.replace('-', "_"));
    let interface = interface.replace("{auth}\n", if with_identity { AUTH } else { "" });
    let folder = format!(
        "//! A new migration rebuilds the module.\n\nfn main() {{\n    println!(\"cargo::rerun-if-changed=../../migrations/{name}\");\n}}\n"
    );
    let main = format!(
        "//! Serves the module on its own: `cargo run -p {name}`.\n\nmonolift::service!();\n"
    );
    let migration =
        "CREATE TABLE notes (\n    id   TEXT NOT NULL PRIMARY KEY,\n    text TEXT NOT NULL\n);\n";
    let api_toml = package(
        &workspace,
        &format!("{name}-api"),
        &format!("The interface of the module {name}."),
        &api,
        "",
        "",
    );
    let api_toml = if with_identity {
        api_toml.replacen("\n[dependencies]", &format!("\n{STATED}\n[dependencies]"), 1)
    } else {
        api_toml
    };
    let module_toml = package(
        &workspace,
        name,
        &format!("The module {name}."),
        &own,
        &format!("{name}-api = {{ path = \"api\" }}\n"),
        &format!("\n[dev-dependencies]\n{}", dependency(&workspace, "tokio")),
    );
    let files = [
        (module.join("api/Cargo.toml"), api_toml),
        (module.join("api/src/lib.rs"), interface),
        (module.join("Cargo.toml"), module_toml),
        (module.join("build.rs"), folder),
        (module.join("src/lib.rs"), names.fill(include_str!("templates/module.rs.txt"))),
        (module.join("src/tests.rs"), names.fill(include_str!("templates/tests.rs.txt"))),
        (module.join("src/main.rs"), main),
        (root.join(format!("migrations/{name}/0001_notes.sql")), migration.to_owned()),
    ];
    if let Some((file, _)) = files.iter().find(|(file, _)| file.exists()) {
        return Err(format!("{} is there already", file.display()));
    }
    for (file, text) in &files {
        put(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if let Err(error) = format(&files, edition(&workspace)) {
        eprintln!("the new files are not formatted, run `cargo fmt`: {error}");
    }
    Ok(files.into_iter().map(|(file, _)| file).collect())
}

/// Formats the Rust files as the workspace's own rustfmt.toml says. Without this, the order of imports and the length of
/// lines would depend on the module's name.
fn format(files: &[(PathBuf, String)], edition: &str) -> Result<(), String> {
    let program = env::var_os("RUSTFMT").unwrap_or_else(|| "rustfmt".into());
    let sources = files.iter().map(|(file, _)| file);
    let sources =
        sources.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let mut command = Command::new(&program);
    let output = command.args(["--edition", edition]).args(sources).output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn edition(workspace: &DocumentMut) -> &str {
    let package = workspace["workspace"].get("package");
    package.and_then(|package| package.get("edition")?.as_str()).unwrap_or(EDITION)
}

pub(super) fn put(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text)
}

/// A Cargo.toml that inherits from the workspace where the workspace has a value.
fn package(
    workspace: &DocumentMut,
    name: &str,
    description: &str,
    dependencies: &[&str],
    own: &str,
    more: &str,
) -> String {
    let shared = |key: &str, otherwise: &str| {
        let has =
            workspace["workspace"].get("package").is_some_and(|package| package.get(key).is_some());
        match (has, otherwise) {
            (true, _) => format!("{key}.workspace = true\n"),
            (false, "") => String::new(),
            (false, value) => format!("{key} = {value}\n"),
        }
    };
    let mut text = format!("[package]\nname = \"{name}\"\ndescription = \"{description}\"\n");
    for (key, otherwise) in [
        ("version", "\"0.1.0\""),
        ("edition", &format!("\"{EDITION}\"")),
        ("rust-version", ""),
        ("license", ""),
        ("publish", "false"),
    ] {
        text.push_str(&shared(key, otherwise));
    }
    text.push_str("\n[dependencies]\n");
    let mut lines: Vec<String> =
        dependencies.iter().map(|name| dependency(workspace, name)).collect();
    lines.push(own.to_owned());
    lines.sort();
    text.push_str(&lines.concat());
    text.push_str(more);
    if workspace["workspace"].get("lints").is_some() {
        text.push_str("\n[lints]\nworkspace = true\n");
    }
    text
}

/// The workspace's dependency if there is one. Otherwise a version that is known to work.
fn dependency(workspace: &DocumentMut, name: &str) -> String {
    let shared = workspace["workspace"].get("dependencies").and_then(|all| all.get(name));
    if shared.is_some() {
        return format!("{name}.workspace = true\n");
    }
    match name {
        "serde" => "serde = { version = \"1\", features = [\"derive\"] }\n".to_owned(),
        "sqlx" => "sqlx = { version = \"0.9\", default-features = false }\n".to_owned(),
        "thiserror" => "thiserror = \"2\"\n".to_owned(),
        "tokio" => {
            "tokio = { version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }\n".to_owned()
        }
        name => format!("{name} = \"1\"\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_packages() {
        let names = Names::of("gift-cards").unwrap();
        assert_eq!(names.fill("{name} {snake} {Name}"), "gift-cards gift_cards GiftCards");
        for wrong in [
            "",
            "Coupons",
            "1st",
            "a_b",
            "a--b",
            "a-",
            "inventory",
            "stock-api",
            "ü",
            "async",
            "note",
            "call",
            "monolift-call",
            "build",
        ] {
            assert!(Names::of(wrong).is_err(), "{wrong}");
        }
    }
}
