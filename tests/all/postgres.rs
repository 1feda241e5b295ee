//! A PostgreSQL server of the test's own, on a free port, gone with the test.

use crate::system::free_port;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub struct Postgres {
    server: Child,
    folder: PathBuf,
    port: String,
}

impl Postgres {
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("ml-pg-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // The server runs as another user where the test is root.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let data = folder.join("data");
        let made = program("initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port().rsplit_once(':').unwrap().1.to_owned();
        let server = program("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k"])
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { server, folder, port }
    }

    /// A new database's URL. The first one waits for the server.
    pub fn database(&self, name: &str) -> String {
        let by = Instant::now() + Duration::from_secs(30);
        loop {
            let made = program("createdb")
                .args(["-h", "127.0.0.1", "-p", &self.port, "-U", "postgres", name])
                .output()
                .unwrap();
            if made.status.success() {
                return format!("postgres://postgres@127.0.0.1:{}/{name}", self.port);
            }
            assert!(Instant::now() < by, "{}", String::from_utf8_lossy(&made.stderr));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An interrupt ends it at once, and cleanly. Its id is in its own file: ours may be that of
        // the program that changes users.
        let file = self.folder.join("data/postmaster.pid");
        let id = fs::read_to_string(file).ok().and_then(|text| text.lines().next()?.parse().ok());
        let id: u32 = id.unwrap_or_else(|| self.server.id());
        let _ = Command::new("kill").args(["-INT", &id.to_string()]).status();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// One of PostgreSQL's programs, as a user that it accepts: it does not run as root.
fn program(name: &str) -> Command {
    let path = find(name).unwrap_or_else(|| {
        panic!("{name} was not found: install PostgreSQL (on Debian: apt-get install postgresql)")
    });
    let root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    if !root {
        return Command::new(path);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(path).current_dir("/");
    command
}

fn find(name: &str) -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = installed.map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = folders.chain(std::env::split_paths(&path)).collect();
    all.iter().map(|folder| folder.join(name)).find(|program| Path::exists(program))
}
