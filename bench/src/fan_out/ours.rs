//! The fan-out as an application of Monolift: all in one process, or each module in its own.

use super::{MODULES, Page, Price, Shelf, Stars, Title};
use crate::process::ready;
use monolift::{
    CallError, InterfaceError,
    app::{App, Kind, Linked},
    async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// What any of the calls can end with.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum PageError {
    /// As any call can.
    #[error(transparent)]
    Call(CallError),
}

/// What products are.
#[monolift::interface(module = "titles")]
pub trait Titles {
    /// One's.
    #[idempotent]
    async fn of(&self, id: u64) -> Result<Title, PageError>;
}

/// What products cost.
#[monolift::interface(module = "prices")]
pub trait Prices {
    /// One's.
    #[idempotent]
    async fn of(&self, id: u64) -> Result<Price, PageError>;
}

/// What is on the shelf.
#[monolift::interface(module = "shelf")]
pub trait Shelves {
    /// One's.
    #[idempotent]
    async fn of(&self, id: u64) -> Result<Shelf, PageError>;
}

/// What people say.
#[monolift::interface(module = "stars")]
pub trait Ratings {
    /// One's.
    #[idempotent]
    async fn of(&self, id: u64) -> Result<Stars, PageError>;
}

/// Pages, of all four.
#[monolift::interface(module = "pages")]
pub trait Pages {
    /// One.
    #[http(GET, "/pages/{id}")]
    #[idempotent]
    async fn page(&self, id: u64) -> Result<Page, PageError>;
}

/// Each of the four.
struct Module;

#[async_trait]
impl Titles for Module {
    async fn of(&self, id: u64) -> Result<Title, PageError> {
        Ok(Title::of(id))
    }
}

#[async_trait]
impl Prices for Module {
    async fn of(&self, id: u64) -> Result<Price, PageError> {
        Ok(Price::of(id))
    }
}

#[async_trait]
impl Shelves for Module {
    async fn of(&self, id: u64) -> Result<Shelf, PageError> {
        Ok(Shelf::of(id))
    }
}

#[async_trait]
impl Ratings for Module {
    async fn of(&self, id: u64) -> Result<Stars, PageError> {
        Ok(Stars::of(id))
    }
}

struct PagesModule {
    titles: TitlesClient,
    prices: PricesClient,
    shelf: ShelvesClient,
    stars: RatingsClient,
}

#[async_trait]
impl Pages for PagesModule {
    async fn page(&self, id: u64) -> Result<Page, PageError> {
        let (title, price, shelf, stars) = tokio::try_join!(
            self.titles.of(id),
            self.prices.of(id),
            self.shelf.of(id),
            self.stars.of(id)
        )?;
        Ok(Page { title, price, shelf, stars })
    }
}

/// Serves as one process of the manifest. A program of its own would have this from
/// `monolift::process!`.
pub(super) async fn serve(manifest: String, process: String) -> anyhow::Result<()> {
    // A program has one for as long as it runs.
    let (manifest, process): (&str, &str) = (manifest.leak(), process.leak());
    let mut app = App::new(Linked {
        manifest,
        file: "the benchmark's manifest",
        root: "/nonexistent",
        kind: Kind::Process(process),
        modules: &["titles", "prices", "shelf", "stars", "pages"],
        calls: &[
            ("pages", &MODULES),
            ("titles", &[]),
            ("prices", &[]),
            ("shelf", &[]),
            ("stars", &[]),
        ],
        host_calls: &[],
        circles: &[],
    })?;
    let here: Vec<String> = app.manifest().modules_of(process).map(str::to_owned).collect();
    for module in here {
        app = match module.as_str() {
            "titles" => app.provide::<dyn Titles>(Arc::new(Module)),
            "prices" => app.provide::<dyn Prices>(Arc::new(Module)),
            "shelf" => app.provide::<dyn Shelves>(Arc::new(Module)),
            "stars" => app.provide::<dyn Ratings>(Arc::new(Module)),
            _ => {
                let pages = PagesModule {
                    titles: app.client(),
                    prices: app.client(),
                    shelf: app.client(),
                    stars: app.client(),
                };
                app.provide::<dyn Pages>(Arc::new(pages))
            }
        };
    }
    let running = app.start().await?;
    running.ready().await;
    ready()?;
    std::future::pending().await
}
