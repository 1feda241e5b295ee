//! The Dockerfile's steps up to the final image, run on this machine in their order: the compiler, the dependencies and
//! the sources are real, and the engine is this file.

use super::{Process, Run, eventually, monolift, request, root, succeeds};
use crate::system::target;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A step of a stage that builds.
#[derive(Debug)]
enum Step {
    Copy { from: String, to: String },
    Run(String),
}

/// The steps of the stages but the last, without comments.
fn steps(dockerfile: &str) -> Vec<Step> {
    let (building, _) = dockerfile.split_once("\nFROM gcr.io/").unwrap();
    let lines = building.lines().filter(|line| !line.starts_with('#'));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    let text = text.replace("\\\n", " ");
    let step = |line: &str| {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "COPY" => {
                let (from, to) = rest.rsplit_once(' ')?;
                Some(Step::Copy { from: from.to_owned(), to: to.to_owned() })
            }
            "RUN" => Some(Step::Run(rest.to_owned())),
            // The base, and where and with which variables the steps run.
            "FROM" | "ARG" | "ENV" | "WORKDIR" => None,
            other => panic!("no one knows {other}"),
        }
    };
    text.lines().filter_map(step).collect()
}

/// Copies what the builder is sent.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            if !["target", ".git", "data", "settings.toml", ".env"]
                .iter()
                .any(|ignored| name == *ignored)
            {
                copy(&from.join(&name), &to.join(&name));
            }
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

/// Builds the program of a process as the Dockerfile does. The result is where it is.
fn build(run: &Run, dockerfile: &str, process: &str) -> PathBuf {
    let folder = run.data.join("build");
    fs::create_dir_all(&folder).unwrap();
    let mut compiled = Vec::new();
    for step in steps(dockerfile) {
        match step {
            Step::Copy { from, to } => {
                for from in from.split(' ') {
                    let source = root().join(from);
                    let name = if source.is_dir() {
                        ""
                    } else {
                        source.file_name().unwrap().to_str().unwrap()
                    };
                    copy(&source, &folder.join(&to).join(name));
                }
            }
            Step::Run(command) => {
                let mut shell = Command::new("sh");
                shell
                    .args(["-c", &command])
                    .current_dir(&folder)
                    .env("PROCESS", process)
                    .env("PROFILE", "dev");
                shell
                    .env("CARGO_NET_OFFLINE", "true")
                    .env("CARGO_BUILD_BUILD_DIR", target())
                    .env_remove("CARGO_TARGET_DIR");
                for key in std::env::vars_os().map(|(key, _)| key) {
                    if key.to_string_lossy().starts_with("CARGO_PKG") || key == "CARGO_MANIFEST_DIR"
                    {
                        shell.env_remove(key);
                    }
                }
                let output = shell.output().unwrap();
                succeeds(&output);
                compiled.push(String::from_utf8_lossy(&output.stderr).into_owned());
            }
        }
    }
    // The layer of dependencies has them, and the last step compiles the workspace's own packages only.
    let last = compiled.last().unwrap();
    let elsewhere: Vec<&str> =
        last.lines().filter(|line| line.contains("Compiling") && !line.contains(" (/")).collect();
    assert!(last.contains("Compiling stock v") && elsewhere.is_empty(), "{elsewhere:?}");
    folder.join("out/shop")
}

#[test]
#[ignore = "it builds the monolith once more: cargo xtask test --long"]
fn the_dockerfile_builds_a_process_by_its_name() {
    let run = Run::new("dockerfile");
    let out = run.data.join("docker").display().to_string();
    succeeds(&monolift(&["deploy", "docker", "--manifest", "deployment.toml", "--out", &out]));
    let dockerfile = fs::read_to_string(run.data.join("docker/Dockerfile")).unwrap();
    let program = build(&run, &dockerfile, "monolith");
    // The image's own user and folders are the engine's matter. What it starts is this.
    let env = [
        run.env.clone(),
        vec![("SHOP_PROCESS__MONOLITH__HTTP".to_owned(), "127.0.0.1:0".to_owned())],
    ]
    .concat();
    let env = [env, vec![("SHOP_PROCESS__MONOLITH__LISTEN".to_owned(), super::super::free_port())]]
        .concat();
    let mut process = Process::start(&program, &env);
    let address = process.http();
    eventually("it is ready", || super::is_ready(&address));
    let order = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 1}]}"#;
    assert_eq!(request(&address, "POST", "/orders", &[], order).unwrap().status, 201);
    let mut health = Command::new(&program);
    assert_eq!(
        succeeds(&health.arg("health").envs(env.iter().cloned()).output().unwrap()),
        "ready\n"
    );
    process.stop();
}
