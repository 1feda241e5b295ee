//! `cargo monolift compare`: sends the same requests to an application in one process and in
//! several, and reports the cost of the split.

mod figures;
mod html;
mod manifests;
mod side;
mod terminal;
mod workload;

use self::{
    figures::{Comparison, Rounds},
    side::Side,
    workload::{Requests, Workload},
};
use clap::Args;
use load::{Load, Plan, Progress};
use monolift_call::call::Stages;
use monolift_manifest::Workspace;
use std::{env, error::Error, fs, path::PathBuf, sync::Arc, time::Duration};

/// Compare the application in one process with the same in several
#[derive(Debug, Args)]
pub struct Compare {
    /// The manifest. One side has all its modules in one process, the other has each in its own. If
    /// given twice, the two manifests are compared as they are
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: Vec<PathBuf>,
    /// The requests and their shares
    #[arg(long, default_value = "workload.toml", value_name = "FILE")]
    workload: PathBuf,
    /// Send this many requests per second, whether or not they are answered, instead of the
    /// workload's rate
    #[arg(long, value_name = "NUMBER", conflicts_with = "callers")]
    rate: Option<u32>,
    /// Let this many clients send their next request as soon as they have an answer. This measures
    /// the maximum throughput
    #[arg(long, value_name = "NUMBER")]
    callers: Option<usize>,
    /// How many seconds each side is measured in a round
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    time: u64,
    /// The number of rounds. The sides take turns in each
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    rounds: usize,
    /// Build without optimisations, which is faster and makes the figures unrepresentative
    #[arg(long)]
    debug: bool,
    /// Write the HTML report to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The warm-up before each round, as a share of the round's time.
const WARM: f64 = 0.2;

impl Compare {
    /// Runs the comparison and prints the result.
    ///
    /// # Errors
    ///
    /// If something cannot be built, started or reached.
    pub fn run(self) -> Result<(), Box<dyn Error>> {
        let workload = Workload::read(&self.workload)?;
        let load = match (self.callers, self.rate.or(workload.rate)) {
            (Some(callers), _) => Load::Closed(callers.max(1)),
            (None, Some(rate)) => Load::Open(rate.max(1)),
            (None, None) => Load::Open(100),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let workspace = Workspace::find(&env::current_dir()?)?;
        let target = crate::cargo::target_of(&workspace.root);
        if !self.debug && !target.join("release/deps").exists() {
            eprintln!(
                "no program is built with optimisations yet: the first build takes some ten minutes on two cores, and later \
                 ones build what has changed"
            );
        }
        let folder = target.join("monolift/compare");
        fs::create_dir_all(&folder)?;
        side::tidy(&folder)?;
        let manifests = manifests::of(&self.manifest, &folder)?;
        let comparison = runtime.block_on(async {
            let mut sides = Vec::new();
            for manifest in manifests {
                sides.push(Side::build(manifest, &folder, !self.debug)?);
            }
            self.measure(&mut sides, &Arc::new(workload), load).await
        })?;
        print!("{}", terminal::Shown(&comparison));
        let html = self.html.unwrap_or_else(|| folder.join("report.html"));
        fs::write(&html, html::page(&comparison))?;
        let json = self.json.unwrap_or_else(|| folder.join("report.json"));
        fs::write(&json, serde_json::to_vec_pretty(&comparison)?)?;
        println!("\n{}\n{}", html.display(), json.display());
        Ok(())
    }

    async fn measure(
        &self,
        sides: &mut [Side],
        workload: &Arc<Workload>,
        load: Load,
    ) -> Result<Comparison, Box<dyn Error>> {
        let mut requests = Vec::new();
        let mut progress = Progress::new("compare");
        for side in sides.iter_mut() {
            progress.at(0.0, &format!("{} starts", side.name()));
            let address = side.start().await?;
            let asking = Requests::new(Arc::clone(workload), address).prepared().await;
            requests.push(asking.map_err(|error| format!("{}: {error:#}", side.name()))?);
        }
        let time = Duration::from_secs(self.time.max(1));
        let plan = Plan { load, warm: time.mul_f64(WARM), time, timed: 1 };
        let mut rounds: Vec<Rounds> = sides.iter().map(|_| Rounds::default()).collect();
        let all = (self.rounds.max(1) * sides.len()) as f64;
        let mut done = 0.0;
        let mut known = vec![std::process::id()];
        for side in sides.iter() {
            known.extend(side.ids()?);
        }
        for round in 1..=self.rounds.max(1) {
            for (at, side) in sides.iter_mut().enumerate() {
                let stage = format!("{}, round {round} of {}", side.name(), self.rounds.max(1));
                let before = side.stages().await?;
                let others = figures::Others::begin(&known)?;
                let asking = requests[at].clone();
                let ids = side.ids()?;
                let outcome = load::drive(asking, plan, &ids, |part| {
                    progress.at((done + part) / all, &stage);
                });
                let outcome =
                    outcome.await.map_err(|error| format!("{}: {error:#}", side.name()))?;
                let others = others.end(&known)?;
                let stages: Stages = side.stages().await? - before;
                rounds[at].push(outcome, stages, others);
                done += 1.0;
            }
        }
        drop(progress);
        let shapes = sides.iter().map(|side| side.shape());
        let comparison = Comparison::of(shapes.zip(rounds).collect(), workload, load, self);
        for side in sides.iter_mut().rev() {
            side.stop().await;
        }
        Ok(comparison)
    }
}
