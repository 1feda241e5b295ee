//! Images of all processes, made by a real engine from the last stage of the Dockerfile, and an order that is placed through
//! them. The base image is from a registry, so this machine's own C library stands in for it.

use super::{ALL_SPLIT, Process, Run, eventually, is_ready, request, root_file, succeeds};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What `buildah` is told on each call: where it keeps its files, and that it needs no kernel module for them.
fn buildah(run: &Run) -> Command {
    let mut command = Command::new("buildah");
    command.args(["--storage-driver", "vfs", "--root"]).arg(run.data.join("storage"));
    command.arg("--runroot").arg(run.data.join("run"));
    command
}

/// The last stage, with files of the context in place of a registry's and of another stage's.
fn last_stage(dockerfile: &str) -> String {
    let (_, stage) =
        dockerfile.split_once("\nFROM gcr.io/distroless/cc-debian12:nonroot\n").unwrap();
    assert_eq!(stage.matches("COPY --from=build").count(), 2, "{stage}");
    let stage = stage.replace("--from=build ", "").replace("/build/out/", "");
    format!("FROM scratch\nCOPY base /\n{stage}")
}

/// The files of a base image: the loader, and the libraries that a program needs.
fn base(folder: &Path, program: &Path) {
    let said = succeeds(&Command::new("ldd").arg(program).output().unwrap());
    let words = said.split_whitespace().filter(|word| word.starts_with('/'));
    for library in words {
        let to = folder.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(library, to).unwrap();
    }
}

/// A container, which ends with this value.
struct Container(Process);

impl Drop for Container {
    fn drop(&mut self) {
        // The engine passes it on.
        self.0.signal("TERM");
        self.0.ended_in_place();
    }
}

/// The settings of the composed system, at ports of this machine, which all containers share.
fn settings(file: &Path) -> String {
    let mut text = root_file("app-split/deploy/compose/settings.toml");
    let mut gateway = String::new();
    for program in ALL_SPLIT.programs {
        let process = program.process;
        let calls = super::super::free_port();
        text = text
            .replace(&format!("connect = \"{process}:7100\""), &format!("connect = \"{calls}\""));
        let (before, rest) = text.split_once(&format!("[process.{process}]\n")).unwrap();
        let (own, after) = rest.split_once("\n\n").unwrap();
        let http = super::super::free_port();
        let own = own.replace("0.0.0.0:7100", &calls).replace("0.0.0.0:8080", &http);
        let own = own.replace("0.0.0.0:7200", &super::super::free_port());
        text = format!("{before}[process.{process}]\n{own}\n\n{after}");
        if process == "gateway" {
            gateway = http;
        }
    }
    fs::write(file, text).unwrap();
    gateway
}

#[test]
#[ignore = "it runs buildah as root: cargo xtask test --long"]
fn an_order_goes_through_images() {
    let run = Run::new("images");
    let context = run.data.join("context");
    let file: PathBuf = run.data.join("Dockerfile");
    fs::create_dir_all(context.join("data")).unwrap();
    fs::write(&file, last_stage(&root_file("app-split/deploy/docker/Dockerfile"))).unwrap();
    let settings_file = run.data.join("settings.toml");
    let gateway = settings(&settings_file);
    let mut containers = Vec::new();
    for program in ALL_SPLIT.programs {
        let process = program.process;
        let built = ALL_SPLIT.program(program.file);
        base(&context.join("base"), &built);
        fs::copy(&built, context.join("shop")).unwrap();
        let mut build = buildah(&run);
        build.args([
            "bud",
            "--quiet",
            "--format",
            "docker",
            "--isolation",
            "chroot",
            "--build-arg",
        ]);
        build.arg(format!("PROCESS={process}")).args([
            "--tag",
            &format!("shop-{process}"),
            "--file",
        ]);
        let output = build.arg(&file).arg(&context).output();
        succeeds(&output.unwrap_or_else(|error| panic!("apt-get install buildah: {error}")));
        let container = succeeds(
            &buildah(&run).args(["from", &format!("localhost/shop-{process}")]).output().unwrap(),
        );
        // What an engine would start, as the user of the image, with a folder for files. Tables are SQLite here.
        let start = buildah(&run);
        let mut arguments: Vec<String> =
            start.get_args().map(|one| one.to_string_lossy().into_owned()).collect();
        let volume = format!("{}:/etc/shop/settings.toml:ro", settings_file.display());
        arguments.extend(
            [
                "run",
                "--isolation",
                "chroot",
                "--cap-drop",
                "all",
                "--volume",
                &volume,
                "--env",
                "SHOP_DATA=/data",
            ]
            .map(str::to_owned),
        );
        arguments.extend(
            ["--env", "SHOP_ADMIN_TOKEN=c4n4ry", "--env", "SHOP_LOG__FORMAT=text"]
                .map(str::to_owned),
        );
        arguments.extend([container.trim(), "--", "/usr/local/bin/shop"].map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let started = Process::start_in(Path::new("/usr/bin/buildah"), &arguments, &[], &run.data);
        containers.push(Container(started));
        let mut inspect = buildah(&run);
        inspect.args(["inspect", "--type", "image", "--format"]);
        inspect.arg(
            "{{.Docker.Config.User}} {{.Docker.Config.StopSignal}} {{.Docker.Config.Entrypoint}}",
        );
        let said = succeeds(&inspect.arg(format!("localhost/shop-{process}")).output().unwrap());
        assert_eq!(said.trim(), "65532:65532 SIGTERM [/usr/local/bin/shop]");
    }
    eventually("the gateway is ready", || is_ready(&gateway));
    let order = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 1}]}"#;
    assert_eq!(request(&gateway, "POST", "/orders", &[], order).unwrap().status, 201);
    // Callers before those that they call.
    while let Some(container) = containers.pop() {
        drop(container);
    }
}
