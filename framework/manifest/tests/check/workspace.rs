//! Which packages a workspace has, and what they depend on.

use std::path::Path;

use monolift_manifest::{HostMark, Workspace};

use crate::scratch::Scratch;

fn names(workspace: &Workspace) -> Vec<&str> {
    workspace.packages.keys().map(String::as_str).collect()
}

fn declared<'a>(workspace: &'a Workspace, package: &str) -> Vec<(&'a str, usize)> {
    let package = workspace.package(package).expect("a package");
    workspace
        .declared(package, |_| false)
        .map(|(module, dependency)| (module, dependency.line))
        .collect()
}

#[test]
fn members_are_found_from_any_folder_within() {
    let scratch = Scratch::workspace()
        .module("orders", &[])
        .package("libs/money", "money", &[])
        .file("modules/notes/README.md", "no package")
        .file("modules/orders/src/deep/a.rs", "");
    for from in [
        "",
        "modules",
        "modules/orders",
        "modules/orders/src/deep",
        "libs/money",
        "modules/../libs/./money",
    ] {
        let workspace = scratch.find(from).expect(from);
        assert_eq!(workspace.root, scratch.root);
        assert_eq!(names(&workspace), ["money", "orders", "orders-api"]);
        let files: Vec<_> = workspace.files.iter().map(|file| workspace.relative(file)).collect();
        let expected = [
            "Cargo.toml",
            "modules/orders/Cargo.toml",
            "modules/orders/api/Cargo.toml",
            "libs/money/Cargo.toml",
        ];
        assert_eq!(files, expected.map(Path::new));
        let orders = workspace.package("orders").expect("orders");
        assert_eq!(orders.directory, scratch.root.join("modules/orders"));
        assert_eq!(workspace.package_at(&orders.directory), Some(orders));
    }
}

#[test]
fn dependencies_of_every_form_are_read_and_those_for_tests_are_not() {
    let scratch = Scratch::empty()
        .file(
            "Cargo.toml",
            "[workspace]\nmembers = [\"orders\", \"api/*\"]\n[workspace.dependencies]\n\
             goods = { package = \"stock-api\", path = \"api/stock\" }\n",
        )
        .package("api/stock", "stock-api", &[])
        .package("api/users", "users-api", &[])
        .package("api/ledger", "ledger-api", &[])
        .package("api/orders", "orders-api", &[])
        .package("api/mail", "mail-api", &[])
        .file(
            "orders/Cargo.toml",
            r#"[package]
name = "orders"
[package.metadata.release]
since = 2024-01-01
[dependencies]
goods.workspace = true
people = { package = "users-api", path = "../api/users" }
orders-api = { path = "../api/orders" }
aws-api = "1"
far-api = { path = "../../far/api" }
[target.'cfg(unix)'.dependencies.ledger-api]
path = "../api/ledger"
[dev-dependencies]
mail-api = { path = "../api/mail" }
[build-dependencies]
mail-api = { path = "../api/mail" }
"#,
        );
    let workspace = scratch.find("orders").expect("a workspace");
    assert_eq!(
        declared(&workspace, "orders"),
        [("stock", 6), ("users", 7), ("far", 10), ("ledger", 11)]
    );
    let orders = workspace.package("orders").expect("orders");
    assert_eq!(
        orders.dependencies[0].path.as_deref(),
        Some(scratch.root.join("api/stock").as_path())
    );
    assert_eq!(orders.dependencies[0].column, 1);
    let aws: Vec<_> =
        workspace.declared(orders, |module| module == "aws").map(|(module, _)| module).collect();
    assert!(aws.contains(&"aws"), "a crate from elsewhere counts once its module is placed");
}

#[test]
fn modules_and_api_packages() {
    let scratch = Scratch::workspace()
        .module("orders", &[])
        .package("libs/money", "money", &[])
        .package("libs/web", "web", &[])
        .file(
            "libs/web-api/Cargo.toml",
            "[package]\nname = \"web-api\"\n[package.metadata.monolift]\napi = false\n",
        )
        .file(
            "libs/cron/Cargo.toml",
            "[package]\nname = \"cron\"\n[package.metadata.monolift]\nmodule = true\n",
        )
        .package("libs/old-api", "old-api", &[])
        .file(
            "libs/old/Cargo.toml",
            "[package]\nname = \"old\"\nmetadata.monolift = { module = false, host = \"shop\" }\n",
        );
    let workspace = scratch.find("").expect("a workspace");
    let modules: Vec<_> = workspace.modules().map(|package| package.name.as_str()).collect();
    assert_eq!(modules, ["cron", "orders"]);
    assert!(
        workspace.is_api("orders-api")
            && !workspace.is_api("web-api")
            && !workspace.is_api("orders")
    );
    assert_eq!(workspace.api_of("orders").map(|api| api.name.as_str()), Some("orders-api"));
    assert_eq!(workspace.api_of("cron"), None);
    assert_eq!(
        workspace.package("old").map(|package| &package.host),
        Some(&HostMark::Of("shop".into()))
    );
}

#[test]
fn members_and_exclude_are_read_as_cargo_reads_them() {
    let scratch = Scratch::empty()
        .file(
            "Cargo.toml",
            "[package]\nname = \"top\"\n[dependencies]\nby-path = { path = \"hidden/by-path\" }\n\
             [workspace]\nmembers = [\"a*\", \"c/d\"]\nexclude = [\"ab\", \"c\"]\n",
        )
        .package("aa", "aa", &[])
        .package("ab", "ab", &[])
        .package("c/d", "d", &[])
        .package("c/e", "e", &[])
        .package("hidden/other", "other", &[])
        .file(
            "hidden/by-path/Cargo.toml",
            "[package]\nname = \"by-path\"\n[dev-dependencies]\nx = { path = \"../x\" }\n",
        )
        .package("hidden/x", "x", &[]);
    assert_eq!(names(&scratch.find("").expect("a workspace")), ["aa", "by-path", "d", "top", "x"]);
    assert_eq!(names(&scratch.find("ab").expect("excluded")), ["ab"]);
    assert_eq!(names(&scratch.find("hidden/other").expect("no member")), ["other"]);
}

#[test]
fn a_package_alone_is_a_workspace_of_its_own() {
    let scratch = Scratch::empty()
        .file(
            "pay/Cargo.toml",
            "[package]\nname = \"pay\"\n[dependencies]\npay-api = { path = \"api\" }\n",
        )
        .package("pay/api", "pay-api", &[]);
    let workspace = scratch.find("pay").expect("a workspace");
    assert_eq!(
        (workspace.root.as_path(), names(&workspace)),
        (scratch.root.join("pay").as_path(), vec!["pay", "pay-api"])
    );
    assert!(workspace.is_module("pay"));
}

#[test]
fn a_package_can_name_its_workspace() {
    let scratch = Scratch::empty()
        .file("house/Cargo.toml", "[workspace]\nmembers = [\"../annex\"]\n")
        .file("annex/Cargo.toml", "[package]\nname = \"annex\"\nworkspace = \"../house\"\n");
    let workspace = scratch.find("annex").expect("a workspace");
    assert_eq!(
        (workspace.root.as_path(), names(&workspace)),
        (scratch.root.join("house").as_path(), vec!["annex"])
    );
}

#[test]
fn workspaces_that_cannot_be_read() {
    let refused = |scratch: &Scratch| scratch.shown(&scratch.find("").expect_err("a refusal"));
    let scratch = Scratch::empty()
        .file("Cargo.toml", "[workspace]\nmembers = [\"gone\", \"a/**\", \"b\"]\n")
        .file("b/Cargo.toml", "[package]\nname = b\n");
    assert_eq!(
        refused(&scratch),
        "Cargo.toml:2:1: the workspace's member `gone` has no Cargo.toml\n\
         Cargo.toml:2:1: cannot read the member pattern `a/**`\n  \
         help: `*` and `?` within one folder's name are understood; name the folders, or use these\n\
         b/Cargo.toml:2:8: invalid string, expected `\"`, `'`"
    );
    let nowhere = Workspace::find(Path::new("/proc/self")).expect_err("no package there");
    assert_eq!(nowhere.to_string(), "/proc/self: no Cargo.toml here or in any folder above");
}

#[test]
fn the_name_that_a_package_has_for_another_is_that_of_its_cargo_toml() {
    let name = |package: &str, rest: &str| {
        let shared = "[workspace]\n[workspace.dependencies]\nmonolift-call = { path = \"call\" }\n\
                      lift = { package = \"monolift\", path = \"monolift\" }\n";
        let text = format!("[package]\nname = \"{package}\"\n{rest}");
        let scratch = Scratch::empty().file("Cargo.toml", shared).file("it/Cargo.toml", &text);
        monolift_manifest::name_of(&scratch.root.join("it"), &["monolift", "monolift-call"])
    };
    let call = "[dependencies]\nmonolift-call.workspace = true\n";
    assert_eq!(name("stock-api", call).as_deref(), Some("monolift-call"));
    let both = "[dependencies]\nmonolift-call = \"1\"\nlift.workspace = true\n";
    assert_eq!(name("stock", both).as_deref(), Some("lift"));
    let renamed = "[dev-dependencies]\nm = { package = \"monolift-call\", version = \"1\" }\n";
    assert_eq!(name("tests", renamed).as_deref(), Some("m"));
    assert_eq!(name("monolift-call", "").as_deref(), Some("monolift-call"));
    assert_eq!(name("other", "[dependencies]\nserde = \"1\"\n"), None);
}
