//! The stages of the Dockerfile that compile, step by step: their base image is from a registry, so this machine's own toolchain
//! stands in for it. What they copy is copied, and what they run is run by a shell.

use super::{ALL_SPLIT, Run, pipeline::copy_of_the_repository, root_file, succeeds};
use std::{
    collections::BTreeMap,
    env, fs,
    path::PathBuf,
    process::{Command, Output},
};

/// The instructions of a stage, each on one line, without comments.
fn stage(dockerfile: &str, name: &str) -> Vec<String> {
    let end = format!(" AS {name}\n");
    let (_, stage) = dockerfile.split_once(&end).unwrap();
    let stage = stage.split("\nFROM ").next().unwrap();
    let lines = stage.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", "");
    joined.lines().map(str::to_owned).collect()
}

/// The folder of an image, while it is built.
struct Image {
    run: Run,
    /// What the engine is told in `--build-arg`.
    arguments: BTreeMap<&'static str, &'static str>,
    env: BTreeMap<String, String>,
}

impl Image {
    fn new() -> Self {
        let run = ALL_SPLIT.run("stages");
        copy_of_the_repository(&run.data.join("context"));
        // An image has no variables but its own, and a toolchain.
        let toolchain = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"];
        let toolchain =
            toolchain.iter().filter_map(|key| Some(((*key).to_owned(), env::var(key).ok()?)));
        Self { env: toolchain.collect(), arguments: BTreeMap::from([("PROFILE", "dev")]), run }
    }

    fn folder(&self) -> PathBuf {
        self.run.data.join("build")
    }

    /// Takes the steps up to one that fails. The result is that of the last command.
    fn take(&mut self, steps: &[String]) -> Output {
        let mut last = None;
        for step in steps {
            let (instruction, rest) = step.split_once(' ').unwrap();
            match instruction {
                "WORKDIR" => {
                    assert_eq!(rest, "/build");
                    fs::create_dir_all(self.folder()).unwrap();
                }
                "ENV" => {
                    let (key, value) = rest.split_once('=').unwrap();
                    self.env.insert(key.to_owned(), value.to_owned());
                }
                "ARG" => {
                    let (key, default) = rest.split_once('=').unwrap_or((rest, ""));
                    let value = self.arguments.get(key).unwrap_or(&default);
                    self.env.insert(key.to_owned(), (*value).to_owned());
                }
                "COPY" => self.copy(rest),
                "RUN" => {
                    let output = self.sh(rest);
                    let ended = output.status.success();
                    last = Some(output);
                    if !ended {
                        break;
                    }
                }
                _ => panic!("this test does not know {step}"),
            }
        }
        last.expect("a stage runs something")
    }

    fn copy(&self, files: &str) {
        let (from, to) = files.rsplit_once(' ').unwrap();
        let to = self.folder().join(to);
        fs::create_dir_all(&to).unwrap();
        let mut copy = Command::new("cp");
        copy.arg("-r").args(from.split(' ')).arg(to).current_dir(self.run.data.join("context"));
        succeeds(&copy.output().unwrap());
    }

    fn sh(&self, command: &str) -> Output {
        let mut sh = Command::new("sh");
        sh.args(["-c", command]).current_dir(self.folder()).env_clear().envs(&self.env);
        sh.output().unwrap()
    }
}

#[test]
#[ignore = "it compiles all dependencies: cargo xtask test --long"]
fn the_stages_compile_dependencies_once_and_then_a_program() {
    let dockerfile = root_file("app-split/deploy/docker/Dockerfile");
    let (dependencies, build) = (stage(&dockerfile, "dependencies"), stage(&dockerfile, "build"));
    let mut image = Image::new();
    succeeds(&image.take(&dependencies));

    image.arguments.insert("PROCESS", "stok");
    let unknown = image.take(&build);
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(!unknown.status.success() && said.contains("PROCESS must be one of: "), "{said}");

    // A package alone, and the program that can be any process.
    for process in ["stock", "gateway"] {
        image.arguments.insert("PROCESS", process);
        let output = image.take(&build);
        succeeds(&output);
        let said = String::from_utf8_lossy(&output.stderr);
        let mut compiled = said.lines().filter(|line| line.trim_start().starts_with("Compiling "));
        // Cargo shows the folder of a package of the workspace, and none for one of a registry.
        let here = format!("({}", image.folder().display());
        assert!(
            compiled.clone().count() > 0 && compiled.all(|line| line.contains(&here)),
            "{said}"
        );
        assert!(image.folder().join("out/data").is_dir());
        let mut program = image.run.start(&image.folder().join("out/shop"));
        program.says(&format!("{process} runs "));
        program.stop();
    }
}
