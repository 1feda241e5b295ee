//! `examples/adopt`: one program in six states, from before Monolift to after it. The program's own suite passes
//! unchanged in all of them, on one database throughout, and clients find in each state what was stored in the first.

mod gazette;

use crate::{
    postgres::Postgres,
    system::{Response, eventually, free_port, request},
};
use gazette::{COMMITS, Gazette, bash, example, files, git, root};
use std::{fs, path::Path};

const SECRET: &str = "sixteen-characters-or-more";

/// A reader and an author whom no suite touches.
struct Story {
    token: String,
    article: String,
}

impl Story {
    fn begin(address: &str) -> Self {
        let post = |path: &str, token: &str, body: &str| {
            let token = format!("Token {token}");
            let headers = [("authorization", &*token)];
            let headers = if token == "Token " { &[][..] } else { &headers[..] };
            let answer = request(address, "POST", path, headers, body).unwrap();
            assert_eq!(answer.status, 201, "{answer:?}");
            serde_json::from_str::<serde_json::Value>(&answer.body).unwrap()
        };
        let register = |name: &str| {
            let body = format!(
                r#"{{"username": "{name}", "email": "{name}@example.org", "password": "correct horse"}}"#
            );
            post("/api/users", "", &body)["token"].as_str().unwrap().to_owned()
        };
        let (author, reader) = (register("first-author"), register("first-reader"));
        let article = r#"{"title": "The first", "summary": "S", "body": "B", "tags": ["kept"]}"#;
        let article = post("/api/articles", &author, article)["slug"].as_str().unwrap().to_owned();
        let comment = format!("/api/articles/{article}/comments");
        post(&comment, &reader, r#"{"body": "Well."}"#);
        let story = Self { token: reader, article };
        let change = r#"{"bio": "Reads.", "image": "https://example.org/r.png"}"#;
        assert_eq!(story.ask(address, "PATCH", "/api/me", change).status, 200);
        let follow = "/api/profiles/first-author/follow";
        assert_eq!(story.ask(address, "PUT", follow, "").status, 200);
        story
    }

    fn ask(&self, address: &str, method: &str, path: &str, body: &str) -> Response {
        let token = format!("Token {}", self.token);
        request(address, method, path, &[("authorization", &token)], body).unwrap()
    }

    /// All that clients see of it, byte by byte.
    fn seen(&self, address: &str) -> Vec<Response> {
        let article = format!("/api/articles/{}", self.article);
        let comments = format!("{article}/comments");
        let pages = [
            "/api/me",
            "/api/profiles/first-author",
            "/api/profiles/first-reader",
            "/api/profiles/first-author/followers",
            "/api/articles?author=first-author",
            "/api/feed",
            &article,
            &comments,
        ];
        let seen = pages.map(|page| self.ask(address, "GET", page, ""));
        assert!(seen.iter().all(|answer| answer.status == 200), "{seen:#?}");
        seen.into()
    }
}

/// A page of profiles, without the process that has them.
fn is_unavailable(answer: &Response) -> bool {
    let body = r#"{"error":{"code":"unavailable","message":"try again later"}}"#;
    (answer.status, &*answer.body) == (503, body)
}

#[test]
#[ignore = "compiles a program six times: cargo xtask test --long"]
fn the_suite_passes_in_all_six_states() {
    let postgres = Postgres::start();
    let database = postgres.database("gazette");
    let server = database.rsplit_once('/').unwrap().0;
    let mut gazette = Gazette::copy("states");
    gazette.exports("DATABASE_URL", &database);
    gazette.exports("TOKEN_SECRET", SECRET);
    let port = server.rsplit_once(':').unwrap().1.to_owned();
    for (key, value) in [("PGHOST", "127.0.0.1"), ("PGPORT", &port), ("PGUSER", "postgres")] {
        gazette.exports(key, value);
    }

    // 1. Before.
    gazette.build(false);
    let mut program = gazette.start("gazette", &[]);
    let address = program.http();
    let story = Story::begin(&address);
    let seen = story.seen(&address);
    let held = gazette.suite(&address);
    assert!(held >= 150, "{held}");
    program.stop();

    // 2. Wrapped: a module in the program's own process.
    gazette.typed("git am --quiet ../patches/0002-profiles-behind-a-trait.patch");
    gazette.build(true);
    gazette.checks("gazette\n  profiles\n");
    let mut program = gazette.start("gazette", &[]);
    let address = program.http();
    assert_eq!(story.seen(&address), seen);
    assert_eq!(gazette.suite(&address), held);
    program.stop();

    // 3. A service, on the program's database.
    gazette.typed("git am --quiet ../patches/0003-profiles-as-a-service.patch");
    gazette.build(true);
    gazette.checks("profiles\n  profiles\n");
    let (here, there) = (free_port(), free_port());
    let listen = ("GAZETTE_PROCESS__PROFILES__LISTEN", &*there);
    let shared = [listen, ("GAZETTE_PROFILES__DB__URL", &*database)];
    let mut program = gazette.start("gazette", &[listen]);
    let address = program.http();
    // Without the service its pages say so, in the program's own error body, and the others are there.
    let profile = || story.ask(&address, "GET", "/api/profiles/first-author", "");
    assert!(is_unavailable(&profile()), "{:?}", profile());
    assert_eq!(story.ask(&address, "GET", "/api/feed", ""), seen[5]);
    let mut service = gazette.start("profiles", &shared);
    service.says("profiles runs profiles");
    eventually("the program finds the service", || profile().status == 200);
    assert_eq!(story.seen(&address), seen);
    assert_eq!(gazette.suite(&address), held);
    program.stop();
    service.stop();

    // 4. A database of its own, with the rows moved.
    gazette.typed("git am --quiet ../patches/0004-a-database-of-its-own.patch");
    gazette.build(true);
    gazette.checks("profiles\n  profiles calls accounts\n");
    gazette.typed("createdb gazette_profiles");
    let own = format!("{server}/gazette_profiles");
    gazette.exports("GAZETTE_PROFILES__DB__URL", &own);
    let listen = [listen, ("GAZETTE_PROCESS__GAZETTE__LISTEN", &*here)];
    gazette.typed(
        "cargo monolift data copy profiles --from $DATABASE_URL --to $GAZETTE_PROFILES__DB__URL",
    );
    let rows = |url: &str| {
        let query = "SELECT (SELECT count(*) FROM profiles), (SELECT count(*) FROM follows)";
        let query = format!("psql {url} --tuples-only --command '{query}'");
        String::from_utf8(bash(&query, &gazette.tree, &gazette.env).stdout).unwrap()
    };
    assert!(rows(&own).contains('|'), "{}", rows(&own));
    assert_eq!(rows(&own), rows(&database));
    let mut service = gazette.start("profiles", &listen);
    service.says("profiles runs profiles");
    let mut program = gazette.start("gazette", &listen);
    program.says("host -> profiles -> accounts -> host");
    let address = program.http();
    gazette.typed("psql $DATABASE_URL --command 'DROP TABLE profiles_moved, follows_moved'");
    eventually("the program finds the service", || {
        story.ask(&address, "GET", "/api/me", "").status == 200
    });
    assert_eq!(story.seen(&address), seen);
    assert_eq!(gazette.suite(&address), held);
    // A page of articles needs the service for their authors. Tags do not.
    service.kill();
    let feed = story.ask(&address, "GET", "/api/feed", "");
    assert!(is_unavailable(&feed), "{feed:?}");
    assert_eq!(story.ask(&address, "GET", "/api/tags", "").status, 200);
    program.stop();

    // 5. Back in. The rows stay where they are.
    gazette.typed("git am --quiet ../patches/0005-back-in.patch");
    gazette.build(true);
    gazette.checks("gazette\n  accounts\n  profiles calls accounts\n");
    let mut program = gazette.start("gazette", &listen);
    let address = program.http();
    assert_eq!(story.seen(&address), seen);
    assert_eq!(gazette.suite(&address), held);
    program.stop();

    // 6. Without Monolift.
    gazette.typed("git am --quiet ../patches/0006-without-Monolift.patch");
    gazette.build(true);
    let lock = fs::read_to_string(gazette.tree.join("Cargo.lock")).unwrap();
    assert!(!lock.contains("monolift"), "a package still needs it");
    let mut program = gazette.start("gazette", &[("PROFILES_DATABASE_URL", &own)]);
    let address = program.http();
    assert_eq!(story.seen(&address), seen);
    assert_eq!(gazette.suite(&address), held);
    program.stop();
}

/// A commit's lines, as the table of the README has them. Lines that were moved are neither new nor removed.
fn counted(tree: &Path) -> [usize; 4] {
    let colours = ["oldMoved", "newMoved"].map(|kind| format!("color.diff.{kind}=blue"));
    let alternatives = ["oldMovedAlternative", "newMovedAlternative"]
        .map(|kind| format!("color.diff.{kind}=blue"));
    let mut arguments = Vec::new();
    for setting in colours.iter().chain(&alternatives) {
        arguments.extend(["-c", setting]);
    }
    arguments.extend(["diff", "--no-renames", "--color=always", "--color-moved=blocks"]);
    arguments.extend(["--color-moved-ws=ignore-all-space", "HEAD~1"]);
    let diff = git(tree, &arguments);
    let lines = |start: &str| diff.lines().filter(|line| line.starts_with(start)).count();
    let files = git(tree, &["diff", "--no-renames", "--name-only", "HEAD~1"]).lines().count();
    [files, lines("\u{1b}[32m+"), lines("\u{1b}[34m+"), lines("\u{1b}[31m-")]
}

/// Each commit applies to the state before it, leaves the suite and the lock file alone, and is as large as the README
/// says.
#[test]
fn the_readme_counts_the_lines_of_each_state() {
    let gazette = Gazette::copy("counted");
    let mut table = String::new();
    for (number, patch) in (2..).zip(COMMITS) {
        gazette.typed(&format!("git am --quiet ../patches/{patch}"));
        let changed = git(&gazette.tree, &["diff", "--name-only", "HEAD~1"]);
        let left_alone = |file: &str| !file.starts_with("tests/") && file != "Cargo.lock";
        assert!(changed.lines().all(left_alone), "{patch}: {changed}");
        let [files, new, moved, removed] = counted(&gazette.tree);
        table.push_str(&format!("| {number} | {files} | {new} | {moved} | {removed} |\n"));
    }
    let readme = fs::read_to_string(example().join("README.md")).unwrap();
    assert!(readme.contains(&table), "README.md of examples/adopt should have:\n{table}");

    // What there was to adopt it in.
    let lines = |folder: &str| -> usize {
        let files = files(&example().join("before").join(folder)).into_iter();
        files.map(|file| fs::read_to_string(file).unwrap().lines().count()).sum()
    };
    let (program, suite) = (lines("src") + lines("migrations"), lines("tests"));
    let said = format!("The program has {program} lines, and its suite {suite}.");
    assert!(readme.contains(&said), "README.md of examples/adopt should say: {said}");
}

/// The page says which versions a program needs, as the workspace states them.
#[test]
fn the_page_has_the_versions_of_the_workspace() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let page = fs::read_to_string(root().join("docs/adopt.md")).unwrap();
    let needed = ["rust-version", "axum", "sqlx", "schemars", "serde", "tokio", "thiserror"];
    for key in needed {
        let stated = workspace.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        let version = stated.unwrap().split('"').nth(1).unwrap();
        let name = if key == "rust-version" { "Rust" } else { key };
        let row = page.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap();
        let words: Vec<&str> = row.split([' ', ',']).collect();
        assert!(words.contains(&version), "{name} {version}: {row}");
    }
}
