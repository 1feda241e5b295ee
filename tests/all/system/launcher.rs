//! `cargo run -p app-split`: every process up, one that dies started again, and none left behind.

use super::{
    http::{get, request},
    processes::{Process, eventually, free_port, is_ready},
    shop::MONOLITH,
    tables::MODULES,
    workspace::Workspace,
};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

/// The launcher in a copy of the workspace, whose processes listen at free ports.
struct Launched {
    launcher: Process,
    gateway: String,
    env: Vec<(String, String)>,
    data: std::path::PathBuf,
    workspace: Workspace,
}

impl Launched {
    fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    fn start_with(name: &str, arguments: &[&str]) -> Self {
        let workspace = Workspace::copy();
        workspace.build(&["app-split"], &[]);
        let data = std::env::temp_dir().join(format!("ml-up-{}-{name}", std::process::id()));
        let gateway = free_port();
        let mut env = vec![
            ("SHOP_DATA".to_owned(), data.display().to_string()),
            ("SHOP_PROCESS__GATEWAY__HTTP".to_owned(), gateway.clone()),
        ];
        env.extend(workspace.env());
        for module in MODULES {
            let key = format!("SHOP_PROCESS__{}__LISTEN", module.to_uppercase());
            env.push((key, free_port()));
        }
        let program = workspace.program("app-split");
        let mut launcher = Process::start_in(&program, arguments, &env, &workspace.root);
        launcher.says("all are ready");
        let shown = launcher.said().lines().find(|line| line.contains(" shows the application"));
        let shown = shown.unwrap_or_else(|| panic!("no admin address: {}", launcher.said()));
        let admin = shown.strip_prefix("http://").unwrap().split(' ').next().unwrap();
        assert_eq!(request(admin, "GET", "/api/processes", &[], "").unwrap().status, 200);
        Self { launcher, gateway, env, data, workspace }
    }

    /// Where a process listens for the others.
    fn listen(&self, process: &str) -> &str {
        let key = format!("SHOP_PROCESS__{}__LISTEN", process.to_uppercase());
        &self.env.iter().find(|(name, _)| *name == key).unwrap().1
    }

    /// Each process's number, as the table has it.
    fn processes(&self) -> BTreeMap<String, u32> {
        let lines = self.launcher.said().lines().filter(|line| line.ends_with("  ready"));
        let cells = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        cells.map(|cells| (cells[0].to_owned(), cells[3].parse().unwrap())).collect()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.data);
    }
}

fn lives(pid: u32) -> bool {
    // One that has ended, and that nobody has asked after, has no program.
    fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe")).is_ok()
}

/// Places an order, which is the same one under the same key: nothing is sold out by asking again.
fn order(address: &str, key: &str) -> u16 {
    let body = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 1}]}"#;
    let headers = [("idempotency-key", key)];
    request(address, "POST", "/orders", &headers, body).map_or(0, |answer| answer.status)
}

#[test]
fn every_process_is_up_and_none_is_left_behind() {
    let mut all = Launched::start("stop");
    let processes = all.processes();
    assert_eq!(processes.len(), 7, "{}", all.launcher.said());
    assert!(is_ready(&all.gateway));
    // Processes start one after another, so their callers do not find them at first.
    let said = all.launcher.said();
    let noise = ["WARN", "ERROR", "refused", "cannot be reached", "reached "];
    assert!(!noise.iter().any(|noise| said.contains(noise)), "{said}");
    assert_eq!(order(&all.gateway, "first"), 201);

    // Nobody has said anything of TLS.
    assert!(said.contains("encrypted from now on, with new certificates"), "{said}");
    assert_eq!(fs::read_to_string(all.data.join("tls/.gitignore")).unwrap(), "*\n");
    let hello = first_bytes(all.listen("payments"));
    assert!(!hello.windows(8).any(|bytes| bytes == b"monolift"), "{hello:?}");

    let payments = processes["payments"];
    super::processes::send("KILL", payments);
    all.launcher.says("payments died (signal: 9 (SIGKILL))");
    let again = all.launcher.says("payments is up again (pid ");
    let again: u32 = again.trim_end_matches(')').parse().unwrap();
    assert!(lives(again) && !lives(payments));
    eventually("orders are placed again", || order(&all.gateway, "again") == 201);

    all.launcher.signal("TERM");
    let (status, said) = all.launcher.ended_in_place();
    assert!(status.success(), "{said}");
    let mut pids: Vec<u32> = processes.into_values().collect();
    pids.push(again);
    assert!(!pids.into_iter().any(lives), "{said}");

    // It has built the programs, and cargo had told it of another package. What was compiled stays so.
    let compiled = all.workspace.build(&["app-split"], &[]);
    let libraries: Vec<_> = compiled.iter().filter(|target| !target.starts_with("bin ")).collect();
    assert!(libraries.is_empty(), "{libraries:?}");
}

/// What a process answers to somebody who says hello without TLS: its own hello, if it speaks without TLS too.
fn first_bytes(address: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.write_all(b"monolift").unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    answer
}

#[test]
fn a_launcher_that_is_killed_leaves_nothing_behind() {
    let all = Launched::start("killed");
    let pids: Vec<u32> = all.processes().into_values().collect();
    assert_eq!(get(&all.gateway, "/livez").status, 200);
    all.launcher.signal("KILL");
    eventually("they have all gone", || !pids.iter().copied().any(lives));
}

#[test]
fn some_processes_are_started_and_one_by_itself_beside_them() {
    let payments = MONOLITH.program("payments");
    let some =
        Launched::start_with("some", &["--only", "gateway,notifications,orders,stock,users"]);
    let started: Vec<String> = some.processes().into_keys().collect();
    let expected = ["gateway", "notifications", "orders", "stock", "users"];
    assert_eq!(started, expected, "{}", some.launcher.said());
    let said = some.launcher.said();
    assert!(said.contains("not started: payments"), "{said}");
    assert_eq!(get(&some.gateway, "/products/tea/stock").status, 200);
    assert_eq!(order(&some.gateway, "without"), 503);
    assert!(!is_ready(&some.gateway));
    // `cargo run -p payments` with the same manifest. It finds the certificates of the others.
    let mut env = some.env.clone();
    env.push(("MONOLIFT_MANIFEST".to_owned(), "app-split/deployment.toml".to_owned()));
    let _payments = Process::start_in(&payments, &[], &env, &some.workspace.root);
    eventually("orders are placed", || order(&some.gateway, "with") == 201);
}

#[test]
fn fakes_answer_for_processes_that_are_not_started() {
    // Whoever orders has logged in: a fake's token would be no token.
    let some = Launched::start_with("fakes", &["--only", "gateway,orders,users", "--fakes"]);
    let started: Vec<String> = some.processes().into_keys().collect();
    assert_eq!(started, ["gateway", "orders", "users"], "{}", some.launcher.said());
    let said = some.launcher.said();
    assert!(said.contains("are answered with examples"), "{said}");
    // Orders, a real module, calls the fakes of stock and payments.
    assert_eq!(order(&some.gateway, "first"), 201);
    assert_eq!(get(&some.gateway, "/products/tea/stock").status, 200);
    assert!(is_ready(&some.gateway));
}
