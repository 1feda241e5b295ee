//! The signers of statements that one side of a connection has shown to the other.
//!
//! A statement names its signer by a hash. Before the first one by a signer, its certificates are sent. Both sides keep the
//! same list, since each sees the same frames in the same order, so that the sender knows what the receiver still has.

use super::{Socket, Statements};
use crate::call::{Principal, Signer, SignerId, Statement};
use bytes::Bytes;
use ring::digest::{SHA256, digest};
use std::{collections::VecDeque, sync::Arc};

/// The signers that are kept. An application with more replicas of its gateways than this shows certificates more often.
const MOST: usize = 32;
/// The longest certificates of a signer, in bytes. With the longest principal they fit into the overhead of a frame.
pub(super) const LONGEST_CHAIN: usize = 6 * 1024;

/// The signers that were shown on a connection in one direction.
#[derive(Debug)]
pub struct Introduced {
    signers: VecDeque<Arc<Signer>>,
    most: usize,
    /// What the reading process believes.
    statements: Option<Arc<Statements>>,
}

impl Default for Introduced {
    fn default() -> Self {
        Self { signers: VecDeque::new(), most: MOST, statements: None }
    }
}

impl Introduced {
    /// Those on `socket`, none yet. Nothing is kept of a peer that has proved nothing.
    pub(super) fn over(socket: &Socket) -> Self {
        let most = if matches!(socket, Socket::Tcp(_)) { 0 } else { MOST };
        Self { most, ..Self::default() }
    }

    /// Has statements that were verified before found again by `statements`.
    pub fn believe(&mut self, statements: Option<Arc<Statements>>) {
        self.statements = statements;
    }

    /// The principal of these entries with their statement, if that was verified before.
    pub(super) fn proven(&self, entries: &[u8]) -> Option<(Arc<Principal>, Arc<Statement>)> {
        self.statements.as_ref()?.known(entries)
    }

    /// Whether statements are verified here.
    pub(super) fn believes(&self) -> bool {
        self.statements.is_some()
    }

    /// Notes that `signer` is shown now. Returns whether it has to be.
    pub(super) fn introduces(&mut self, signer: &Arc<Signer>) -> bool {
        if self.most == 0 || signer.chain.is_empty() || self.knows(&signer.id).is_some() {
            return false;
        }
        self.add(Arc::clone(signer));
        true
    }

    /// The other side has shown these certificates.
    pub(super) fn learn(&mut self, chain: &[u8]) {
        if self.most == 0 || chain.is_empty() || chain.len() > LONGEST_CHAIN {
            return;
        }
        let signer = signer_of(Bytes::copy_from_slice(chain));
        if self.knows(&signer.id).is_none() {
            self.add(Arc::new(signer));
        }
    }

    /// The signer of this id, if it was shown.
    pub(super) fn find(&self, id: &SignerId) -> Option<Arc<Signer>> {
        self.knows(id).cloned()
    }

    fn knows(&self, id: &SignerId) -> Option<&Arc<Signer>> {
        // The last one that was shown is most likely the one that is looked for.
        self.signers.iter().rev().find(|signer| signer.id == *id)
    }

    fn add(&mut self, signer: Arc<Signer>) {
        if self.signers.len() == self.most {
            self.signers.pop_front();
        }
        self.signers.push_back(signer);
    }
}

/// The signer with these certificates, or with this public key.
pub(super) fn signer_of(encoded: Bytes) -> Signer {
    let hash = digest(&SHA256, &encoded);
    let (id, _) = hash.as_ref().split_first_chunk().expect("a hash has 32 bytes");
    Signer { id: *id, chain: encoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_keep_the_same_signers() {
        let (mut shown, mut seen) = (Introduced::default(), Introduced::default());
        let signer = |number: usize| Arc::new(signer_of(Bytes::from(format!("chain {number}"))));
        // Some of them over and over, and each now and then.
        for at in 0..10 * MOST {
            for signer in [signer(at), signer(at % 7)] {
                if shown.introduces(&signer) {
                    seen.learn(&signer.chain);
                }
                assert_eq!(seen.find(&signer.id), Some(Arc::clone(&signer)));
            }
            assert_eq!(shown.signers, seen.signers);
            assert!(shown.signers.len() <= MOST);
        }
    }

    #[test]
    fn what_is_too_long_or_nothing_is_not_kept() {
        let mut seen = Introduced::default();
        seen.learn(&[]);
        seen.learn(&[0; LONGEST_CHAIN + 1]);
        assert!(seen.signers.is_empty());
        seen.learn(&[0; LONGEST_CHAIN]);
        assert_eq!(seen.signers.len(), 1);
        assert!(!seen.introduces(&Arc::new(Signer { id: [7; 16], chain: Bytes::new() })));
    }
}
