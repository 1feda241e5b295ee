//! The real parts that the tests need beside Rust: installed with apt where that is allowed, and
//! named where it is not. Nothing is skipped for the lack of one.

use crate::{cargo::root, tests::Length};
use std::{fs, path::Path, process::Command};

/// A program, and the Debian package that has it.
const NEEDED: &[(&str, &str)] = &[
    ("postgres", "postgresql"),
    ("pgbouncer", "pgbouncer"),
    ("nm", "binutils"),
    ("runuser", "util-linux"),
];

/// What the long tests need as well: a browser, Prometheus, NGINX, what makes images, and what runs the OpenID provider.
const NEEDED_FOR_LONG: &[(&str, &str)] = &[
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("promtool", "prometheus"),
    ("nginx", "nginx-light"),
    ("buildah", "buildah"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

/// The program that holds objects of Kubernetes against their schemas. It is a package of Python with the same name.
const VALIDATE: &str = "kubernetes-validate";

pub(crate) fn what_is_missing(length: Length) -> Result<(), String> {
    if length == Length::Long && !is_there(VALIDATE) {
        println!("==> installing {VALIDATE}");
        let pip =
            Command::new("python3").args(["-m", "pip", "install", "--quiet", VALIDATE]).status();
        if !pip.is_ok_and(|status| status.success()) || !is_there(VALIDATE) {
            return Err(format!("the tests need {VALIDATE}: pip install {VALIDATE}"));
        }
    }
    from_apt(length)?;
    if length == Length::Long { provider() } else { Ok(()) }
}

/// The OpenID provider of `examples/oidc`.
fn provider() -> Result<(), String> {
    let folder = root().join("examples/oidc");
    if folder.join("node_modules/oidc-provider").exists() {
        return Ok(());
    }
    println!("==> installing the OpenID provider of examples/oidc");
    let quiet = ["install", "--no-audit", "--no-fund", "--silent"];
    let npm = Command::new("npm").args(quiet).current_dir(&folder).status();
    if npm.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(format!("the tests need an OpenID provider: npm install, in {}", folder.display()))
}

fn from_apt(length: Length) -> Result<(), String> {
    let long = if length == Length::Long { NEEDED_FOR_LONG } else { &[] };
    let needed = [NEEDED, long].concat();
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    println!("==> installing {packages}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        command.status().is_ok_and(|status| status.success())
    };
    let install = [&["install", "-y", "--no-install-recommends"], &missing[..]].concat();
    if apt(&["update"]) && apt(&install) && needed.iter().all(|(program, _)| is_there(program)) {
        return Ok(());
    }
    Err(format!("the tests need {packages}: as root, apt-get install {packages}"))
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    // Debian keeps the servers of each version of PostgreSQL here.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    on_path
        || versions.into_iter().any(|version| version.path().join("bin").join(program).exists())
        || Path::new("/usr/sbin").join(program).exists()
}
