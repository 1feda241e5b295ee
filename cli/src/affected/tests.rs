//! Prepared changes to a small repository with the layout of the shop, each with the processes that it must reach.

use super::*;
use std::{collections::BTreeSet, fs, process::Command};

const MANIFEST: &str = "app-split/deployment.toml";
const ALL: [&str; 6] = ["gateway", "notifications", "orders", "payments", "stock", "users"];

/// A change of one file.
enum Edit {
    /// The file has this text. It may be new.
    Put(&'static str),
    /// The second text stands where the first one stood.
    Replace(&'static str, &'static str),
    Remove,
}
use Edit::{Put, Remove, Replace};

/// What is changed, and which processes that reaches.
type Case = (&'static str, &'static [(&'static str, Edit)], &'static [&'static str]);

const CASES: &[Case] = &[
    ("a module", &[("modules/stock/src/lib.rs", Put("// other\n"))], &["stock"]),
    (
        "an api",
        &[("modules/stock/api/src/lib.rs", Put("pub struct Other;\n"))],
        &["gateway", "orders", "stock"],
    ),
    (
        "an api that one module calls",
        &[("modules/payments/api/src/lib.rs", Put("pub struct Other;\n"))],
        &["gateway", "orders", "payments"],
    ),
    (
        "the api of a module that calls others",
        &[("modules/orders/api/src/lib.rs", Put("pub struct Other;\n"))],
        &["gateway", "orders"],
    ),
    (
        "a library that all share",
        &[("libs/shop-types/src/lib.rs", Put("pub struct Other;\n"))],
        &ALL,
    ),
    (
        "a library of one module and the program",
        &[("libs/mailer/src/lib.rs", Put("pub struct Other;\n"))],
        &["gateway", "notifications"],
    ),
    ("the framework", &[("framework/src/lib.rs", Put("pub struct Other;\n"))], &ALL),
    ("the framework's macros", &[("macros/src/lib.rs", Put("// other\n"))], &ALL),
    (
        "a migration",
        &[("migrations/orders/0001_orders.sql", Put("CREATE TABLE o (id TEXT);\n"))],
        &["orders"],
    ),
    (
        "a new migration",
        &[("migrations/stock/0002_more.sql", Put("CREATE TABLE s (id TEXT);\n"))],
        &["stock"],
    ),
    (
        "a migration of no module",
        &[("migrations/coupons/0001.sql", Put("CREATE TABLE c (id TEXT);\n"))],
        &ALL,
    ),
    ("a build script", &[("modules/orders/build.rs", Put("fn main() {}\n"))], &["orders"]),
    (
        "a module that is moved",
        &[(MANIFEST, Replace("payments      = \"payments\"", "payments      = \"orders\""))],
        &["gateway", "orders"],
    ),
    ("an address", &[(MANIFEST, Replace("7102", "7112"))], &["gateway", "orders", "stock"]),
    (
        "retries of a process",
        &[(
            MANIFEST,
            Replace("[process.users]", "[process.users.retries]\nattempts = 2\n[process.users]"),
        )],
        &["gateway", "orders", "users"],
    ),
    (
        "what holds for all processes",
        &[(
            MANIFEST,
            Replace("[process.gateway]", "[calls]\ndeadline = \"3s\"\n[process.gateway]"),
        )],
        &ALL,
    ),
    (
        "a comment of the manifest",
        &[(MANIFEST, Replace("app = \"shop\"", "app = \"shop\" # the shop"))],
        &[],
    ),
    ("another manifest", &[("deployment.toml", Replace("7104", "7114"))], &[]),
    (
        "a version that one module uses",
        &[("Cargo.lock", Replace("version = \"0.5.3\"", "version = \"0.5.4\""))],
        &["users"],
    ),
    (
        "a version below that of one module",
        &[("Cargo.lock", Replace("checksum = \"rand_core\"", "checksum = \"other\""))],
        &["orders"],
    ),
    (
        "a version that only tools use",
        &[("Cargo.lock", Replace("checksum = \"clap\"", "checksum = \"other\""))],
        &[],
    ),
    (
        "a version that only tests use",
        &[("Cargo.lock", Replace("checksum = \"proptest\"", "checksum = \"other\""))],
        &[],
    ),
    (
        "a version that all use",
        &[("Cargo.lock", Replace("checksum = \"serde\"", "checksum = \"other\""))],
        &ALL,
    ),
    ("a lock file that cannot be read", &[("Cargo.lock", Put("<<<<<<<\n"))], &ALL),
    ("a README", &[("README.md", Put("# Other\n"))], &[]),
    ("a README of a module", &[("modules/stock/README.md", Put("# Other\n"))], &[]),
    ("a picture of the docs", &[("docs/map.svg", Put("<svg/>\n"))], &[]),
    ("a page that a module embeds", &[("docs/stock.md", Put("# Other\n"))], &["stock"]),
    (
        "an asset of a module",
        &[("modules/users/templates/mail.html", Put("<p>other</p>\n"))],
        &["users"],
    ),
    (
        "a shared dependency",
        &[(
            "Cargo.toml",
            Replace("rand = \"0.9\"", "rand = { version = \"0.9\", features = [\"log\"] }"),
        )],
        &["orders"],
    ),
    (
        "a profile",
        &[(
            "Cargo.toml",
            Replace(
                "[workspace.lints.rust]",
                "[profile.release]\nlto = true\n[workspace.lints.rust]",
            ),
        )],
        &ALL,
    ),
    (
        "lints",
        &[("Cargo.toml", Replace("unsafe_code = \"forbid\"", "unsafe_code = \"deny\""))],
        &[],
    ),
    ("the compiler", &[("rust-toolchain.toml", Put("[toolchain]\nchannel = \"1.95\"\n"))], &ALL),
    ("settings of cargo", &[(".cargo/config.toml", Put("[build]\nrustflags = []\n"))], &ALL),
    (
        "a declared call",
        &[(
            "modules/payments/Cargo.toml",
            Replace(
                "[dependencies]\n",
                "[dependencies]\nstock-api = { path = \"../stock/api\" }\n",
            ),
        )],
        &["payments", "stock"],
    ),
    (
        "what a package states for Monolift",
        &[(
            "modules/stock/api/Cargo.toml",
            Replace(
                "[dependencies]\n",
                "[package.metadata.monolift]\nauth = true\n[dependencies]\n",
            ),
        )],
        &ALL,
    ),
    ("a file that no rule knows", &[("Makefile", Put("all:\n"))], &ALL),
    ("a tool", &[("xtask/src/main.rs", Put("fn main() { println!(); }\n"))], &[]),
    (
        "the program of several processes",
        &[("app-split/src/bin/process.rs", Put("fn main() { mailer::send(); }\n"))],
        &["gateway"],
    ),
    ("checked queries", &[(".sqlx/query-1.json", Put("{}\n"))], &["orders", "payments"]),
    ("a source that is gone", &[("modules/users/src/password.rs", Remove)], &["users"]),
    (
        "a source that has moved",
        &[
            ("modules/users/src/password.rs", Remove),
            ("modules/stock/src/password.rs", Put("pub fn hash() {}\n")),
        ],
        &["stock", "users"],
    ),
    (
        "another workspace",
        &[("examples/tour/src/main.rs", Put("fn main() { println!(); }\n"))],
        &[],
    ),
    (
        "objects of one process",
        &[(
            "deploy/kubernetes/base/stock.yaml",
            Put(
                "# Written by `cargo monolift deploy kubernetes` from app-split/deployment.toml.\n",
            ),
        )],
        &["stock"],
    ),
    (
        "objects of all processes",
        &[(
            "deploy/kubernetes/overlays/production/kustomization.yaml",
            Put(
                "# Yours: `cargo monolift deploy kubernetes` has begun this file, and does not write it again.\n",
            ),
        )],
        &ALL,
    ),
    (
        "the composed system",
        &[(
            "deploy/compose/compose.yaml",
            Put("# Written by `cargo monolift deploy compose` from app-split/deployment.toml.\n"),
        )],
        &[],
    ),
    (
        "a README and a module",
        &[("README.md", Put("# Other\n")), ("modules/notifications/src/lib.rs", Put("// other\n"))],
        &["notifications"],
    ),
];

#[test]
fn every_prepared_change_reaches_what_it_must() {
    let shop = Repository::new("cases");
    let mut wrong = Vec::new();
    for (what, edits, expected) in CASES {
        let undo = shop.edit(edits);
        let answer = shop.answer("HEAD");
        let reached: BTreeSet<&str> =
            answer.processes.iter().map(|process| process.name.as_str()).collect();
        if reached != expected.iter().copied().collect() {
            wrong.push(format!("{what}: {reached:?} instead of {expected:?}\n{}", shown(&answer)));
        }
        // No file is passed over: each is a reason, or has one for reaching nothing.
        let said = shown(&answer);
        for (file, _) in *edits {
            assert!(said.contains(&format!("{file}: ")), "{what}: {said}");
        }
        assert_eq!(answer.processes.is_empty() && answer.reach_none.is_empty(), edits.is_empty());
        shop.undo(undo);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(CASES.len() >= 30);
    assert_eq!(shown(&shop.answer("HEAD")), "nothing has changed\n");
}

#[test]
fn what_is_committed_and_what_is_not_are_one_change() {
    let shop = Repository::new("committed");
    shop.edit(&[("modules/users/src/lib.rs", Put("// other\n"))]);
    shop.git(&["commit", "--quiet", "--all", "--message", "one"]);
    shop.edit(&[("modules/stock/src/lib.rs", Put("// other\n"))]);
    shop.git(&["add", "shop/modules/stock"]);
    shop.edit(&[("migrations/payments/0002_more.sql", Put("SELECT 1;\n"))]);
    let names = |revision| -> Vec<String> {
        shop.answer(revision).processes.into_iter().map(|process| process.name).collect()
    };
    assert_eq!(names("HEAD~1"), ["payments", "stock", "users"]);
    assert_eq!(names("HEAD"), ["payments", "stock"]);
    let refused = Changes::since(&shop.root, "nowhere").unwrap_err().to_string();
    assert!(refused.starts_with("git diff: "), "{refused}");
    assert!(Changes::since(&shop.root, "--output=x").is_err());
}

#[test]
fn each_reason_says_how_the_change_gets_there() {
    let shop = Repository::new("reasons");
    shop.edit(&[
        ("modules/stock/api/src/lib.rs", Put("pub struct Other;\n")),
        ("README.md", Put("# Other\n")),
    ]);
    let answer = shop.answer("HEAD");
    // Those that are called come before those that call.
    let expected = "\
stock
  modules/stock/api/src/lib.rs: it is a part, package `stock-api`, which `stock` needs
orders
  modules/stock/api/src/lib.rs: it is a part, package `stock-api`, which `orders` needs
gateway
  modules/stock/api/src/lib.rs: it is a part, package `stock-api`, which `app-split` needs
no process
  README.md: it is documentation
";
    assert_eq!(shown(&answer), expected);
    let packages: Vec<&str> = answer.packages.iter().map(String::as_str).collect();
    assert_eq!(packages, ["app-split", "orders", "stock", "stock-api"]);
    let json = as_json(&answer, Some("HEAD"));
    assert_eq!(json["processes"][2]["package"], "app-split");
    assert_eq!(json["reach_none"][0]["file"], "README.md");
}

#[test]
fn tests_are_reached_by_what_they_alone_need() {
    let shop = Repository::new("tests");
    shop.edit(&[("Cargo.lock", Replace("checksum = \"proptest\"", "checksum = \"other\""))]);
    let answer = shop.answer("HEAD");
    assert!(answer.processes.is_empty());
    assert_eq!(answer.packages.iter().collect::<Vec<_>>(), ["payments"]);
}

#[test]
fn without_a_revision_all_is_affected() {
    let shop = Repository::new("all");
    let answer = Answer::all(&shop.deployment(), "no revision is given").unwrap();
    let names: Vec<&str> = answer.processes.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["notifications", "payments", "stock", "users", "orders", "gateway"]);
}

/// A repository of git with a shop in a folder of it, in a folder that is removed at the end.
struct Repository {
    folder: PathBuf,
    root: PathBuf,
}

impl Repository {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("ml-affected-{}-{name}", std::process::id()));
        let shop = Self { root: folder.join("shop"), folder };
        for (file, text) in files() {
            shop.put(&file, &text);
        }
        shop.git(&["init", "--quiet"]);
        shop.git(&["add", "."]);
        shop.git(&["commit", "--quiet", "--message", "the shop"]);
        shop
    }

    fn git(&self, arguments: &[&str]) {
        let who = ["-c", "user.name=shop", "-c", "user.email=shop@example.org"];
        let fixed = ["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgsign=false"];
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.folder).args(who).args(fixed).args(arguments);
        let output = git.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn deployment(&self) -> Deployment {
        Deployment::read(&self.root, Path::new(MANIFEST)).unwrap()
    }

    fn answer(&self, revision: &str) -> Answer {
        let changes = Changes::since(&self.root, revision).unwrap();
        self.deployment().reached_by(&changes).unwrap()
    }

    fn put(&self, file: &str, text: &str) {
        let path = self.root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Makes the edits. The result is how the files were.
    fn edit(&self, edits: &[(&'static str, Edit)]) -> Vec<(&'static str, Option<String>)> {
        let mut undo = Vec::new();
        for (file, edit) in edits {
            let path = self.root.join(file);
            let before = fs::read_to_string(&path).ok();
            match edit {
                Put(text) => self.put(file, text),
                Replace(from, to) => {
                    let text = before.clone().unwrap();
                    assert!(text.contains(from), "no {from:?} in {file}");
                    self.put(file, &text.replacen(from, to, 1));
                }
                Remove => fs::remove_file(&path).unwrap(),
            }
            undo.push((*file, before));
        }
        undo
    }

    fn undo(&self, undo: Vec<(&'static str, Option<String>)>) {
        for (file, before) in undo {
            match before {
                Some(text) => self.put(file, &text),
                None => fs::remove_file(self.root.join(file)).unwrap(),
            }
        }
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The modules, what each calls, and what else it depends on.
const MODULES: [(&str, &[&str], &str); 5] = [
    ("users", &[], "argon2 = \"0.5\"\n"),
    ("stock", &[], ""),
    (
        "orders",
        &["users", "stock", "payments", "notifications"],
        "rand.workspace = true\nsqlx.workspace = true\n",
    ),
    ("payments", &[], "sqlx.workspace = true\n[dev-dependencies]\nproptest = \"1\"\n"),
    ("notifications", &[], "mailer = { path = \"../../libs/mailer\" }\n"),
];

/// The files of the repository's shop.
fn files() -> Vec<(String, String)> {
    let mut files = vec![
        file("README.md", "# The shop\n"),
        file("docs/stock.md", "# Stock\n"),
        file(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"framework\", \"macros\", \"modules/*\", \"modules/*/api\", \"libs/*\", \
             \"app-split\", \"xtask\"]\nexclude = [\"examples\"]\n[workspace.dependencies]\nmonolift = { path = \"framework\" }\n\
             serde = \"1\"\nrand = \"0.9\"\nsqlx = \"0.9\"\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n",
        ),
        file(
            "framework/Cargo.toml",
            &package("monolift", "monolift-macros = { path = \"../macros\" }\n"),
        ),
        file("framework/src/lib.rs", ""),
        file("macros/Cargo.toml", &package("monolift-macros", "")),
        file("macros/src/lib.rs", ""),
        file("libs/shop-types/Cargo.toml", &package("shop-types", "serde.workspace = true\n")),
        file("libs/shop-types/src/lib.rs", ""),
        file("libs/mailer/Cargo.toml", &package("mailer", "")),
        file("libs/mailer/src/lib.rs", "pub fn send() {}\n"),
        file("xtask/Cargo.toml", &package("xtask", "clap = \"4\"\n")),
        file("xtask/src/main.rs", "fn main() {}\n"),
        file("examples/tour/Cargo.toml", "[workspace]\n[package]\nname = \"tour\"\n"),
        file("examples/tour/src/main.rs", "fn main() {}\n"),
        file(
            "app-split/src/bin/process.rs",
            "// As orders::Orders does.\nfn main() { mailer::send() }\n",
        ),
        file("Cargo.lock", &lock()),
    ];
    let mut program =
        String::from("mailer = { path = \"../libs/mailer\" }\nmonolift.workspace = true\n");
    let mut placed = String::from("app = \"shop\"\n[modules]\n");
    let mut processes = String::from("[process.gateway]\nhttp = \"127.0.0.1:8080\"\n");
    let mut together = String::from("app = \"shop\"\n[modules]\n");
    for (at, (module, calls, others)) in MODULES.into_iter().enumerate() {
        let mut needs = format!("monolift.workspace = true\n{module}-api = {{ path = \"api\" }}\n");
        for called in calls {
            needs += &format!("{called}-api = {{ path = \"../{called}/api\" }}\n");
        }
        let api =
            "monolift.workspace = true\nshop-types = { path = \"../../../libs/shop-types\" }\n";
        files.push(file(
            &format!("modules/{module}/Cargo.toml"),
            &package(module, &(needs + others)),
        ));
        files.push(file(&format!("modules/{module}/src/lib.rs"), ""));
        files.push(file(
            &format!("modules/{module}/api/Cargo.toml"),
            &package(&format!("{module}-api"), api),
        ));
        files.push(file(&format!("modules/{module}/api/src/lib.rs"), ""));
        files.push(file(&format!("migrations/{module}/0001_{module}.sql"), "SELECT 0;\n"));
        program += &format!(
            "{module} = {{ path = \"../modules/{module}\" }}\n{module}-api = {{ path = \"../modules/{module}/api\" }}\n"
        );
        placed += &format!("{module:13} = \"{module}\"\n");
        together += &format!("{module} = \"monolith\"\n");
        processes += &format!("[process.{module}]\nlisten = \"127.0.0.1:710{}\"\n", at + 1);
    }
    let mark = "[package.metadata.monolift]\nprocess = \"process\"\n";
    files.push(file("app-split/Cargo.toml", &format!("{}{mark}", package("app-split", &program))));
    files.push(file(MANIFEST, &(placed + &processes)));
    files.push(file(
        "deployment.toml",
        &(together
            + "[process.monolith]\nhttp = \"127.0.0.1:8080\"\nlisten = \"127.0.0.1:7104\"\n"),
    ));
    files.push(file(
        "modules/stock/src/docs.rs",
        "pub const TEXT: &str = include_str!(\"../../../docs/stock.md\");\n",
    ));
    files.push(file("modules/stock/README.md", "# Stock\n"));
    files.push(file("modules/users/src/password.rs", "pub fn hash() {}\n"));
    files.push(file("modules/users/templates/mail.html", "<p>hello</p>\n"));
    files.push(file(
        "modules/orders/build.rs",
        "fn main() { println!(\"cargo::rerun-if-changed=../../migrations/orders\"); }\n",
    ));
    files
}

fn file(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

fn package(name: &str, dependencies: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n[dependencies]\n{dependencies}")
}

/// What cargo would write: what each package from elsewhere depends on, and which of them the members use.
fn lock() -> String {
    let mut text = String::from("version = 4\n");
    let others: [(&str, &str, &[&str]); 8] = [
        ("argon2", "0.5.3", &[]),
        ("clap", "4.6.0", &[]),
        ("proptest", "1.12.0", &[]),
        ("rand", "0.9.1", &["rand_core"]),
        ("rand_core", "0.9.3", &[]),
        ("serde", "1.0.228", &["serde_derive"]),
        ("serde_derive", "1.0.228", &[]),
        ("sqlx", "0.9.0", &[]),
    ];
    let mut add = |name: &str, version: &str, source: &str, dependencies: &[&str]| {
        let listed: Vec<String> = dependencies.iter().map(|one| format!("\"{one}\"")).collect();
        text += &format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n{source}dependencies = [{}]\n",
            listed.join(", ")
        );
    };
    for (name, version, dependencies) in others {
        add(
            name,
            version,
            &format!("source = \"registry\"\nchecksum = \"{name}\"\n"),
            dependencies,
        );
    }
    add("monolift", "0.1.0", "", &["monolift-macros"]);
    add("monolift-macros", "0.1.0", "", &[]);
    add("shop-types", "0.1.0", "", &["serde"]);
    add("mailer", "0.1.0", "", &[]);
    add("xtask", "0.1.0", "", &["clap"]);
    add("users", "0.1.0", "", &["argon2", "monolift", "users-api"]);
    add("stock", "0.1.0", "", &["monolift", "stock-api"]);
    add("orders", "0.1.0", "", &["monolift", "orders-api", "rand", "sqlx"]);
    add("payments", "0.1.0", "", &["monolift", "payments-api", "proptest", "sqlx"]);
    add("notifications", "0.1.0", "", &["mailer", "monolift", "notifications-api"]);
    for (module, ..) in MODULES {
        add(&format!("{module}-api"), "0.1.0", "", &["monolift", "shop-types"]);
    }
    text
}
