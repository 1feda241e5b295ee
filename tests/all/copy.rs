//! `cargo monolift data copy`: a module's rows in another database of the same kind, all of them or none.

mod postgres;
mod shared;
mod sqlite;

use crate::system::target;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A workspace with a manifest and the migrations of the module `notes`.
struct Project {
    folder: PathBuf,
    env: Vec<(String, String)>,
}

/// How a command ended, and all that it said.
struct Said {
    success: bool,
    text: String,
}

impl Said {
    #[track_caller]
    fn well(&self, text: &str) {
        assert!(self.success && self.text.contains(text), "no {text:?} in: {}", self.text);
    }

    /// It failed, and said why.
    #[track_caller]
    fn badly(&self, text: &str) {
        assert!(!self.success && self.text.contains(text), "no {text:?} in: {}", self.text);
    }
}

impl Project {
    fn new(name: &str, migrations: &[monolift_data::Migration]) -> Self {
        let folder = std::env::temp_dir().join(format!("ml-copy-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("migrations/notes")).unwrap();
        fs::write(folder.join("Cargo.toml"), "[workspace]\n").unwrap();
        let manifest = "app = \"shop\"\n\n[modules]\nnotes = \"monolith\"\n\n[process.monolith]\n\
            listen = \"127.0.0.1:7100\"\n";
        fs::write(folder.join("deployment.toml"), manifest).unwrap();
        for (file, text) in migrations {
            fs::write(folder.join("migrations/notes").join(file), text).unwrap();
        }
        Self { folder, env: Vec::new() }
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Starts `cargo monolift data copy` with these arguments.
    fn start(&self, arguments: &[&str]) -> Copy {
        let program = target().join("debug/cargo-monolift");
        let mut command = Command::new(program);
        command
            .args(["data", "copy"])
            .args(arguments)
            .current_dir(&self.folder)
            .env_remove("MONOLIFT_SETTINGS")
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Copy(Some(command.spawn().expect("it is built: cargo build -p monolift-cli")))
    }

    fn copy(&self, arguments: &[&str]) -> Said {
        self.start(arguments).ended()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A copy at work.
struct Copy(Option<Child>);

impl Copy {
    fn ended(mut self) -> Said {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        Said { success: output.status.success(), text: text.concat() }
    }

    fn is_at_work(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    fn kill(mut self) {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn what_cannot_be_copied_is_refused_without_a_password() {
    let project = Project::new("refused", &[("0001_notes.sql", "CREATE TABLE notes (id BIGINT)")]);
    let file = |name: &str| format!("sqlite:{}", project.folder.join(name).display());
    let (there, new) = (file("there.db"), file("new.db"));
    fs::write(project.folder.join("there.db"), "").unwrap();
    let server = "postgres://shop:CANARY@127.0.0.1:1/shop";
    let refuse = |arguments: &[&str], text: &str| {
        let said = project.copy(arguments);
        said.badly(text);
        assert!(!said.text.contains("CANARY"), "{}", said.text);
    };
    refuse(&["note", "--to", &new], "there is no module `note`: did you mean `notes`?");
    refuse(&["notes", "--to", server, "--from", &there], "two databases of one kind");
    refuse(&["notes", "--to", "shop:CANARY@db"], "--to (or MONOLIFT_TO_URL): expected a URL");
    refuse(&["notes", "--to", "postgres://s:CAN#ARY@db/x"], "--to (or MONOLIFT_TO_URL): expected");
    refuse(&["notes", "--to", server, "--from", server], "cannot be reached");
    refuse(&["notes", "--tu", server, "--from", server], "unexpected argument");
    refuse(&["notes", "--to", &there, "--from", &there], "it is the same file");
    // Where the settings say that the rows are.
    refuse(&["notes", "--to", &new], "data/notes.db does not exist");
    assert!(!Path::new(&project.folder.join("new.db")).exists());
}
