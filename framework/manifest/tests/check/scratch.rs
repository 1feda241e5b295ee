//! A workspace in a temporary folder, removed when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use monolift_manifest::{Graph, Manifest, Problems, Workspace};

static COUNTER: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Scratch {
    pub(crate) root: PathBuf,
}

impl Scratch {
    /// A workspace whose members are everything under `modules/`, `libs/` and `apps/`.
    pub(crate) fn workspace() -> Scratch {
        Scratch::empty().file(
            "Cargo.toml",
            "[workspace]\nmembers = [\"modules/*\", \"modules/*/api\", \"libs/*\", \"apps/*\"]\n",
        )
    }

    pub(crate) fn empty() -> Scratch {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("monolift-manifest-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).expect("a temporary folder");
        Scratch { root }
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Scratch {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    /// A package; its dependencies stand from line 4 on.
    pub(crate) fn package(self, folder: &str, name: &str, dependencies: &[&str]) -> Scratch {
        let mut text = format!("[package]\nname = \"{name}\"\n[dependencies]\n");
        for dependency in dependencies {
            text += &format!("{dependency} = \"1\"\n");
        }
        self.file(&format!("{folder}/Cargo.toml"), &text)
    }

    /// A module under `modules/` and its interface.
    pub(crate) fn module(self, name: &str, dependencies: &[&str]) -> Scratch {
        let api = format!("{name}-api");
        let all: Vec<&str> =
            [api.as_str()].into_iter().chain(dependencies.iter().copied()).collect();
        self.package(&format!("modules/{name}"), name, &all).package(
            &format!("modules/{name}/api"),
            &api,
            &["serde"],
        )
    }

    pub(crate) fn find(&self, from: &str) -> Result<Workspace, Problems> {
        Workspace::find(&self.root.join(from))
    }

    pub(crate) fn check(
        &self,
        manifest: &str,
        host_package: Option<&str>,
    ) -> Result<Graph, Problems> {
        let workspace = self.find("").expect("a workspace");
        Graph::check(&parse(manifest).expect("a manifest"), &workspace, host_package)
    }

    pub(crate) fn graph(&self, manifest: &str) -> Graph {
        self.check(manifest, None).unwrap_or_else(|problems| panic!("{}", self.shown(&problems)))
    }

    /// What is wrong, with paths relative to the root.
    #[track_caller]
    pub(crate) fn refused(&self, manifest: &str) -> String {
        self.shown(&self.check(manifest, None).expect_err("a refusal"))
    }

    pub(crate) fn shown(&self, problems: &Problems) -> String {
        problems.to_string().replace(&format!("{}/", self.root.display()), "")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind, it harms nobody; and a panic here would hide the test's own.
        let _ = fs::remove_dir_all(&self.root);
    }
}

pub(crate) fn parse(text: &str) -> Result<Manifest, Problems> {
    Manifest::parse(text, Path::new("deployment.toml"))
}
