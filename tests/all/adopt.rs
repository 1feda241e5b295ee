//! `examples/adopt`: a plain program, the same with one module, and with that module as a service.
//! Its clients cannot tell. And `examples/postgres`: modules with all that sqlx has for one database.

use crate::{
    postgres::Postgres,
    system::{Process, Response, builds_into, free_port, request, target},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

struct Example {
    folder: PathBuf,
    target: PathBuf,
}

impl Example {
    fn of(path: &str) -> Self {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples");
        Self { folder: examples.join(path), target: target().join("examples") }
    }

    fn build(&self, env: &[(&str, &str)]) {
        let built = crate::cargo::cargo()
            .args(["build", "--quiet", "--locked", "--workspace"])
            .current_dir(&self.folder)
            .envs(builds_into(&self.target))
            // As the dependencies of this workspace are built.
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .envs(env.iter().copied())
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }

    /// Starts one of its programs; `env` says the rest.
    fn start(&self, program: &str, env: &[(&str, String)]) -> Process {
        let env: Vec<(String, String)> =
            env.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Process::start(&self.target.join("debug").join(program), &env)
    }
}

/// A member's requests, and what came back.
fn visit(address: &str) -> Vec<Response> {
    let ada = [("authorization", "Bearer ada-token")];
    let ask = |method, path, body| request(address, method, path, &ada, body).unwrap();
    vec![
        request(address, "GET", "/members", &[], "").unwrap(),
        request(address, "GET", "/members", &[("authorization", "Bearer nobody")], "").unwrap(),
        ask("GET", "/members", ""),
        ask("GET", "/members/1/profile", ""),
        ask("GET", "/members/2/profile", ""),
        ask("PUT", "/members/1/profile", r#"{"bio": "Likes looms."}"#),
        ask("PUT", "/members/2/profile", r#"{"bio": "Not hers."}"#),
        ask("PUT", "/members/1/profile", r#"{"boi": "?"}"#),
        ask("GET", "/members/1/profile", ""),
        ask("GET", "/members/x/profile", ""),
        ask("GET", "/nowhere", ""),
    ]
}

#[test]
#[ignore = "compiles three programs: cargo xtask test --long"]
fn clients_cannot_tell_how_far_the_program_has_come() {
    let postgres = Postgres::start();
    let own = |database: &str| {
        [("DATABASE_URL", postgres.database(database)), ("LISTEN", "127.0.0.1:0".to_owned())]
    };

    // As it was.
    let before = Example::of("adopt/1-before");
    before.build(&[]);
    let mut program = before.start("club", &own("before"));
    let expected = visit(&program.http());
    let statuses: Vec<u16> = expected.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [401, 401, 200, 200, 404, 200, 403, 422, 200, 400, 404], "{expected:#?}");
    assert!(expected[8].body.contains("Likes looms."), "{expected:#?}");
    drop(program);

    // After the first commit: the profiles are a module, in the program's own crate.
    let first = Example::of("adopt/2-first-commit");
    first.build(&[]);
    let mut program = first.start("club", &own("first"));
    assert_eq!(visit(&program.http()), expected);
    drop(program);

    // The module is a service that calls back.
    let service = Example::of("adopt/3-service");
    service.build(&[]);
    let [database, listen] = own("service");
    let url = database.1.clone();
    let env = [
        database,
        listen,
        ("CLUB_PROCESS__CLUB__LISTEN", free_port()),
        ("CLUB_PROCESS__PROFILES__LISTEN", free_port()),
        ("CLUB_PROFILES__DB__URL", url),
    ];
    let mut program = service.start("club", &env);
    program.says("host -> profiles -> accounts -> host");
    let address = program.http();
    let mut profiles = service.start("profiles", &env);
    profiles.says("profiles runs profiles");
    let ada = [("authorization", "Bearer ada-token")];
    let by = Instant::now() + Duration::from_secs(10);
    // The program has looked for the service before it was there, and looks again soon.
    while request(&address, "GET", "/members/1/profile", &ada, "").unwrap().status == 503 {
        assert!(Instant::now() < by, "the program does not find the service");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(visit(&address), expected);

    // Without the service, the program's own error body says so, and its other pages are there.
    drop(profiles);
    let start = Instant::now();
    let failed = request(&address, "GET", "/members/1/profile", &ada, "").unwrap();
    assert_eq!((failed.status, &*failed.body), (503, r#"{"error":"try again later"}"#));
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    assert_eq!(request(&address, "GET", "/members", &ada, "").unwrap(), expected[2]);
    let mut profiles = service.start("profiles", &env);
    profiles.says("profiles runs profiles");
    drop((program, profiles));
}

/// Built without a database, from the answers that were kept; run with a role for each module.
#[test]
#[ignore = "compiles an application: cargo xtask test --long"]
fn queries_are_checked_when_they_are_compiled() {
    let market = Example::of("postgres");
    market.build(&[("SQLX_OFFLINE", "true")]);
    let postgres = Postgres::start();
    let admin = postgres.database("market");
    let init = Command::new(target().join("debug/cargo-monolift"))
        .args(["db", "init", "--admin", &admin])
        .current_dir(&market.folder)
        .output()
        .unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let settings = target().join(format!("market-{}.toml", std::process::id()));
    std::fs::write(&settings, init.stdout).unwrap();
    let env = [
        ("MONOLIFT_SETTINGS", settings.display().to_string()),
        ("MARKET_PROCESS__APP__HTTP", "127.0.0.1:0".to_owned()),
    ];
    let mut app = market.start("app", &env);
    let address = app.http();
    app.says("schema carts, isolated: role market_carts reaches nothing else");
    let put = |sku: &str, quantity: i32| {
        let body = format!(r#"{{"sku": "{sku}", "quantity": {quantity}}}"#);
        let answer = request(&address, "POST", "/carts/mine", &[], &body).unwrap();
        (answer.status, answer.body)
    };
    assert_eq!(put("tea", 2), (200, "900".to_owned()));
    assert_eq!(put("pot", 1), (200, "3800".to_owned()));
    assert_eq!(put("gold", 1).0, 422);
    let price = request(&address, "GET", "/prices/tea", &[], "").unwrap();
    assert_eq!(price.body, r#"{"cents":450,"tags":["green","loose"]}"#);
    drop(app);
    std::fs::remove_file(settings).unwrap();
}
