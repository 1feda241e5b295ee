//! The split shop of `app-split/observed.toml`, at ports that are free.

use super::{
    http::request,
    processes::{Process, Run, eventually, free_port, is_ready},
    shop::{ALL_SPLIT, Program},
    workspace::target,
};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) const MANIFEST: &str = "app-split/observed.toml";

/// All its processes, at work.
pub(crate) struct Observed {
    pub(crate) run: Run,
    pub(crate) manifest: PathBuf,
    /// By the names of their processes, those that are called before those that call.
    processes: Vec<(&'static str, Process)>,
    /// Where the gateway listens, and its admin address.
    pub(crate) gateway: String,
    pub(crate) admin: String,
    /// The admin addresses of all replicas.
    pub(crate) admins: Vec<String>,
}

impl Observed {
    pub(crate) fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let mut run = Run::new(name);
        for (key, value) in settings {
            run = run.with(key, *value);
        }
        let Addressed { text, gateway, admin, admins } = Addressed::new();
        let manifest = run.data.join("observed.toml");
        fs::write(&manifest, text).unwrap();
        let run = run.with("MONOLIFT_MANIFEST", manifest.display().to_string());
        let mut shop = Self { run, manifest, processes: Vec::new(), gateway, admin, admins };
        for Program { process, .. } in ALL_SPLIT.programs {
            // It has two replicas.
            let count = if *process == "orders" { 2 } else { 1 };
            (0..count).for_each(|_| shop.start_one(process));
        }
        eventually("the gateway is ready", || is_ready(&shop.gateway));
        shop
    }

    /// Starts one replica of a process.
    pub(crate) fn start_one(&mut self, name: &str) {
        let program = ALL_SPLIT.programs.iter().find(|program| program.process == name).unwrap();
        let mut process = self.run.start(&ALL_SPLIT.program(program.file));
        process.says(" shows its traces and metrics");
        self.processes.push((program.process, process));
    }

    /// Kills one replica of a process.
    pub(crate) fn kill_one(&mut self, name: &str) {
        let at = self.processes.iter().position(|(process, _)| *process == name).unwrap();
        self.processes.remove(at).1.kill();
    }

    /// Places an order. The result is the status.
    pub(crate) fn order(&self, sku: &str) -> u16 {
        let body = format!(r#"{{"user": "demo", "lines": [{{"sku": "{sku}", "quantity": 1}}]}}"#);
        request(&self.gateway, "POST", "/orders", &[], &body).unwrap().status
    }

    /// Places an order as part of a trace. The result is the status.
    pub(crate) fn order_as_part_of(&self, trace: &str) -> u16 {
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-00");
        let headers = [("traceparent", traceparent.as_str())];
        let body = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 1}]}"#;
        request(&self.gateway, "POST", "/orders", &headers, body).unwrap().status
    }

    /// Has `cargo monolift observe` write its files for this shop.
    pub(crate) fn written(&self) -> PathBuf {
        let folder = self.run.data.join("observe");
        let output = Command::new(target().join("debug/cargo-monolift"))
            .args(["observe", "--manifest"])
            .arg(&self.manifest)
            .arg("--out")
            .arg(&folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    }
}

/// The manifest at ports that are free.
struct Addressed {
    text: String,
    gateway: String,
    admin: String,
    admins: Vec<String>,
}

impl Addressed {
    fn new() -> Self {
        let mut text = root_file(MANIFEST);
        let mut admins = Vec::new();
        let stated: Vec<String> = text
            .split('"')
            .filter(|part| part.starts_with("127.0.0.1:"))
            .map(str::to_owned)
            .collect();
        for old in stated {
            let new = two_ports();
            // Admin addresses have ports from 7200. The process at 7206 has a second replica.
            if old.starts_with("127.0.0.1:72") {
                admins.push(new.clone());
            }
            if old == "127.0.0.1:7206" {
                admins.push(next(&new));
            }
            text = text.replacen(&old, &new, 1);
        }
        let of = |key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap();
            line.split('"').nth(1).unwrap().to_owned()
        };
        Self { gateway: of("http "), admin: of("admin"), admins, text }
    }
}

/// A port that is free, and the next one is too.
fn two_ports() -> String {
    loop {
        let first = free_port();
        if TcpListener::bind(next(&first)).is_ok() {
            return first;
        }
    }
}

fn next(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap();
    format!("{host}:{}", port.parse::<u16>().unwrap() + 1)
}

pub(crate) fn root_file(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(name)).unwrap()
}
