//! The shop that is abused: one process, or a process for each module behind a gateway. One replica of
//! each, and nothing between them.

use super::{peer::Numbers, reports::Reports};
use crate::{
    check::Stored,
    client::{Ask, Client},
    shop::{GATEWAY, IDENTITY, MODULES, Replica, free_ports, local},
    storm::is_ready,
};
use anyhow::{Context as _, anyhow, ensure};
use monolift_cli::up::{Built, Options};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The process that is the whole shop.
const MONOLITH: &str = "monolith";
/// The product that honest requests ask for.
pub(super) const PRODUCT: &str = "honest";
/// A page has 100 products at most. Their numbers sort before all others.
const ON_A_PAGE: usize = 100;
/// Lengths of a product's name, longest first: the first that the shop takes. With 100 products of the
/// first, a page is just below the 4 MiB of a frame.
const NAMES: [usize; 4] = [39_000, 4_000, 200, 100];
pub(super) const EMAIL: &str = "abuse@example.org";
pub(super) const PASSWORD: &str = "correct horse";
const READY: Duration = Duration::from_secs(30);

/// How the shop is spread over processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Monolith,
    Split,
}

impl Shape {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Monolith => "monolith",
            Self::Split => "split",
        }
    }

    fn processes(self) -> Vec<&'static str> {
        match self {
            Self::Monolith => vec![MONOLITH],
            Self::Split => MODULES.into_iter().chain([GATEWAY]).collect(),
        }
    }

    fn process_of(self, module: &'static str) -> &'static str {
        match self {
            Self::Monolith => MONOLITH,
            Self::Split => module,
        }
    }
}

/// The programs of a shape, built, and where their processes listen.
pub(super) struct Programs {
    shape: Shape,
    built: Built,
    ports: BTreeMap<&'static str, u16>,
    gateway: SocketAddr,
    folder: PathBuf,
}

impl Programs {
    /// Builds them. The manifest, and all that is stored later, is in `folder`.
    pub(super) fn build(shape: Shape, folder: &Path, release: bool) -> anyhow::Result<Self> {
        let folder = folder.join(shape.name());
        fs::create_dir_all(&folder)?;
        let mut manifest = "app = \"shop\"\n[modules]\n".to_owned();
        for module in MODULES {
            writeln!(manifest, "{module} = \"{}\"", shape.process_of(module))?;
        }
        let gateway = local(free_ports(1)?);
        let mut ports = BTreeMap::new();
        for process in shape.processes() {
            let port = free_ports(1)?;
            ports.insert(process, port);
            writeln!(manifest, "[process.{process}]")?;
            if process != GATEWAY {
                writeln!(manifest, "listen = \"{}\"", local(port))?;
            }
            if process == GATEWAY || process == MONOLITH {
                writeln!(manifest, "http = \"{gateway}\"")?;
            }
        }
        let file = folder.join("deployment.toml");
        fs::write(&file, manifest + IDENTITY)?;
        let built = Built::of(&file, &Options { release, ..Options::default() })
            .map_err(|error| anyhow!("{error}"))?;
        Ok(Self { shape, built, ports, gateway, folder })
    }
}

/// The shop in one shape, running.
pub(super) struct AbusedShop {
    pub(super) shape: Shape,
    pub(super) replicas: Vec<Replica>,
    pub(super) gateway: SocketAddr,
    /// Where other processes call `stock`.
    pub(super) peers: SocketAddr,
    pub(super) numbers: Numbers,
    pub(super) reports: Reports,
    /// The token of a member of the staff.
    pub(super) token: Arc<str>,
    folder: PathBuf,
}

impl AbusedShop {
    /// Starts it with nothing stored but what honest requests ask for.
    pub(super) async fn start(programs: &Programs) -> anyhow::Result<Self> {
        let Programs { shape, built, ports, gateway, folder } = programs;
        let data = folder.join("data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let reports = Reports::listen(folder)?;
        let mut replicas = Vec::new();
        for process in shape.processes() {
            let mut env = vec![
                ("MONOLIFT_MANIFEST".to_owned(), built.manifest.display().to_string()),
                ("SHOP_DATA".to_owned(), data.display().to_string()),
                ("RUST_LOG".to_owned(), "warn".to_owned()),
            ];
            env.extend(reports.environment(process));
            let address = if process == GATEWAY { *gateway } else { local(ports[process]) };
            let program = built.programs[process].clone();
            let mut replica = Replica::new(process, 0, address, program, env, folder);
            fs::write(replica.log(), "")?;
            replica.up()?;
            replicas.push(replica);
        }
        is_ready(*gateway, READY).await?;
        let peers = local(ports[shape.process_of("stock")]);
        let numbers = Numbers::ask(peers).await.context("a first hello")?;
        let (gateway, folder) = (*gateway, folder.clone());
        let shape = *shape;
        let token = Client::of(&[gateway], 0).log_in().await?;
        let place = Self { shape, replicas, gateway, peers, numbers, reports, token, folder };
        place.add_product(PRODUCT, "Honest", 1_000_000_000).await?;
        Ok(place)
    }

    /// The process that serves a module.
    pub(super) fn serves(&mut self, module: &'static str) -> anyhow::Result<&mut Replica> {
        let name = self.shape.process_of(module);
        let found = self.replicas.iter_mut().find(|replica| replica.process == name);
        found.with_context(|| format!("there is no process {name}"))
    }

    /// Sends a signal to the process of `users`, where that is not the one of all modules.
    pub(super) fn signal_users(&mut self, signal: &str) -> anyhow::Result<()> {
        match self.shape {
            Shape::Monolith => Ok(()),
            Shape::Split => self.serves("users")?.signal(signal),
        }
    }

    pub(super) fn stored(&self) -> Stored {
        Stored::in_folder(&self.folder)
    }

    /// The SQLite file of a module.
    pub(super) fn database(&self, module: &str) -> PathBuf {
        self.folder.join("data").join(format!("{module}.db"))
    }

    /// Fills a page of products with the longest names that the shop takes, and says how long the page is.
    pub(super) async fn fill_a_page(&self) -> anyhow::Result<usize> {
        for length in NAMES {
            let name = "n".repeat(length);
            if self.add_product("a000", &name, 1).await.is_err() {
                continue;
            }
            for number in 1..ON_A_PAGE {
                self.add_product(&format!("a{number:03}"), &name, 1).await?;
            }
            let page = Ask::get(format!("/products?limit={ON_A_PAGE}"));
            return self.asked(page).await.map(|body| body.len());
        }
        anyhow::bail!("the shop takes no product for a long page");
    }

    /// Registers a customer who can log in.
    pub(super) async fn register(&self) -> anyhow::Result<()> {
        let body = serde_json::json!({ "name": "Abuse", "email": EMAIL, "password": PASSWORD });
        self.asked(Ask::post("/users", body.to_string())).await.map(drop)
    }

    async fn add_product(&self, sku: &str, name: &str, on_hand: u32) -> anyhow::Result<()> {
        let body =
            serde_json::json!({ "sku": sku, "name": name, "price": 100, "on_hand": on_hand });
        self.asked(Ask::post("/products", body.to_string())).await.map(drop)
    }

    /// Asks the gateway for something that has to go well.
    async fn asked(&self, ask: Ask) -> anyhow::Result<bytes::Bytes> {
        let client = Client::of(&[self.gateway], 0);
        let answer = client.with_token(Some(Arc::clone(&self.token))).ask(&ask).await;
        let (status, body) =
            answer.response.with_context(|| format!("no answer to {}", ask.path))?;
        ensure!([200, 201].contains(&status), "{} {}: {status}", ask.method, ask.path);
        Ok(body)
    }
}
