//! Turns: a peer with many calls does not keep another one's waiting for what is scarce.

use crate::{peers::unix, postgres::Postgres, support::soon};
use monolift::{CallError, Db, InterfaceError, async_trait};
use monolift_call::link::{Interface, Link};
use monolift_data::{DbSettings, Location};
use monolift_manifest::{Address, Retries};
use monolift_seam::{
    remote::{Remote, Whereabouts},
    serve::{Directory, Limits, Server},
    wire::{Bounds, Listener, Machine, Peer},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// Calls of the peer that has many.
const MANY: usize = 200;

#[monolift::interface(module = "well")]
pub trait Well {
    /// Takes a turn at the database, and notes who it was.
    async fn draw(&self, who: String) -> Result<(), WellError>;
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum WellError {
    #[error(transparent)]
    Call(CallError),
}

struct Deep {
    db: Db,
    come: watch::Sender<usize>,
    drawn: Mutex<Vec<String>>,
}

impl Deep {
    fn new(db: Db) -> Arc<Self> {
        Arc::new(Self { db, come: watch::Sender::new(0), drawn: Mutex::default() })
    }

    async fn have_come(&self, count: usize) {
        soon(self.come.subscribe().wait_for(|come| *come == count)).await.unwrap();
    }

    /// How many of the others had their turn before `who`.
    fn before(&self, who: &str) -> usize {
        self.drawn.lock().unwrap().iter().position(|drawn| drawn == who).unwrap()
    }
}

#[async_trait]
impl Well for Deep {
    async fn draw(&self, who: String) -> Result<(), WellError> {
        self.come.send_modify(|come| *come += 1);
        sqlx::query("SELECT 1").execute(&mut *self.db.connection().await?).await?;
        self.drawn.lock().unwrap().push(who);
        Ok(())
    }
}

async fn serve(well: &Arc<Deep>) -> (Server, Address) {
    let listener = Listener::bind(&unix()).await.unwrap();
    let address = listener.address().unwrap();
    let link = Link::<dyn Well>::to(Arc::<Deep>::clone(well));
    let directory = Directory::new(vec![Arc::new(link)], Box::new(|_, _, _| true));
    let us = Peer::new("test", "well", Bounds::default());
    (Server::start(listener, us, directory, Limits::default(), Arc::default(), None), address)
}

/// A client of the well, of the process `us`.
fn client(address: &Address, us: &str) -> WellClient {
    let whereabouts = Whereabouts {
        process: "well".to_owned(),
        connect: address.clone().into(),
        network: Arc::new(Machine),
        us: Peer::new("test", us, Bounds::default()),
        interfaces: vec![<dyn Well>::descriptor()],
        tls: None,
        bounds: Bounds::default(),
        hello: Duration::from_secs(5),
        in_flight: 4096,
        memory: Arc::default(),
        retries: Retries { attempts: 1, ..Retries::default() },
        thresholds: Default::default(),
    };
    let link = Link::unbound(Arc::default());
    link.bind_carrier(Arc::new(Remote::new(whereabouts, 1)));
    <dyn Well>::client(link)
}

/// A module's database with one connection.
async fn narrow(location: &Location) -> Db {
    let settings = DbSettings { connections: Some(1), ..DbSettings::default() };
    Db::open(location, &settings, &[]).await.unwrap()
}

async fn a_call_waits_for_few(db: Db) {
    let well = Deep::new(db.clone());
    let (_server, address) = serve(&well).await;
    let (many, one) = (client(&address, "many"), client(&address, "one"));
    let held = db.read().await.unwrap();
    let calls = |client: &WellClient, who: &str, count: usize| -> Vec<_> {
        let call = || {
            let (client, who) = (client.clone(), who.to_owned());
            tokio::spawn(async move { client.draw(who).await })
        };
        std::iter::repeat_with(call).take(count).collect()
    };
    let mut calling = calls(&many, "many", MANY);
    well.have_come(MANY).await;
    calling.extend(calls(&one, "one", 1));
    well.have_come(MANY + 1).await;
    held.commit().await.unwrap();
    for call in calling {
        soon(call).await.unwrap().unwrap();
    }
    assert!(well.before("one") <= 2, "{} calls of another peer were first", well.before("one"));
}

#[tokio::test]
async fn peers_take_turns_for_the_connections_of_a_file() {
    let folder: PathBuf = std::env::temp_dir().join(format!("ml-fair-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    a_call_waits_for_few(narrow(&Location::File(folder.join("well.db"))).await).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn peers_take_turns_for_the_connections_of_a_server() {
    let postgres = Postgres::start();
    a_call_waits_for_few(narrow(&Location::Url(postgres.database("well"))).await).await;
}
