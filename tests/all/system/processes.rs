//! Programs at work, each ended when its test ends.

use super::http;
use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

/// How long anything may take to come up or to end.
pub const SOON: Duration = Duration::from_secs(30);

/// The applications whose processes are started, as their variables begin.
const APPS: [&str; 4] = ["SHOP", "SHOP2", "GAZETTE", "MARKET"];

pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: String,
}

impl Process {
    pub fn start(program: &Path, env: &[(String, String)]) -> Self {
        Self::start_in(program, &[], env, Path::new("."))
    }

    pub fn start_in(
        program: &Path,
        arguments: &[&str],
        env: &[(String, String)],
        folder: &Path,
    ) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env_remove("MONOLIFT_MANIFEST")
            .env_remove("MONOLIFT_SETTINGS")
            .env_remove("RUST_LOG")
            // Their outputs are no terminals, and tests read lines as people do.
            .envs(APPS.map(|app| (format!("{app}_LOG__FORMAT"), "text")))
            .envs(env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let (say, lines) = mpsc::channel();
        let out = child.stdout.take().unwrap();
        let err = child.stderr.take().unwrap();
        let outputs: [Box<dyn Read + Send>; 2] = [Box::new(out), Box::new(err)];
        for output in outputs {
            let say = say.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = say.send(line);
                }
            });
        }
        Self { child, lines, said: String::new() }
    }

    /// The rest of the first line that holds `text`.
    pub fn says(&mut self, text: &str) -> String {
        let by = Instant::now() + SOON;
        loop {
            if let Some(line) = self.said.lines().find(|line| line.contains(text)) {
                return line.split_once(text).unwrap().1.to_owned();
            }
            let left = by.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push_str(&(line + "\n")),
                Err(_) => panic!("nobody said {text:?}, but:\n{}", self.said),
            }
        }
    }

    /// Takes a line out of what it has said, so that the next one like it is waited for.
    pub fn forget(&mut self, line: &str) {
        let kept = self.said.lines().filter(|said| !said.contains(line));
        self.said = kept.map(|said| format!("{said}\n")).collect();
    }

    /// All that it has said so far, as far as it was listened to.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Where its gateway listens.
    pub fn http(&mut self) -> String {
        self.says("http://")
    }

    /// Sends it a signal: `TERM`, `KILL`, …
    pub fn signal(&self, name: &str) {
        send(name, self.child.id());
    }

    /// Waits for its end: how, and all that it said.
    pub fn ended(mut self) -> (ExitStatus, String) {
        self.ended_in_place()
    }

    /// The same, of one that somebody holds.
    pub fn ended_in_place(&mut self) -> (ExitStatus, String) {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // Both of its outputs have ended then.
        while let Ok(line) = self.lines.recv_timeout(SOON) {
            self.said.push_str(&(line + "\n"));
        }
        (status.unwrap(), std::mem::take(&mut self.said))
    }

    /// Asks it to stop, as an operator does, and sees it end well.
    pub fn stop(self) -> String {
        self.signal("TERM");
        let (status, said) = self.ended();
        assert!(status.success(), "{status}: {said}");
        said
    }

    /// Ends it without a word.
    pub fn kill(self) {
        self.signal("KILL");
        let (status, _) = self.ended();
        assert!(!status.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process by its number.
pub fn send(name: &str, pid: u32) {
    // The shell's own kill: the program of that name is not on every machine.
    let kill = format!("kill -{name} {pid}");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
}

/// Looks again and again, until it is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let by = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < by, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a gateway is there, and can do its work.
pub fn is_ready(address: &str) -> bool {
    http::request(address, "GET", "/readyz", &[], "").is_ok_and(|answer| answer.status == 200)
}

/// A port that is free now, and that nobody else in this test was given. It is below those that a system takes for
/// outgoing connections, so it is still free when a process listens on it. The next ones are for further replicas. Of the tests
/// that nextest runs at once, eleven have ports of their own.
pub fn free_port() -> String {
    const FIRST: u32 = 10_000;
    const SLOTS: u32 = 11;
    const IN_A_SLOT: u32 = 2_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let slot = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok().and_then(|slot| slot.parse().ok());
    let slot = slot.unwrap_or_else(std::process::id) % SLOTS;
    loop {
        let next = (NEXT.fetch_add(8, Relaxed) + std::process::id() * 56) % IN_A_SLOT;
        let port = format!("127.0.0.1:{}", FIRST + slot * IN_A_SLOT + next);
        if TcpListener::bind(&port).is_ok() {
            return port;
        }
    }
}

/// What each process of one run is told: its data's folder, and addresses that are free.
pub struct Run {
    pub env: Vec<(String, String)>,
    pub data: PathBuf,
}

impl Run {
    /// A run whose data is new.
    pub fn new(name: &str) -> Self {
        let data = std::env::temp_dir().join(format!("ml-run-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&data).unwrap();
        Self { env: vec![("SHOP_DATA".to_owned(), data.display().to_string())], data }
    }

    /// Sets something in its environment.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// The process listens for others at a port that is free.
    pub fn listening(self, process: &str) -> Self {
        self.with(&format!("SHOP_PROCESS__{}__LISTEN", process.to_uppercase()), free_port())
    }

    /// The process has its gateway at a port that is free.
    pub fn gateway(self, process: &str) -> Self {
        self.with(&format!("SHOP_PROCESS__{}__HTTP", process.to_uppercase()), "127.0.0.1:0")
    }

    pub fn start(&self, program: &Path) -> Process {
        Process::start(program, &self.env)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.data);
    }
}
