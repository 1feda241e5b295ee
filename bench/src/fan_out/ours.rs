//! The fan-out as a Monolift application, in one process or with each module in its own.

use super::{MODULES, Page, Price, Shelf, Stars, Title};
use crate::process::ready;
use monolift::{
    CallError, InterfaceError,
    app::{App, Linked, Program},
    async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// The error of all four interfaces.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum PageError {
    /// An error of the call itself.
    #[error(transparent)]
    Call(CallError),
}

/// Titles of products.
#[monolift::interface(module = "titles")]
pub trait Titles {
    /// The title of one product.
    #[idempotent]
    async fn of(&self, id: u64) -> Result<Title, PageError>;
}

/// Prices of products.
#[monolift::interface(module = "prices")]
pub trait Prices {
    /// The price of one product.
    #[idempotent]
    async fn of(&self, id: u64) -> Result<Price, PageError>;
}

/// Stock of products.
#[monolift::interface(module = "shelf")]
pub trait Shelves {
    /// The stock of one product.
    #[idempotent]
    async fn of(&self, id: u64) -> Result<Shelf, PageError>;
}

/// Ratings of products.
#[monolift::interface(module = "stars")]
pub trait Ratings {
    /// The ratings of one product.
    #[idempotent]
    async fn of(&self, id: u64) -> Result<Stars, PageError>;
}

/// Pages that combine all four.
#[monolift::interface(module = "pages")]
pub trait Pages {
    /// The page of one product.
    #[http(GET, "/pages/{id}")]
    #[idempotent]
    async fn page(&self, id: u64) -> Result<Page, PageError>;
}

/// Implements each of the four.
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

/// Runs one process of the manifest. A real program uses `monolift::process!` instead.
pub(super) async fn serve(manifest: String, process: String) -> anyhow::Result<()> {
    // Leaked once, because `Linked` needs `'static` text.
    let (manifest, process): (&str, &str) = (manifest.leak(), process.leak());
    let mut app = App::new(Linked {
        manifest,
        file: "the benchmark's manifest",
        root: "/nonexistent",
        kind: Program::Process(process),
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
        local_calls: &[],
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
