//! A PostgreSQL server of the benchmark's own, on a free port. Its settings are the defaults: a commit is on the disk.

use crate::process::free_port;
use anyhow::{Context as _, bail, ensure};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long the server may take to start.
const START: Duration = Duration::from_secs(30);

/// The server. It ends when this is dropped.
pub struct Postgres {
    server: Child,
    folder: PathBuf,
    port: String,
}

impl Postgres {
    /// Starts one. `None` if it is not installed.
    pub fn start() -> anyhow::Result<Option<Self>> {
        if find("initdb").is_none() {
            return Ok(None);
        }
        let folder = std::env::temp_dir().join(format!("monolift-bench-pg-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        // The server runs as another user where this one is root.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
        let data = folder.join("data");
        let made = program("initdb")?
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "-D"])
            .arg(&data)
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let address = free_port()?.to_string();
        let port = address.rsplit_once(':').context("an address with a port")?.1.to_owned();
        let server = program("postgres")?
            .arg("-D")
            .arg(&data)
            .args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-k"])
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Some(Self { server, folder, port }))
    }

    /// A new database's URL. The first one waits for the server.
    pub fn database(&self, name: &str) -> anyhow::Result<String> {
        let by = Instant::now() + START;
        loop {
            let made = program("createdb")?
                .args(["-h", "127.0.0.1", "-p", &self.port, "-U", "postgres", name])
                .output()?;
            if made.status.success() {
                return Ok(format!("postgres://postgres@127.0.0.1:{}/{name}", self.port));
            }
            if Instant::now() > by {
                bail!("{}", String::from_utf8_lossy(&made.stderr));
            }
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its own id is in a file: the child may be the program that changes users.
        let file = self.folder.join("data/postmaster.pid");
        let id = fs::read_to_string(file).ok();
        let id = id.and_then(|text| text.lines().next()?.parse().ok());
        let id: u32 = id.unwrap_or_else(|| self.server.id());
        let _ = Command::new("kill").args(["-INT", &id.to_string()]).status();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A server's program, as a user that it accepts: it does not run as root.
fn program(name: &str) -> anyhow::Result<Command> {
    let path = find(name).with_context(|| format!("{name} is not installed"))?;
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0) {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(path).current_dir("/");
    Ok(command)
}

fn find(name: &str) -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = installed.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = folders.chain(std::env::split_paths(&path)).collect();
    all.iter().map(|folder| folder.join(name)).find(|program| Path::exists(program))
}
