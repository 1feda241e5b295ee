//! `cargo monolift compare`: the same requests to an application in one process and in several, and
//! what the cut costs.

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
use monolift::call::Stages;
use monolift_manifest::Workspace;
use std::{env, error::Error, fs, path::PathBuf, sync::Arc, time::Duration};

/// Compare the application in one process with the same in several
#[derive(Debug, Args)]
pub struct Compare {
    /// The manifest whose modules are put into one process, and into one each. Given twice, the two
    /// are compared as they are
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: Vec<PathBuf>,
    /// What is asked, and how often
    #[arg(long, default_value = "workload.toml", value_name = "FILE")]
    workload: PathBuf,
    /// Requests a second, whatever becomes of them, instead of what the workload says
    #[arg(long, value_name = "NUMBER", conflicts_with = "callers")]
    rate: Option<u32>,
    /// So many who each ask again when they have their answer: how much goes through at most
    #[arg(long, value_name = "NUMBER")]
    callers: Option<usize>,
    /// Seconds that each side is measured in a round
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    time: u64,
    /// Rounds, in which the sides take turns
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    rounds: usize,
    /// Build without optimisations, which is quicker and says little
    #[arg(long)]
    debug: bool,
    /// Where the page with the figures goes
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Where the figures go, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A part of a round is for warming up.
const WARM: f64 = 0.2;

impl Compare {
    /// Does it, and prints what came of it.
    ///
    /// # Errors
    ///
    /// When something cannot be built, started or asked.
    pub fn run(self) -> Result<(), Box<dyn Error>> {
        let workload = Workload::read(&self.workload)?;
        let load = match (self.callers, self.rate.or(workload.rate)) {
            (Some(callers), _) => Load::Closed(callers.max(1)),
            (None, Some(rate)) => Load::Open(rate.max(1)),
            (None, None) => Load::Open(100),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let workspace = Workspace::find(&env::current_dir()?)?;
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| workspace.root.join("target"));
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
            let asking = Requests::new(Arc::clone(workload), address);
            asking.before().await.map_err(|error| format!("{}: {error:#}", side.name()))?;
            requests.push(asking);
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
        let names = sides.iter().map(|side| (side.name().to_owned(), side.processes()));
        let comparison = Comparison::of(names.zip(rounds).collect(), workload, load, self);
        for side in sides.iter_mut().rev() {
            side.stop().await;
        }
        Ok(comparison)
    }
}
