//! On whose behalf another process calls: a gateway's word for it, and whether it is believed.
//!
//! A gateway signs what it knows of a user by the key of its TLS certificate, when a call on behalf of that user leaves the
//! process. It signs once for each user and some tens of seconds, and no longer than the user's token holds. A process that is
//! called verifies that once, remembers it until it expires, and passes it on unchanged.
//!
//! A statement is believed if its certificates lead to the application's authority and name a process that the manifest calls
//! a gateway. So no key has to be distributed, and a gateway can come and go at any time. Without TLS the keys are files
//! ([`Keys::Files`]).
//!
//! A call whose user is not proven is made on behalf of no one.

mod recent;
mod words;

use super::{Tls, frame::write_user};
use crate::call::{Context, Principal, Signer, Stated, Statement, clock};
use bytes::BytesMut;
use recent::Recent;
use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use words::Words;

mod files;
pub use files::{StatementFiles, StatementFilesError};

/// How long a statement holds at most.
const LONGEST: Duration = Duration::from_secs(60);
/// One that holds for less than this is made anew, unless the token ends then.
const RENEW: Duration = Duration::from_secs(20);
/// How far the clocks of two processes may be apart.
const SKEW: Duration = Duration::from_secs(5);

/// How long a thread counts on from the system's time before it asks again.
const TRUSTED: Duration = Duration::from_millis(100);

/// Decides whether a process of the application is a gateway.
pub type MayVouch = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// By which keys statements are signed.
#[derive(Debug)]
pub enum Keys {
    /// By those of the gateways' TLS certificates.
    Tls(Tls),
    /// By keys in files.
    Files(StatementFiles),
}

/// What becomes of a user who is not proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven {
    /// It is logged and counted, and the caller is believed.
    Observe,
    /// It is logged and counted, and the call is made on behalf of no one.
    Refuse,
}

/// Why a user is not proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Doubt {
    /// The caller brought no statement.
    Missing,
    /// It has expired, is not valid yet, or holds for longer than any may.
    Expired,
    /// Nothing is known of its signer.
    UnknownSigner,
    /// It is not what its signer has signed, or the signer's certificates lead to no authority of the application.
    Signature,
    /// Its signer is a process that is no gateway.
    NoGateway,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no statement of a gateway",
            Self::Expired => "the gateway's statement has expired, or is not valid yet",
            Self::UnknownSigner => "the key of the statement is not known",
            Self::Signature => {
                "the statement is not one that a process of this application has signed"
            }
            Self::NoGateway => "the process that has signed the statement is no gateway",
        })
    }
}

/// What a process signs and believes.
pub struct Statements {
    app: String,
    keys: Keys,
    /// Whether this process is a gateway, and signs.
    signs: bool,
    unproven: Unproven,
    may_vouch: MayVouch,
    made: Mutex<Recent<Arc<Statement>>>,
    believed: RwLock<Recent<Stated>>,
    doubts: Mutex<BTreeMap<(String, Doubt), u64>>,
}

/// What a caller says of its user.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) user: Stated,
    /// The change of the roots since which it is proven, if it is.
    pub(super) since: Option<u64>,
}

impl fmt::Debug for Statements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Statements({:?}, signs: {})", self.unproven, self.signs)
    }
}

impl Statements {
    /// Those of a process of `app`. A gateway `signs`.
    pub fn new(
        app: impl Into<String>,
        keys: Keys,
        signs: bool,
        unproven: Unproven,
        may_vouch: MayVouch,
    ) -> Self {
        Self {
            app: app.into(),
            keys,
            signs,
            unproven,
            may_vouch,
            made: Mutex::default(),
            believed: RwLock::default(),
            doubts: Mutex::default(),
        }
    }

    /// Whether this process could sign if it had to.
    pub fn can_sign(&self) -> bool {
        match &self.keys {
            Keys::Tls(tls) => tls.can_sign(),
            Keys::Files(files) => files.can_sign(),
        }
    }

    /// How often a user was not proven, by calling process and reason.
    pub fn doubts(&self) -> Vec<(String, Doubt, u64)> {
        let doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.iter().map(|((caller, doubt), count)| (caller.clone(), *doubt, *count)).collect()
    }

    /// The context of a call that is about to leave the process, with this process's word for its user.
    ///
    /// A user whom another process has named is not this one's to vouch for.
    pub fn vouch(&self, context: &mut Context) {
        self.vouch_at(context, now_ms());
    }

    /// The same, at this time in milliseconds since 1970.
    #[doc(hidden)]
    pub fn vouch_at(&self, context: &mut Context, now: u64) {
        let Some(user) = context.principal().filter(|user| !user.is_service()) else { return };
        if !self.signs || context.origin().peer != 0 {
            return;
        }
        let token = user.expires().map_or(u64::MAX, in_ms);
        let is_good = |statement: &Statement| {
            let left = statement.expires_ms.saturating_sub(now);
            let is_long = left >= in_ms(RENEW) || (left > 0 && statement.expires_ms == token);
            is_long && statement.expires_ms <= token && self.is_by_own_key(statement)
        };
        if context.statement().is_some_and(|kept| is_good(kept)) {
            return;
        }
        let Some(statement) = self.made(user, token, now, is_good) else { return };
        if context.statement().is_none() {
            context.keep_statement(statement);
        } else {
            *context = context.clone().with_statement(statement);
        }
    }

    fn made(
        &self,
        user: &Principal,
        token: u64,
        now: u64,
        is_good: impl Fn(&Statement) -> bool,
    ) -> Option<Arc<Statement>> {
        let mut entries = BytesMut::new();
        write_user(user, &mut entries);
        let known = lock(&self.made).get(&entries);
        if let Some(known) = known.filter(|known| is_good(known)) {
            return Some(known);
        }
        let expires_ms = token.min(now + in_ms(LONGEST));
        if expires_ms <= now {
            return None;
        }
        let words = |signer: &Signer| Words { signer: signer.id, made_ms: now, expires_ms };
        let message = |signer: &Signer| words(signer).message(&self.app, &entries);
        let signed = match &self.keys {
            Keys::Tls(tls) => tls.sign(message),
            Keys::Files(files) => files.sign(message),
        };
        let Some(signed) = signed else {
            tracing::warn!("what the gateway knows of a user cannot be signed");
            return None;
        };
        let principal = entries.clone().freeze();
        words(&signed.signer).write(signed.scheme, &signed.signature, &mut entries);
        let statement = Arc::new(Statement {
            entries: entries.freeze(),
            signed: principal.len(),
            signer: Some(signed.signer),
            expires_ms,
        });
        let bytes = statement.entries.len();
        lock(&self.made).put(principal, Arc::clone(&statement), bytes, 0);
        Some(statement)
    }

    /// Whether it is signed by the key that this process has now.
    fn is_by_own_key(&self, statement: &Statement) -> bool {
        match &self.keys {
            Keys::Tls(tls) => tls.has_signed(statement),
            Keys::Files(files) => files.has_signed(statement),
        }
    }

    /// The context of a call that `caller` makes, on behalf of whom that is proven to be.
    pub fn believe(&self, context: Context, caller: &str) -> Context {
        if context.is_proven() { context } else { self.believe_at(context, caller, now_ms()) }
    }

    /// The same, at this time in milliseconds since 1970.
    #[doc(hidden)]
    pub fn believe_at(&self, context: Context, caller: &str, now: u64) -> Context {
        if context.is_proven() || context.principal().is_none_or(Principal::is_service) {
            return context;
        }
        match self.proven(&context, now) {
            Ok(user) => context.with_stated(user),
            Err(doubt) => self.doubted(context, caller, doubt),
        }
    }

    /// The principal of these entries with their statement, if that was verified before and still holds: so most calls decode
    /// no principal.
    pub(super) fn known(&self, entries: &[u8]) -> Option<Said> {
        let roots = self.changes_of_roots();
        let believed = self.believed.read().unwrap_or_else(PoisonError::into_inner);
        let user = believed.get_since(roots, entries)?;
        drop(believed);
        holds(user.statement(), now_ms()).then_some(Said { user, since: Some(roots) })
    }

    /// Looks whether what was said earlier is proven now. It may have been verified meanwhile, and it may hold no longer.
    pub(super) fn prove_again(&self, said: &mut Said) {
        if said.since == Some(self.changes_of_roots()) && holds(said.user.statement(), now_ms()) {
            return;
        }
        match self.known(&said.user.statement().entries) {
            Some(proven) => *said = proven,
            None if said.since.is_some() => {
                *said = Said { user: said.user.unproven(), since: None };
            }
            None => {}
        }
    }

    fn proven(&self, context: &Context, now: u64) -> Result<Stated, Doubt> {
        let statement = context.statement().ok_or(Doubt::Missing)?;
        let roots = self.changes_of_roots();
        if !holds(statement, now) {
            return Err(Doubt::Expired);
        }
        let believed = self.believed.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = believed.get_since(roots, &statement.entries) {
            return Ok(known);
        }
        drop(believed);
        let (words, scheme, signature) =
            Words::read(statement.signature()).ok_or(Doubt::Signature)?;
        let holds = words.expires_ms.saturating_sub(words.made_ms);
        if words.made_ms > now + in_ms(SKEW) || holds > in_ms(LONGEST) {
            return Err(Doubt::Expired);
        }
        let message = words.message(&self.app, statement.principal());
        let signer = match &self.keys {
            Keys::Tls(tls) => {
                let signer = statement.signer.clone().ok_or(Doubt::UnknownSigner)?;
                // The certificates were valid when they were used, at most a minute ago.
                let at = Duration::from_millis(words.made_ms);
                let process = tls.signed(&signer, at, &message, scheme, signature);
                if !(self.may_vouch)(&process.ok_or(Doubt::Signature)?) {
                    return Err(Doubt::NoGateway);
                }
                Some(signer)
            }
            Keys::Files(files) => {
                files.verify(&words.signer, &message, scheme, signature)?;
                None
            }
        };
        let statement = Statement { signer, ..(**statement).clone() };
        let entries = statement.entries.clone();
        let principal = context.shared_principal().ok_or(Doubt::Missing)?;
        let proven = Stated::new(principal, Arc::new(statement), true);
        let mut believed = self.believed.write().unwrap_or_else(PoisonError::into_inner);
        // Decoded, it takes about as much again.
        let bytes = entries.len();
        believed.put(entries, proven.clone(), bytes, roots);
        Ok(proven)
    }

    fn changes_of_roots(&self) -> u64 {
        match &self.keys {
            Keys::Tls(tls) => tls.changes_of_roots(),
            Keys::Files(_) => 0,
        }
    }

    #[cold]
    fn doubted(&self, context: Context, caller: &str, doubt: Doubt) -> Context {
        let count = {
            let mut doubts = lock(&self.doubts);
            let count = doubts.entry((caller.to_owned(), doubt)).or_default();
            *count += 1;
            *count
        };
        let observed = self.unproven == Unproven::Observe;
        // The first one, and then ever fewer.
        if count.is_power_of_two() {
            if observed {
                tracing::warn!(caller, why = %doubt, count, "a caller's word for its user is only observed, and believed");
            } else {
                tracing::warn!(caller, why = %doubt, count, "a caller's word for its user is not believed: the call is made for no one");
            }
        }
        if observed { context } else { context.without_principal() }
    }
}

/// Whether it has not expired.
fn holds(statement: &Statement, now: u64) -> bool {
    now < statement.expires_ms.saturating_add(in_ms(SKEW))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The time in milliseconds since 1970, at most [`TRUSTED`] behind a change of the system's clock. Each thread counts on from the
/// last time that it asked, because asking for each call was a tenth of what reading and writing one took.
fn now_ms() -> u64 {
    thread_local! {
        static ASKED: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
    }
    let now = clock::now();
    let asked = ASKED.get().and_then(|(at, ms)| Some((now.checked_duration_since(at)?, ms)));
    match asked.filter(|(passed, _)| *passed < TRUSTED) {
        Some((passed, ms)) => ms + in_ms(passed),
        None => {
            let ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, in_ms);
            ASKED.set(Some((now, ms)));
            ms
        }
    }
}
