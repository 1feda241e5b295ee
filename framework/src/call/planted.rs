//! Mistakes that a build with `--cfg planted` makes on request. They show that the simulation and
//! the chaos tests find mistakes. Unit tests plant them by [`plant`]. Other builds do not contain them.

/// Whether to make this mistake: true if the variable `MONOLIFT_PLANTED` names it.
#[cfg(planted)]
pub(crate) fn planted(mistake: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("MONOLIFT_PLANTED").ok());
    CHOSEN.as_deref() == Some(mistake) || is_planted_here(mistake)
}

/// Whether this mistake is to be made: the one that this thread's test has planted.
#[cfg(all(test, not(planted)))]
pub(crate) fn planted(mistake: &str) -> bool {
    is_planted_here(mistake)
}

/// Always false in a build without planted mistakes.
#[cfg(not(any(test, planted)))]
#[inline(always)]
pub(crate) const fn planted(_: &str) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static HERE: std::cell::Cell<Option<&'static str>> = const { std::cell::Cell::new(None) };
}

/// Has this thread make a mistake from now on.
#[cfg(test)]
pub(crate) fn plant(mistake: &'static str) {
    HERE.set(Some(mistake));
}

#[cfg(test)]
fn is_planted_here(mistake: &str) -> bool {
    HERE.get() == Some(mistake)
}

#[cfg(all(planted, not(test)))]
const fn is_planted_here(_: &str) -> bool {
    false
}
