//! Mistakes that a build with `--cfg planted` makes on request. They show that the simulation and
//! the chaos tests find mistakes. Unit tests plant them by [`plant`]. Other builds do not contain them.

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
