//! The interfaces that are linked into this program, and the links that one process has to them.

use super::{AnyLink, Client, ErasedInterface, Interface, Link};
use crate::{
    call::{CallSettings, access::Acting},
    interface::InterfaceDescriptor,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// What `#[monolift::interface]` hands to the registry.
#[derive(Debug, Clone, Copy)]
pub struct InterfaceEntry {
    /// What the interface offers.
    pub descriptor: fn() -> &'static InterfaceDescriptor,
    /// How to make a link to it.
    pub erased: ErasedInterface,
}

inventory::collect!(InterfaceEntry);

impl InterfaceEntry {
    /// That of `I`.
    pub const fn of<I: Interface + ?Sized>() -> Self {
        Self { descriptor: I::descriptor, erased: ErasedInterface::of::<I>() }
    }
}

/// Every interface that is linked into this program, by module and name.
pub fn interfaces() -> Vec<InterfaceEntry> {
    let mut entries: Vec<_> = inventory::iter::<InterfaceEntry>.into_iter().copied().collect();
    entries.sort_by_key(|entry| {
        let descriptor = (entry.descriptor)();
        (descriptor.module, descriptor.name)
    });
    entries
}

/// The links of one process: one for each interface, made when it is first asked for.
#[derive(Debug)]
pub struct Links {
    settings: Arc<CallSettings>,
    /// By the descriptor's address: a program that links two versions of an api crate has two
    /// interfaces of one name, and each finds its own peer by that name.
    links: Mutex<BTreeMap<usize, Arc<dyn AnyLink>>>,
}

impl Links {
    /// None yet.
    pub fn new(settings: Arc<CallSettings>) -> Self {
        Self { settings, links: Mutex::default() }
    }

    /// What all calls through these links are held to.
    pub fn settings(&self) -> &Arc<CallSettings> {
        &self.settings
    }

    /// The link to `I`.
    pub fn link<I: Interface + ?Sized>(&self) -> Link<I> {
        let link = self.any(InterfaceEntry::of::<I>());
        match link.as_any().downcast_ref::<Link<I>>() {
            Some(link) => link.clone(),
            None => unreachable!("a descriptor belongs to one interface, and its link is of that"),
        }
    }

    /// A client of `C`'s interface.
    pub fn client<C: Client>(&self) -> C {
        C::Interface::client(self.link::<C::Interface>())
    }

    /// The same, whose calls are made for this caller where no call is around them.
    pub fn client_acting<C: Client>(&self, acting: Acting) -> C {
        C::Interface::client(self.link::<C::Interface>().acting(acting))
    }

    /// The link to the interface of `entry`.
    pub fn any(&self, entry: InterfaceEntry) -> Arc<dyn AnyLink> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links
            .entry(std::ptr::from_ref((entry.descriptor)()).addr())
            .or_insert_with(|| entry.erased.link(Arc::clone(&self.settings)));
        Arc::clone(link)
    }

    /// The link to an interface whose module is bound here, by name.
    pub fn local(&self, module: &str, interface: &str) -> Option<Arc<dyn AnyLink>> {
        self.all().into_iter().find(|link| {
            let descriptor = link.descriptor();
            link.is_local() && descriptor.module == module && descriptor.name == interface
        })
    }

    /// All that have been asked for.
    pub fn all(&self) -> Vec<Arc<dyn AnyLink>> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.values().cloned().collect()
    }
}
