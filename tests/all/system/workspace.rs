//! A copy of the workspace, which a test may edit and build.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The copy. Tests run in processes of their own, and take turns with it.
pub struct Workspace {
    pub root: PathBuf,
    target: PathBuf,
    _turn: File,
}

impl Workspace {
    /// A fresh copy; what was built in the last one is built already.
    pub fn copy() -> Self {
        let target = target().join("system");
        fs::create_dir_all(&target).unwrap();
        let turn = File::create(target.join("turn.lock")).unwrap();
        turn.lock().unwrap();
        let root = target.join("copy");
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        copy_workspace(original, &root);
        Self { root, target: target.join("target"), _turn: turn }
    }

    /// A cargo command in it.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command
            .args(arguments)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("MONOLIFT_MANIFEST")
            .env_remove("MONOLIFT_PROCESS");
        command
    }

    /// Builds, and must.
    pub fn build(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = self.cargo(&["build", "--quiet"]);
        command.args(arguments).envs(env.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// A program that was built.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// Replaces text in a file of the copy; it must be there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.root.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// The modules whose code is in a program.
    pub fn modules_in(&self, program: &Path) -> Vec<&'static str> {
        let output = Command::new("nm")
            .args(["-C", "--defined-only"])
            .arg(program)
            .output()
            .expect("nm, of Debian's package binutils, must be installed");
        let symbols = String::from_utf8_lossy(&output.stdout);
        assert!(symbols.contains("monolift::"), "{} has no symbols", program.display());
        let modules = [
            ("orders", "orders::OrdersModule"),
            ("payments", "payments::PaymentsModule"),
            ("stock", "stock::StockModule"),
        ];
        let found = modules.iter().filter(|(_, symbol)| symbols.contains(symbol));
        found.map(|(module, _)| *module).collect()
    }
}

/// The folder that cargo builds into: this program is `debug/deps/all-…` in it.
pub fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned()
}

/// Copies all but what was built, with the times of the files, so that cargo sees no change.
fn copy_workspace(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if !["target", "data", ".git", "examples"].iter().any(|skipped| name == *skipped) {
            copy(&from.join(&name), &to.join(&name));
        }
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
        return;
    }
    fs::copy(from, to).unwrap();
    let modified = fs::metadata(from).unwrap().modified().unwrap();
    File::options().write(true).open(to).unwrap().set_modified(modified).unwrap();
}
