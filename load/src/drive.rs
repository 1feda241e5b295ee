//! Making calls for a while, and writing down how long each took.

use crate::{Times, processes};
use serde::{Deserialize, Serialize};
use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// Who makes the calls.
pub trait Caller: Clone + Send + Sync + 'static {
    /// Kinds of calls that are timed, each for itself.
    const KINDS: usize = 1;

    /// Makes calls as part of one request, where a caller has such a thing.
    fn within<F: Future + Send>(&self, calls: F) -> impl Future<Output = F::Output> + Send {
        calls
    }

    /// Makes call number `at`. The result is of which kind it was, and `None` if it is not to be
    /// timed.
    fn call(&self, at: u64) -> impl Future<Output = anyhow::Result<Option<usize>>> + Send;
}

/// How the calls come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Load {
    /// So many callers, each of whom calls again when it has its answer.
    Closed(usize),
    /// So many calls a second, whatever becomes of them; each is timed from when it was due.
    Open(u32),
}

/// What is to be measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Plan {
    /// How the calls come.
    pub load: Load,
    /// Before anything is counted.
    pub warm: Duration,
    /// What is counted.
    pub time: Duration,
    /// Of the calls that a caller makes one after the other, one in so many is timed: to time them
    /// all would be a good part of what a very quick one costs.
    pub timed: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// For how long it was counted.
    pub took: Duration,
    /// Calls answered.
    pub answered: u64,
    /// Calls that failed.
    pub failed: u64,
    /// What the first that failed ended with.
    pub failure: Option<String>,
    /// How long they took, in nanoseconds, by their kinds.
    pub times: Vec<Times>,
    /// The time on a processor that the watched processes had, all together.
    pub cpu: Duration,
    /// The memory that they held at the end, all together.
    pub memory: u64,
}

impl Outcome {
    /// Calls answered in a second.
    pub fn throughput(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    /// The time on a processor for each call, in microseconds.
    pub fn cpu_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.answered.max(1) as f64
    }

    /// The times of all kinds together.
    pub fn all_times(&self) -> Times {
        let mut all = Times::default();
        self.times.iter().for_each(|times| all.add_all(times));
        all
    }
}

/// Calls at once when they come unasked: beyond it the server is broken, not slow.
const MOST: usize = 20_000;
/// Calls still out when the measurement ends have so long to come back.
const PATIENCE: Duration = Duration::from_secs(10);

struct Tally {
    counting: AtomicBool,
    stop: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
    failure: Mutex<Option<String>>,
    times: Mutex<Vec<Times>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_times<C: Caller>() -> Vec<Times> {
    (0..C::KINDS).map(|_| Times::default()).collect()
}

/// Makes calls as `plan` says. `watched` are the processes whose cost it is, and `between` is called
/// now and then with the part of the time that is over.
///
/// # Errors
///
/// When no call was answered, or a process is not there.
pub async fn drive<C: Caller>(
    caller: C,
    plan: Plan,
    watched: &[u32],
    mut between: impl FnMut(f64),
) -> anyhow::Result<Outcome> {
    let tally = Arc::new(Tally {
        counting: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        answered: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        failure: Mutex::default(),
        times: Mutex::new(no_times::<C>()),
    });
    let mut callers = JoinSet::new();
    match plan.load {
        Load::Closed(count) => {
            for number in 0..count as u64 {
                callers.spawn(call_again(caller.clone(), plan, number, Arc::clone(&tally)));
            }
        }
        Load::Open(rate) => {
            let (tally, handle) = (Arc::clone(&tally), tokio::runtime::Handle::current());
            callers.spawn_blocking(move || keep_pace(&caller, rate, &tally, &handle));
        }
    }
    let whole = plan.warm + plan.time;
    let began = Instant::now();
    let mut wait_until = async |until: Instant| {
        while Instant::now() < until {
            let left = until - Instant::now();
            tokio::time::sleep(left.min(Duration::from_millis(100))).await;
            between((began.elapsed().as_secs_f64() / whole.as_secs_f64()).min(1.0));
        }
    };
    wait_until(began + plan.warm).await;
    let (since, before) = (Instant::now(), processes::time_of_all(watched)?);
    tally.counting.store(true, Relaxed);
    wait_until(since + plan.time).await;
    tally.counting.store(false, Relaxed);
    let (took, after) = (since.elapsed(), processes::time_of_all(watched)?);
    let memory = watched.iter().map(|id| processes::memory_of(*id)).sum::<Result<u64, _>>()?;
    tally.stop.store(true, Relaxed);
    let all_back = async { while callers.join_next().await.is_some() {} };
    // Whoever is not back by then is not waited for.
    let _ = tokio::time::timeout(PATIENCE, all_back).await;
    let failure = lock(&tally.failure).take();
    let answered = tally.answered.load(Relaxed);
    if answered == 0 {
        anyhow::bail!("no call was answered: {}", failure.as_deref().unwrap_or("none ended"));
    }
    Ok(Outcome {
        took,
        answered,
        failed: tally.failed.load(Relaxed),
        failure,
        times: std::mem::take(&mut *lock(&tally.times)),
        cpu: after.saturating_sub(before),
        memory,
    })
}

/// One who calls again when it has its answer.
async fn call_again<C: Caller>(caller: C, plan: Plan, number: u64, tally: Arc<Tally>) {
    let mut own = no_times::<C>();
    // Callers that all make the same calls at the same time would be no mixture.
    let (mut at, mut answered) = (number * 7, 0);
    let calls = async {
        while !tally.stop.load(Relaxed) {
            at += 1;
            let due = at.is_multiple_of(plan.timed.max(1)).then(Instant::now);
            if let Some(kind) = one(&caller, at, &tally).await {
                answered += 1;
                if let Some(due) = due {
                    own[kind].add(nanos(due));
                }
            }
        }
    };
    caller.within(calls).await;
    tally.answered.fetch_add(answered, Relaxed);
    for (all, own) in lock(&tally.times).iter_mut().zip(&own) {
        all.add_all(own);
    }
}

/// One call. The result is its kind, if it counts.
async fn one<C: Caller>(caller: &C, at: u64, tally: &Tally) -> Option<usize> {
    let called = caller.call(at).await;
    if !tally.counting.load(Relaxed) {
        return None;
    }
    match called {
        Ok(kind) => kind,
        Err(error) => {
            tally.failed.fetch_add(1, Relaxed);
            lock(&tally.failure).get_or_insert_with(|| format!("{error:#}"));
            None
        }
    }
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Makes `rate` calls a second from a thread of its own: tokio's timers go by milliseconds, and
/// calls that come in heaps of that size would measure the heap.
fn keep_pace<C: Caller>(
    caller: &C,
    rate: u32,
    tally: &Arc<Tally>,
    handle: &tokio::runtime::Handle,
) {
    let all = Arc::new(Semaphore::new(MOST));
    let gap = Duration::from_secs(1) / rate.max(1);
    let (mut due, mut at) = (Instant::now(), 0);
    while !tally.stop.load(Relaxed) {
        while due <= Instant::now() {
            // With no place left, it is late, and is timed from when it was due all the same.
            let Ok(place) = Arc::clone(&all).try_acquire_owned() else { break };
            let (caller, tally, when) = (caller.clone(), Arc::clone(tally), due);
            at += 1;
            handle.spawn(async move {
                if let Some(kind) = caller.within(one(&caller, at, &tally)).await {
                    tally.answered.fetch_add(1, Relaxed);
                    lock(&tally.times)[kind].add(nanos(when));
                }
                drop(place);
            });
            due += gap;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    let until = Instant::now() + PATIENCE;
    while all.available_permits() < MOST && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands still for a while, now and then.
    #[derive(Clone)]
    struct Still(Arc<AtomicBool>);

    impl Caller for Still {
        const KINDS: usize = 2;

        async fn call(&self, at: u64) -> anyhow::Result<Option<usize>> {
            tokio::task::yield_now().await;
            anyhow::ensure!(!at.is_multiple_of(10), "the tenth");
            while self.0.load(Relaxed) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(Some((at % 2) as usize))
        }
    }

    fn plan(load: Load) -> Plan {
        let (warm, time) = (Duration::from_millis(20), Duration::from_millis(400));
        Plan { load, warm, time, timed: 1 }
    }

    /// A server that stands still for half the time: who waits for it is counted for each call that
    /// was due, not once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn calls_that_come_unasked_are_timed_from_when_they_were_due() {
        let still = Arc::new(AtomicBool::new(true));
        let caller = Still(Arc::clone(&still));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(220)).await;
            still.store(false, Relaxed);
        });
        let own = std::process::id();
        let outcome = drive(caller, plan(Load::Open(500)), &[own], |_| {}).await;
        let outcome = outcome.expect("some are answered");
        assert!(outcome.failed > 0 && outcome.failure.as_deref() == Some("the tenth"));
        assert!(outcome.times.iter().all(|times| !times.is_empty()));
        let long = outcome.all_times();
        // Had each been counted once, one in hundreds would have waited.
        assert!(long.quantile(0.9) > 100_000_000, "{}", long.quantile(0.9));
        assert!(outcome.memory > 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn callers_call_again_and_again() {
        let caller = Still(Arc::new(AtomicBool::new(false)));
        let mut parts = Vec::new();
        let outcome = drive(caller, plan(Load::Closed(3)), &[], |part| parts.push(part)).await;
        let outcome = outcome.expect("some are answered");
        assert!(outcome.answered > 100 && outcome.throughput() > 100.0);
        assert!(parts.is_sorted() && parts.last() == Some(&1.0), "{parts:?}");
    }

    #[tokio::test]
    async fn a_process_that_is_not_there_is_told() {
        let caller = Still(Arc::new(AtomicBool::new(false)));
        assert!(drive(caller, plan(Load::Closed(1)), &[u32::MAX], |_| {}).await.is_err());
    }
}
