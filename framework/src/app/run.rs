//! The whole life of a program whose `main` is one line.

use super::{
    ASK, App, Linked, RunningApp, Started, launcher::Launcher, log::Log, migrate::migrate,
    operate::command,
};
use crate::{StartError, module::StartErrors};
use std::{fmt::Write as _, process::ExitCode, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long a program that ends at once waits for what blocks a thread, such as a name that is being looked up.
const LONGEST_END: Duration = Duration::from_millis(100);

/// Runs the process that `linked` says until SIGTERM or ctrl-C, and stops it. With the argument `migrate` it only
/// applies the migrations of the process's modules. Other arguments are commands of operation, which ask a process that runs.
///
/// `prepare` is what an author's `main` adds: `|app| app.share("orders", mailer)`.
pub fn main(linked: Linked, prepare: impl FnOnce(App) -> App) -> ExitCode {
    #[cfg(feature = "trim")]
    monolift_trim::keep_little();
    if let Some(ended) = command(linked) {
        return ended;
    }
    let mut log = Log::not_yet();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime did not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(linked, prepare, &mut log));
    if !matches!(ended, Ok(End::Drained)) {
        // Before a reason is said, so that it is the last line: what has been started may log until then.
        runtime.shutdown_timeout(LONGEST_END);
    }
    match ended {
        Ok(_) => ExitCode::SUCCESS,
        Err(errors) => {
            log.refused(&errors);
            ExitCode::FAILURE
        }
    }
}

/// How a program ends that has run as it should.
enum End {
    /// What was in flight has had its time.
    Drained,
    AtOnce,
}

async fn run(
    linked: Linked,
    prepare: impl FnOnce(App) -> App,
    log: &mut Log,
) -> Result<End, StartErrors> {
    // Before anything starts, so that a signal during the start is not lost.
    let mut stop = Stop::listen();
    let mut launcher = Launcher::connect().await?;
    // Nothing is logged before the settings say how.
    let app = App::read(linked)?;
    log.begin(&app.place)?;
    let app = prepare(app.announced(linked).with_log(log.control()));
    match std::env::var(ASK).as_deref() {
        Ok("config") => {
            println!("{}", serde_json::json!(app.settings_in_force()));
            return Ok(End::AtOnce);
        }
        Ok("rights") => {
            println!("{}", serde_json::json!(app.rights()));
            return Ok(End::AtOnce);
        }
        _ => {}
    }
    // Other arguments were commands, which start nothing.
    if std::env::args().len() > 1 {
        tokio::select! {
            migrated = migrate(app, log) => migrated?,
            () = stop.asked() => {
                let stopped = "it was stopped before all migrations were applied: run it again";
                return Err(StartError::new(stopped).into());
            }
        }
        return Ok(End::AtOnce);
    }
    let app = app.with_admin_by_default().with_development_certificates()?;
    let running = match app.start_until(stop.asked()).await? {
        Started::Up(running) => running,
        Started::InPart(running) => {
            stopped(running, stop, log).await?;
            // A thread may still wait for a lock that the start needed.
            return Ok(End::AtOnce);
        }
    };
    #[cfg(feature = "trim")]
    let _trimming = tokio::task::JoinSet::from_iter([super::trim::keep_trimmed()]);
    let mut readiness = running.readiness();
    log.say(&introduce(&running));
    // Read before it is told, so that a change meanwhile is told as well.
    let mut waits = !readiness.borrow_and_update().waiting_for.is_empty();
    launcher.tell(&running).await;
    while waits {
        tokio::select! {
            _ = readiness.changed() => {
                waits = !readiness.borrow_and_update().waiting_for.is_empty();
                if !waits {
                    log.say(&format!("{} is ready", running.process()));
                }
                launcher.tell(&running).await;
            }
            () = stop.asked() => return stopped(running, stop, log).await,
            () = launcher.gone(&running) => return stopped(running, stop, log).await,
        }
    }
    tokio::select! {
        () = stop.asked() => {}
        () = launcher.gone(&running) => {}
    }
    stopped(running, stop, log).await
}

async fn stopped(running: RunningApp, mut stop: Stop, log: &Log) -> Result<End, StartErrors> {
    let drain = running.manifest().calls.drain;
    log.say(&format!("stopping: what is in flight has {drain:?}; ctrl-C again ends it at once"));
    tokio::select! {
        () = running.stop() => Ok(End::Drained),
        () = stop.asked() => {
            log.say("stopped at once: what was in flight is lost");
            Ok(End::AtOnce)
        }
    }
}

/// The signals that ask a process to stop.
struct Stop {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Stop {
    fn listen() -> Self {
        let of = |kind| signal(kind).ok();
        Self { terminate: of(SignalKind::terminate()), interrupt: of(SignalKind::interrupt()) }
    }

    /// Ready when the process is asked to stop, also once more.
    async fn asked(&mut self) {
        let one = async |signal: &mut Option<Signal>| match signal {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        };
        tokio::select! {
            () = one(&mut self.terminate) => {}
            () = one(&mut self.interrupt) => {}
        }
    }
}

/// What a person wants to know first.
fn introduce(running: &RunningApp) -> String {
    let modules: Vec<&str> = running.modules().collect();
    let mut text = format!("{} runs {}", running.process(), list(&modules));
    // Writing to a string cannot fail.
    if let Some(address) = running.address() {
        let _ = write!(text, "\n  other processes call it at {address}");
    }
    if let Some(address) = running.http_address() {
        let _ = write!(text, "\n  http://{address}");
        if running.docs && cfg!(feature = "docs") {
            let _ = write!(text, "\n  http://{address}/docs");
        }
        for hint in &running.hints {
            let _ = write!(text, "\n  try: {}", hint.replace("{http}", &address.to_string()));
        }
    }
    if let Some(address) = running.admin_address() {
        let _ = write!(text, "\n  http://{address} shows its traces and metrics");
    }
    let widest = running.modules().map(str::len).max().unwrap_or_default();
    for (module, database) in running.databases() {
        let _ = write!(text, "\n  {module:widest$}  {database}");
    }
    if !running.fakes.is_empty() {
        let fakes: Vec<&str> = running.fakes.iter().map(String::as_str).collect();
        let _ = write!(text, "\n  fakes answer for {}: with examples, not with data", list(&fakes));
    }
    let waiting = running.readiness().borrow().waiting_for.clone();
    if !waiting.is_empty() {
        let _ = write!(text, "\n  not ready yet: waiting for {}", waiting.join(", "));
    }
    if let Some(process) = running.aside_of() {
        let _ = write!(
            text,
            "\n  {} has `{}` in the process `{process}`, and callers use that copy: no work of \
             its own was started here",
            running.manifest().file.display(),
            running.process(),
        );
    }
    text
}

fn list(modules: &[&str]) -> String {
    if modules.is_empty() { "no modules".to_owned() } else { modules.join(", ") }
}
