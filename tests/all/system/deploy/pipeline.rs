//! The scripts of the pipeline, in the order of the workflow, on a clone in which one module has changed. What they do
//! outside of this machine goes to programs that write down what they were asked.

use super::{Run, succeeds};
use crate::system::target;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Runs what needs no compiler, and writes down the rest.
const CARGO: &str = r#"#!/bin/sh
case "$1" in
    monolift) shift; exec "$MONOLIFT" "$@" ;;
esac
echo "cargo $*" >> "$ASKED"
"#;

const DOCKER: &str = "#!/bin/sh\necho \"docker $*\" >> \"$ASKED\"\n";

/// A cluster in which everything goes well, but for the process in `BROKEN`.
const KUBECTL: &str = r#"#!/bin/sh
case "$1 $2" in
    "kustomize "*) cat "$RENDERED"; exit 0 ;;
    "apply "*) for file; do :; done; grep -o 'image: .*' "$file" | sort -u > "$ASKED.images" ;;
    "get job") echo Complete ;;
    "rollout status")
        case "$3" in "$BROKEN") echo "kubectl $*" >> "$ASKED"; exit 1 ;; esac
        echo "successfully rolled out"
        case "$*" in *--watch=false*) exit 0 ;; esac ;;
esac
echo "kubectl $*" >> "$ASKED"
"#;

/// A clone of the repository with the pipeline in it.
struct Clone {
    run: Run,
    root: PathBuf,
    asked: PathBuf,
}

impl Clone {
    fn new(name: &str) -> Self {
        let run = Run::new(name);
        let (root, tools) = (run.data.join("clone"), run.data.join("tools"));
        copy_of_the_repository(&root);
        fs::create_dir_all(&tools).unwrap();
        for (program, text) in [("cargo", CARGO), ("docker", DOCKER), ("kubectl", KUBECTL)] {
            fs::write(tools.join(program), text).unwrap();
            fs::set_permissions(tools.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        // What kustomize would make of the base: its objects one behind the other.
        let mut rendered = String::new();
        for part in ["base", "migrate"] {
            for entry in fs::read_dir(root.join("app-split/deploy/kubernetes").join(part)).unwrap()
            {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|kind| kind == "yaml") {
                    rendered += &format!("---\n{}", fs::read_to_string(path).unwrap());
                }
            }
        }
        fs::write(run.data.join("rendered.yaml"), rendered).unwrap();
        let clone = Self { asked: run.data.join("asked"), run, root };
        clone.git(&["init", "--quiet"]);
        clone.commit("before");
        clone
    }

    fn git(&self, arguments: &[&str]) {
        let who = [
            "-c",
            "user.name=shop",
            "-c",
            "user.email=shop@example.org",
            "-c",
            "core.hooksPath=/dev/null",
        ];
        succeeds(
            &Command::new("git")
                .arg("-C")
                .arg(&self.root)
                .args(who)
                .args(arguments)
                .output()
                .unwrap(),
        );
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Runs a script of the pipeline.
    fn step(&self, script: &str, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        let path =
            format!("{}:{}", self.run.data.join("tools").display(), std::env::var("PATH").unwrap());
        let _ = fs::remove_file(&self.asked);
        let mut command = Command::new("bash");
        command.arg(Path::new("app-split/deploy/github/monolift").join(script)).args(arguments);
        command.current_dir(&self.root).env("PATH", path).env("ASKED", &self.asked);
        command.env("MONOLIFT", target().join("debug/cargo-monolift"));
        command.env("RENDERED", self.run.data.join("rendered.yaml")).env("BROKEN", "none");
        command.envs([
            ("REGISTRY", "registry.example.org/shop"),
            ("TAG", "c0ffee"),
            ("WATCH", "1"),
            ("EVERY", "0.1"),
        ]);
        command.envs(env.iter().copied()).output().unwrap()
    }

    /// What was asked for outside of this machine, since the step began.
    fn asked(&self) -> String {
        fs::read_to_string(&self.asked).unwrap_or_default()
    }
}

/// Copies what git knows or would add, as it is now.
pub(super) fn copy_of_the_repository(root: &Path) {
    let from = super::root();
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let listed = Command::new("git").arg("-C").arg(&from).args(arguments).output().unwrap();
    for file in succeeds(&listed).split('\0').filter(|file| from.join(file).is_file()) {
        let to = root.join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(file), to).unwrap();
    }
}

/// The lines that update a process, undo that, or migrate.
fn releases(asked: &str) -> Vec<String> {
    let short = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["kubectl", "apply", .., "--selector", selector, _, _] => {
                let component = selector.split_once('=')?.1;
                Some(format!("apply {component}"))
            }
            ["kubectl", "rollout", "undo", what, ..] => Some(format!("undo {what}")),
            _ => None,
        }
    };
    asked.lines().filter_map(short).collect()
}

#[test]
#[ignore = "it clones the repository: cargo xtask test --long"]
fn one_module_s_change_builds_and_ships_one_image() {
    let clone = Clone::new("pipeline");
    let module = clone.root.join("modules/stock/src/lib.rs");
    fs::write(&module, fs::read_to_string(&module).unwrap() + "// One line more.\n").unwrap();
    clone.commit("one module");
    let output = clone.run.data.join("output").display().to_string();
    let said = succeeds(&clone.step(
        "affected.sh",
        &[],
        &[("BASE", "HEAD~1"), ("GITHUB_OUTPUT", output.as_str())],
    ));
    assert!(said.starts_with("stock\n  modules/stock/src/lib.rs: "), "{said}");
    let outputs = fs::read_to_string(&output).unwrap();
    assert!(
        outputs.starts_with("processes=stock\n") && outputs.contains("\nmatrix=[\"stock\"]\n"),
        "{outputs}"
    );
    let packages = outputs.lines().find_map(|line| line.strip_prefix("packages=")).unwrap();
    assert!(
        packages.split(' ').any(|one| one == "stock") && !packages.contains("payments"),
        "{packages}"
    );

    succeeds(&clone.step("check.sh", &[], &[]));
    assert!(
        clone.asked().contains("cargo fmt --all --check\n")
            && clone.asked().contains("cargo clippy ")
    );
    succeeds(&clone.step("test.sh", &[], &[("PACKAGES", packages)]));
    assert!(clone.asked().starts_with("cargo test --locked -p "), "{}", clone.asked());

    succeeds(&clone.step("image.sh", &["stock"], &[]));
    let asked = clone.asked();
    assert!(
        asked.contains("--build-arg PROCESS=stock ")
            && asked.contains("--tag registry.example.org/shop/shop-stock:c0ffee --push ."),
        "{asked}"
    );

    let said = succeeds(&clone.step("release.sh", &[], &[("PROCESSES", "stock")]));
    assert!(said.ends_with("released: stock\n"), "{said}");
    assert_eq!(releases(&clone.asked()), ["apply stock-migrate", "apply stock"]);
    let images = fs::read_to_string(clone.asked.with_extension("images")).unwrap();
    assert!(images.contains("image: registry.example.org/shop/shop-stock:c0ffee\n"), "{images}");
}

#[test]
#[ignore = "it clones the repository: cargo xtask test --long"]
fn a_release_goes_from_callees_to_callers_and_a_roll_back_the_other_way() {
    let clone = Clone::new("pipeline-order");
    let all = "gateway orders users notifications payments reports stock";
    succeeds(&clone.step("release.sh", &[], &[("PROCESSES", all)]));
    let asked = releases(&clone.asked());
    let updates: Vec<&str> = asked
        .iter()
        .filter_map(|line| line.strip_prefix("apply "))
        .filter(|one| !one.ends_with("-migrate"))
        .collect();
    assert_eq!(
        updates,
        ["payments", "stock", "users", "orders", "notifications", "reports", "gateway"]
    );
    let last_job = asked.iter().rposition(|line| line.ends_with("-migrate")).unwrap();
    assert!(asked[last_job + 1..].len() == updates.len(), "{asked:?}");

    let broken = clone.step(
        "release.sh",
        &[],
        &[("PROCESSES", "orders stock gateway"), ("BROKEN", "deployment/shop-orders")],
    );
    let said = String::from_utf8_lossy(&broken.stderr);
    assert!(
        !broken.status.success() && said.contains("rolling back: orders did not become ready"),
        "{said}"
    );
    let asked = releases(&clone.asked());
    let updates: Vec<&str> =
        asked.iter().map(String::as_str).filter(|line| !line.ends_with("-migrate")).collect();
    assert_eq!(
        updates,
        [
            "apply stock",
            "apply orders",
            "undo deployment/shop-orders",
            "undo deployment/shop-stock"
        ]
    );

    let unknown = clone.step("release.sh", &[], &[("PROCESSES", "stok")]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(releases(&clone.asked()).is_empty());
    // A revision that is not there means all.
    let output = clone.run.data.join("output").display().to_string();
    succeeds(&clone.step(
        "affected.sh",
        &[],
        &[("BASE", "released"), ("GITHUB_OUTPUT", output.as_str())],
    ));
    let outputs = fs::read_to_string(&output).unwrap();
    assert!(
        outputs
            .starts_with("processes=payments stock users orders notifications reports gateway\n"),
        "{outputs}"
    );
}
