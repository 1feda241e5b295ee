//! Requests that limits have refused, counted for whoever runs the gateway.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Counts of refused requests. There are few: one for each limit, method and kind of caller.
#[derive(Debug, Default)]
pub struct RefusedRequests(Mutex<BTreeMap<RefusedRequest, u64>>);

/// Requests of one kind that one limit has refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedRequest {
    /// The limit, by the name of its setting, or `token` for requests that came with too many tokens that do not count.
    pub limit: &'static str,
    /// The method of the route, as `module.method`, or the module for its own routes. Empty if the route was not known yet.
    pub method: String,
    /// `user`, `service`, or `nobody` if the request does not say who makes it.
    pub by: &'static str,
}

impl RefusedRequests {
    pub(crate) fn count(&self, limit: &'static str, method: String, by: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(RefusedRequest { limit, method, by }).or_default() += 1;
    }

    /// The same, of a request that was refused before it was read.
    pub(crate) fn count_unread(&self, limit: &'static str) {
        self.count(limit, String::new(), "nobody");
    }

    /// What is counted so far.
    pub fn all(&self) -> Vec<(RefusedRequest, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(refused, count)| (refused.clone(), *count)).collect()
    }
}
