//! A copy of the workspace, which a test may edit and build.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What is not copied: what was built, what was stored, and what is no part of the workspace.
const LEFT_OUT: [&str; 4] = ["target", "data", ".git", "examples"];

/// The copy. Tests run in processes of their own, and take turns with it.
pub struct Workspace {
    pub root: PathBuf,
    pub target: PathBuf,
    _turn: File,
}

impl Workspace {
    /// The copy, as the original is now; nobody else has it until this is dropped. What has not
    /// changed since it was last built is built already.
    pub fn copy() -> Self {
        let folder = folder();
        fs::create_dir_all(&folder).unwrap();
        let turn = File::create(folder.join("turn.lock")).unwrap();
        turn.lock().unwrap();
        let root = folder.join("copy");
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        make_equal(original, &root, &LEFT_OUT);
        Self { root, target: folder.join("target"), _turn: turn }
    }

    /// A cargo command in it.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = crate::cargo::cargo();
        command
            .args(arguments)
            .current_dir(&self.root)
            .envs(self.env())
            .env_remove("MONOLIFT_MANIFEST")
            .env_remove("MONOLIFT_PROCESS");
        command
    }

    /// Settings of cargo in it. Cargo has to tell the copy's packages from those of the original: they are built with
    /// other debug information. `Cargo.toml` fixes that of dependencies, which are the same for both.
    pub fn env(&self) -> Vec<(String, String)> {
        let mut env = builds_into(&self.target);
        for (key, information) in [("", "line-directives-only"), ("_BUILD_OVERRIDE", "limited")] {
            env.push((format!("CARGO_PROFILE_DEV{key}_DEBUG"), information.to_owned()));
        }
        env
    }

    /// Builds, and must. The result is what was compiled for it, as `lib stock` or `bin process`.
    pub fn build(&self, packages: &[&str], env: &[(&str, &str)]) -> BTreeSet<String> {
        let json = "--message-format=json-render-diagnostics";
        let mut command = self.cargo(&["build", "--quiet", "--locked", json]);
        command.args(packages.iter().flat_map(|package| ["-p", package]));
        let Output { status, stdout, stderr } = command.envs(env.iter().copied()).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        let messages = String::from_utf8(stdout).unwrap();
        let compiled = messages.lines().filter_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).unwrap();
            let is_new = message["reason"] == "compiler-artifact" && message["fresh"] == false;
            let of = |key: &str| message["target"][key].clone();
            is_new.then(|| {
                format!("{} {}", of("kind")[0].as_str().unwrap(), of("name").as_str().unwrap())
            })
        });
        compiled.collect()
    }

    /// A program that was built.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root.join(file)).unwrap()
    }

    /// Writes a file, unless that is what is in it.
    pub fn write(&self, file: &str, text: &str) {
        write(&self.root.join(file), text.as_bytes());
    }
}

/// The text with each of the changes, which must find what they replace.
pub fn edited(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "no {from:?} in\n{text}");
        text.replacen(from, to, 1)
    })
}

/// The folder that cargo builds into: this program is `debug/deps/all-…` in it.
pub fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// Settings with which another workspace has its programs in `folder`, and uses the dependencies that were compiled for
/// these tests as far as they are the same.
pub fn builds_into(folder: &Path) -> Vec<(String, String)> {
    let settings = [("CARGO_BUILD_BUILD_DIR", target()), ("CARGO_TARGET_DIR", folder.to_owned())];
    settings.map(|(key, value)| (key.to_owned(), value.display().to_string())).into()
}

/// Where the copy is, and what was built of it.
pub fn folder() -> PathBuf {
    target().join("system")
}

/// Makes `to` what `from` is. A file that is equal is not touched, and one that is not has changed
/// now: cargo goes by the time, and may have built it as a test left it.
fn make_equal(from: &Path, to: &Path, left_out: &[&str]) {
    if !from.is_dir() {
        write(to, &fs::read(from).unwrap());
        return;
    }
    fs::create_dir_all(to).unwrap();
    let mut names = names_in(from);
    names.retain(|name| !left_out.iter().any(|left_out| name == left_out));
    for name in names_in(to).difference(&names) {
        remove(&to.join(name));
    }
    for name in names {
        make_equal(&from.join(&name), &to.join(&name), &[]);
    }
}

fn names_in(folder: &Path) -> BTreeSet<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

fn write(path: &Path, content: &[u8]) {
    if fs::read(path).ok().as_deref() != Some(content) {
        fs::write(path, content).unwrap();
    }
}
