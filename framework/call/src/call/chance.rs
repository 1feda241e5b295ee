//! Random numbers for decisions. Each thread has its own, and a seed makes them repeatable.

use std::{
    cell::Cell,
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Seeds this thread's random numbers. A simulation uses it to repeat a run.
pub fn seed(seed: u64) {
    STATE.set(Some(seed));
}

/// A seed that no other thread has: the standard library keys its hashes at random.
fn any_seed() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one(THREADS.fetch_add(1, Relaxed))
}

/// 64 random bits, not for secrets.
pub fn number() -> u64 {
    let mut state = STATE.get().unwrap_or_else(any_seed);
    let number = next(&mut state);
    STATE.set(Some(state));
    number
}

/// The next number of a sequence, and its next state (splitmix64).
pub const fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number below `bound`, which must not be 0.
pub fn below(bound: usize) -> usize {
    ((u128::from(number()) * bound as u128) >> 64) as usize
}

/// A number from 0 up to, but not including, 1.
pub fn part() -> f64 {
    (number() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_which_are_spread() {
        let of_seed = || {
            seed(7);
            (0..10_000).map(|_| below(10)).collect::<Vec<_>>()
        };
        let numbers = of_seed();
        assert_eq!(numbers, of_seed());
        let counts = (0..10).map(|wanted| numbers.iter().filter(|&&found| found == wanted).count());
        assert!(counts.into_iter().all(|count| (900..1100).contains(&count)));
        assert!((0..10_000).map(|_| part()).all(|part| (0.0..1.0).contains(&part)));
    }
}
