//! Mistakes that a build with `--cfg planted` makes on request. They show that the simulation and
//! the chaos tests find mistakes. Other builds do not contain them.

/// Whether to make this mistake: true if the variable `MONOLIFT_PLANTED` names it.
#[cfg(planted)]
pub(crate) fn planted(mistake: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("MONOLIFT_PLANTED").ok());
    CHOSEN.as_deref() == Some(mistake)
}

/// Always false in a build without planted mistakes.
#[cfg(not(planted))]
#[inline(always)]
pub(crate) const fn planted(_: &str) -> bool {
    false
}
