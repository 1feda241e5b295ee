//! The glue of the tonic services, which protoc would make from .proto files.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let method = |name: &str, route: &str, input: &str, output: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type(input)
            .output_type(output)
            .codec_path("tonic_prost::ProstCodec")
            .build()
    };
    let items = Service::builder()
        .name("Items")
        .package("bench")
        .method(method("get", "Get", "crate::item::Ask", "crate::item::Item"))
        .method(method("sleep", "Sleep", "crate::item::Nothing", "crate::item::Nothing"))
        .method(method("burn", "Burn", "crate::item::Nothing", "crate::item::Nothing"))
        .build();
    let asks = |name: &str, answer: &str| {
        let answer = format!("crate::fan_out::{answer}");
        let of = method("of", "Of", "crate::fan_out::Which", &answer);
        Service::builder().name(name).package("bench").method(of).build()
    };
    Builder::new().compile(&[
        items,
        asks("Titles", "Title"),
        asks("Prices", "Price"),
        asks("Shelves", "Shelf"),
        asks("Ratings", "Stars"),
    ]);
    println!("cargo::rerun-if-changed=build.rs");
}
