//! Each command that the pages for users show is run: here, or by another test that this one names.

use super::{
    observed::Observed,
    processes::{Process, Run, eventually, free_port, is_ready},
    workspace::target,
};
use crate::postgres::Postgres;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// How a command of a page is checked.
enum Check {
    /// It is run here, beside a monolith, and must succeed.
    Run,
    /// It starts the monolith, which must become ready.
    Start,
    /// Another test, or a step of `cargo xtask test`, does what it does. The name is that of its function.
    By(&'static str),
}

use Check::{By, Run as Runs, Start};

/// The steps of docs/adopt.md, which follow each other.
const SIX: Check = By("the_suite_passes_in_all_six_states");

/// Those by which docs/observe.md follows a slow order.
const SLOW_ORDER: &str = "a_slow_order_is_followed_to_its_line_in_both_shapes";
/// Those of Prometheus.
const PROMETHEUS: &str = "prometheus_scrapes_every_process_and_tells_which_is_gone";

/// What is written for other machines. A cluster and an engine for containers are not here: their objects and their parts are
/// checked.
const DEPLOYED: Check = By("committed_files_are_up_to_date");
const CLUSTER: Check = By("kubernetes_takes_the_objects");
const COMPOSED: Check = By("the_roles_of_the_composed_system_reach_their_tables_and_no_others");
const RIGHTS: Check = By("the_matrix_has_every_method_with_its_rule_and_its_callers");
const PROVIDER: Check = By("tokens_of_a_certified_provider_count_through_new_keys_and_an_outage");
const EVENTS: Check = By("parked_events_are_looked_at_handled_again_and_given_up");

const ERASE: Check = By("what_is_kept_of_a_person_is_exported_and_erased");

/// Logs the demo customer in. It stands before each command that has the token.
const LOG_IN: &str = "TOKEN=$(curl localhost:8080/sessions -H 'content-type: application/json' \
                      -d '{\"email\": \"demo@example.org\", \"password\": \"demo-password\"}' | \
                      sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')";

/// Every command, as the pages show it, without comments.
const COMMANDS: &[(&str, Check)] = &[
    ("cargo run", By("one_word_moves_a_module_and_nothing_else")),
    ("cargo run -p payments", By("one_word_moves_a_module_and_nothing_else")),
    ("cargo run -p app-split", By("every_process_is_up_and_none_is_left_behind")),
    (
        "sed -i 's/^payments .*/payments      = \"payments\"/' deployment.toml",
        By("the_tour_changes_one_word"),
    ),
    ("git checkout deployment.toml", By("one_word_moves_a_module_and_nothing_else")),
    (
        "cargo run -p monolift-cli -- compare",
        By("an_application_is_compared_with_itself_in_several_processes"),
    ),
    (LOG_IN, Runs),
    (
        "curl localhost:8080/orders -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' \
         -H 'idempotency-key: first' -d '{\"user\": \"demo\", \"lines\": [{\"sku\": \"tea\", \"quantity\": 2}]}'",
        Runs,
    ),
    ("curl localhost:8080/products/tea/stock", Runs),
    ("curl localhost:8080/openapi.json", Runs),
    ("curl localhost:8080/readyz", Runs),
    ("cargo monolift check", Runs),
    ("cargo monolift config", Runs),
    ("cargo monolift work", Runs),
    ("cargo monolift work retry orders", Runs),
    ("cargo monolift new module coupons", By("a_new_module_is_part_of_the_workspace")),
    ("cargo monolift new app shop2", By("a_new_application_runs_and_takes_another_module")),
    ("cargo test -p coupons", By("a_new_module_is_part_of_the_workspace")),
    (
        "cargo monolift db init --admin postgres://postgres@localhost/shop --write settings.toml",
        By("the_database_keeps_a_module_to_its_own_tables"),
    ),
    (
        "cargo monolift db init --shared --admin postgres://postgres@localhost/shop --write settings.toml",
        By("the_database_keeps_a_module_to_its_own_tables_on_a_shared_pool"),
    ),
    ("SHOP_OBSERVE__SLOW=1s SHOP_PROCESS__MONOLITH__ADMIN=127.0.0.1:7200 cargo run", Start),
    ("cargo monolift up --manifest app-split/observed.toml", By(SLOW_ORDER)),
    (
        "curl localhost:8080/orders -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' \
         -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' \
         -d '{\"user\": \"demo\", \"card\": \"slow\", \"lines\": [{\"sku\": \"tea\", \"quantity\": 1}]}'",
        By(SLOW_ORDER),
    ),
    ("curl '127.0.0.1:7200/api/traces?route=orders&because=slow&min_ms=1000'", By(SLOW_ORDER)),
    ("curl 127.0.0.1:7200/api/traces/4bf92f3577b34da6a3ce929d0e0e4736", By(SLOW_ORDER)),
    (
        "curl -X PUT 127.0.0.1:7200/api/log -H 'content-type: application/json' \
         -d '{\"levels\": \"payments=debug\"}'",
        By(SLOW_ORDER),
    ),
    ("grep -n 'async fn authorise' modules/payments/src/lib.rs", By(SLOW_ORDER)),
    ("curl '127.0.0.1:7200/api/traces?failed=true&limit=20'", Runs),
    ("curl '127.0.0.1:7200/api/traces?min_ms=1000&limit=20'", Runs),
    ("curl 127.0.0.1:7200/api/processes", Runs),
    ("curl 127.0.0.1:7200/metrics", Runs),
    (
        "grep 4bf92f3577b34da6a3ce929d0e0e4736 /var/log/shop/*.log",
        By("every_line_of_the_split_shop_is_one_of_the_common_schema"),
    ),
    (
        "cargo monolift observe --manifest app-split/observed.toml --out app-split/observe --runbooks docs/runbooks",
        By("rules_and_dashboard_name_what_processes_give"),
    ),
    (
        "cargo monolift observe --manifest app-split/observed.toml --out app-split/observe --runbooks docs/runbooks \
         --check",
        Runs,
    ),
    (
        "prometheus --config.file=app-split/observe/prometheus.yml --storage.tsdb.path=data/prometheus \
         --enable-feature=exemplar-storage",
        By(PROMETHEUS),
    ),
    ("promtool test rules app-split/observe/rules.test.yml", By(PROMETHEUS)),
    ("SHOP_ORDERS__DB__URL=postgres://shop@localhost/shop cargo run", Start),
    ("SHOP_PROCESS__MONOLITH__HTTP=127.0.0.1:8081 SHOP_ORDERS__MAX_LINES=3 cargo run", Start),
    ("RUST_LOG=warn,monolift=debug cargo run", Start),
    ("cd examples/oidc && npm install && node provider.mjs", PROVIDER),
    (
        "SHOP_IDENTITY__ISSUERS__OIDC__ISSUER=http://127.0.0.1:9000 SHOP_IDENTITY__ISSUERS__OIDC__AUDIENCE=shop cargo run",
        PROVIDER,
    ),
    (
        "STAFF=$(curl http://127.0.0.1:9000/token -u backoffice:backoffice-secret -d grant_type=client_credentials | \
         sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')",
        PROVIDER,
    ),
    (
        "curl localhost:8080/products/tea/stock -H \"authorization: Bearer $STAFF\" -H 'content-type: application/json' \
         -d '{\"quantity\": 1}'",
        PROVIDER,
    ),
    ("cargo run -- migrate", By("a_job_migrates_and_the_processes_need_not")),
    ("cp -r examples/adopt/before examples/adopt/gazette && cd examples/adopt/gazette", SIX),
    ("git init --quiet && git add . && git commit --quiet --message before", SIX),
    ("createdb gazette", SIX),
    (
        "export DATABASE_URL=postgres://localhost/gazette TOKEN_SECRET=sixteen-characters-or-more",
        SIX,
    ),
    ("API=127.0.0.1:3000 cargo test --test api", SIX),
    ("git am --quiet ../patches/0002-profiles-behind-a-trait.patch", SIX),
    ("git am --quiet ../patches/0003-profiles-as-a-service.patch", SIX),
    ("GAZETTE_PROFILES__DB__URL=$DATABASE_URL cargo run -p profiles", SIX),
    ("git am --quiet ../patches/0004-a-database-of-its-own.patch", SIX),
    ("createdb gazette_profiles", SIX),
    ("export GAZETTE_PROFILES__DB__URL=postgres://localhost/gazette_profiles", SIX),
    ("cargo run -p profiles", SIX),
    ("cargo monolift data copy profiles --from $DATABASE_URL --to $GAZETTE_PROFILES__DB__URL", SIX),
    (
        "cargo monolift data copy stock --to postgres://shop_stock:password@localhost/shop --write",
        By("every_row_of_a_module_is_in_its_new_database"),
    ),
    ("psql $DATABASE_URL --command 'DROP TABLE profiles_moved, follows_moved'", SIX),
    ("git am --quiet ../patches/0005-back-in.patch", SIX),
    ("RUST_LOG=info,monolift=debug cargo run -p profiles", SIX),
    ("git am --quiet ../patches/0006-without-Monolift.patch", SIX),
    ("PROFILES_DATABASE_URL=$GAZETTE_PROFILES__DB__URL cargo run", SIX),
    (
        "SHOP_ORDERS__DB__URL__FILE=/run/secrets/orders-db SHOP_ADMIN_TOKEN__FILE=/run/secrets/admin cargo run",
        By("no_secret_is_shown_anywhere"),
    ),
    ("cargo xtask test", By("run")),
    ("cargo test -p orders", By("tests")),
    ("cargo xtask simulate --seeds 100", By("long")),
    ("cargo xtask chaos --kills 10 --operations 2000", By("storms")),
    ("cargo xtask chaos --rolling", By("storms")),
    (
        "SHOP_IDENTITY__STATEMENT_KEY=keys/statements.key",
        By("keys_in_files_take_the_place_of_certificates"),
    ),
    ("cargo monolift certs", By("each_process_gets_a_certificate_and_the_authority_stays")),
    ("cargo monolift check --rights", RIGHTS),
    ("cargo monolift check --rights --out rights.txt", RIGHTS),
    ("cargo monolift check --rights --compare rights.txt", RIGHTS),
    (
        "cargo monolift affected --manifest app-split/deployment.toml --since main",
        By("every_prepared_change_reaches_what_it_must"),
    ),
    (
        "cargo monolift deploy docker --manifest app-split/deployment.toml --out app-split/deploy/docker",
        DEPLOYED,
    ),
    (
        "docker build --file app-split/deploy/docker/Dockerfile --build-arg PROCESS=orders --tag shop-orders .",
        By("an_order_goes_through_images"),
    ),
    (
        "cargo monolift deploy compose --manifest app-split/deployment.toml --out app-split/deploy/compose",
        DEPLOYED,
    ),
    ("cd app-split/deploy/compose", COMPOSED),
    ("cp .env.example .env", COMPOSED),
    ("docker compose up --build", COMPOSED),
    ("curl localhost:8080/products", Runs),
    (
        "cargo monolift deploy kubernetes --manifest app-split/deployment.toml --out app-split/deploy/kubernetes",
        DEPLOYED,
    ),
    (
        "cargo monolift db init --manifest app-split/deployment.toml --admin postgres://postgres@db/shop --write owners.toml",
        By("the_database_keeps_a_module_to_its_own_tables"),
    ),
    ("cp -r app-split/deploy/kubernetes/secrets.example secrets", CLUSTER),
    ("kubectl create namespace shop-production", CLUSTER),
    ("for file in secrets/*.env; do", CLUSTER),
    (
        "kubectl create secret generic \"$(basename \"$file\" .env)\" --from-env-file=\"$file\" --namespace shop-production",
        CLUSTER,
    ),
    ("done", CLUSTER),
    ("kubectl apply --kustomize app-split/deploy/kubernetes/overlays/production/migrate", CLUSTER),
    (
        "kubectl wait --for=condition=complete job --all --namespace shop-production --timeout=600s",
        CLUSTER,
    ),
    ("kubectl apply --kustomize app-split/deploy/kubernetes/overlays/production", CLUSTER),
    ("kubectl rollout status deployment/shop-gateway --namespace shop-production", CLUSTER),
    (
        "cargo monolift deploy nginx --manifest deployment.toml --out deploy/nginx",
        By("behind_nginx_a_rolling_restart_loses_no_request"),
    ),
    ("nginx -t", By("behind_nginx_a_rolling_restart_loses_no_request")),
    (
        "cargo monolift ci github --manifest app-split/deployment.toml --docker app-split/deploy/docker --kubernetes app-split/deploy/kubernetes",
        DEPLOYED,
    ),
    ("shop events", EVENTS),
    ("shop events list orders", EVENTS),
    ("shop events retry orders notifications ID", EVENTS),
    ("shop events discard orders notifications ID", EVENTS),
    ("shop events replay orders notifications", EVENTS),
    ("shop events remove orders reports", EVENTS),
    ("shop events remove orders reports order-placed", EVENTS),
    ("shop export USER", ERASE),
    ("shop erase USER", ERASE),
    ("shop events rebuild reports", By("a_read_model_is_built_anew")),
    ("shop events rebuild reports --partial", By("a_read_model_is_built_anew")),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The commands in the blocks of a page that are marked as `sh`.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut is_in = false;
    let mut command = String::new();
    for line in page.lines() {
        // A block in a list is indented.
        match line.trim() {
            "```sh" => is_in = true,
            "```" => is_in = false,
            line if is_in => {
                let line = line.split("  #").next().unwrap().trim();
                match line.strip_suffix('\\') {
                    Some(first) => command.push_str(first),
                    None => commands.push(std::mem::take(&mut command) + line),
                }
            }
            _ => {}
        }
    }
    commands
}

fn shown() -> BTreeSet<String> {
    let folders =
        ["docs", "docs/runbooks"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let docs = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let pages = docs.chain([root().join("README.md")]);
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.flat_map(|page| commands(&fs::read_to_string(page).unwrap())).collect()
}

#[test]
fn every_command_of_the_pages_is_checked() {
    let known: BTreeSet<String> = COMMANDS.iter().map(|(command, _)| command.to_string()).collect();
    let shown = shown();
    let unchecked: Vec<_> = shown.difference(&known).collect();
    assert!(unchecked.is_empty(), "shown, and not checked: {unchecked:#?}");
    let stale: Vec<_> = known.difference(&shown).collect();
    assert!(stale.is_empty(), "checked, and not shown: {stale:#?}");

    let mut sources = String::new();
    read_all(&root().join("tests/all"), &mut sources);
    read_all(&root().join("xtask/src"), &mut sources);
    read_all(&root().join("cli/src"), &mut sources);
    for (command, check) in COMMANDS {
        if let By(test) = check {
            assert!(sources.contains(&format!("fn {test}(")), "{command}: there is no `{test}`");
        }
    }
}

fn read_all(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// A command of a page. Only where things are is different here.
fn typed(command: &str, address: &str, admin: &str) -> String {
    let log_in = if command.contains("$TOKEN") { format!("{LOG_IN}; ") } else { String::new() };
    format!("{log_in}{command}")
        .replace("localhost:8080", address)
        .replace("127.0.0.1:7200", admin)
        .replace("curl ", "curl --silent --show-error --fail ")
}

#[test]
fn commands_of_the_pages_succeed() {
    let admin = free_port();
    let run = Run::new("pages").listening("monolith").gateway("monolith");
    let run = run.with("SHOP_PROCESS__MONOLITH__ADMIN", admin.as_str());
    let mut monolith = run.start(&target().join("debug/app-monolith"));
    let address = monolith.http();
    eventually("the monolith is ready", || is_ready(&address));
    let cli = target().join("debug/cargo-monolift").display().to_string();
    for (command, _) in COMMANDS.iter().filter(|(_, check)| matches!(check, Runs)) {
        let typed = typed(command, &address, &admin).replace("cargo monolift", &cli);
        let output = Command::new("bash")
            .args(["-c", &typed])
            .current_dir(root())
            .envs(run.env.iter().map(|(key, value)| (key, value)))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {said}");
    }
    monolith.stop();
}

/// The steps of docs/observe.md, in the monolith and in the split shop.
#[test]
fn a_slow_order_is_followed_to_its_line_in_both_shapes() {
    let admin = free_port();
    let run = Run::new("slow-order").listening("monolith").gateway("monolith");
    let run = run.with("SHOP_PROCESS__MONOLITH__ADMIN", admin.as_str());
    let run = run.with("SHOP_OBSERVE__SLOW", "1s");
    let mut monolith = run.start(&target().join("debug/app-monolith"));
    let address = monolith.http();
    eventually("the monolith is ready", || is_ready(&address));
    follow_a_slow_order(&address, &admin);
    monolith.stop();
    let split = Observed::start("slow-order-split", &[]);
    follow_a_slow_order(&split.gateway, &split.admin);
}

fn follow_a_slow_order(address: &str, admin: &str) {
    let steps = COMMANDS.iter().filter(|(_, check)| matches!(check, By(SLOW_ORDER)));
    let mut said = Vec::new();
    for (command, _) in steps.filter(|(command, _)| !command.starts_with("cargo ")) {
        let typed = typed(command, address, admin);
        let mut answer = String::new();
        // A trace is gathered a moment after its request has ended.
        eventually(command, || {
            let mut bash = Command::new("bash");
            let output = bash.args(["-c", &typed]).current_dir(root()).output().unwrap();
            answer = String::from_utf8(output.stdout).unwrap();
            output.status.success() && !answer.contains("\"traces\":[]")
        });
        said.push(answer);
    }
    let [order, found, trace, levels, line] = &said[..] else { panic!("{said:#?}") };
    assert!(order.contains("\"state\":\"placed\""), "{order}");
    assert!(found.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{found}");
    let trace: serde_json::Value = serde_json::from_str(trace).unwrap();
    let parts = trace["parts"].as_array().unwrap().iter();
    let calls = parts.flat_map(|part| part["calls"].as_array().unwrap());
    let mut authorised = calls.filter(|call| call["method"] == "authorise");
    assert!(authorised.all(|call| call["nanos"].as_u64().unwrap() > 1_900_000_000), "{trace:#}");
    assert!(levels.starts_with("{\"levels\":\"info,payments=debug\""), "{levels}");
    assert!(line.contains("async fn authorise"), "{line}");
}

/// The start prints commands to try.
#[test]
fn commands_of_the_start_succeed() {
    let run = Run::new("tried").listening("monolith").gateway("monolith");
    let mut monolith = run.start(&target().join("debug/app-monolith"));
    let address = monolith.http();
    eventually("the monolith is ready", || is_ready(&address));
    // It is the last that is printed.
    monolith.says("\"sku\": \"tea\"");
    let text = monolith.said().replace("\\\n", "");
    let commands: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("try: ")).collect();
    assert_eq!(commands.len(), 4, "{text}");
    // Pasted into one shell: the last has the token that the one before it has got.
    let typed = format!("set -e; {}", commands.join("; "));
    let typed = typed.replace("curl ", "curl --silent --show-error --fail ");
    let output = Command::new("bash").args(["-c", &typed]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{typed}: {said}");
    let answers = String::from_utf8(output.stdout).unwrap();
    assert!(answers.ends_with('}') && answers.contains("\"state\":\"placed\""), "{answers}");
    monolith.stop();
}

#[test]
fn settings_of_the_pages_start_the_shop() {
    let postgres = Postgres::start();
    for (command, _) in COMMANDS.iter().filter(|(_, check)| matches!(check, Start)) {
        let run = Run::new("pages-start").listening("monolith").gateway("monolith");
        let settings = command.strip_suffix(" cargo run").unwrap().split(' ');
        let mut env = run.env.clone();
        for setting in settings {
            let (key, value) = setting.split_once('=').unwrap();
            let value = match key {
                "SHOP_ORDERS__DB__URL" => postgres.database("shop"),
                "SHOP_PROCESS__MONOLITH__HTTP" | "SHOP_PROCESS__MONOLITH__ADMIN" => {
                    "127.0.0.1:0".to_owned()
                }
                _ => value.to_owned(),
            };
            env.push((key.to_owned(), value));
        }
        let mut monolith = Process::start(&target().join("debug/app-monolith"), &env);
        let address = monolith.http();
        eventually(command, || is_ready(&address));
        monolith.stop();
    }
}

#[test]
fn the_tour_changes_one_word() {
    let shown = shown();
    let sed = shown.iter().find(|command| command.starts_with("sed ")).unwrap();
    let edit = sed.strip_suffix(" deployment.toml").unwrap().replace("sed -i", "sed");
    let manifest = root().join("deployment.toml");
    let output =
        Command::new("bash").args(["-c", &format!("{edit} {}", manifest.display())]).output();
    let changed = String::from_utf8(output.unwrap().stdout).unwrap();
    let manifest = fs::read_to_string(manifest).unwrap();
    let expected =
        manifest.replacen("payments      = \"monolith\"", "payments      = \"payments\"", 1);
    assert_ne!(changed, manifest);
    assert_eq!(changed, expected);
}

#[test]
fn commands_are_read_as_a_person_types_them() {
    let page = "```sh\ncargo run    # the shop\ncurl a \\\n     -d b\n```\n```rust\nlet x;\n```\n";
    assert_eq!(commands(page), ["cargo run", "curl a -d b"]);
}
