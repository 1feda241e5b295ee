//! Counts calls of one kind, how they ended and how long they took.
//!
//! Every call is counted. Timing a call costs about as much as a fast call, so a fast method is
//! sampled: one call in sixteen is timed and stands for the rest.
//!
//! Each thread writes to cells of its own, so threads never contend for a cache line. A reader adds
//! up the cells of all threads.

use super::record::Outcome;
use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

/// Buckets of the histogram within each power of two: a time is known to within an eighth.
const STEPS: usize = 8;
/// Powers of two of nanoseconds that the histogram covers: up to about 18 minutes.
const POWERS: usize = 40;
const BUCKETS: usize = STEPS * (POWERS - 2);

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Answered,
    Failed,
    Dropped,
}

impl From<Outcome> for Ending {
    #[inline]
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered | Outcome::Declared => Self::Answered,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Dropped => Self::Dropped,
        }
    }
}

/// A call that took less than this many nanoseconds, without waiting, is fast.
const QUICK: u64 = 2_000;
/// One in this many fast calls on a thread is timed.
const SAMPLE: u32 = if cfg!(debug_assertions) { 1 } else { 16 };

/// Counts calls of one kind.
pub(super) struct Counter {
    /// This counter's number, assigned at its first use.
    number: OnceLock<usize>,
    /// The cells of all threads.
    all: Mutex<Vec<&'static Cells>>,
}

/// What one thread has counted for one counter. It lives as long as the program, as its counter does.
pub(super) struct Cells {
    counter: &'static Counter,
    /// The number of the thread that writes to it.
    thread: AtomicU64,
    /// Whether the last timed call was fast.
    quick: AtomicBool,
    /// Fast calls since the last one that was timed.
    untimed: AtomicU32,
    endings: [AtomicU64; 3],
    nanos: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// Only the thread that owns a cell writes to it, so this needs no locked instruction.
#[inline]
fn add(cell: &AtomicU64, more: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(more), Relaxed);
}

thread_local! {
    /// This thread's number; 0 before its first call, and while it ends.
    static THREAD: Cell<u64> = const { Cell::new(0) };
    static OWN: RefCell<Own> = RefCell::new(Own::taken_over());
}

/// The cells of one thread, by the number of the counter. When the thread ends, another thread takes them over.
/// So no count is lost, and there are never more cells than threads at one time.
struct Own {
    cells: Vec<Option<&'static Cells>>,
}

/// Of cells that a thread left.
const NO_THREAD: u64 = u64::MAX;

static NUMBERS: AtomicUsize = AtomicUsize::new(0);
static THREADS: AtomicU64 = AtomicU64::new(0);
static LEFT: Mutex<Vec<Vec<Option<&'static Cells>>>> = Mutex::new(Vec::new());

impl Own {
    /// Numbers this thread, and takes over the cells that an earlier one left.
    fn taken_over() -> Self {
        let thread = THREADS.fetch_add(1, Relaxed) + 1;
        let left = LEFT.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let cells = left.unwrap_or_default();
        cells.iter().flatten().for_each(|cells| cells.thread.store(thread, Relaxed));
        THREAD.set(thread);
        Self { cells }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        THREAD.set(0);
        let cells = std::mem::take(&mut self.cells);
        cells.iter().flatten().for_each(|cells| cells.thread.store(NO_THREAD, Relaxed));
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).push(cells);
    }
}

impl Counter {
    /// A counter at zero.
    #[allow(clippy::new_without_default, reason = "it must be const, to stand in a static")]
    pub(super) const fn new() -> Self {
        Self { number: OnceLock::new(), all: Mutex::new(Vec::new()) }
    }

    /// This thread's cells. A thread that ends has none: they belong to another one by then.
    pub(super) fn cells(&'static self) -> Option<&'static Cells> {
        let found = OWN.try_with(|own| {
            let number = *self.number.get_or_init(|| NUMBERS.fetch_add(1, Relaxed));
            let own = &mut own.try_borrow_mut().ok()?.cells;
            if own.len() <= number {
                own.resize(number + 1, None);
            }
            Some(*own[number].get_or_insert_with(|| Cells::of(self)))
        });
        found.ok().flatten()
    }

    /// The counts so far.
    pub(super) fn figures(&self) -> Figures {
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

impl Cells {
    /// This thread's new cells of a counter.
    #[cold]
    fn of(counter: &'static Counter) -> &'static Self {
        let cells: &'static Self = Box::leak(Box::new(Self {
            counter,
            thread: AtomicU64::new(THREAD.get()),
            quick: AtomicBool::new(false),
            untimed: AtomicU32::new(0),
            endings: [const { AtomicU64::new(0) }; 3],
            nanos: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }));
        counter.all.lock().unwrap_or_else(PoisonError::into_inner).push(cells);
        cells
    }

    /// Whether the next call on this thread is timed.
    #[inline]
    pub(super) fn times_this(&self) -> bool {
        if !self.quick.load(Relaxed) {
            return true;
        }
        let untimed = self.untimed.load(Relaxed) + 1;
        let timed = untimed >= SAMPLE;
        self.untimed.store(if timed { 0 } else { untimed }, Relaxed);
        timed
    }

    /// Counts a call that began on the thread of these cells, with its duration if it was timed.
    #[inline]
    pub(super) fn count(&'static self, ending: Ending, nanos: Option<u64>) {
        if self.is_of_this_thread() {
            self.add(ending, nanos);
        } else if let Some(cells) = self.counter.cells() {
            // It ends on another thread.
            cells.add(ending, nanos);
        }
    }

    #[inline]
    pub(super) fn is_of_this_thread(&self) -> bool {
        self.thread.load(Relaxed) == THREAD.get()
    }

    #[inline]
    fn add(&self, ending: Ending, nanos: Option<u64>) {
        add(&self.endings[ending as usize], 1);
        if let Some(nanos) = nanos {
            self.time(nanos);
        }
    }

    fn time(&self, nanos: u64) {
        let quick = nanos < QUICK;
        let was_quick = self.quick.load(Relaxed);
        if quick != was_quick {
            self.quick.store(quick, Relaxed);
        }
        // While the method was slow, every call was timed, so this sample stands for itself only.
        let stands_for = if quick && was_quick { u64::from(SAMPLE) } else { 1 };
        add(&self.nanos, nanos.saturating_mul(stands_for));
        add(&self.buckets[bucket(nanos)], stands_for);
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cells of {:?}", self.counter)
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { answered, failed, dropped, .. } = self.figures();
        write!(f, "Counter({answered} answered, {failed} failed, {dropped} dropped)")
    }
}

/// The counts of a counter of calls.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Calls that the module answered, with a result or with an error of its interface.
    pub answered: u64,
    /// Calls that ended with a [`super::CallError`].
    pub failed: u64,
    /// Calls that were dropped because their caller went away.
    pub dropped: u64,
    /// The total duration in nanoseconds, extrapolated for fast calls.
    pub nanos: u64,
    buckets: Vec<u64>,
}

impl Figures {
    /// For each bound in nanoseconds, the number of calls that took at most that long. `bounds` must ascend. Durations are
    /// known to within an eighth.
    pub fn at_most(&self, bounds: &[u64]) -> Vec<u64> {
        let mut buckets = self.buckets.iter().enumerate().peekable();
        let mut so_far = 0;
        let each = bounds.iter().map(|bound| {
            while let Some((_, count)) = buckets.next_if(|(at, _)| upper(*at) <= *bound) {
                so_far += count;
            }
            so_far
        });
        each.collect()
    }

    /// How many calls stand behind the durations.
    pub fn timed(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The number of all calls.
    pub fn calls(&self) -> u64 {
        self.answered + self.failed + self.dropped
    }

    /// The duration within which this share of the calls ended, in nanoseconds and to within an
    /// eighth. 0.5 gives the median.
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

/// The bucket of a duration, by its highest bit and the three bits below.
#[inline]
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(STEPS as u64);
    let power = (u64::BITS - nanos.leading_zeros()) as usize - 1;
    let step = (nanos >> (power - 3)) as usize & (STEPS - 1);
    ((power - 3) * STEPS + step).min(BUCKETS - 1)
}

/// The upper bound of a bucket.
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
        static COUNTER: Counter = Counter::new();
        let count = |ending, nanos| COUNTER.cells().unwrap().count(ending, nanos);
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        (0..1_000).for_each(|nanos| count(Ending::Answered, Some(nanos)))
                    });
                }
            });
        }
        count(Ending::Failed, Some(1 << 20));
        count(Ending::Dropped, None);
        let figures = COUNTER.figures();
        assert_eq!((figures.answered, figures.failed, figures.dropped), (12_000, 1, 1));
        assert_eq!(figures.calls(), 12_002);
        let median = figures.quantile(0.5);
        assert!((480..=576).contains(&median), "{median}");
        assert!(figures.quantile(1.0) >= 1 << 20);
        // Threads that run one after the other reuse the same cells.
        assert!(COUNTER.all.lock().unwrap().len() <= 5);
    }

    /// A call that waits can go on on another thread, while its first thread counts others.
    #[test]
    fn a_call_is_counted_by_the_thread_that_it_ends_on() {
        static COUNTER: Counter = Counter::new();
        let here = COUNTER.cells().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1_000).for_each(|_| here.count(Ending::Answered, None)));
            (0..1_000).for_each(|_| here.count(Ending::Answered, None));
        });
        assert_eq!(COUNTER.figures().answered, 2_000);
        assert_eq!(COUNTER.all.lock().unwrap().len(), 2);
    }
}
