//! A program without the feature `observe`: its log is text.

use super::ThisProcess;
use crate::module::{StartError, StartErrors};
use monolift_manifest::LogFormat;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Its levels do not change.
#[derive(Debug, Default)]
pub(super) struct Control;

pub(super) fn no_control() -> Control {
    Control
}

#[derive(Debug)]
pub(super) struct Log;

impl Log {
    pub(super) fn not_yet() -> Self {
        Self
    }

    pub(super) fn begin(&mut self, place: &ThisProcess) -> Result<(), StartError> {
        let log = &place.manifest.log;
        if log.format == LogFormat::Json {
            return Err(StartError::new(
                "`log.format` is `json`, and this program is built without that: turn on the feature \
                 `observe` of `monolift` in its Cargo.toml",
            ));
        }
        let filter = EnvFilter::try_from_default_env();
        let filter = filter.unwrap_or_else(|_| EnvFilter::new(log.level.to_string()));
        // tarpc's own spans say nothing that ours do not, and cost more than a call.
        let quiet = "tarpc=off".parse().expect("this directive is well formed");
        tracing_subscriber::fmt()
            .with_env_filter(filter.add_directive(quiet))
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .init();
        Ok(())
    }

    pub(super) fn control(&self) -> Control {
        Control
    }

    pub(super) fn say(&self, text: &str) {
        println!("{text}");
    }

    pub(super) fn refused(&self, errors: &StartErrors) {
        eprintln!("this process does not start:\n{errors}");
    }
}
