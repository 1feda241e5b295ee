//! A PostgreSQL server of the test's own, on a free port, gone with the test; and PgBouncer in front of it.

use crate::system::free_port;
use std::{
    fs,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
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
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Postgres {
    /// The folder of the server's programs.
    pub fn programs() -> PathBuf {
        let psql = find("psql").expect("psql is installed with the server");
        psql.parent().expect("a program is in a folder").to_owned()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // An interrupt ends it at once, and cleanly.
        end(&mut self.server, "INT", &self.folder.join("data/postmaster.pid"));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// PgBouncer in transaction mode, in front of a server.
pub struct PgBouncer {
    process: Child,
    folder: PathBuf,
    port: String,
    /// That of the server.
    behind: String,
}

impl PgBouncer {
    /// It has this many connections to each database of the server. `logins` are the roles that may log in.
    pub fn start(postgres: &Postgres, connections: u32, logins: &[&str]) -> Self {
        let port = free_port().rsplit_once(':').unwrap().1.to_owned();
        let folder = postgres.folder.join(format!("pgbouncer-{port}"));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let shown = folder.display();
        let users: String = logins.iter().map(|login| format!("\"{login}\" \"\"\n")).collect();
        fs::write(folder.join("users.txt"), users).unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\npool_mode = transaction\n\
             default_pool_size = {connections}\nignore_startup_parameters = extra_float_digits\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {shown}/users.txt\nmax_client_conn = 500\n\
             pidfile = {shown}/pgbouncer.pid\nlogfile = {shown}/pgbouncer.log\n",
            postgres.port
        );
        fs::write(folder.join("pgbouncer.ini"), settings).unwrap();
        let process = program("pgbouncer")
            .arg("--quiet")
            .arg(folder.join("pgbouncer.ini"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let by = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            let log = || fs::read_to_string(folder.join("pgbouncer.log")).unwrap_or_default();
            assert!(Instant::now() < by, "PgBouncer does not listen: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
        Self { process, folder, port, behind: postgres.port.clone() }
    }

    /// The URL of a database, through this.
    pub fn through(&self, url: &str) -> String {
        url.replace(&format!(":{}/", self.behind), &format!(":{}/", self.port))
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        end(&mut self.process, "TERM", &self.folder.join("pgbouncer.pid"));
    }
}

/// Ends a server. Its id is in its own file: ours may be that of the program that changes users.
fn end(server: &mut Child, signal: &str, file: &Path) {
    let id = fs::read_to_string(file).ok().and_then(|text| text.lines().next()?.parse().ok());
    let id: u32 = id.unwrap_or_else(|| server.id());
    let _ = Command::new("kill").args([&format!("-{signal}"), &id.to_string()]).status();
    let _ = server.wait();
}

/// A server's program, as a user that it accepts: it does not run as root.
fn program(name: &str) -> Command {
    let path = find(name).unwrap_or_else(|| {
        let package = if name == "pgbouncer" { name } else { "postgresql" };
        panic!("{name} was not found: install it (on Debian: apt-get install {package})")
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
    let system = [PathBuf::from("/usr/sbin")];
    let all: Vec<PathBuf> = folders.chain(std::env::split_paths(&path)).chain(system).collect();
    all.iter().map(|folder| folder.join(name)).find(|program| Path::exists(program))
}
