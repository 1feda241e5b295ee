//! The shop in each placement, built once for all tests of a run, and started.

use super::{
    processes::{Process, Run, eventually, is_ready},
    workspace::{Workspace, edited, folder},
};
use std::{
    collections::BTreeSet,
    fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Which process each module lives in, and how that is built.
#[derive(Debug)]
pub struct Placement {
    pub name: &'static str,
    /// What is written in `deployment.toml`, and instead of what.
    words: &'static [(&'static str, &'static str)],
    packages: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    /// Those that are called before those that call, the gateway last.
    pub programs: &'static [Program],
}

#[derive(Debug)]
pub struct Program {
    pub file: &'static str,
    pub process: &'static str,
    pub modules: &'static [&'static str],
}

impl Program {
    const fn new(
        file: &'static str,
        process: &'static str,
        modules: &'static [&'static str],
    ) -> Self {
        Self { file, process, modules }
    }
}

/// As `deployment.toml` is.
pub const MONOLITH: Placement = Placement {
    name: "monolith",
    words: &[],
    packages: &["app-monolith", "payments"],
    env: &[],
    programs: &[Program::new(
        "app-monolith",
        "monolith",
        &["notifications", "orders", "payments", "reports", "stock", "users"],
    )],
};

/// One word is another.
pub const PAYMENTS_OUT: Placement = Placement {
    name: "payments-out",
    words: &[("payments      = \"monolith\"", "payments      = \"payments\"")],
    packages: &["app-monolith", "payments"],
    env: &[],
    programs: &[
        Program::new("payments", "payments", &["payments"]),
        Program::new(
            "app-monolith",
            "monolith",
            &["notifications", "orders", "reports", "stock", "users"],
        ),
    ],
};

/// Two modules share a process that is no module's own package.
pub const TWO_TOGETHER: Placement = Placement {
    name: "two-together",
    words: &[
        ("payments      = \"monolith\"", "payments      = \"back\""),
        ("stock         = \"monolith\"", "stock         = \"back\""),
        ("[process.monolith]", "[process.back]\nlisten = \"127.0.0.1:7105\"\n[process.monolith]"),
    ],
    packages: &["app-monolith", "app-split"],
    env: &[("MONOLIFT_MANIFEST", "deployment.toml"), ("MONOLIFT_PROCESS", "back")],
    programs: &[
        Program::new("process", "back", &["payments", "stock"]),
        Program::new("app-monolith", "monolith", &["notifications", "orders", "reports", "users"]),
    ],
};

/// Every module has a process of its own, behind a gateway that has none.
pub const ALL_SPLIT: Placement = Placement {
    name: "all-split",
    words: &[],
    packages: &["app-split", "notifications", "orders", "payments", "reports", "stock", "users"],
    env: &[("MONOLIFT_MANIFEST", "app-split/deployment.toml"), ("MONOLIFT_PROCESS", "gateway")],
    programs: &[
        Program::new("users", "users", &["users"]),
        Program::new("notifications", "notifications", &["notifications"]),
        Program::new("reports", "reports", &["reports"]),
        Program::new("stock", "stock", &["stock"]),
        Program::new("payments", "payments", &["payments"]),
        Program::new("orders", "orders", &["orders"]),
        Program::new("process", "gateway", &[]),
    ],
};

/// In the order in which they are built.
pub const PLACEMENTS: [&Placement; 4] = [&MONOLITH, &PAYMENTS_OUT, &TWO_TOGETHER, &ALL_SPLIT];

impl Placement {
    /// A program of it, as cargo built it.
    pub fn program(&self, file: &str) -> PathBuf {
        built().join(self.name).join(file)
    }

    /// What was compiled when this was built after the one before it.
    pub fn compiled(&self) -> BTreeSet<String> {
        let text = fs::read_to_string(built().join(self.name).join(COMPILED)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// A run of it whose data is new. Processes listen where nobody else does.
    pub fn run(&self, name: &str) -> Run {
        self.addressed(Run::new(&format!("{name}-{}", self.name)))
    }

    /// The run with the addresses of this placement.
    pub fn addressed(&self, mut run: Run) -> Run {
        for program in self.programs {
            run = run.listening(program.process);
        }
        run.gateway(self.programs.last().unwrap().process)
    }

    /// Starts all of it, and waits until it is ready.
    pub fn start(&'static self, run: &Run) -> Shop {
        let mut processes: Vec<Process> =
            self.programs.iter().map(|program| run.start(&self.program(program.file))).collect();
        let address = processes.last_mut().unwrap().http();
        eventually("the gateway is ready", || is_ready(&address));
        Shop { processes, address }
    }
}

/// All processes of a placement, at work.
pub struct Shop {
    processes: Vec<Process>,
    pub address: String,
}

impl Shop {
    /// Stops all, those that call before those that are called.
    pub fn stop(mut self) {
        while let Some(process) = self.processes.pop() {
            process.stop();
        }
    }
}

const COMPILED: &str = "compiled.txt";

/// The folder of what was built: in it one for each placement.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let programs = folder().join("programs");
        let workspace = Workspace::copy();
        // Another process of this run may have built them.
        let stamp = programs.join("run.txt");
        if fs::read_to_string(&stamp).ok().as_deref() != Some(run_id()) {
            build_all(&workspace, &programs);
            fs::write(&stamp, run_id()).unwrap();
        }
        programs
    })
}

fn build_all(workspace: &Workspace, programs: &Path) {
    if programs.exists() {
        fs::remove_dir_all(programs).unwrap();
    }
    let manifest = workspace.read("deployment.toml");
    for placement in PLACEMENTS {
        workspace.write("deployment.toml", &edited(&manifest, placement.words));
        let compiled = workspace.build(placement.packages, placement.env);
        let folder = programs.join(placement.name);
        fs::create_dir_all(&folder).unwrap();
        let lines: Vec<String> = compiled.into_iter().collect();
        fs::write(folder.join(COMPILED), lines.join("\n")).unwrap();
        for package in placement.packages {
            let file = if *package == "app-split" { "process" } else { package };
            // The linker writes a new file each time, so this one stays what it is.
            fs::hard_link(workspace.program(file), folder.join(file)).unwrap();
        }
    }
}

/// What the processes of one run of the tests have in common, and those of no other.
fn run_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let alone = || format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| alone())
    })
}
