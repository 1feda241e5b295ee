//! The signers of statements that one side of a connection has shown to the other.
//!
//! A statement names its signer by a hash. Before the first one by a signer, its certificates are sent. Both sides keep the
//! same list, since each sees the same frames in the same order, so that the sender knows what the receiver still has.

use crate::call::{Signer, SignerId};
use bytes::Bytes;
use ring::digest::{SHA256, digest};
use std::{collections::VecDeque, sync::Arc};

/// The signers that are kept. An application with more replicas of its gateways than this shows certificates more often.
const MOST: usize = 32;
/// The longest certificates of a signer, in bytes. With the longest principal they fit into the overhead of a frame.
pub(in crate::wire) const LONGEST_CHAIN: usize = 6 * 1024;

/// The last signers that were shown, in the order in which they were.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Signers(VecDeque<Arc<Signer>>);

impl Signers {
    pub(super) fn find(&self, id: &SignerId) -> Option<&Arc<Signer>> {
        // The last one that was shown is most likely the one that is looked for.
        self.0.iter().rev().find(|signer| signer.id == *id)
    }

    /// Adds one that has just been shown. Returns whether it is new.
    pub(super) fn add(&mut self, signer: &Arc<Signer>) -> bool {
        let is_new = self.find(&signer.id).is_none();
        if is_new {
            if self.0.len() == MOST {
                self.0.pop_front();
            }
            self.0.push_back(Arc::clone(signer));
        }
        is_new
    }
}

/// The signer with these certificates, or with this public key.
pub(in crate::wire) fn signer_of(encoded: Bytes) -> Signer {
    let hash = digest(&SHA256, &encoded);
    let (id, _) = hash.as_ref().split_first_chunk().expect("a hash has 32 bytes");
    Signer { id: *id, chain: encoded }
}

/// The signer with these certificates, as the other side has sent them.
pub(super) fn shown_by(chain: &[u8]) -> Option<Arc<Signer>> {
    let fits = !chain.is_empty() && chain.len() <= LONGEST_CHAIN;
    fits.then(|| Arc::new(signer_of(Bytes::copy_from_slice(chain))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_keep_the_same_signers() {
        let (mut shown, mut seen) = (Signers::default(), Signers::default());
        let signer = |number: usize| Arc::new(signer_of(Bytes::from(format!("chain {number}"))));
        // Some of them over and over, and each now and then.
        for at in 0..10 * MOST {
            for signer in [signer(at), signer(at % 7)] {
                if shown.add(&signer) {
                    seen.add(&shown_by(&signer.chain).unwrap());
                }
                assert_eq!(seen.find(&signer.id), Some(&signer));
            }
            assert_eq!(shown, seen);
            assert!(shown.0.len() <= MOST);
        }
    }

    #[test]
    fn what_is_too_long_or_nothing_is_no_signer() {
        assert_eq!(shown_by(&[]), None);
        assert_eq!(shown_by(&[0; LONGEST_CHAIN + 1]), None);
        assert!(shown_by(&[0; LONGEST_CHAIN]).is_some());
    }
}
