//! The split shop with two replicas of each process, all that they call each other over proxies.

use crate::{logs::ADMIN_TOKEN, proxy::Proxy};
use anyhow::{Context as _, bail};
use monolift_cli::up::{Built, Options};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::sleep};

pub(crate) const MODULES: [&str; 6] =
    ["users", "notifications", "reports", "stock", "payments", "orders"];
pub(crate) const GATEWAY: &str = "gateway";
/// Whose tokens the gateways take: those of the module `users`.
pub(crate) const IDENTITY: &str = "[identity.issuers.shop]\nissuer = \"http://127.0.0.1:8080\"\naudience = \"shop\"\n\
                                   jwks = \"/.well-known/jwks.json\"\n";
const REPLICAS: usize = 2;
/// What names a mistake to a build that has them in it.
const PLANTED: &str = "MONOLIFT_PLANTED";
const SIGTERM: i32 = 15;
/// How long a process may take to stop when it is asked to.
const STOP: Duration = Duration::from_secs(25);

/// One process of the shop.
pub(crate) struct Replica {
    pub(crate) process: &'static str,
    pub(crate) number: usize,
    /// Where it listens itself.
    address: SocketAddr,
    program: PathBuf,
    env: Vec<(String, String)>,
    log: PathBuf,
    pub(crate) proxy: Option<Proxy>,
    /// The mistake that it makes, if one was planted.
    planted: Option<&'static str>,
    child: Option<Child>,
}

pub(crate) struct Shop {
    pub(crate) replicas: Vec<Replica>,
    pub(crate) gateways: Vec<SocketAddr>,
    pub(crate) folder: PathBuf,
}

/// So many ports that are free now, one behind the other.
pub(crate) fn free_ports(count: usize) -> anyhow::Result<u16> {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let rest = (1..count as u16).map(|at| first.checked_add(at).map(bind));
        if rest.into_iter().all(|bound| matches!(bound, Some(Ok(_)))) {
            return Ok(first);
        }
    }
    bail!("there are no free ports")
}

pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Shop {
    /// Builds it, and starts all of it. What it stores, and says, is in `folder`.
    pub(crate) async fn start(folder: &Path, release: bool) -> anyhow::Result<Self> {
        let data = folder.join("data");
        anyhow::ensure!(!data.exists(), "{} is there already", data.display());
        let mut manifest = "app = \"shop\"\n[modules]\n".to_owned();
        for module in MODULES {
            writeln!(manifest, "{module} = \"{module}\"")?;
        }
        let mut ports = BTreeMap::new();
        for process in MODULES.into_iter().chain([GATEWAY]) {
            let (own, proxied) = (free_ports(REPLICAS)?, free_ports(REPLICAS)?);
            ports.insert(process, (own, proxied));
            writeln!(manifest, "[process.{process}]\nreplicas = {REPLICAS}")?;
            if process == GATEWAY {
                writeln!(manifest, "http = \"{}\"", local(own))?;
            } else {
                let ways: Vec<String> =
                    (0..REPLICAS as u16).map(|at| local(proxied + at).to_string()).collect();
                writeln!(manifest, "listen = \"{}\"", local(own))?;
                writeln!(manifest, "connect = \"{}\"", ways.join(", "))?;
            }
        }
        let file = folder.join("deployment.toml");
        fs::write(&file, manifest + IDENTITY)?;
        let built = Built::of(&file, &Options { release, ..Options::default() });
        let built = built.map_err(|error| anyhow::anyhow!("{error}"))?;

        let mut replicas = Vec::new();
        for process in MODULES.into_iter().chain([GATEWAY]) {
            let (own, proxied) = ports[process];
            for number in 0..REPLICAS {
                let at = |first: u16| local(first + number as u16);
                let what = if process == GATEWAY { "HTTP" } else { "LISTEN" };
                let listen = format!("SHOP_PROCESS__{}__{what}", process.to_uppercase());
                let proxy = match process {
                    GATEWAY => None,
                    _ => Some(Proxy::start(at(proxied), at(own)).await?),
                };
                let mut replica = Replica::new(
                    process,
                    number,
                    at(own),
                    built.programs[process].clone(),
                    vec![
                        ("MONOLIFT_MANIFEST".to_owned(), file.display().to_string()),
                        ("SHOP_DATA".to_owned(), folder.join("data").display().to_string()),
                        ("SHOP_USERS__PASSWORD_MEMORY_KIB".to_owned(), "8".to_owned()),
                        // No client logs in twice.
                        ("SHOP_USERS__TOKEN_SECONDS".to_owned(), "86400".to_owned()),
                        ("RUST_LOG".to_owned(), "info".to_owned()),
                        ("SHOP_LOG__FORMAT".to_owned(), "json".to_owned()),
                        ("SHOP_ADMIN_TOKEN".to_owned(), ADMIN_TOKEN.to_owned()),
                        (listen, at(own).to_string()),
                    ],
                    folder,
                );
                replica.proxy = proxy;
                replicas.push(replica);
            }
        }
        let (first, _) = ports[GATEWAY];
        let gateways = (0..REPLICAS as u16).map(|at| local(first + at)).collect();
        let mut shop = Self { replicas, gateways, folder: folder.to_owned() };
        shop.begin_anew(None)?;
        Ok(shop)
    }

    /// Ends all of it, forgets what was stored, and starts it with this mistake in it.
    pub(crate) fn begin_anew(&mut self, planted: Option<&'static str>) -> anyhow::Result<()> {
        self.replicas.iter_mut().try_for_each(Replica::kill)?;
        let data = self.folder.join("data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        for replica in &mut self.replicas {
            replica.planted = planted;
            replica.up()?;
        }
        Ok(())
    }
}

impl Replica {
    /// One that is not started. Its log is in `folder`.
    pub(crate) fn new(
        process: &'static str,
        number: usize,
        address: SocketAddr,
        program: PathBuf,
        env: Vec<(String, String)>,
        folder: &Path,
    ) -> Self {
        let log = folder.join(format!("{process}-{number}.log"));
        Self {
            process,
            number,
            address,
            program,
            env,
            log,
            proxy: None,
            planted: None,
            child: None,
        }
    }

    /// Its process id, while it is up.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The file that it logs to.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.process, self.number)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Starts it, if it is not there.
    pub(crate) fn up(&mut self) -> anyhow::Result<()> {
        if self.child.is_none() {
            let log = File::options().create(true).append(true).open(&self.log)?;
            let mut command = Command::new(&self.program);
            command.envs(self.env.iter().map(|(key, value)| (key, value)));
            command.env_remove(PLANTED);
            command.envs(self.planted.map(|mistake| (PLANTED, mistake)));
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            let child = command.spawn();
            self.child = Some(child.with_context(|| self.program.display().to_string())?);
        }
        Ok(())
    }

    /// Waits until it listens.
    pub(crate) async fn listens(&self, within: Duration) -> anyhow::Result<()> {
        let by = Instant::now() + within;
        while TcpStream::connect(self.address).await.is_err() {
            anyhow::ensure!(Instant::now() < by, "{} is not there in {within:?}", self.name());
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Sends it a signal: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        if let Some(child) = &self.child {
            // The shell's own kill: the program of that name is not on every machine.
            let kill = format!("kill -{name} {}", child.id());
            let status = Command::new("sh").args(["-c", &kill]).status()?;
            anyhow::ensure!(status.success(), "{kill}: {status}");
        }
        Ok(())
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let by = Instant::now() + STOP;
        while let Some(child) = &mut self.child {
            if let Some(status) = child.try_wait()? {
                // One that had only just been started ends before it can do so in order.
                let well = status.success() || status.signal() == Some(SIGTERM);
                anyhow::ensure!(well, "{} ended with {status}", self.name());
                self.child = None;
                break;
            }
            anyhow::ensure!(Instant::now() < by, "{} does not stop", self.name());
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // One that is stopped has to go as well, and so does one that nobody waits for.
        let _ = self.kill();
    }
}
