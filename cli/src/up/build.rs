//! Builds the programs of a manifest. cargo prints its own progress.

use super::{
    Options,
    plan::{Plan, Program},
};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

/// The program of each process, by the process's name.
pub(crate) fn all(
    plan: &Plan,
    options: &Options,
) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let services: Vec<&str> = plan
        .processes
        .iter()
        .filter_map(|process| match &process.program {
            Program::Service(module) => Some(module.as_str()),
            Program::Process { .. } => None,
        })
        .collect();
    let count = plan.processes.len();
    eprintln!("building {count} {}", if count == 1 { "program" } else { "programs" });
    let mut programs = BTreeMap::new();
    if !services.is_empty() {
        let packages = services.iter().flat_map(|service| ["-p", service]);
        let built = build(plan, options, packages.collect(), &[])?;
        for process in &plan.processes {
            if let Program::Service(module) = &process.program {
                programs.insert(process.name.clone(), find(&built, module)?);
            }
        }
    }
    for process in &plan.processes {
        let Program::Process { package, bin } = &process.program else { continue };
        let manifest = plan.manifest.as_os_str().to_owned();
        let env = [("MONOLIFT_MANIFEST", manifest), ("MONOLIFT_PROCESS", (&process.name).into())];
        let built = build(plan, options, vec!["-p", package, "--bin", bin], &env)?;
        programs.insert(process.name.clone(), keep(&find(&built, bin)?, plan, &process.name)?);
    }
    Ok(programs)
}

/// Runs cargo. Returns the executables by name, whether or not they were up to date.
fn build(
    plan: &Plan,
    options: &Options,
    what: Vec<&str>,
    envs: &[(&str, std::ffi::OsString)],
) -> Result<BTreeMap<String, PathBuf>, Box<dyn Error>> {
    let mut command = crate::cargo::cargo();
    command.args(["build", "--message-format=json-render-diagnostics"]).args(what);
    if options.release {
        command.arg("--release");
    }
    command.current_dir(&plan.root).env_remove("MONOLIFT_MANIFEST").env_remove("MONOLIFT_PROCESS");
    command.envs(envs.iter().map(|(key, value)| (key, value)));
    let output = command.stderr(Stdio::inherit()).stdout(Stdio::piped()).spawn()?;
    let output = output.wait_with_output()?;
    if !output.status.success() {
        return Err("the build failed, and nothing was started".into());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let executable = message["executable"].as_str()?;
        Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(executable)))
    });
    Ok(executables.collect())
}

fn find(built: &BTreeMap<String, PathBuf>, name: &str) -> Result<PathBuf, String> {
    built.get(name).cloned().ok_or_else(|| format!("cargo built no program `{name}`"))
}

/// Copies a program to a file with its process's name, because the next build replaces the
/// original.
fn keep(program: &Path, plan: &Plan, process: &str) -> Result<PathBuf, Box<dyn Error>> {
    let folder = program.parent().unwrap_or(Path::new("")).join("monolift").join(&plan.kept_as);
    fs::create_dir_all(&folder)?;
    let kept = folder.join(process);
    // The copy is made under another name first and then renamed, so that a running program's file
    // is not changed.
    let new = folder.join(format!(".{process}"));
    let _ = fs::remove_file(&new);
    fs::hard_link(program, &new).or_else(|_| fs::copy(program, &new).map(drop))?;
    fs::rename(&new, &kept)?;
    std::io::stderr().flush()?;
    Ok(kept)
}
