//! A caller's transaction, lent to a method of another module in the same process.
//!
//! The method runs within a savepoint. Its statements are plain ones, and the call's guard is within them: so an error, a
//! panic and a deadline that passes are all undone before the caller goes on. A savepoint of sqlx is not used. If its
//! `begin` is dropped before it is ready, sqlx rolls back the transaction around it, and what the caller does next is
//! committed statement by statement.
//!
//! This file knows no database: the crate of databases makes a [`Loan`] of a connection, and a connection of a loan.

use super::{
    CallError, CallErrorKind, RetryAdvice,
    held::{self, Hold, Lending, Scarce},
};
use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

/// The number of the next savepoint. No two in a transaction have one name: a call that was dropped leaves its savepoint,
/// and a rollback goes to the latest of the name.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What a lent transaction is to the call that it is lent to.
const BORROWED: Scarce = Scarce {
    held: "the transaction of its caller",
    another: "a database connection of its own",
    instead: "join the caller's transaction (`db.join(tx)`) and use nothing else",
    before_a_call: "a method with `#[local]` calls no other module, unless it lends the transaction on",
};

/// The transaction of a method's caller: an argument of a method with `#[local]`, in the same process.
///
/// It is a step on the way for code that was written for one database: such code passes its transaction to what will be
/// another module, which could not see the uncommitted rows on a connection of its own.
///
/// ```text
/// #[local]
/// async fn reserve_in(&self, tx: LocalTx<'_>, order: OrderId) -> Result<(), StockError>;
/// ```
///
/// The caller lends a transaction, `stock.reserve_in(tx.lend(), order)`, and the module joins it,
/// `self.db.join(tx).await?`. The database of both has to be the same, with the same role and search path. `monolift::Lend`
/// lends a plain connection of sqlx.
///
/// The method runs within a savepoint. If it ends with an error, panics or exceeds its deadline, what it did is rolled
/// back, and the caller's transaction goes on without it. This takes as long as the statement that was cut.
pub struct LocalTx<'a>(Loan<'a>);

/// A connection with a transaction, of a type that is not known here.
#[doc(hidden)]
pub struct Loan<'a> {
    /// The connection.
    pub connection: &'a mut Opaque,
    /// The database that it speaks to, as messages name it.
    pub database: &'static str,
    /// Whether a transaction is open on it.
    pub is_open: bool,
    /// How statements run on it.
    pub run: Run,
    /// By what the caller's call holds it. `None` if that is not known: a connection of sqlx does not say.
    pub hold: Option<&'a Hold>,
    /// Set when a call that it was lent to was cut short: some of what it did may be left in the transaction.
    pub cut: Arc<AtomicBool>,
}

/// A connection of some database.
#[doc(hidden)]
pub type Opaque = dyn Any + Send;

/// Runs statements on the connection of a [`Loan`].
#[doc(hidden)]
pub type Run = for<'c> fn(&'c mut Opaque, String) -> Running<'c>;

/// Statements that run.
#[doc(hidden)]
pub type Running<'c> = Pin<Box<dyn Future<Output = Result<(), CallError>> + Send + 'c>>;

impl fmt::Debug for LocalTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalTx({})", self.0.database)
    }
}

impl<'a> LocalTx<'a> {
    /// For the crate of databases.
    #[doc(hidden)]
    pub fn of(loan: Loan<'a>) -> Self {
        Self(loan)
    }

    /// For the crate of databases.
    #[doc(hidden)]
    pub fn into_loan(self) -> Loan<'a> {
        self.0
    }

    /// For a client: the call has the transaction until this ends.
    #[doc(hidden)]
    pub fn lent(self) -> Lent<'a> {
        let lending = self.0.hold.map_or_else(held::lend_the_one, Hold::lend);
        let (was_cut, savepoint) = (self.0.cut.load(Relaxed), NEXT.fetch_add(1, Relaxed));
        Lent { loan: self.0, lending, was_cut, savepoint, is_begun: false }
    }
}

/// A transaction while a call has it. If it is dropped after its savepoint and before its end, the transaction is marked
/// as cut.
#[doc(hidden)]
pub struct Lent<'a> {
    loan: Loan<'a>,
    /// The caller does not hold it meanwhile.
    lending: Lending,
    was_cut: bool,
    savepoint: u64,
    /// Whether there is a savepoint that is neither released nor rolled back to.
    is_begun: bool,
}

impl Lent<'_> {
    /// Makes the savepoint. Within the call, so that its deadline holds for that too. If this is cut there is at most a
    /// savepoint that is not used.
    pub async fn begin(&mut self) -> Result<Begun<'_>, CallError> {
        if !self.loan.is_open {
            return Err(mistaken(
                "the connection that was lent has no transaction open: begin one with sqlx's `begin`",
            ));
        }
        let hold = held::hold(&BORROWED, self.lending.is_strict());
        self.run(savepoint(self.savepoint)).await?;
        self.is_begun = true;
        let Loan { connection, database, is_open, run, cut, .. } = &mut self.loan;
        let (is_open, run) = (*is_open, *run);
        Ok(Begun { connection: &mut **connection, database, is_open, run, cut, hold })
    }

    /// Keeps what the method did, or rolls it back if it failed.
    pub async fn end<T, E: From<CallError>>(mut self, answer: Result<T, E>) -> Result<T, E> {
        if !self.is_begun {
            return answer;
        }
        let error = match answer {
            // A call within this one was cut short, and this one took no notice.
            Ok(_) if !self.was_cut && self.loan.cut.load(Relaxed) => E::from(mistaken(CUT)),
            Ok(answer) => match self.run(release(self.savepoint)).await {
                Ok(()) => {
                    self.is_begun = false;
                    return Ok(answer);
                }
                // A statement failed, and the method took no notice.
                Err(error) => E::from(error),
            },
            Err(error) => error,
        };
        if self.run(undo(self.savepoint)).await.is_ok() {
            self.is_begun = false;
            self.loan.cut.store(self.was_cut, Relaxed);
        }
        Err(error)
    }

    fn run(&mut self, statements: String) -> Running<'_> {
        (self.loan.run)(self.loan.connection, statements)
    }
}

fn savepoint(number: u64) -> String {
    format!("SAVEPOINT monolift_{number}")
}

fn release(number: u64) -> String {
    format!("RELEASE SAVEPOINT monolift_{number}")
}

fn undo(number: u64) -> String {
    format!("ROLLBACK TO SAVEPOINT monolift_{number}; {}", release(number))
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if self.is_begun {
            self.loan.cut.store(true, Relaxed);
        }
    }
}

/// A transaction with a savepoint, held by the call that it was lent to.
#[doc(hidden)]
pub struct Begun<'a> {
    connection: &'a mut Opaque,
    database: &'static str,
    is_open: bool,
    run: Run,
    cut: &'a Arc<AtomicBool>,
    hold: Hold,
}

impl Begun<'_> {
    /// For the method.
    pub fn tx(&mut self) -> LocalTx<'_> {
        LocalTx(Loan {
            connection: &mut *self.connection,
            database: self.database,
            is_open: self.is_open,
            run: self.run,
            hold: Some(&self.hold),
            cut: Arc::clone(self.cut),
        })
    }
}

/// What is wrong with a transaction that a call was cut in.
#[doc(hidden)]
pub const CUT: &str = "a call that the transaction was lent to was cut short, and its caller went on: what that call did \
                       would be kept in part, so the transaction is rolled back";

/// A mistake in the program, which another attempt repeats.
#[doc(hidden)]
pub fn mistaken(message: impl Into<String>) -> CallError {
    CallError::new(CallErrorKind::Internal, message).with_retry_advice(RetryAdvice::Never)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A connection that notes its statements, and refuses some of them.
    #[derive(Default)]
    struct Notes {
        said: Mutex<Vec<String>>,
        refuses: Option<&'static str>,
    }

    fn note<'c>(connection: &'c mut Opaque, statements: String) -> Running<'c> {
        let notes: &Notes = connection.downcast_ref().expect("it is one of these");
        let refused = notes.refuses.is_some_and(|refuses| statements.starts_with(refuses));
        notes.said.lock().unwrap().push(statements);
        Box::pin(async move { if refused { Err(mistaken("refused")) } else { Ok(()) } })
    }

    /// The first word of each statement, where all have one savepoint's name.
    fn said(notes: &Notes) -> Vec<(String, String)> {
        let said = notes.said.lock().unwrap();
        let words = said.iter().map(|said| {
            let (word, name) = said.split_once(' ').unwrap();
            (word.to_owned(), name.rsplit(' ').next().unwrap().to_owned())
        });
        words.collect()
    }

    fn words(notes: &Notes) -> Vec<String> {
        said(notes).into_iter().map(|(word, _)| word).collect()
    }

    fn lent<'a>(notes: &'a mut Notes, cut: &Arc<AtomicBool>) -> Lent<'a> {
        let (is_open, cut) = (true, Arc::clone(cut));
        let loan =
            Loan { connection: notes, database: "Notes", is_open, run: note, hold: None, cut };
        LocalTx::of(loan).lent()
    }

    async fn call(
        notes: &mut Notes,
        answer: Result<u8, CallError>,
    ) -> (Result<u8, CallError>, bool) {
        let cut = Arc::default();
        let mut lent = lent(notes, &cut);
        drop(lent.begin().await.unwrap());
        let ended = lent.end(answer).await;
        (ended, cut.load(Relaxed))
    }

    #[tokio::test]
    async fn an_answer_is_kept_and_an_error_is_undone() {
        let mut notes = Notes::default();
        assert_eq!(call(&mut notes, Ok(7)).await, (Ok(7), false));
        assert_eq!(call(&mut notes, Err(mistaken("no"))).await, (Err(mistaken("no")), false));
        assert_eq!(words(&notes), ["SAVEPOINT", "RELEASE", "SAVEPOINT", "ROLLBACK"]);
        let names: Vec<String> = said(&notes).into_iter().map(|(_, name)| name).collect();
        assert_eq!((&names[0], &names[2]), (&names[1], &names[3]));
        assert_ne!(names[0], names[2]);
    }

    #[tokio::test]
    async fn what_cannot_be_undone_is_marked() {
        let mut notes = Notes { refuses: Some("RELEASE"), ..Notes::default() };
        assert_eq!(call(&mut notes, Ok(7)).await, (Err(mistaken("refused")), false));
        assert_eq!(words(&notes), ["SAVEPOINT", "RELEASE", "ROLLBACK"]);
        let mut notes = Notes { refuses: Some("ROLLBACK"), ..Notes::default() };
        assert_eq!(call(&mut notes, Err(mistaken("no"))).await, (Err(mistaken("no")), true));
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_marks_the_transaction_and_one_around_it_undoes_it() {
        let (mut notes, cut) = (Notes::default(), Arc::default());
        let mut dropped = lent(&mut notes, &cut);
        drop(dropped.begin().await.unwrap());
        drop(dropped);
        assert!(cut.load(Relaxed));

        let (mut notes, cut) = (Notes::default(), Arc::default());
        let mut outer = lent(&mut notes, &cut);
        let mut begun = outer.begin().await.unwrap();
        let mut inner = begun.tx().lent();
        drop(inner.begin().await.unwrap());
        drop(inner);
        drop(begun);
        let ended = outer.end(Ok::<_, CallError>(7)).await;
        assert_eq!((ended, cut.load(Relaxed)), (Err(mistaken(CUT)), false));
    }

    #[tokio::test]
    async fn without_a_transaction_nothing_is_done() {
        let (mut notes, cut) = (Notes::default(), Arc::default());
        let mut lent = lent(&mut notes, &cut);
        lent.loan.is_open = false;
        let error = lent.begin().await.map(drop).unwrap_err();
        assert!(error.message().contains("no transaction open"), "{error}");
        assert_eq!(lent.end(Err::<(), _>(error.clone())).await, Err(error));
        assert!(words(&notes).is_empty() && !cut.load(Relaxed));
    }
}
