//! The sections of the benchmark. Each makes one table or several.

mod events;
mod fan_out;
mod in_process;
mod order;
mod remote;
mod running;

use crate::{
    measured::Measured,
    process::{Core, Pace},
    remote::Socket,
    report::{Report, Row, Table},
};
use load::{Progress, Spread};

/// The tables so far, and how much is measured.
pub struct Bench {
    /// How much is measured.
    pub pace: Pace,
    /// The results so far.
    pub report: Report,
}

/// The columns of a table of calls between processes.
const COLUMNS: [&str; 4] = ["calls/s", "p50 µs", "p99 µs", "CPU µs a call"];

impl Bench {
    /// Makes the tables whose title contains `only`, and prints each when it is complete.
    ///
    /// # Errors
    ///
    /// If a measurement fails.
    pub async fn run(&mut self, only: &str) -> anyhow::Result<()> {
        let wanted = |title: &str| title.to_lowercase().contains(&only.to_lowercase());
        if wanted(in_process::TITLE) {
            in_process::run(self).await?;
        }
        for socket in [Socket::Tcp, Socket::Unix] {
            let cores = if Core::can_choose() { ", each process on a core" } else { "" };
            let title = format!("One call at a time, over {}{cores}", socket.title());
            if wanted(&title) {
                remote::one_at_a_time(self, &title, socket).await?;
            }
        }
        for count in [16, 64, 256] {
            let title = format!("{count} calls in flight, over TCP");
            if wanted(&title) {
                remote::in_flight(self, &title, count).await?;
            }
        }
        if wanted(remote::OBSERVED) {
            remote::observed(self).await?;
        }
        if wanted(remote::TLS) {
            remote::over_tls(self).await?;
        }
        for (size, count, what) in
            [(100, 64, "100 B"), (4 * 1024, 64, "4 KiB"), (256 * 1024, 16, "256 KiB")]
        {
            let title = format!("Answers of {what}, {count} calls in flight, over TCP");
            if wanted(&title) {
                remote::sizes(self, &title, size, count).await?;
            }
        }
        if wanted(remote::SLOW) {
            remote::slow(self).await?;
        }
        if wanted(fan_out::TITLE) {
            fan_out::run(self).await?;
        }
        if wanted(order::TITLE) {
            order::run(self).await?;
        }
        if wanted(events::TITLE) {
            events::run(self).await?;
        }
        println!("{}", self.report);
        Ok(())
    }

    /// Measures each of `ways` once in each round, one after the other, so that disturbances of the
    /// machine affect all of them alike. Returns the rounds of each way.
    async fn rounds<W: AsRef<str>, R>(
        &self,
        title: &str,
        ways: &[W],
        mut measure: impl AsyncFnMut(&W) -> anyhow::Result<R>,
    ) -> anyhow::Result<Vec<Vec<R>>> {
        let mut progress = Progress::new(title);
        let mut measured: Vec<Vec<R>> = ways.iter().map(|_| Vec::new()).collect();
        let all = (self.pace.rounds * ways.len()) as f64;
        for round in 0..self.pace.rounds {
            for (at, way) in ways.iter().enumerate() {
                let done = (round * ways.len() + at) as f64;
                progress.at(done / all, way.as_ref());
                measured[at].push(measure(way).await?);
            }
        }
        Ok(measured)
    }

    /// Adds a table of calls between processes.
    fn table<W: AsRef<str>>(&mut self, title: &str, ways: &[W], measured: &[Vec<Measured>]) {
        let row = |(way, rounds): (&W, &Vec<Measured>)| {
            let spread = |figure: fn(&Measured) -> f64| Spread::of(rounds.iter().map(figure));
            Row {
                name: way.as_ref().to_owned(),
                cells: vec![
                    spread(|measured| measured.throughput),
                    spread(|measured| measured.p50),
                    spread(|measured| measured.p99),
                    spread(|measured| measured.cpu),
                ],
            }
        };
        let rows = ways.iter().zip(measured).map(row).collect();
        self.add(Table { title: title.to_owned(), columns: COLUMNS.to_vec(), rows });
    }

    fn add(&mut self, table: Table) {
        print!("{table}");
        self.report.tables.push(table);
    }
}

/// The ratios of two ways, one for each round.
fn ratio<R>(ours: &[R], theirs: &[R], figure: impl Fn(&R) -> f64) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| figure(ours) / figure(theirs)).collect()
}
