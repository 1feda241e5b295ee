//! Programs at work, each ended when its test ends.

use super::http;
use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// How long anything may take to come up or to end.
const SOON: Duration = Duration::from_secs(30);

pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: String,
}

impl Process {
    pub fn start(program: &Path, env: &[(String, String)]) -> Self {
        let mut child = Command::new(program)
            .envs(env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, lines) = mpsc::channel();
        let out = child.stdout.take().unwrap();
        let err = child.stderr.take().unwrap();
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [Box::new(out), Box::new(err)];
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

    /// Where its gateway listens.
    pub fn http(&mut self) -> String {
        self.says("http://")
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for its end: how, and all that it said.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let by = Instant::now() + SOON;
        while Instant::now() < by {
            if let Some(status) = self.child.try_wait().unwrap() {
                while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
                    self.said.push_str(&(line + "\n"));
                }
                return (status, std::mem::take(&mut self.said));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it has not ended, and said:\n{}", self.said)
    }

    /// Asks it to stop, as an operator does, and sees it end well.
    pub fn stop(self) {
        self.signal("-TERM");
        let (status, said) = self.ended();
        assert!(status.success(), "{status}: {said}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the gateway says that it is ready.
pub fn ready(address: &str) {
    let by = Instant::now() + SOON;
    while http::get(address, "/readyz").status != 200 {
        assert!(Instant::now() < by, "{}", http::get(address, "/readyz").body);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that is free now.
pub fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// What each process of one run is told: its data's folder, and addresses that are free.
pub struct Run {
    pub env: Vec<(String, String)>,
    data: PathBuf,
}

impl Run {
    pub fn new(name: &str, listening: &[&str]) -> Self {
        let data = std::env::temp_dir().join(format!("ml-run-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&data).unwrap();
        let mut env = vec![("SHOP_DATA".to_owned(), data.display().to_string())];
        for process in listening {
            let name = process.to_uppercase();
            env.push((format!("SHOP_PROCESS__{name}__LISTEN"), free_port()));
        }
        for gateway in ["MONOLITH", "GATEWAY"] {
            env.push((format!("SHOP_PROCESS__{gateway}__HTTP"), "127.0.0.1:0".to_owned()));
        }
        Self { env, data }
    }

    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
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
