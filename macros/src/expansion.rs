//! Pins the code that the macros emit, in `macros/expansion/*.rs`, formatted by prettyplease.
//!
//! `UPDATE_EXPANSION=1 cargo nextest run -p monolift-macros` writes these files again.

use proc_macro2::TokenStream;
use quote::quote;
use std::path::Path;

fn pinned(name: &str, expanded: TokenStream) {
    let file = syn::parse2(expanded).expect("what the macros emit is Rust");
    let now = prettyplease::unparse(&file);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("expansion").join(name);
    if std::env::var_os("UPDATE_EXPANSION").is_some() {
        std::fs::write(&path, &now).expect("the folder is there");
    }
    let then = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        now == then,
        "what is emitted has changed. If it was meant to, write it anew with UPDATE_EXPANSION=1 and \
         look at the difference in {}. It is now:\n{now}",
        path.display()
    );
}

#[test]
fn an_interface() {
    let arguments = quote!(module = "stock");
    let item = quote! {
        /// Stock levels and reservations.
        #[auth(user)]
        pub trait Stock {
            /// Units on hand for one product.
            #[http(GET, "/products/{sku}/stock")]
            #[idempotent]
            #[errors(UnknownProduct)]
            async fn level(&self, sku: &str) -> Result<Level, StockError>;

            #[http(POST, "/holds", created = "/holds/{id}", idempotency_key)]
            #[deadline("30s")]
            #[limit(4)]
            #[auth(role = "staff", scope = "stock:write")]
            #[auth(service)]
            async fn reserve(
                &self,
                order: OrderId,
                #[serde(default)] lines: Vec<Line>,
                #[may_be_ignored] note: Option<String>,
            ) -> Result<Reservation, StockError>;
        }
    };
    pinned("interface.rs", crate::interface::interface(arguments, item));
}

#[test]
fn a_local_method() {
    let item = quote! {
        pub trait Stock {
            /// Holds units in the caller's transaction.
            #[local]
            #[deadline("2s")]
            async fn reserve_in(
                &self,
                tx: LocalTx<'_>,
                order: &str,
                lines: Vec<Line>,
            ) -> Result<Reservation, StockError>;
        }
    };
    let listed = ["Stock::reserve_in".to_owned()];
    pinned(
        "local.rs",
        crate::interface::interface_of(quote!(module = "stock"), item, &listed, false),
    );
}

#[test]
fn an_error() {
    let item = quote! {
        pub enum StockError {
            /// There is no such product.
            #[error("no product {0}")]
            #[status(404)]
            UnknownProduct(Sku),
            #[error("{sku} is sold out")]
            SoldOut { sku: Sku },
            #[error(transparent)]
            Call(CallError),
        }
    };
    pinned("error.rs", crate::interface_error::interface_error(item));
}

#[test]
fn an_event() {
    let arguments = quote!(
        key = order,
        module = "orders",
        version = 2,
        upcast = old,
        keep = "2d",
        payload = "1d"
    );
    let item = quote! {
        pub struct OrderPlaced {
            pub order: OrderId,
        }
    };
    pinned("event.rs", crate::event::event(arguments, item));
}

#[test]
fn a_module() {
    let arguments =
        quote!(name = "sales", provides = [Orders, Refunds], on = [OrderPlaced], lifecycle);
    let item = quote! {
        pub struct SalesModule {
            db: Db,
            stock: StockClient,
        }
    };
    pinned("module.rs", crate::module::module(arguments, item));
}

#[test]
fn a_test_in_every_mode() {
    let item = quote! {
        #[should_panic]
        async fn levels(mode: Mode) {
            check(mode).await;
        }
    };
    pinned("every_mode.rs", crate::every_mode::every_mode(quote!(), item));
}
