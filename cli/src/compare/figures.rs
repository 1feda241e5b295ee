//! Turns the measurements of both sides into the figures of the report.

use super::{
    Compare,
    workload::{KINDS, Workload},
};
use load::{Load, Outcome, Spread, Times, processes};
use monolift_call::call::{Stages, Timed};
use serde::Serialize;
use std::{
    fs, io,
    time::{Duration, Instant},
};

/// The measurements of one side, one entry for each round.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    all: Vec<Round>,
}

#[derive(Debug)]
struct Round {
    outcome: Outcome,
    stages: Stages,
    /// The share of the machine's CPU time that other programs used.
    others: f64,
}

impl Rounds {
    pub(super) fn push(&mut self, outcome: Outcome, stages: Stages, others: f64) {
        self.all.push(Round { outcome, stages, others });
    }
}

/// The comparison as it is reported.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// How the requests were sent, as text.
    pub(super) load: String,
    /// How many seconds each side was measured in a round.
    pub(super) seconds: u64,
    pub(super) rounds: usize,
    pub(super) machine: String,
    pub(super) sides: Vec<SideFigures>,
    /// The second side's figures divided by the first side's, from the medians of the rounds.
    pub(super) ratios: Option<Ratios>,
    /// Reasons to distrust the figures. Empty if none was found.
    pub(super) noise: Vec<String>,
}

/// What one side is.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) processes: usize,
    /// Whether calls between its processes are encrypted.
    pub(super) encrypted: bool,
}

/// The figures of one side.
#[derive(Debug, Serialize)]
pub(super) struct SideFigures {
    pub(super) name: String,
    pub(super) processes: usize,
    /// Whether calls between its processes are encrypted.
    pub(super) encrypted: bool,
    /// Latency of requests, in milliseconds.
    pub(super) p50: Spread,
    pub(super) p90: Spread,
    pub(super) p99: Spread,
    pub(super) p999: Spread,
    /// Requests answered per second.
    pub(super) throughput: Spread,
    /// CPU time per request, in milliseconds.
    pub(super) cpu: Spread,
    /// Memory of all its processes, in MiB.
    pub(super) memory: Spread,
    pub(super) failed: u64,
    pub(super) failure: Option<String>,
    /// The figures of each request.
    pub(super) requests: Vec<RequestFigures>,
    /// The latency curve: pairs of a percentile and the latency in milliseconds.
    pub(super) curve: Vec<(f64, f64)>,
    /// The cost of its calls between processes.
    pub(super) calls: Calls,
}

/// The figures of one request.
#[derive(Debug, Serialize)]
pub(super) struct RequestFigures {
    pub(super) name: String,
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Where the time of calls between processes goes, in microseconds per request. This includes the
/// calls of durable work in the background.
#[derive(Debug, Serialize)]
pub(super) struct Calls {
    /// Calls between processes, per request.
    pub(super) count: f64,
    pub(super) encode: f64,
    pub(super) queue: f64,
    pub(super) wire: f64,
    pub(super) dispatch: f64,
    pub(super) decode: f64,
    /// The time in the modules that were called, including their own waits.
    pub(super) module: f64,
}

/// The second side's figures divided by the first side's.
#[derive(Debug, Serialize)]
pub(super) struct Ratios {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) throughput: f64,
    pub(super) cpu: f64,
    pub(super) memory: f64,
}

/// A spread of a side's rounds above this share of their median makes the figures doubtful.
const APART: f64 = 0.4;
/// So does a share of other programs above this.
const OTHERS: f64 = 0.15;

impl Calls {
    fn of(stages: Stages, requests: u64) -> Self {
        let calls = (stages.whole.calls * Stages::SAMPLE) as f64 / requests.max(1) as f64;
        let mean = |timed: Timed| timed.nanos as f64 / timed.calls.max(1) as f64 / 1_000.0;
        let Stages { whole, encode, queue, decode, served, module } = stages;
        let ours = mean(encode) + mean(queue) + mean(decode);
        // The two sides sample different calls, so the difference can be slightly negative.
        let wire = (mean(whole) - ours - mean(served)).max(0.0);
        let dispatch = (mean(served) - mean(module)).max(0.0);
        Self {
            count: calls,
            encode: mean(encode) * calls,
            queue: mean(queue) * calls,
            wire: wire * calls,
            dispatch: dispatch * calls,
            decode: mean(decode) * calls,
            module: mean(module) * calls,
        }
    }

    /// The parts that exist only because the module is in another process.
    pub(super) fn extra(&self) -> [(&'static str, f64); 5] {
        [
            ("encode", self.encode),
            ("queue", self.queue),
            ("wire", self.wire),
            ("dispatch", self.dispatch),
            ("decode", self.decode),
        ]
    }
}

impl SideFigures {
    /// How calls between its processes go.
    pub(super) fn encryption(&self) -> &'static str {
        match (self.processes, self.encrypted) {
            (1, _) => "-",
            (_, true) => "TLS",
            (_, false) => "none",
        }
    }

    fn of(shape: Shape, rounds: &[Round], workload: &Workload) -> Option<Self> {
        let Shape { name, processes, encrypted } = shape;
        let spread = |figure: &dyn Fn(&Outcome) -> f64| {
            Spread::of(rounds.iter().map(|round| figure(&round.outcome)))
        };
        let at =
            |quantile: f64| spread(&move |outcome| milliseconds(&outcome.all_times(), quantile));
        let mut kinds = vec![Times::default(); KINDS];
        for Round { outcome, .. } in rounds {
            kinds.iter_mut().zip(&outcome.times).for_each(|(kind, times)| kind.add_all(times));
        }
        let mut all = Times::default();
        kinds.iter().for_each(|kind| all.add_all(kind));
        let requests = workload.request.iter().zip(&kinds).take(KINDS);
        let requests = requests.filter(|(_, times)| !times.is_empty());
        let stages = rounds.iter().fold(Stages::default(), |sum, round| sum + round.stages);
        // The stages were also timed during the warm-up.
        let warm = 1.0 + super::WARM;
        let answered: u64 = rounds.iter().map(|round| round.outcome.answered).sum();
        Some(Self {
            name,
            processes,
            encrypted,
            p50: at(0.5)?,
            p90: at(0.9)?,
            p99: at(0.99)?,
            p999: at(0.999)?,
            throughput: spread(&Outcome::throughput)?,
            cpu: spread(&|outcome| outcome.cpu_per_call() / 1_000.0)?,
            memory: spread(&|outcome| outcome.memory as f64 / (1024.0 * 1024.0))?,
            failed: rounds.iter().map(|round| round.outcome.failed).sum(),
            failure: rounds.iter().find_map(|round| round.outcome.failure.clone()),
            requests: requests
                .map(|(request, times)| RequestFigures {
                    name: request.name.clone(),
                    count: times.len(),
                    p50: milliseconds(times, 0.5),
                    p99: milliseconds(times, 0.99),
                })
                .collect(),
            curve: curve(&all),
            calls: Calls::of(stages, (answered as f64 * warm) as u64),
        })
    }
}

fn milliseconds(times: &Times, quantile: f64) -> f64 {
    times.quantile(quantile) as f64 / 1e6
}

/// Percentiles that approach 100, as far as the number of requests supports them.
fn curve(times: &Times) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let (mut left, least) = (1.0, 1.0 / times.len().max(1) as f64);
    while left >= least && points.len() < 120 {
        let quantile = 1.0 - left;
        points.push((quantile * 100.0, milliseconds(times, quantile)));
        left *= 0.9;
    }
    points
}

impl Comparison {
    pub(super) fn of(
        sides: Vec<(Shape, Rounds)>,
        workload: &Workload,
        load: Load,
        compare: &Compare,
    ) -> Self {
        let mut noise = Vec::new();
        let mut figures = Vec::new();
        for (shape, Rounds { all }) in sides {
            let busiest = all.iter().map(|round| round.others).fold(0.0, f64::max);
            if busiest > OTHERS {
                let part = busiest * 100.0;
                noise.push(format!(
                    "other programs had up to {part:.0} % of the machine while {} was measured",
                    shape.name
                ));
            }
            figures.extend(SideFigures::of(shape, &all, workload));
        }
        for side in &figures {
            let Spread { low, high, .. } = side.p50;
            if side.p50.width() > APART {
                noise.push(format!(
                    "the median of {} lay between {low:.2} and {high:.2} ms from round to round",
                    side.name
                ));
            }
            if let Load::Open(rate) = load
                && side.throughput.median < 0.95 * f64::from(rate)
            {
                noise.push(format!(
                    "{} answered {:.0} requests a second of {rate}: it cannot keep up, and the \
                     times are those of a queue that grows",
                    side.name, side.throughput.median
                ));
            }
        }
        let ratios = match &figures[..] {
            [one, other] => Some(Ratios::of(one, other)),
            _ => None,
        };
        Self {
            load: match load {
                Load::Open(rate) => format!("{rate} requests a second, whatever becomes of them"),
                Load::Closed(callers) => format!("{callers} callers, who ask again when answered"),
            },
            seconds: compare.time,
            rounds: compare.rounds.max(1),
            machine: load::machine(),
            sides: figures,
            ratios,
            noise,
        }
    }
}

impl Ratios {
    fn of(one: &SideFigures, other: &SideFigures) -> Self {
        let over = |figure: fn(&SideFigures) -> &Spread| {
            figure(other).median / figure(one).median.max(f64::MIN_POSITIVE)
        };
        Self {
            p50: over(|side| &side.p50),
            p90: over(|side| &side.p90),
            p99: over(|side| &side.p99),
            p999: over(|side| &side.p999),
            throughput: over(|side| &side.throughput),
            cpu: over(|side| &side.cpu),
            memory: over(|side| &side.memory),
        }
    }
}

/// Measures how busy other programs keep the machine.
pub(super) struct Others {
    machine: Duration,
    known: Duration,
    began: Instant,
}

impl Others {
    /// Starts the measurement. `known` are the processes that do not count as others.
    pub(super) fn begin(known: &[u32]) -> io::Result<Self> {
        let known = processes::time_of_all(known)?;
        Ok(Self { machine: busy()?, known, began: Instant::now() })
    }

    /// The share of the machine's CPU time that other programs have used since.
    pub(super) fn end(self, known: &[u32]) -> io::Result<f64> {
        let machine = busy()?.saturating_sub(self.machine);
        let known = processes::time_of_all(known)?.saturating_sub(self.known);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let all = self.began.elapsed().as_secs_f64() * cores as f64;
        Ok((machine.saturating_sub(known).as_secs_f64() / all).min(1.0))
    }
}

/// The time that all CPUs together were busy since the machine started.
fn busy() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // The columns of /proc/stat, in hundredths of a second: user, nice, system, idle, iowait, irq,
    // softirq, steal.
    let busy: u64 = ticks.iter().take(8).sum::<u64>() - ticks.iter().skip(3).take(2).sum::<u64>();
    Ok(Duration::from_millis(busy * 10))
}

#[cfg(test)]
impl Comparison {
    /// One round of two sides, whose figures are 1 each.
    pub(super) fn sample(one: &str, other: &str) -> Self {
        let spread = Spread { median: 1.0, low: 1.0, high: 1.0 };
        let side = |name: &str| SideFigures {
            name: name.to_owned(),
            processes: 1,
            encrypted: false,
            p50: spread,
            p90: spread,
            p99: spread,
            p999: spread,
            throughput: spread,
            cpu: spread,
            memory: spread,
            failed: 0,
            failure: None,
            requests: Vec::new(),
            curve: Vec::new(),
            calls: Calls {
                count: 1.0,
                encode: 1.0,
                queue: 1.0,
                wire: 1.0,
                dispatch: 1.0,
                decode: 1.0,
                module: 1.0,
            },
        };
        let ratios = Ratios {
            p50: 1.0,
            p90: 1.0,
            p99: 1.0,
            p999: 1.0,
            throughput: 1.0,
            cpu: 1.0,
            memory: 1.0,
        };
        Self {
            load: "a load".to_owned(),
            seconds: 1,
            rounds: 1,
            machine: "a machine".to_owned(),
            sides: vec![side(one), side(other)],
            ratios: Some(ratios),
            noise: Vec::new(),
        }
    }
}
