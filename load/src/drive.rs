//! Makes calls for a while and records how long each took.

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

/// Makes the calls that are measured.
pub trait Caller: Clone + Send + Sync + 'static {
    /// The number of kinds of calls. Each kind is timed separately.
    const KINDS: usize = 1;

    /// Runs `calls` as part of one request, if this kind of caller has requests.
    fn within<F: Future + Send>(&self, calls: F) -> impl Future<Output = F::Output> + Send {
        calls
    }

    /// Makes call number `at`. Returns its kind, or `None` if it is not timed.
    fn call(&self, at: u64) -> impl Future<Output = anyhow::Result<Option<usize>>> + Send;
}

/// How calls arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Load {
    /// Closed loop: this many callers, each of which calls again when it has an answer.
    Closed(usize),
    /// Open loop: this many calls per second, whether or not they are answered. Each is timed from
    /// the moment when it was due.
    Open(u32),
}

/// What is measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Plan {
    /// How calls arrive.
    pub load: Load,
    /// The warm-up, which is not counted.
    pub warm: Duration,
    /// The time that is counted.
    pub time: Duration,
    /// In a closed loop, one in this many calls of a caller is timed. Timing every call would
    /// distort very fast ones.
    pub timed: u64,
}

/// The result of a measurement.
#[derive(Debug)]
pub struct Outcome {
    /// The time that was counted.
    pub took: Duration,
    /// Calls answered.
    pub answered: u64,
    /// Calls that failed.
    pub failed: u64,
    /// The error of the first call that failed.
    pub failure: Option<String>,
    /// The durations by kind, in nanoseconds.
    pub times: Vec<Times>,
    /// The CPU time of all watched processes.
    pub cpu: Duration,
    /// The memory of all watched processes at the end, in bytes.
    pub memory: u64,
}

impl Outcome {
    /// Calls answered per second.
    pub fn throughput(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    /// CPU time per call, in microseconds.
    pub fn cpu_per_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.answered.max(1) as f64
    }

    /// The durations of all kinds.
    pub fn all_times(&self) -> Times {
        let mut all = Times::default();
        self.times.iter().for_each(|times| all.add_all(times));
        all
    }
}

/// The maximum number of calls in flight in an open loop. A server that reaches it is overloaded,
/// not slow.
const MOST: usize = 20_000;
/// How long calls in flight may take to end after the measurement.
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

/// Makes calls as `plan` says. `watched` are the processes whose CPU time and memory are measured.
/// `between` is called now and then with the part of the time that is over.
///
/// # Errors
///
/// If no call was answered, or a watched process does not exist.
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
    // Calls that are still in flight after this time are not waited for.
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

/// A closed loop: calls again after each answer.
async fn call_again<C: Caller>(caller: C, plan: Plan, number: u64, tally: Arc<Tally>) {
    let mut own = no_times::<C>();
    // Callers start at different numbers, so that they do not make the same calls at the same time.
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

/// Makes one call. Returns its kind if it counts.
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

/// Makes `rate` calls per second from a thread of its own. tokio's timers have a resolution of a
/// millisecond, and would make the calls arrive in bursts.
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
            // If no place is free the call is late. It is still timed from the moment when it was
            // due.
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

    /// A server that stalls now and then.
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

    /// The server stalls for half of the time. Each call that was due meanwhile counts as slow, and
    /// not only the first one.
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
        // If each stall were counted once, only one call in some hundreds would have been slow.
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
