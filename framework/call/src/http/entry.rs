//! The interfaces that are linked into this program, as the gateway calls them.

use super::{Http, HttpAnswer, HttpCall};
use crate::{
    interface::InterfaceDescriptor,
    link::{Interface, Links},
};
use futures_util::future::BoxFuture;
use std::{fmt, sync::Arc};

/// Calls the method of that number.
pub type Calls = Arc<dyn Fn(usize, HttpCall) -> BoxFuture<'static, HttpAnswer> + Send + Sync>;

/// What `#[monolift::interface]` hands to the gateway.
#[derive(Clone, Copy)]
pub struct HttpEntry {
    descriptor: fn() -> &'static InterfaceDescriptor,
    calls: fn(&Links) -> Calls,
}

inventory::collect!(HttpEntry);

impl HttpEntry {
    /// That of `I`.
    pub const fn of<I: Interface + ?Sized>() -> Self {
        Self {
            descriptor: I::descriptor,
            calls: |links| {
                let client = I::client(links.link::<I>());
                Arc::new(move |method, call| I::invoke::<Http>(client.clone(), method, call))
            },
        }
    }

    /// Those of all interfaces that are linked into this program.
    pub fn linked() -> impl Iterator<Item = Self> {
        inventory::iter::<Self>.into_iter().copied()
    }

    /// What the interface offers.
    pub fn descriptor(&self) -> &'static InterfaceDescriptor {
        (self.descriptor)()
    }

    /// Its methods, called through the link that `links` has to it.
    pub fn calls(&self, links: &Links) -> Calls {
        (self.calls)(links)
    }
}

impl fmt::Debug for HttpEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpEntry({})", self.descriptor().name)
    }
}
