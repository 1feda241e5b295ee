//! Mistakes that a build with `--cfg planted` makes when it is told to, so that whatever looks for mistakes
//! can show that it finds them. No other build has any of this.

/// Whether this mistake is to be made: the one that `MONOLIFT_PLANTED` names.
#[cfg(planted)]
pub(crate) fn planted(mistake: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("MONOLIFT_PLANTED").ok());
    CHOSEN.as_deref() == Some(mistake)
}

/// It is not.
#[cfg(not(planted))]
#[inline(always)]
pub(crate) const fn planted(_: &str) -> bool {
    false
}
