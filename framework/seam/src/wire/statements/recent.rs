//! The latest statements, found again by their bytes.
//!
//! They are compared whole, so that no hash has to withstand an attacker. What is kept is bounded in bytes: half of it is
//! dropped at a time, the older half.

use bytes::Bytes;
use std::{collections::HashMap, mem};

/// The bytes of each half.
const HALF: usize = 2 << 20;
/// What a statement takes beside its bytes.
const ENTRY: usize = 256;

#[derive(Debug)]
pub(super) struct Recent<V> {
    young: HashMap<Bytes, V>,
    old: HashMap<Bytes, V>,
    /// Those of `young`.
    bytes: usize,
    /// Since which change of the roots they count.
    since: u64,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), bytes: 0, since: 0 }
    }
}

impl<V: Clone> Recent<V> {
    pub(super) fn get(&self, key: &[u8]) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).cloned()
    }

    /// The same, if it was put in after this change.
    pub(super) fn get_since(&self, since: u64, key: &[u8]) -> Option<V> {
        if self.since == since { self.get(key) } else { None }
    }

    /// Keeps what takes so many bytes beside its key. What is from before the change `since` is dropped.
    pub(super) fn put(&mut self, key: Bytes, value: V, bytes: usize, since: u64) {
        if since < self.since {
            return;
        }
        if since > self.since {
            *self = Self { since, ..Self::default() };
        }
        let takes = key.len() + bytes + ENTRY;
        if self.bytes + takes > HALF {
            self.old = mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += takes;
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_latest_are_found() {
        let mut recent = Recent::default();
        let all: Vec<_> = (0..20_000).map(|at| key(&format!("{at:1000}"))).collect();
        for (at, key) in all.iter().enumerate() {
            recent.put(key.clone(), at, 1_000, 0);
            assert_eq!(recent.get(key), Some(at));
            if at > 500 {
                assert_eq!(recent.get(&all[at - 500]), Some(at - 500));
            }
        }
        assert_eq!(recent.get(&all[0]), None);
        assert!(recent.young.len() + recent.old.len() <= 2 * HALF / 2_000);
    }

    #[test]
    fn nothing_from_before_a_change_of_the_roots_is_found() {
        let mut recent = Recent::default();
        let (a, b) = (key("a"), key("b"));
        recent.put(a.clone(), 1, 0, 0);
        assert!(recent.get_since(0, &a).is_some() && recent.get_since(1, &a).is_none());
        recent.put(b.clone(), 2, 0, 1);
        assert!(recent.get_since(1, &b).is_some() && recent.get_since(1, &a).is_none());
        // One that was verified before the change, and is put in after it.
        recent.put(a.clone(), 1, 0, 0);
        assert!(recent.get_since(1, &a).is_none());
    }
}
