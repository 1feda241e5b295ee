//! Mistakes that a build with `--cfg planted` makes on request. They show that the simulation and
//! the chaos tests find mistakes. Unit tests plant them by [`plant`]. Other builds do not contain them.
//!
//! | mistake | a check that finds it sees |
//! |---|---|
//! | `acknowledges-first` | that acknowledged work survives a crash |
//! | `answers-go-astray` | that a late answer never reaches another call |
//! | `callers-wait-on` | that a caller hears of its deadline in time |
//! | `claims-share-a-name` | that two claims of one worker are told apart |
//! | `connects-once` | that a lost connection is made again |
//! | `event-acknowledged-first` | that an event is acknowledged after its effect |
//! | `failed-is-done` | that failed work is tried again |
//! | `first-come-first-served` | that origins take turns |
//! | `fresh-deadlines` | that a deadline only shrinks from hop to hop |
//! | `inbox-apart` | that an event is noted in the transaction of its effect |
//! | `inbox-forgets` | that an event which is delivered again has its effect once |
//! | `keys-are-lost` | that an idempotency key reaches the module |
//! | `leases-never-end` | that the work of a dead worker is taken over |
//! | `lost-is-not-sent` | that a call which may have been done is not sent again |
//! | `lost-is-undone` | that a caller is not told "not done" of a call that was |
//! | `outbox-by-id` | that an event which was taken and not handled is offered again |
//! | `places-are-kept` | that a place is free again when its call goes away |
//! | `retries-any-method` | that only idempotent methods are sent again |
//! | `retries-multiply` | that attempts do not multiply over several hops |
//! | `silence-is-golden` | that a peer which says nothing is given up |
//! | `the-gone-have-their-turn` | that a call in line which has gone does not use up a wake-up |
//! | `the-next-is-not-sent` | that a freed place wakes the next call in line |
//! | `work-goes-on` | that the work stops when its caller has gone or its deadline has passed |

use std::{cell::Cell, sync::LazyLock};

/// Whether to make this mistake. In a build with `--cfg planted` the variable `MONOLIFT_PLANTED` names it; a
/// unit test of the crate that may make it plants it on its own thread. In any other build it is the constant
/// `false`.
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($mistake:literal) => {
        (cfg!(planted) && $crate::call::is_chosen($mistake))
            || (cfg!(test) && $crate::call::is_planted_here($mistake))
    };
}

/// Whether the environment names this mistake.
pub fn is_chosen(mistake: &str) -> bool {
    static CHOSEN: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("MONOLIFT_PLANTED").ok());
    CHOSEN.as_deref() == Some(mistake)
}

thread_local! {
    static HERE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Has this thread make a mistake from now on.
pub fn plant(mistake: &'static str) {
    HERE.set(Some(mistake));
}

/// Whether this thread's test has planted it.
pub fn is_planted_here(mistake: &str) -> bool {
    HERE.get() == Some(mistake)
}
