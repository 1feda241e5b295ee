//! Shows the progress of long work.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// A progress line on standard error. If standard error is no terminal, each stage is a line of its
/// own.
#[derive(Debug)]
pub struct Progress {
    title: String,
    stage: String,
    terminal: bool,
    began: Instant,
    drawn: Option<Instant>,
}

const WIDTH: usize = 30;
/// The minimum time between two updates.
const PAUSE: Duration = Duration::from_millis(80);

impl Progress {
    /// A progress line with this title.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            stage: String::new(),
            terminal: std::io::stderr().is_terminal(),
            began: Instant::now(),
            drawn: None,
        }
    }

    /// Shows that `part` of the work is done and that `stage` is running.
    pub fn at(&mut self, part: f64, stage: &str) {
        let new = stage != self.stage;
        if new {
            stage.clone_into(&mut self.stage);
        }
        if !self.terminal {
            if new {
                eprintln!("{}: {stage}", self.title);
            }
            return;
        }
        if !new && self.drawn.is_some_and(|drawn| drawn.elapsed() < PAUSE) {
            return;
        }
        self.drawn = Some(Instant::now());
        let done = (part * WIDTH as f64) as usize;
        let bar = "█".repeat(done.min(WIDTH)) + &"░".repeat(WIDTH - done.min(WIDTH));
        let left = match part {
            part if part > 0.02 => {
                let left = self.began.elapsed().mul_f64((1.0 - part).max(0.0) / part).as_secs();
                format!("{}:{:02} left", left / 60, left % 60)
            }
            _ => String::new(),
        };
        eprint!("\r\x1b[K{bar} {:3.0} %  {}: {stage}  {left}", part * 100.0, self.title);
        // An error means that the terminal is gone.
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && self.drawn.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
