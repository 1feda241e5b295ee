//! The Dockerfile: one for all processes. Dependencies are compiled with empty sources in place of the workspace's own, so
//! that layer is kept until a Cargo.toml or Cargo.lock changes.

use super::{
    file, settings,
    system::{ADMIN, CALLS, HTTP, Process, System, USER},
};
use crate::{
    paths::{real, relative},
    sources::table,
    written::Written,
};
use monolift_cli::up::Program;
use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

pub(super) fn files(system: &System, out: &Path) -> Result<Vec<Written>, Box<dyn Error>> {
    let root = fs::canonicalize(&system.workspace.root)?;
    if Path::new(&system.file).is_absolute() {
        return Err(format!(
            "{} is outside of the workspace, and images are built from that",
            system.file
        )
        .into());
    }
    let place = relative(&root, &real(out)?.join("Dockerfile"));
    Ok(vec![
        file("Dockerfile", dockerfile(system, &place)?),
        file("Dockerfile.dockerignore", ignore(system)),
    ])
}

fn dockerfile(system: &System, place: &Path) -> Result<String, Box<dyn Error>> {
    let System { app, name, rust, file: manifest, .. } = system;
    let head = system.head("docker");
    let stubs = Stubs::of(system)?;
    let copies: String = stubs
        .manifests
        .iter()
        .map(|file| {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder =
                folder.map_or_else(|| ".".to_owned(), |folder| folder.display().to_string());
            format!("COPY {} {folder}/\n", file.display())
        })
        .collect();
    let (libraries, programs) = (lines(&stubs.libraries), lines(&stubs.programs));
    let builds: BTreeSet<String> = system
        .processes
        .iter()
        .map(|process| {
            let (package, bin) = program(process);
            format!("    cargo build --profile \"$PROFILE\" --locked -p {package} --bin {bin}")
        })
        .collect();
    let builds = builds.into_iter().collect::<Vec<_>>().join("; \\\n");
    let cases: String = system
        .processes
        .iter()
        .map(|process| {
            let (package, bin) = program(process);
            format!("      {}) package={package} bin={bin} ;; \\\n", process.name)
        })
        .collect();
    let names: Vec<&str> = system.processes.iter().map(|process| process.name.as_str()).collect();
    let (first, names) = (names.first().copied().unwrap_or(app), names.join(", "));
    let (settings, place) = (settings::place(system), place.display());
    Ok(format!(
        r#"# syntax=docker/dockerfile:1
# {head}
#
# Builds the image of any process, in the root of the workspace:
#
#   docker build --file {place} --build-arg PROCESS={first} --tag {name}-{first} .
#
# The processes are {names}.

ARG RUST={rust}

# Compiles dependencies only. The sources of the workspace are empty here, so this layer is used again until a
# Cargo.toml or Cargo.lock changes.
FROM rust:${{RUST}}-slim-bookworm AS dependencies
# `dev` compiles faster, for a first look.
ARG PROFILE=release
ENV CARGO_INCREMENTAL=0
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
{copies}RUN set -eu; \
    for file in \
{libraries}    ; do mkdir -p "${{file%/*}}"; : > "$file"; done; \
    for file in \
{programs}    ; do mkdir -p "${{file%/*}}"; echo 'fn main() {{}}' > "$file"; done
# Each as its image compiles it: which features a dependency has can differ between programs.
RUN set -eu; \
{builds}

# Compiles the program of one process.
FROM dependencies AS build
COPY . .
# Cargo compares times, and what was checked out can be older than the empty sources.
RUN find . -path ./target -prune -o -type f -exec touch {{}} +
ARG PROCESS
RUN set -eu; \
    case "$PROCESS" in \
{cases}      *) echo "PROCESS must be one of: {names}" >&2; exit 1 ;; \
    esac; \
    export MONOLIFT_MANIFEST={manifest} MONOLIFT_PROCESS="$PROCESS"; \
    cargo build --profile "$PROFILE" --locked -p "$package" --bin "$bin"; \
    folder="$PROFILE"; if [ "$PROFILE" = dev ]; then folder=debug; fi; \
    install -D "target/$folder/$bin" out/{name}; \
    mkdir -p out/data

# The program, the C library that it needs, and nothing else: no shell, no toolchain, no sources.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG PROCESS
LABEL org.opencontainers.image.title="{name}-$PROCESS"
COPY --from=build /build/out/{name} /usr/local/bin/{name}
# For SQLite files. A process on PostgreSQL writes no file, so the root can be read-only.
COPY --from=build --chown={USER}:{USER} /build/out/data /data
USER {USER}:{USER}
ENV MONOLIFT_SETTINGS={settings}
EXPOSE {HTTP} {CALLS} {ADMIN}
# The program drains when it is asked to stop.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/{name}", "health"]
ENTRYPOINT ["/usr/local/bin/{name}"]
"#
    ))
}

/// The package and the program of a process.
fn program(process: &Process) -> (&str, &str) {
    match &process.program {
        Program::Service(module) => (module, module),
        Program::Process { package, bin } => (package, bin),
    }
}

fn lines(files: &BTreeSet<PathBuf>) -> String {
    files.iter().map(|file| format!("      {} \\\n", file.display())).collect()
}

/// What cargo must find of the packages, before their sources are there.
#[derive(Default)]
struct Stubs {
    manifests: BTreeSet<PathBuf>,
    libraries: BTreeSet<PathBuf>,
    programs: BTreeSet<PathBuf>,
}

impl Stubs {
    fn of(system: &System) -> Result<Self, Box<dyn Error>> {
        let root = &system.workspace.root;
        let mut stubs = Self::default();
        for package in system.workspace.packages.values() {
            let folder = relative(root, &package.directory);
            if !folder.as_os_str().is_empty() {
                stubs.manifests.insert(folder.join("Cargo.toml"));
            }
            stubs.add(&folder, &package.directory, &table(&package.cargo_toml)?);
        }
        for settings in [".cargo/config.toml", "rust-toolchain.toml", "rust-toolchain"] {
            if root.join(settings).is_file() {
                stubs.manifests.insert(PathBuf::from(settings));
            }
        }
        Ok(stubs)
    }

    /// The targets of one package: those that it states, and those that cargo finds by their place.
    fn add(&mut self, folder: &Path, directory: &Path, manifest: &Table) {
        let path = |table: &Value| table.get("path")?.as_str().map(str::to_owned);
        let library = manifest.get("lib").and_then(path).unwrap_or_else(|| "src/lib.rs".to_owned());
        if directory.join(&library).is_file() {
            self.libraries.insert(folder.join(library));
        }
        let build = manifest.get("package").and_then(|package| package.get("build"));
        let mut programs = vec![
            build.and_then(Value::as_str).unwrap_or("build.rs").to_owned(),
            "src/main.rs".to_owned(),
        ];
        for kind in ["bin", "test", "bench", "example"] {
            let stated = manifest.get(kind).and_then(Value::as_array).into_iter().flatten();
            for target in stated {
                programs.extend(path(target));
                // Without a path it is where targets of its kind are.
                let place = if kind == "bin" { "src/bin" } else { &format!("{kind}s") };
                let place = place.replace("benchs", "benches");
                let name = target.get("name").and_then(Value::as_str).unwrap_or_default();
                programs.extend([format!("{place}/{name}.rs"), format!("{place}/{name}/main.rs")]);
            }
        }
        for entry in fs::read_dir(directory.join("src/bin")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            programs.extend([format!("src/bin/{name}"), format!("src/bin/{name}/main.rs")]);
        }
        programs.retain(|program| directory.join(program).is_file());
        self.programs.extend(programs.into_iter().map(|program| folder.join(program)));
    }
}

/// What the builder is not sent: what was built or stored, secrets, and what no program is made from.
fn ignore(system: &System) -> String {
    let head = system.head("docker");
    format!(
        "# {head}
**/target
**/.git
**/.env
**/*.env
data
settings.toml
Dockerfile*
"
    )
}
