//! How often a method was called, how that ended, and how long it took.
//!
//! Every call is counted. To time one takes as long as a quick call itself, so of a method that is
//! quick, one call in sixteen is timed, and stands for the rest.
//!
//! Each thread counts into cells of its own, which nobody else writes: no two processors fight over
//! a line of memory, and counting costs next to nothing. Whoever wants the figures adds them up.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

/// Steps of the histogram within each power of two: a time is known to an eighth.
const STEPS: usize = 8;
/// Powers of two of nanoseconds that it tells apart: up to some 18 minutes.
const POWERS: usize = 40;
const BUCKETS: usize = STEPS * (POWERS - 2);

/// How a call ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Answered,
    Failed,
    Dropped,
}

/// A call that took less, without waiting, was quick.
const QUICK: u64 = 2_000;
/// One in so many quick calls on a thread is timed.
const SAMPLE: u32 = if cfg!(debug_assertions) { 1 } else { 16 };

thread_local! {
    static UNTIMED: Cell<u32> = const { Cell::new(0) };
}

/// Counts the calls of one method.
pub struct Meter {
    /// Whether the last call that was timed was quick.
    quick: AtomicBool,
    /// Its place among all meters, given when it is first used.
    number: OnceLock<usize>,
    /// What all threads have counted.
    all: Mutex<Vec<Arc<Cells>>>,
}

/// What one thread has counted of one method.
struct Cells {
    endings: [AtomicU64; 3],
    nanos: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Cells {
    fn new() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            endings: [const { AtomicU64::new(0) }; 3],
            nanos: AtomicU64::new(0),
            buckets: zeros(),
        }
    }
}

/// Only the thread that owns a cell adds to it, so this needs no locked instruction.
#[inline]
fn add(cell: &AtomicU64, more: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(more), Relaxed);
}

/// The cells of one thread, by their meters' numbers. When the thread ends, another one goes on with
/// them: what was counted stays, and there are never more cells than threads at once.
struct Own {
    cells: Vec<Option<Arc<Cells>>>,
}

static NUMBERS: AtomicUsize = AtomicUsize::new(0);
static LEFT: Mutex<Vec<Vec<Option<Arc<Cells>>>>> = Mutex::new(Vec::new());

impl Drop for Own {
    fn drop(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).push(cells);
    }
}

thread_local! {
    static OWN: RefCell<Own> = {
        let left = LEFT.lock().unwrap_or_else(PoisonError::into_inner).pop();
        RefCell::new(Own { cells: left.unwrap_or_default() })
    };
}

impl Meter {
    /// Nothing counted yet.
    #[allow(clippy::new_without_default, reason = "it must be const, to stand in a static")]
    pub const fn new() -> Self {
        Self { quick: AtomicBool::new(false), number: OnceLock::new(), all: Mutex::new(Vec::new()) }
    }

    /// Whether the next call, on this thread, is to be timed.
    #[inline]
    pub(crate) fn times_this(&self) -> bool {
        if !self.quick.load(Relaxed) {
            return true;
        }
        let untimed = UNTIMED.get() + 1;
        let timed = untimed >= SAMPLE;
        UNTIMED.set(if timed { 0 } else { untimed });
        timed
    }

    /// Counts a call, and how long it took if that is known.
    #[inline]
    pub(crate) fn count(&self, ending: Ending, nanos: Option<u64>) {
        // A call that ends while its thread does is not counted: the cells have gone on.
        let _ = OWN.try_with(|own| {
            let Ok(mut own) = own.try_borrow_mut() else { return };
            let known = self.number.get().and_then(|&number| own.cells.get(number)?.as_ref());
            let cells = match known {
                Some(cells) => cells,
                None => self.enter(&mut own),
            };
            add(&cells.endings[ending as usize], 1);
            if let Some(nanos) = nanos {
                self.time(cells, nanos);
            }
        });
    }

    fn time(&self, cells: &Cells, nanos: u64) {
        let quick = nanos < QUICK;
        let was_quick = self.quick.load(Relaxed);
        if quick != was_quick {
            self.quick.store(quick, Relaxed);
        }
        // In between, none of them was left out.
        let stands_for = if quick && was_quick { u64::from(SAMPLE) } else { 1 };
        add(&cells.nanos, nanos.saturating_mul(stands_for));
        add(&cells.buckets[bucket(nanos)], stands_for);
    }

    /// Gives this thread a cell for it.
    #[cold]
    fn enter<'a>(&self, own: &'a mut Own) -> &'a Arc<Cells> {
        let number = *self.number.get_or_init(|| NUMBERS.fetch_add(1, Relaxed));
        if own.cells.len() <= number {
            own.cells.resize(number + 1, None);
        }
        own.cells[number].get_or_insert_with(|| {
            let cells = Arc::new(Cells::new());
            self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&cells));
            cells
        })
    }

    /// What has been counted so far.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures { buckets: vec![0; BUCKETS], ..Figures::default() };
        for cells in &*self.all.lock().unwrap_or_else(PoisonError::into_inner) {
            let [answered, failed, dropped] = &cells.endings;
            figures.answered += answered.load(Relaxed);
            figures.failed += failed.load(Relaxed);
            figures.dropped += dropped.load(Relaxed);
            figures.nanos = figures.nanos.wrapping_add(cells.nanos.load(Relaxed));
            for (sum, bucket) in figures.buckets.iter_mut().zip(&cells.buckets) {
                *sum += bucket.load(Relaxed);
            }
        }
        figures
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { answered, failed, dropped, .. } = self.figures();
        write!(f, "Meter({answered} answered, {failed} failed, {dropped} dropped)")
    }
}

/// What a [`Meter`] has counted.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Calls that the module answered, with a result or an error of its own.
    pub answered: u64,
    /// Calls that ended with a [`super::CallError`].
    pub failed: u64,
    /// Calls whose caller went away before they ended.
    pub dropped: u64,
    /// The nanoseconds that all of them took together, where quick ones are estimated.
    pub nanos: u64,
    buckets: Vec<u64>,
}

impl Figures {
    /// All calls.
    pub fn calls(&self) -> u64 {
        self.answered + self.failed + self.dropped
    }

    /// The nanoseconds within which this part of the calls ended, to an eighth: 0.5 for the median.
    pub fn quantile(&self, part: f64) -> u64 {
        let all: u64 = self.buckets.iter().sum();
        let wanted = (all as f64 * part).ceil() as u64;
        let mut so_far = 0;
        let found = self.buckets.iter().position(|count| {
            so_far += count;
            so_far >= wanted.max(1)
        });
        found.map_or(0, upper)
    }
}

/// The bucket of a time: by its highest bit, and by the three bits below that.
#[inline]
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(STEPS as u64);
    let power = (u64::BITS - nanos.leading_zeros()) as usize - 1;
    let step = (nanos >> (power - 3)) as usize & (STEPS - 1);
    ((power - 3) * STEPS + step).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn upper(bucket: usize) -> u64 {
    let (power, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    ((STEPS as u64 + step + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_its_bucket() {
        for nanos in (8..100_000).chain((17..39).map(|power| (1 << power) + 12_345)) {
            let longest = upper(bucket(nanos));
            assert!(longest >= nanos && longest <= nanos + nanos / 8, "{nanos} {longest}");
        }
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn threads_count_together_and_what_they_counted_stays() {
        static METER: Meter = Meter::new();
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        (0..1_000).for_each(|nanos| METER.count(Ending::Answered, Some(nanos)))
                    });
                }
            });
        }
        METER.count(Ending::Failed, Some(1 << 20));
        METER.count(Ending::Dropped, None);
        let figures = METER.figures();
        assert_eq!((figures.answered, figures.failed, figures.dropped), (12_000, 1, 1));
        assert_eq!(figures.calls(), 12_002);
        let median = figures.quantile(0.5);
        assert!((480..=576).contains(&median), "{median}");
        assert!(figures.quantile(1.0) >= 1 << 20);
        // Threads one after the other go on with the same cells.
        assert!(METER.all.lock().unwrap().len() <= 5);
    }
}
