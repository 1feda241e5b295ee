//! Modules that move between one process and many by one word of a manifest.

#[cfg(panic = "abort")]
compile_error!(
    "a panic in a module is an error to its caller, never the end of the process: \
     take `panic = \"abort\"` out of the profile"
);

pub mod app;
pub mod call;
pub mod config;
pub mod data;
pub mod gateway;
pub mod interface;
pub mod link;
pub mod module;
pub mod remote;
pub mod serve;
pub mod testing;
pub mod wire;

pub use async_trait::async_trait;
pub use call::{CallError, CallErrorKind, Context, InterfaceError, Principal, spawn};
pub use config::Config;
pub use data::Db;
pub use module::{Inject, Lifecycle, Shared, StartError, StartErrors, State, Tasks};
pub use monolift_macros::{InterfaceError, host, interface, module, process, service};

/// What the macros' output needs, and nobody else.
#[doc(hidden)]
pub mod __private {
    pub use futures_util::future::BoxFuture;
    pub use inventory;
    pub use serde;
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register_interface {
    ($interface:ty, $client:ident) => {
        impl $crate::link::Client for $client {
            type Interface = $interface;
        }

        impl $crate::Inject for $client {
            const CALLS: ::core::option::Option<&'static str> =
                ::core::option::Option::Some(<$interface as $crate::link::Interface>::MODULE);

            fn need() -> $crate::module::Need {
                $crate::module::Need::Interface($crate::link::InterfaceEntry::of::<$interface>())
            }

            async fn inject(
                injector: &$crate::module::Injector,
            ) -> ::core::result::Result<Self, $crate::StartError> {
                ::core::result::Result::Ok(injector.client())
            }
        }

        $crate::__private::inventory::submit!($crate::link::InterfaceEntry::of::<$interface>());
        $crate::__private::inventory::submit!($crate::gateway::HttpEntry::of::<$interface>());
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register_module {
    ($module:ty) => {
        $crate::__private::inventory::submit!($crate::module::ModuleEntry::of::<$module>());
    };
}
