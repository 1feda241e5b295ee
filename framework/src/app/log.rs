//! The log of a program whose `main` is one line: installed once its settings are read, in the format that they say.
//!
//! What such a program says to the person who started it is text on standard output. Where the log is for machines, it
//! is lines of the log, because both outputs often end in one file.

use super::{ThisProcess, launcher};
use crate::module::{StartError, StartErrors};
use monolift_manifest::LogFormat;
use monolift_observe::log::{self, LogControl, Service, Shape};
use std::{env, io::IsTerminal};

/// The target of what the program says.
const TARGET: &str = "monolift::process";

/// How levels are changed; `None` where the program has a subscriber of its own.
pub(super) type Control = Option<LogControl>;

/// There is no log yet.
pub(super) fn no_control() -> Control {
    None
}

/// The log, once there is one.
#[derive(Debug)]
pub(super) struct Log {
    /// Whether all that the program says is for machines.
    machines: bool,
    control: Control,
}

impl Log {
    /// The settings are not read yet.
    pub(super) fn not_yet() -> Self {
        Self { machines: false, control: None }
    }

    /// Begins the log of a process.
    pub(super) fn begin(&mut self, place: &ThisProcess) -> Result<(), StartError> {
        let service = Service::new(&place.manifest.app, &place.process);
        let service = service.with_modules(&place.modules);
        let stated = &place.manifest.log;
        let shape = shape(stated.format);
        self.control = log::install(shape, service, stated.level.clone());
        self.machines = self.control.is_some() && shape == Shape::Ecs;
        if self.machines {
            log::log_panics();
        }
        Ok(())
    }

    pub(super) fn control(&self) -> Control {
        self.control.clone()
    }

    /// Says something to the person who started the program.
    pub(super) fn say(&self, text: &str) {
        if self.machines && !std::io::stdout().is_terminal() {
            tracing::info!(target: TARGET, "{text}");
        } else {
            println!("{text}");
        }
    }

    /// Says why the process does not start: as text, if that is because its settings cannot be read.
    pub(super) fn refused(&self, errors: &StartErrors) {
        let text = format!("this process does not start:\n{errors}");
        if self.machines && tracing::enabled!(target: TARGET, tracing::Level::ERROR) {
            tracing::error!(target: TARGET, error = %errors, "{text}");
        } else {
            eprintln!("{text}");
        }
    }
}

/// The shape of lines on standard error. A launcher shows them on its terminal.
fn shape(format: LogFormat) -> Shape {
    let terminal = std::io::stderr().is_terminal();
    let states = |variable: &str| env::var_os(variable).is_some_and(|stated| !stated.is_empty());
    let colours = (terminal || states("CLICOLOR_FORCE")) && !states("NO_COLOR");
    let launched = env::var_os(launcher::SOCKET).is_some();
    match format {
        LogFormat::Json => Shape::Ecs,
        LogFormat::Auto if !terminal && !launched => Shape::Ecs,
        LogFormat::Auto | LogFormat::Text => Shape::Text { colours },
    }
}
