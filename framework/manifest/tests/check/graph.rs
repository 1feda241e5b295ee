//! Manifests held against workspaces: what is refused, with the whole message, and what is not.

use monolift_manifest::Node;

use crate::scratch::Scratch;

fn shop() -> Scratch {
    Scratch::workspace()
        .module("orders", &["stock-api", "payments-api"])
        .module("payments", &[])
        .module("stock", &[])
        .package("apps/old", "old", &[])
}

/// `[modules]` on line 2, the first placement on line 3.
fn manifest(placements: &[(&str, &str)], rest: &str) -> String {
    let lines: String =
        placements.iter().map(|(module, process)| format!("{module} = \"{process}\"\n")).collect();
    format!("app = \"shop\"\n[modules]\n{lines}{rest}")
}

/// The same with a host in `old`: the first placement on line 4.
fn hosted(placements: &[(&str, &str)], rest: &str) -> String {
    manifest(placements, rest).replacen('\n', "\nhost = \"old\"\n", 1)
}

const ALL: [(&str, &str); 3] =
    [("orders", "monolith"), ("payments", "monolith"), ("stock", "monolith")];
const SPLIT: [(&str, &str); 3] =
    [("orders", "monolith"), ("payments", "payments"), ("stock", "monolith")];

#[test]
fn a_manifest_that_is_right_gives_the_graph() {
    let graph =
        shop().graph(&manifest(&SPLIT, "[process.payments]\nlisten = \"127.0.0.1:7104\"\n"));
    let orders = Node {
        calls: vec!["stock".into(), "payments".into()],
        package: Some("orders".into()),
        api: Some("orders-api".into()),
        ..Node::default()
    };
    assert_eq!(graph.modules["orders"], orders);
    assert_eq!(graph.start_order(), ["payments", "stock", "orders"]);
    assert_eq!((graph.host_calls.len(), graph.circles_through_host.len()), (0, 0));
    shop().graph(&manifest(&ALL, ""));
}

#[test]
fn unknown_modules() {
    let placed = [
        ("orders", "monolith"),
        ("paymnts", "monolith"),
        ("stock", "monolith"),
        ("carts", "monolith"),
    ];
    assert_eq!(
        shop().refused(&manifest(&placed, "")),
        "deployment.toml:4:1: no module `paymnts` in this workspace\n  help: did you mean `payments`?\n\
         deployment.toml:6:1: no module `carts` in this workspace"
    );
    let scratch = shop().package("libs/money", "money", &[]);
    assert_eq!(
        scratch.refused(&manifest(&[ALL.as_slice(), &[("money", "monolith")]].concat(), "")),
        "deployment.toml:6:1: package `money` is not a module: there is no `money-api`\n  help: a module that provides \
         no interface says so in its Cargo.toml: [package.metadata.monolift] module = true"
    );
}

#[test]
fn a_module_without_a_package_lives_with_the_host() {
    let placed = [
        ("profiles", "monolith"),
        ("orders", "monolith"),
        ("payments", "monolith"),
        ("stock", "monolith"),
    ];
    assert_eq!(
        shop().refused(&hosted(&placed, "")),
        "deployment.toml:4:1: `profiles` has no package of its own, so it can live only in the host's process `old`"
    );
    let placed = [
        ("profiles", "old"),
        ("orders", "monolith"),
        ("payments", "monolith"),
        ("stock", "monolith"),
    ];
    let graph = shop().graph(&hosted(&placed, ""));
    assert_eq!(graph.modules["profiles"], Node::default());
}

#[test]
fn unplaced_modules() {
    // Beside placed ones, and one of them called.
    assert_eq!(
        shop().refused(&manifest(
            &[("orders", "monolith"), ("stock", "shop")],
            "[process.shop]\nlisten = \"a:1\"\n"
        )),
        "deployment.toml:2:2: module `payments` (modules/payments) is placed nowhere, and `orders` depends on \
         `payments-api` (modules/orders/Cargo.toml:6)\n  help: add `payments = \"monolith\"` under [modules]"
    );
    assert_eq!(
        shop().module("users", &[]).refused(&manifest(&ALL, "")),
        "deployment.toml:2:2: module `users` (modules/users) is placed nowhere\n  help: add `users = \"monolith\"` under [modules]"
    );
    // Elsewhere, reached through a library and another module's interface.
    let elsewhere = |scratch: Scratch| {
        scratch.package("libs/ledger", "ledger", &["ledger-api"]).package(
            "apps/ledger-api",
            "ledger-api",
            &[],
        )
    };
    assert_eq!(
        elsewhere(shop().package("modules/stock", "stock", &["stock-api", "money"]))
            .package("libs/money", "money", &["ledger-api"])
            .refused(&manifest(&ALL, "")),
        "deployment.toml:2:2: module `ledger` (libs/ledger) is placed nowhere\n  help: add `ledger = \"monolith\"` under [modules]"
    );
    // Elsewhere and out of reach: another application's.
    elsewhere(shop()).graph(&manifest(&ALL, ""));
}

#[test]
fn interfaces_that_nobody_provides() {
    let scratch = Scratch::workspace()
        .module("orders", &["shipping-api"])
        .package("libs/shipping-api", "shipping-api", &[])
        .package("apps/old", "old", &[]);
    assert_eq!(
        scratch.refused(&manifest(&[("orders", "monolith")], "")),
        "modules/orders/Cargo.toml:5:1: `orders` depends on `shipping-api`, but no module `shipping` is placed: nobody provides it"
    );
    assert_eq!(
        scratch.refused(&hosted(&[("orders", "monolith")], "")),
        "modules/orders/Cargo.toml:5:1: `orders` depends on `shipping-api`, but no module `shipping` is placed: nobody provides it\n  \
         help: if the host provides it, add `shipping = \"old\"` under [modules]"
    );
    let provided = hosted(&[("orders", "old"), ("shipping", "old")], "");
    assert_eq!(scratch.graph(&provided).modules["shipping"].api.as_deref(), Some("shipping-api"));
    // A crate from elsewhere whose name happens to end so.
    Scratch::workspace()
        .module("orders", &["aws-api"])
        .graph(&manifest(&[("orders", "monolith")], ""));
}

#[test]
fn modules_know_each_other_by_interface_only() {
    let scratch = shop()
        .package("modules/payments", "payments", &["payments-api", "stock"])
        .package("modules/stock", "stock", &["stock-api", "money"])
        .package("libs/money", "money", &["rates"])
        .package("libs/rates", "rates", &["cron"])
        .file(
            "modules/cron/Cargo.toml",
            "[package]\nname = \"cron\"\n[package.metadata.monolift]\nmodule = true\n",
        )
        .package("modules/orders/api", "orders-api", &["serde", "cron"]);
    let placed = [ALL.as_slice(), &[("cron", "monolith")]].concat();
    assert_eq!(
        scratch.refused(&manifest(&placed, "")),
        "modules/orders/api/Cargo.toml:5:1: `orders-api` depends on the crate of module `cron`: an interface depends on no module\n  \
         help: move the types that both need into an api package or a library\n\
         modules/payments/Cargo.toml:5:1: module `payments` depends on the crate of module `stock`: \
         a module knows another only by its interface\n  help: depend on `stock-api` instead\n\
         modules/stock/Cargo.toml:5:1: module `stock` depends on the crate of module `cron` through `money`, `rates`: \
         a module knows another only by its interface\n  help: `cron` provides no interface: it needs a package `cron-api`"
    );
    let scratch = shop().package("modules/stock", "stock", &["stock-api", "money"]).package(
        "libs/money",
        "money",
        &["payments"],
    );
    assert_eq!(
        scratch.refused(&manifest(&ALL, "")),
        "modules/stock/Cargo.toml:5:1: module `stock` depends on the crate of module `payments` through `money`: \
         a module knows another only by its interface\n  help: let `money` depend on `payments-api` instead"
    );
}

#[test]
fn circles() {
    let scratch = Scratch::workspace()
        .module("orders", &["stock-api", "payments-api"])
        .module("payments", &["orders-api"])
        .module("stock", &["ledger-api"])
        .module("ledger", &["users-api"])
        .module("users", &["stock-api"]);
    let placed =
        ["orders", "payments", "stock", "ledger", "users"].map(|module| (module, "monolith"));
    let help = "\n  help: take one of these dependencies out: let its module be told, by work that it is handed, instead of asking";
    assert_eq!(
        scratch.refused(&manifest(&placed, "")),
        format!(
            "modules/ledger/Cargo.toml:5:1: modules call each other in a circle: ledger -> users -> stock -> ledger{help}\n\
             modules/orders/Cargo.toml:6:1: modules call each other in a circle: orders -> payments -> orders{help}"
        )
    );
}

#[test]
fn circles_through_the_host_are_listed() {
    let scratch = Scratch::workspace()
        .module("payments", &["ledger-api"])
        .module("ledger", &["profiles-api"])
        .package("modules/profiles/api", "profiles-api", &[])
        .package("apps/old", "old-shop", &["payments", "payments-api", "profiles-api"]);
    let text = hosted(
        &[("payments", "old"), ("ledger", "ledger"), ("profiles", "old")],
        "[process.old]\nlisten = \"a:1\"\n[process.ledger]\nlisten = \"a:2\"\n",
    );
    let graph = scratch.check(&text, Some("old-shop")).expect("allowed");
    assert_eq!(graph.host_calls, ["payments", "profiles"]);
    assert_eq!(graph.circles_through_host, [["host", "payments", "ledger", "profiles", "host"]]);
    assert_eq!(
        graph.modules["profiles"],
        Node { api: Some("profiles-api".into()), ..Node::default() }
    );
    let refused = scratch.refused(&text);
    assert!(
        refused.starts_with("deployment.toml:2:1: no package is known to be the host"),
        "{refused}"
    );
}

#[test]
fn the_hosts_package_is_named_or_says_so() {
    let marked = |name: &str, mark: &str| {
        format!(
            "[package]\nname = \"{name}\"\n[package.metadata.monolift]\nhost = {mark}\n[dependencies]\nstock-api = \"1\"\n"
        )
    };
    let scratch = Scratch::workspace()
        .module("stock", &[])
        .file("apps/a/Cargo.toml", &marked("first", "true"));
    let text = hosted(&[("stock", "old")], "");
    assert_eq!(scratch.graph(&text).host_calls, ["stock"]);
    assert_eq!(
        scratch.graph(&manifest(&[("stock", "old")], "")).host_calls.len(),
        0,
        "the manifest has no host"
    );
    assert_eq!(
        scratch.shown(&scratch.check(&text, Some("frist")).expect_err("no such package")),
        "deployment.toml:2:1: the host's package `frist` is not in this workspace\n  help: did you mean `first`?"
    );
    let scratch = scratch.file("apps/b/Cargo.toml", &marked("second", "true"));
    assert_eq!(
        scratch.refused(&text),
        "deployment.toml:2:1: both `first` and `second` say that they are the host\n  \
         help: write `host = \"shop\"` under [package.metadata.monolift] of the one that is"
    );
    let scratch = scratch.file("apps/b/Cargo.toml", &marked("second", "\"shop\""));
    assert_eq!(scratch.graph(&text).host_calls, ["stock"]);
}

#[test]
fn the_host_is_in_the_graph() {
    let scratch = Scratch::workspace()
        .module("stock", &[])
        .package("libs/mail-api", "mail-api", &[])
        .file("apps/old/Cargo.toml", "[package]\nname = \"old-shop\"\nmetadata.monolift.host = true\n[dependencies]\nstock-api = \"1\"\nmail-api = \"1\"\n");
    assert_eq!(
        scratch.refused(&hosted(&[("stock", "stock")], "")),
        "deployment.toml:4:1: process `stock` listens nowhere, but is called from elsewhere: the host (in `old`) calls `stock`\n  \
         help: add `listen = \"127.0.0.1:7100\"` under [process.stock]\n\
         apps/old/Cargo.toml:6:1: `old-shop` depends on `mail-api`, but no module `mail` is placed: nobody provides it\n  \
         help: if the host provides it, add `mail = \"old\"` under [modules]"
    );
    // What only the host reaches must be placed too.
    assert_eq!(
        scratch.refused(&hosted(&[("mail", "old")], "")),
        "deployment.toml:3:2: module `stock` (modules/stock) is placed nowhere, and `old-shop` depends on `stock-api` \
         (apps/old/Cargo.toml:5)\n  help: add `stock = \"old\"` under [modules]"
    );
}

#[test]
fn processes_in_which_nothing_runs() {
    assert_eq!(
        shop().refused(&manifest(&ALL, "[process.monolit]\nlisten = \"a:1\"\n[process.spare]\n")),
        "deployment.toml:6:10: nothing runs in process `monolit`: no module lives in it, and it has no `http`\n  \
         help: did you mean `monolith`?\n\
         deployment.toml:8:10: nothing runs in process `spare`: no module lives in it, and it has no `http`\n  \
         help: place a module in it, or give it `http` to make it a gateway, or remove [process.spare]"
    );
    let split = [("orders", "monolith"), ("payments", "monolith"), ("stock", "monolith")];
    let text = hosted(&split, "").replace("\"old\"", "\"monolth\"");
    assert_eq!(
        shop().package("apps/shop", "shop", &[]).refused(&text),
        "deployment.toml:2:1: no process `monolth` for the host: no module lives in it, and there is no [process.monolth]\n  \
         help: did you mean `monolith`?"
    );
    shop().graph(&hosted(&ALL, "[process.old]\n"));
}

#[test]
fn processes_that_are_called_and_listen_nowhere() {
    assert_eq!(
        shop().refused(&manifest(
            &SPLIT,
            "[process.monolith]\nhttp = \"a:80\"\nlisten = \"127.0.0.1:7100\"\n"
        )),
        "deployment.toml:4:1: process `payments` listens nowhere, but is called from elsewhere: \
         `orders` (in `monolith`) calls `payments`, the gateway of `monolith` routes to it\n  \
         help: add `listen = \"127.0.0.1:7101\"` under [process.payments]"
    );
    // With a table, the table is what is wrong; with a slip in the name, the name is.
    assert_eq!(
        shop().refused(&manifest(&SPLIT, "[process.payments]\nconnect = \"a:1\"\n")),
        "deployment.toml:6:10: process `payments` listens nowhere, but is called from elsewhere: \
         `orders` (in `monolith`) calls `payments`\n  help: add `listen = \"127.0.0.1:7100\"` under [process.payments]"
    );
    let slip = [("orders", "monolith"), ("payments", "monolit"), ("stock", "monolith")];
    assert_eq!(
        shop().refused(&manifest(&slip, "[process.monolith]\nlisten = \"a:1\"\n")),
        "deployment.toml:4:1: process `monolit` listens nowhere, but is called from elsewhere: \
         `orders` (in `monolith`) calls `payments`\n  help: did you mean `monolith`?"
    );
    // What observes asks every process, also one that only has a gateway.
    let observer = "[process.monolith]\nlisten = \"127.0.0.1:7100\"\n[process.ops]\nobserve = true\n[process.web]\nhttp = \"a:80\"\n";
    assert_eq!(
        shop().refused(&manifest(&ALL, observer)),
        "deployment.toml:10:10: process `web` listens nowhere, but is called from elsewhere: `ops` observes it\n  \
         help: add `listen = \"127.0.0.1:7101\"` under [process.web]"
    );
    // A gateway calls what has an interface; a module without one cannot be called.
    let gateway = "[process.web]\nhttp = \"a:80\"\n";
    assert_eq!(
        shop().refused(&manifest(&ALL, gateway)),
        "deployment.toml:3:1: process `monolith` listens nowhere, but is called from elsewhere: the gateway of `web` routes to it\n  \
         help: add `listen = \"127.0.0.1:7100\"` under [process.monolith]"
    );
    let cron = Scratch::workspace().file(
        "modules/cron/Cargo.toml",
        "[package]\nname = \"cron\"\n[package.metadata.monolift]\nmodule = true\n",
    );
    cron.graph(&manifest(&[("cron", "night")], gateway));
}

#[test]
fn listeners_on_one_address() {
    let text = |first: &str, second: &str| {
        manifest(&SPLIT, &format!("[process.monolith]\n{first}\n[process.payments]\n{second}\n"))
    };
    let both = "http = \"127.0.0.1:80\"\nlisten = \"a:1\"";
    let help = "\n  help: use another port; processes on different machines say so by a `connect` for each";
    assert_eq!(
        shop().refused(&text(both, "listen = \"0.0.0.0:80\"")),
        format!(
            "deployment.toml:10:10: `listen` of process `payments` is taken by `http` of process `monolith`: \
             `0.0.0.0:80` and `127.0.0.1:80` (line 7) cannot both be listened on{help}"
        )
    );
    assert_eq!(
        shop().refused(&text("listen = \"unix:a\"", "http = \"a:1\"\nlisten = \"unix:a\"")),
        format!(
            "deployment.toml:10:10: `listen` of process `payments` is taken by `listen` of process `monolith`: \
             `unix:a` and `unix:a` (line 7) cannot both be listened on{help}"
        )
    );
    assert_eq!(
        shop()
            .refused(&text("http = \"a:1\"\nlisten = \"a:1\"", "http = \"A:1\"\nlisten = \"a:2\"")),
        format!(
            "deployment.toml:8:10: `listen` of process `monolith` is taken by `http` of process `monolith`: \
             `a:1` and `a:1` (line 7) cannot both be listened on{help}\n\
             deployment.toml:10:8: `http` of process `payments` is taken by `http` of process `monolith`: \
             `A:1` and `a:1` (line 7) cannot both be listened on{help}"
        )
    );
    shop().graph(&text("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:0\""));
    let machine = |host: &str| format!("listen = \"0.0.0.0:7100\"\nconnect = \"{host}:7100\"");
    shop().graph(&text(&machine("monolith"), &machine("payments")));
}

/// One build tells all of it.
#[test]
fn an_unknown_key_hides_no_other_mistake() {
    let shop = shop();
    let workspace = shop.find("").expect("a workspace");
    let told = |text: &str| {
        let file = std::path::Path::new("deployment.toml");
        let told = monolift_manifest::Manifest::parse_in(text, file, &workspace, None);
        shop.shown(&told.expect_err("a refusal"))
    };
    let unplaced = &ALL[..2];
    let text = manifest(unplaced, "[calls]\ndeadlin = \"2s\"\n");
    assert_eq!(
        told(&text),
        "deployment.toml:6:1: unknown key `deadlin` in [calls]\n  help: did you mean `deadline`?\n\
         deployment.toml:2:2: module `stock` (modules/stock) is placed nowhere, and `orders` depends on \
         `stock-api` (modules/orders/Cargo.toml:5)\n  help: add `stock = \"monolith\"` under [modules]"
    );
    // What follows from the first mistake is not told.
    let text = manifest(&SPLIT, "[process.payments]\nlisten_on = \"127.0.0.1:7104\"\n");
    let text = text.replace("listen_on", "lisen");
    assert_eq!(told(&text).matches("deployment.toml").count(), 1, "{}", told(&text));
    assert_eq!(
        told(&text.replace("[modules]", "[module]")).matches("is placed nowhere").count(),
        0
    );
}
