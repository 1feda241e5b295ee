//! Statements by number: one that was shown on a connection is named by a number there from then on.
//!
//! The sender chooses a place for each statement, and a number that says which place it is and is never used again. The
//! receiver keeps what was in that place last, under its number. So a number stands for the one statement that it was given
//! for, or for nothing.

use crate::{
    call::Statement,
    wire::statements::{Said, Statements},
};
use std::sync::Arc;

/// The feature of a peer that understands numbers.
pub const NUMBERED: &str = "numbered-statements";

/// How many statements have a number at once. With more users at a time some are shown again. This and [`LONGEST`] are part of
/// what [`NUMBERED`] means: a peer with other values would end the connection.
const PLACES: usize = 128;
/// The longest statement that gets a number, in bytes. It has room for a signature by RSA. A hostile peer can make a connection
/// keep 7 KiB for each place, since the certificates of the signer are kept too, and what is decoded.
const LONGEST: usize = 1024;

/// How a statement is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum Name {
    /// It is shown, and has no number.
    Whole,
    /// It is shown, and gets this number.
    New(u64),
    /// By this number alone.
    Known(u64),
}

/// The statements that this side has given numbers to.
#[derive(Debug, Default)]
pub(super) struct Given {
    places: Vec<Option<(u64, Arc<Statement>)>>,
    count: u64,
}

impl Given {
    /// Names a statement. One that `may_be_new` gets a number if it has none.
    pub(super) fn name(&mut self, statement: &Arc<Statement>, may_be_new: bool) -> Name {
        let places = places(statement);
        let mut there = places.iter().filter_map(|&at| self.places.get(at)?.as_ref());
        if let Some((number, _)) = there.find(|(_, given)| Arc::ptr_eq(given, statement)) {
            return Name::Known(*number);
        }
        if !may_be_new || statement.entries.len() > LONGEST {
            return Name::Whole;
        }
        self.places.resize(PLACES, None);
        self.count += 1;
        let free = places.iter().find(|&&at| self.places[at].is_none());
        let at = *free.unwrap_or(&places[self.count as usize % 2]);
        let number = self.count * PLACES as u64 + at as u64;
        self.places[at] = Some((number, Arc::clone(statement)));
        Name::New(number)
    }
}

/// The two places that a statement can have at the sender, by its address in memory.
fn places(statement: &Arc<Statement>) -> [usize; 2] {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let spread = (Arc::as_ptr(statement).addr() as u64).wrapping_mul(SPREAD);
    [spread >> 32, spread >> 48].map(|bits| bits as usize % PLACES)
}

/// The statements that the other side has given numbers to.
#[derive(Debug, Default)]
pub(super) struct Kept(Vec<Option<One>>);

#[derive(Debug, Clone)]
struct One {
    number: u64,
    said: Said,
}

impl Kept {
    /// Keeps what was said under this number. Returns whether it may have one.
    pub(super) fn keep(&mut self, number: u64, said: &Said) -> bool {
        if said.user.statement().entries.len() > LONGEST {
            return false;
        }
        self.0.resize(PLACES, None);
        self.0[place_of(number)] = Some(One { number, said: said.clone() });
        true
    }

    /// What this number stands for, and whether that is proven by now.
    pub(super) fn find(&mut self, number: u64, statements: Option<&Statements>) -> Option<Said> {
        let one = self.0.get_mut(place_of(number))?.as_mut()?;
        if one.number != number {
            return None;
        }
        if let Some(statements) = statements {
            statements.prove_again(&mut one.said);
        }
        Some(one.said.clone())
    }
}

fn place_of(number: u64) -> usize {
    (number % PLACES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Principal, Stated};
    use bytes::Bytes;

    fn statement(of: &str) -> Arc<Statement> {
        let entries = Bytes::copy_from_slice(of.as_bytes());
        Arc::new(Statement { signed: entries.len(), entries, signer: None, expires_ms: 0 })
    }

    fn said(statement: &Arc<Statement>) -> Said {
        let principal = Arc::new(Principal::user("ada"));
        Said { user: Stated::new(principal, Arc::clone(statement), false), since: None }
    }

    #[test]
    fn a_number_stands_for_its_statement_or_for_nothing() {
        let (mut given, mut kept) = (Given::default(), Kept::default());
        let all: Vec<_> = (0..10 * PLACES).map(|at| statement(&format!("user {at}"))).collect();
        let mut numbers = Vec::new();
        // Some of them over and over, and each now and then.
        for at in 0..all.len() {
            for at in [at, at % 7, at] {
                let number = match given.name(&all[at], true) {
                    Name::New(number) => {
                        assert!(kept.keep(number, &said(&all[at])));
                        number
                    }
                    Name::Known(number) => number,
                    Name::Whole => unreachable!("it is short"),
                };
                assert_eq!(kept.find(number, None).unwrap().user.statement(), &all[at]);
                numbers.push((number, at));
            }
        }
        for (number, at) in numbers {
            assert!(kept.find(number, None).is_none_or(|said| *said.user.statement() == all[at]));
        }
        assert!(kept.find(u64::MAX, None).is_none() && kept.find(0, None).is_none());
    }

    #[test]
    fn what_is_long_or_may_be_lost_gets_no_number() {
        let (mut given, mut kept) = (Given::default(), Kept::default());
        let (long, short) = (statement(&"x".repeat(LONGEST + 1)), statement("ada"));
        assert_eq!(given.name(&long, true), Name::Whole);
        assert!(
            !kept.keep(PLACES as u64, &said(&long)) && kept.find(PLACES as u64, None).is_none()
        );
        assert_eq!(given.name(&short, false), Name::Whole);
        let Name::New(number) = given.name(&short, true) else { panic!("it has no number yet") };
        assert_eq!(given.name(&short, false), Name::Known(number));
    }
}
