//! The macros of Monolift. Use them through the crates `monolift` and `monolift-call`, which document them.
//!
//! They contain little logic: they parse the author's code, report mistakes, and emit calls into
//! `monolift`.

mod errors;
mod event;
mod every_mode;
#[cfg(test)]
mod expansion;
mod interface;
mod interface_error;
mod migrations;
mod module;
mod named;
mod process;

use proc_macro::TokenStream;

/// See `monolift::interface`.
#[proc_macro_attribute]
pub fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    named::named(interface::interface(arguments.into(), item.into())).into()
}

/// See `monolift::event`.
#[proc_macro_attribute]
pub fn event(arguments: TokenStream, item: TokenStream) -> TokenStream {
    named::named(event::event(arguments.into(), item.into())).into()
}

/// See `monolift::InterfaceError`.
#[proc_macro_derive(InterfaceError, attributes(status))]
pub fn interface_error(item: TokenStream) -> TokenStream {
    named::named(interface_error::interface_error(item.into())).into()
}

/// See `monolift::module`.
#[proc_macro_attribute]
pub fn module(arguments: TokenStream, item: TokenStream) -> TokenStream {
    named::named(module::module(arguments.into(), item.into())).into()
}

/// See `monolift::process`.
#[proc_macro]
pub fn process(input: TokenStream) -> TokenStream {
    named::named(process::process(input.into())).into()
}

/// See `monolift::service`.
#[proc_macro]
pub fn service(input: TokenStream) -> TokenStream {
    named::named(process::service(input.into())).into()
}

/// See `monolift::host`.
#[proc_macro]
pub fn host(input: TokenStream) -> TokenStream {
    named::named(process::host(input.into())).into()
}

/// See `monolift::testing::every_mode`.
#[proc_macro_attribute]
pub fn every_mode(arguments: TokenStream, item: TokenStream) -> TokenStream {
    named::named(every_mode::every_mode(arguments.into(), item.into())).into()
}
