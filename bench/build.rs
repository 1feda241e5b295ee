//! The glue of the tonic services, which protoc would make from .proto files.

use tonic_build::manual::{Builder, Method, Service};

/// A method: its name, its input and its output.
type Rpc = (&'static str, &'static str, &'static str);

/// The services: package, name, where their messages are, and methods.
const SERVICES: &[(&str, &str, &str, &[Rpc])] = &[
    (
        "bench",
        "Items",
        "crate::item",
        &[("get", "Ask", "Item"), ("sleep", "Nothing", "Nothing"), ("burn", "Nothing", "Nothing")],
    ),
    ("bench", "Titles", "crate::fan_out", &[("of", "Which", "Title")]),
    ("bench", "Prices", "crate::fan_out", &[("of", "Which", "Price")]),
    ("bench", "Shelves", "crate::fan_out", &[("of", "Which", "Shelf")]),
    ("bench", "Ratings", "crate::fan_out", &[("of", "Which", "Stars")]),
    ("shop", "Users", SHOP, &[("check", "Id", "Done"), ("email", "Id", "Text")]),
    ("shop", "Stock", SHOP, &[("reserve", "Reserve", "Amount"), ("sell", "Id", "Done")]),
    ("shop", "Payments", SHOP, &[("authorise", "Authorise", "Done"), ("capture", "Id", "Done")]),
    ("shop", "Notifications", SHOP, &[("send", "Mail", "Done")]),
    ("shop", "Orders", SHOP, &[("place", "NewOrder", "Order")]),
];

const SHOP: &str = "crate::order::by_hand::messages";

fn main() {
    let services = SERVICES.iter().map(|(package, name, messages, methods)| {
        let service = Service::builder().name(name).package(package);
        let method = |(name, input, output): &Rpc| {
            Method::builder()
                .name(name)
                .route_name(name)
                .input_type(format!("{messages}::{input}"))
                .output_type(format!("{messages}::{output}"))
                .codec_path("tonic_prost::ProstCodec")
                .build()
        };
        methods.iter().map(method).fold(service, |service, method| service.method(method)).build()
    });
    Builder::new().compile(&services.collect::<Vec<_>>());
    println!("cargo::rerun-if-changed=build.rs");
}
