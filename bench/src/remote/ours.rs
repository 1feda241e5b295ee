//! Monolift between two processes, with all its features on.

use super::{Address, Peer};
use crate::{
    item::{Item, SLOW, burn},
    process::ready,
};
use axum::{extract::Request, response::Response};
use monolift::{
    CallError, Context, InterfaceError, Principal,
    app::{App, Linked, Program, RunningApp},
    async_trait,
};
use monolift_call::call::CallSettings;
use monolift_gateway::CallLayer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc, time::Duration};
use thiserror::Error;
use tower::{Layer, ServiceExt, service_fn};

/// The module that is called.
#[monolift::interface(module = "items")]
pub trait Items {
    /// Returns an item.
    #[idempotent]
    async fn get(&self, id: u64, size: u32) -> Result<Item, ItemsError>;
    /// Returns a number.
    #[idempotent]
    async fn count(&self, at: u64) -> Result<u64, ItemsError>;
    /// Returns a number, to users only.
    #[idempotent]
    #[auth(user)]
    async fn count_for_users(&self, at: u64) -> Result<u64, ItemsError>;
    /// Sleeps for a millisecond.
    #[idempotent]
    async fn sleep(&self) -> Result<(), ItemsError>;
    /// Keeps the CPU busy for a millisecond.
    #[idempotent]
    async fn burn(&self) -> Result<(), ItemsError>;
}

/// The error of the interface.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum ItemsError {
    /// An error of the call itself.
    #[error(transparent)]
    Call(CallError),
}

/// The module itself.
pub struct ItemsHere;

#[async_trait]
impl Items for ItemsHere {
    async fn get(&self, id: u64, size: u32) -> Result<Item, ItemsError> {
        Ok(Item::of(id, size))
    }

    async fn count(&self, at: u64) -> Result<u64, ItemsError> {
        Ok(std::hint::black_box(at) + 1)
    }

    async fn count_for_users(&self, at: u64) -> Result<u64, ItemsError> {
        Ok(std::hint::black_box(at) + 1)
    }

    async fn sleep(&self) -> Result<(), ItemsError> {
        tokio::time::sleep(SLOW).await;
        Ok(())
    }

    async fn burn(&self) -> Result<(), ItemsError> {
        burn();
        Ok(())
    }
}

/// One of the two processes. A real program uses `monolift::process!` instead.
fn app(
    kind: Program,
    address: &Address,
    tls: Option<&Path>,
    connections: Option<usize>,
    collector: Option<u16>,
) -> anyhow::Result<App> {
    let tls = tls.map(|folder| {
        let file = |name: &str| folder.join(name).display().to_string();
        let (authority, certificate) = (file("authority.pem"), file("{process}.pem"));
        let key = file("{process}.key");
        format!(
            "[tls]\nauthority = \"{authority}\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n"
        )
    });
    let calls = connections.map(|count| format!("[calls]\nconnections = {count}\n"));
    let collector = collector.map(|port| {
        let endpoint = format!("endpoint = \"http://127.0.0.1:{port}\"\nprotocol = \"http\"");
        format!("[observe]\nsample = \"1%\"\n[observe.otlp]\n{endpoint}\n")
    });
    let manifest = format!(
        "app = \"bench\"\nhost = \"caller\"\n[modules]\nitems = \"items\"\n{}{}{}\
         [process.items]\nlisten = \"{address}\"\n",
        calls.unwrap_or_default(),
        collector.unwrap_or_default(),
        tls.unwrap_or_default()
    );
    // Leaked once, because `Linked` needs `'static` text.
    Ok(App::new(linked(manifest.leak(), kind))?)
}

/// What `monolift::process!` would embed in a program.
fn linked(manifest: &'static str, kind: Program) -> Linked {
    Linked {
        manifest,
        file: "the benchmark's manifest",
        root: "/nonexistent",
        kind,
        modules: &["items"],
        calls: &[("items", &[])],
        host_calls: &["items"],
        circles: &[],
        local_calls: &[],
    }
}

/// A process that contains the module and calls it.
///
/// # Errors
///
/// If it does not start.
pub async fn in_one_process() -> anyhow::Result<RunningApp> {
    let manifest = "app = \"bench\"\nhost = \"caller\"\n[modules]\nitems = \"caller\"\n";
    let app = App::new(linked(manifest, Program::Host))?;
    Ok(app.provide::<dyn Items>(Arc::new(ItemsHere)).start().await?)
}

pub(super) async fn serve(
    address: Address,
    tls: Option<&Path>,
    collector: Option<u16>,
) -> anyhow::Result<()> {
    let app = app(Program::Process("items"), &address, tls, None, collector)?;
    let _running = app.provide::<dyn Items>(Arc::new(ItemsHere)).start().await?;
    ready()?;
    std::future::pending().await
}

/// The client and the process that it belongs to.
pub(super) struct Caller {
    items: ItemsClient,
    running: RunningApp,
    /// On whose behalf calls are made, if on that of a user.
    user: Option<Principal>,
}

pub(super) async fn connect(
    address: Address,
    tls: Option<&Path>,
    connections: Option<usize>,
    collector: Option<u16>,
) -> anyhow::Result<Caller> {
    let running = app(Program::Host, &address, tls, connections, collector)?.start().await?;
    running.ready().await;
    Ok(Caller { items: running.client(), running, user: None })
}

impl Caller {
    /// The same, on behalf of a user as an issuer describes one.
    pub(super) fn for_a_user(self) -> Self {
        let user = Principal::user("7f0c2a4e-9d1b-4c55-8f6e-2b1a90c3d4e5")
            .with_issuer("https://id.example.com/realms/shop")
            .with_role("customer")
            .with_scope("orders:read")
            .with_scope("orders:write");
        Self { user: Some(user), ..self }
    }
}

/// A caller whose every call is in a request of its own, as those of an existing program are.
pub(super) struct Observed {
    caller: Caller,
    layer: CallLayer,
}

impl Observed {
    pub(super) fn new(caller: Caller) -> Self {
        let layer = caller.running.layer();
        Self { caller, layer }
    }

    async fn request(
        &self,
        call: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let mut call = Some(call);
        let inner = service_fn(|_: Request<()>| {
            let call = call.take();
            async move {
                match call {
                    Some(call) => call.await.map(|()| Response::default()),
                    None => Err(anyhow::anyhow!("a request has one call")),
                }
            }
        });
        let response = self.layer.layer(inner).oneshot(Request::get("/items").body(())?).await?;
        anyhow::ensure!(response.status().is_success(), "{}", response.status());
        Ok(())
    }
}

impl Peer for Observed {
    async fn get(&self, id: u64, size: u32) -> anyhow::Result<()> {
        let items = self.caller.items.clone();
        self.request(async move {
            let item = items.get(id, size).await?;
            anyhow::ensure!(item.id == id, "another item");
            Ok(())
        })
        .await
    }

    async fn sleep(&self) -> anyhow::Result<()> {
        let items = self.caller.items.clone();
        self.request(async move { Ok(items.sleep().await?) }).await
    }

    async fn burn(&self) -> anyhow::Result<()> {
        let items = self.caller.items.clone();
        self.request(async move { Ok(items.burn().await?) }).await
    }
}

impl Peer for Caller {
    fn within<F: Future + Send>(&self, calls: F) -> impl Future<Output = F::Output> + Send {
        let settings = CallSettings { deadline: Duration::from_secs(600), ..Default::default() };
        let context = Context::edge(&settings);
        let context = match &self.user {
            Some(user) => context.with_principal(user.clone()),
            None => context,
        };
        context.scope(calls)
    }

    async fn get(&self, id: u64, size: u32) -> anyhow::Result<()> {
        let item = self.items.get(id, size).await?;
        anyhow::ensure!(item.id == id, "another item");
        Ok(())
    }

    async fn sleep(&self) -> anyhow::Result<()> {
        Ok(self.items.sleep().await?)
    }

    async fn burn(&self) -> anyhow::Result<()> {
        Ok(self.items.burn().await?)
    }
}
