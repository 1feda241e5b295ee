//! The program of `examples/adopt`, as a reader of `docs/adopt.md` has it: a copy with a history of its own.

use crate::system::{Process, builds_into, target};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The commits that make each state of the one before, from the second state on.
pub(super) const COMMITS: [&str; 5] = [
    "0002-profiles-behind-a-trait.patch",
    "0003-profiles-as-a-service.patch",
    "0004-a-database-of-its-own.patch",
    "0005-back-in.patch",
    "0006-without-Monolift.patch",
];

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

pub(super) fn example() -> PathBuf {
    root().join("examples/adopt")
}

pub(super) struct Gazette {
    pub(super) tree: PathBuf,
    programs: PathBuf,
    pub(super) page: String,
    /// What the reader has exported.
    pub(super) env: Vec<(String, String)>,
}

impl Gazette {
    /// The first state.
    pub(super) fn copy(name: &str) -> Self {
        let folder = target().join("adopt").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("patches")).unwrap();
        let before = example().join("before");
        for file in files(&before) {
            let to = folder.join("gazette").join(file.strip_prefix(&before).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(file, to).unwrap();
        }
        // The copy may be at another depth.
        let framework = root().join("framework");
        for patch in COMMITS {
            let text = fs::read_to_string(example().join("patches").join(patch)).unwrap();
            let text = text.replace("../../../framework", &framework.display().to_string());
            fs::write(folder.join("patches").join(patch), text).unwrap();
        }
        // A command may go on in a second line.
        let page =
            fs::read_to_string(root().join("docs/adopt.md")).unwrap().replace("\\\n    ", "");
        let programs = target().join("examples");
        let gazette = Self { tree: folder.join("gazette"), programs, page, env: Vec::new() };
        gazette.typed("git init --quiet && git add . && git commit --quiet --message before");
        gazette
    }

    /// Runs a command of the page, as it is typed.
    pub(super) fn typed(&self, command: &str) -> String {
        let shown = self.page.lines().any(|line| line == command);
        assert!(shown, "docs/adopt.md does not show `{command}`");
        let cli = target().join("debug/cargo-monolift").display().to_string();
        let output = bash(&command.replace("cargo monolift", &cli), &self.tree, &self.env);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn exports(&mut self, key: &str, value: &str) {
        self.env.push((key.to_owned(), value.to_owned()));
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = crate::cargo::cargo();
        command
            .args(arguments)
            .current_dir(&self.tree)
            .envs(builds_into(&self.programs))
            // As the dependencies of this workspace are built.
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env_remove("MONOLIFT_MANIFEST")
            .env_remove("MONOLIFT_PROCESS");
        command
    }

    /// Builds all programs of the state, formatted as it is kept.
    pub(super) fn build(&self, with_monolift: bool) {
        if with_monolift {
            // The versions that these tests use: not those that are the newest today.
            fs::copy(example().join("patches/Cargo.lock"), self.tree.join("Cargo.lock")).unwrap();
        }
        for arguments in [&["fmt", "--all", "--check"][..], &["build", "--quiet", "--workspace"]] {
            let done = self.cargo(arguments).output().unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success() && said.is_empty(), "{arguments:?}: {said}");
        }
    }

    /// `cargo monolift check` prints this of the state.
    pub(super) fn checks(&self, expected: &str) {
        let mut check = Command::new(target().join("debug/cargo-monolift"));
        let Output { status, stdout, stderr } =
            check.arg("check").current_dir(&self.tree).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        let said = String::from_utf8(stdout).unwrap();
        assert!(said.contains(expected), "{said}");
    }

    pub(super) fn start(&self, program: &str, env: &[(&str, &str)]) -> Process {
        let mut all = self.env.clone();
        all.extend(env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        all.push(("LISTEN".to_owned(), "127.0.0.1:0".to_owned()));
        Process::start(&self.programs.join("debug").join(program), &all)
    }

    /// The program's own suite, on a program that runs: how many assertions have held.
    pub(super) fn suite(&self, address: &str) -> u32 {
        let command = "API=127.0.0.1:3000 cargo test --test api";
        assert!(self.page.contains(command));
        let test = self.cargo(&["test", "--quiet", "--test", "api"]).env("API", address).output();
        let Output { status, stdout, stderr } = test.unwrap();
        let said = String::from_utf8(stdout).unwrap();
        assert!(status.success(), "{said}\n{}", String::from_utf8_lossy(&stderr));
        let held = said.lines().find_map(|line| line.strip_suffix(" assertions held"));
        held.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    }
}

/// Runs a command in a shell that finds PostgreSQL's programs and no settings of git.
pub(super) fn bash(command: &str, folder: &Path, env: &[(String, String)]) -> Output {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    Command::new("bash")
        .args(["-o", "pipefail", "-c", command])
        .current_dir(folder)
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "reader")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "reader@example.org")))
        .envs(env.iter().map(|(key, value)| (key, value)))
        .output()
        .unwrap()
}

/// All files of a folder, without what was built there.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let entries = entries.filter(|path| !path.ends_with("target"));
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

pub(super) fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = git.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
