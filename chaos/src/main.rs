//! The split shop, with two replicas of each process, under load while all that can fail does; and while
//! it is restarted, process by process. And the shop as it is, in one process and split, while it is abused.

mod abuse;
mod check;
mod client;
#[allow(unreachable_pub, reason = "an interface writes `pub` beside it")]
mod figures;
mod logs;
mod planted;
mod proxy;
mod rolling;
mod shop;
mod storm;
mod traffic;

use anyhow::anyhow;
use clap::Parser;
use std::{path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// Starts the split shop with two replicas of each process, and kills, stops, cuts and slows them while
/// clients order; then lets it heal, and checks that nothing was lost or done twice.
#[derive(Debug, Clone, Parser)]
#[command(bin_name = "cargo xtask chaos")]
struct Options {
    /// How many processes are killed or stopped before it ends.
    #[arg(long, default_value_t = 50)]
    kills: u64,
    /// How many requests are made at least.
    #[arg(long, default_value_t = 10_000)]
    operations: u64,
    /// The longest that the storm lasts, in seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Clients that ask at once.
    #[arg(long, default_value_t = 16)]
    clients: u64,
    /// Which faults come, and when; another number, others.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Restarts each process, one behind the other, instead: nothing may fail.
    #[arg(long)]
    rolling: bool,
    /// Measures what the calling and the serving side promise, instead, without the shop.
    #[arg(long)]
    figures: bool,
    /// Plants one mistake after the other in the shop, instead: each has to be found.
    #[arg(long)]
    planted: bool,
    /// Of the figures or the mistakes, only those whose title has this text in it.
    #[arg(long, default_value = "")]
    only: String,
    /// Builds the shop without optimisation, which takes less time.
    #[arg(long)]
    debug: bool,
    /// Keeps what was stored and said in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// What this program is started for.
enum Task {
    Chaos(Options),
    Abuse(abuse::Options),
    /// To be flooded itself.
    Sink,
}

impl Task {
    /// As the arguments say.
    fn parse() -> Self {
        let mut arguments = std::env::args();
        let (program, first) = (arguments.next(), arguments.next());
        match first.as_deref() {
            Some("abuse") => {
                Self::Abuse(abuse::Options::parse_from(program.into_iter().chain(arguments)))
            }
            Some(abuse::SINK) => Self::Sink,
            _ => Self::Chaos(Options::parse()),
        }
    }

    fn keep(&self) -> Option<PathBuf> {
        match self {
            Self::Chaos(options) => options.keep.clone(),
            Self::Abuse(options) => options.keep.clone(),
            Self::Sink => None,
        }
    }
}

fn main() -> ExitCode {
    let task = Task::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            if matches!(task, Task::Sink) {
                return abuse::be_a_sink().await.map(|()| true);
            }
            let folder = folder(task.keep())?;
            let ended = tokio::select! {
                ended = run(&task, &folder) => ended,
                stopped = asked_to_stop() => Err(stopped.err().unwrap_or_else(|| anyhow!("stopped"))),
            };
            if task.keep().is_none() && ended.is_ok() {
                std::fs::remove_dir_all(&folder)?;
            } else {
                println!("what was stored and said is in {}", folder.display());
            }
            ended
        })
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Ready when somebody has pressed ctrl-C, or sent it SIGTERM: the shop's processes end with it.
async fn asked_to_stop() -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => Ok(pressed?),
        _ = term.recv() => Ok(()),
    }
}

async fn run(task: &Task, folder: &std::path::Path) -> anyhow::Result<bool> {
    let options = match task {
        Task::Chaos(options) => options,
        Task::Abuse(options) => return abuse::run(options, folder).await,
        Task::Sink => return Ok(true),
    };
    if options.figures {
        figures::run(&options.only).await
    } else if options.planted {
        planted::run(options, folder).await
    } else if options.rolling {
        rolling::run(options, folder).await
    } else {
        storm::run(options, folder).await
    }
}

fn folder(keep: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let unique = format!("monolift-chaos-{}", std::process::id());
    let folder = keep.unwrap_or_else(|| std::env::temp_dir().join(unique));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
