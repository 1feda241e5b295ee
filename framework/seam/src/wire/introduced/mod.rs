//! What one side of a connection has shown to the other, so that it need not be shown again: signers, and statements.
//!
//! Both sides keep the same, since each sees the same frames in the same order. A call with a long payload may be passed
//! over by a receiver that has no room for it, so what is shown there counts for that call alone.

mod numbered;
mod signers;

use super::{
    Socket,
    statements::{Said, Statements},
};
use crate::call::{Signer, SignerId, Statement};
pub use numbered::NUMBERED;
pub(super) use numbered::Name;
use numbered::{Given, Kept};
pub(super) use signers::{LONGEST_CHAIN, signer_of};
use signers::{Signers, shown_by};
use std::sync::Arc;

/// What was shown on a connection in one direction.
#[derive(Debug)]
pub struct Introduced {
    /// Whether anything is kept: nothing is of a peer that has proved nothing.
    keeps: bool,
    /// Whether the other side understands numbers.
    numbers: bool,
    signers: Signers,
    given: Given,
    kept: Kept,
    /// What the reading process believes.
    statements: Option<Arc<Statements>>,
}

/// What a call shows, until it is read to its end.
#[derive(Debug, Default)]
pub(super) struct News {
    signer: Option<Arc<Signer>>,
    pub(super) number: Option<u64>,
}

impl Default for Introduced {
    fn default() -> Self {
        let (signers, given, kept) = Default::default();
        Self { keeps: true, numbers: false, signers, given, kept, statements: None }
    }
}

impl Introduced {
    /// What was shown on `socket`: nothing yet.
    pub(super) fn over(socket: &Socket) -> Self {
        Self { keeps: Self::is_kept_over(socket), ..Self::default() }
    }

    /// Whether anything is kept of a peer at the other end of `socket`.
    pub(super) fn is_kept_over(socket: &Socket) -> bool {
        !matches!(socket, Socket::Tcp(_))
    }

    /// Has statements that were verified before found again by `statements`.
    pub fn believe(&mut self, statements: Option<Arc<Statements>>) {
        self.statements = statements;
    }

    /// Has statements named by numbers, if the other side understands them.
    pub fn number(&mut self, is_understood: bool) {
        self.numbers = is_understood && self.keeps;
    }

    /// How a statement is named in the next call.
    pub(super) fn name(&mut self, statement: &Arc<Statement>, is_long: bool) -> Name {
        if self.numbers { self.given.name(statement, !is_long) } else { Name::Whole }
    }

    /// Whether the certificates of `signer` have to be shown in the next call.
    pub(super) fn introduces(&mut self, signer: &Arc<Signer>, is_long: bool) -> bool {
        if !self.keeps || signer.chain.is_empty() {
            return false;
        }
        if is_long { self.signers.find(&signer.id).is_none() } else { self.signers.add(signer) }
    }

    /// The principal of these entries with their statement, if that was verified before.
    pub(super) fn proven(&self, entries: &[u8]) -> Option<Said> {
        self.statements.as_ref()?.known(entries)
    }

    /// Whether statements are verified here.
    pub(super) fn believes(&self) -> bool {
        self.statements.is_some()
    }

    /// What this number stands for.
    pub(super) fn find(&mut self, number: u64) -> Option<Said> {
        self.kept.find(number, self.statements.as_deref())
    }

    /// The signer of this id, if it was shown before or in this call.
    pub(super) fn signer(&self, id: &SignerId, news: &News) -> Option<Arc<Signer>> {
        let new = news.signer.as_ref().filter(|signer| signer.id == *id);
        new.or_else(|| self.signers.find(id)).cloned()
    }

    /// Takes note of what a call has shown. Returns whether the other side may give it a number.
    pub(super) fn learn(&mut self, news: News, said: Option<&Said>, is_long: bool) -> bool {
        if !is_long && let Some(signer) = &news.signer {
            self.signers.add(signer);
        }
        match (news.number, said) {
            (None, _) => true,
            (Some(number), Some(said)) => self.keeps && !is_long && self.kept.keep(number, said),
            (Some(_), None) => false,
        }
    }

    /// The call shows these certificates.
    pub(super) fn is_shown(&self, chain: &[u8], news: &mut News) {
        if self.keeps {
            news.signer = shown_by(chain);
        }
    }
}
