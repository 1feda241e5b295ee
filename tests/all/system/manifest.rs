//! Mistakes in the manifest, or in the Cargo.toml files, fail the build: with the place and advice.

use super::workspace::{Workspace, edited};

/// All at the same places as in the workspace's own, with payments in a process of its own.
const GOOD: &str = r#"app = "shop"

[modules]
stock    = "monolith"
orders   = "monolith"
payments = "payments"
users    = "monolith"
notifications = "monolith"
reports  = "monolith"

[process.monolith]
http   = "127.0.0.1:8080"
listen = "127.0.0.1:7100"

[process.payments]
listen = "127.0.0.1:7104"
"#;

/// What is changed in the manifest, and the lines that the build then says.
type Mistake = (&'static [(&'static str, &'static str)], &'static [&'static str]);

const MISTAKES: &[Mistake] = &[
    // A module that there is none of.
    (
        &[("payments = ", "paymnts  = ")],
        &[
            "deployment.toml:6:1: no module `paymnts` in this workspace",
            "help: did you mean `payments`?",
        ],
    ),
    // A process that there is none of.
    (
        &[("\"payments\"", "\"paymnts\"")],
        &[
            "deployment.toml:6:1: process `paymnts` listens nowhere, but is called from elsewhere: \
             `orders` (in `monolith`) calls `payments`, the gateway of `monolith` routes to it",
            "help: did you mean `payments`?",
        ],
    ),
    (
        &[("stock    = \"monolith\"", "stock    = \"monolit\"")],
        &[
            "deployment.toml:4:1: process `monolit` listens nowhere",
            "help: did you mean `monolith`?",
        ],
    ),
    (
        &[
            ("process.monolith", "process.front"),
            ("\"monolith\"", "\"front\""),
            ("\"monolith\"", "\"front\""),
            ("\"monolith\"", "\"front\""),
            ("\"monolith\"", "\"front\""),
            ("\"monolith\"", "\"front\""),
        ],
        &["deployment.toml has no process `monolith`"],
    ),
    // A module that nobody placed, and one that is placed twice.
    (
        &[("stock    = \"monolith\"\n", "")],
        &[
            "deployment.toml:3:2: module `stock` (modules/stock) is placed nowhere, and `orders` \
             depends on `stock-api` (modules/orders/Cargo.toml:",
            "help: add `stock = ",
        ],
    ),
    (&[("stock    =", "orders   =")], &["deployment.toml:5:", "duplicate key `orders`"]),
    // A key that means nothing.
    (
        &[("listen = \"127.0.0.1:7104\"", "lisen = \"127.0.0.1:7104\"")],
        &[
            "deployment.toml:16:1: unknown key `lisen` in [process.payments]",
            "help: did you mean `listen`?",
        ],
    ),
    // A process that is called and listens nowhere.
    (
        &[("listen = \"127.0.0.1:7104\"", "")],
        &[
            "deployment.toml:15:10: process `payments` listens nowhere, but is called from \
             elsewhere: `orders` (in `monolith`) calls `payments`",
            "help: add `listen = \"127.0.0.1:7101\"` under [process.payments]",
        ],
    ),
    // Two processes at one address, and one at none.
    (
        &[("127.0.0.1:7104", "127.0.0.1:7100")],
        &[
            "deployment.toml:16:10: `listen` of process `payments` is taken by `listen` of process \
             `monolith`: `127.0.0.1:7100` and `127.0.0.1:7100` (line 13) cannot both be listened on",
            "help: use another port",
        ],
    ),
    (&[("127.0.0.1:7104", "nowhere")], &["deployment.toml:16:10: `listen`: expected `host:port`"]),
    // Several at once.
    (
        &[
            ("payments = ", "paymnts  = "),
            ("127.0.0.1:7104", "127.0.0.1:7100"),
            ("stock    =", "stokc    ="),
        ],
        &[
            "deployment.toml:4:1: no module `stokc`",
            "help: did you mean `stock`?",
            "deployment.toml:6:1: no module `paymnts`",
            "deployment.toml:16:10: `listen` of process `payments` is taken",
        ],
    ),
];

/// Builds the monolith. What fails, fails before anything is linked.
fn build(workspace: &Workspace, env: &[(&str, &str)], package: &str) -> Result<(), String> {
    let mut command = workspace.cargo(&["build", "--quiet", "--offline", "-p", package]);
    let output = command.envs(env.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[track_caller]
fn refused(workspace: &Workspace, told: &[&str]) {
    let said = build(workspace, &[], "app-monolith").expect_err("a mistake");
    for text in told {
        assert!(said.contains(text), "no {text:?} in\n{said}");
    }
    // The mistake and nothing that follows from it.
    assert_eq!(said.matches("error: ").count(), 2, "{said}");
    assert!(said.contains("error: could not compile `app-monolith`"), "{said}");
}

#[test]
fn mistakes_in_the_manifest_fail_the_build() {
    let workspace = Workspace::copy();
    workspace.write("deployment.toml", GOOD);
    build(&workspace, &[], "app-monolith").unwrap();
    for (changes, told) in MISTAKES {
        workspace.write("deployment.toml", &edited(GOOD, changes));
        refused(&workspace, told);
    }
    workspace.write("deployment.toml", GOOD);
    for (key, value, told) in [
        ("MONOLIFT_MANIFEST", "app-split/deploymnet.toml", "deploymnet.toml cannot be read: "),
        ("MONOLIFT_PROCESS", "gatway", "has no process `gatway`: did you mean `gateway`?"),
    ] {
        let said = build(&workspace, &[(key, value)], "app-split").unwrap_err();
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn mistakes_in_what_depends_on_what_fail_the_build() {
    let workspace = Workspace::copy();
    let with = |file: &str, changes: &[(&str, &str)], told: &[&str]| {
        let original = workspace.read(file);
        workspace.write(file, &edited(&original, changes));
        refused(&workspace, told);
        workspace.write(file, &original);
    };
    // Two modules that call each other.
    with(
        "modules/payments/Cargo.toml",
        &[("[dependencies]\n", "[dependencies]\norders-api = { path = \"../orders/api\" }\n")],
        &[
            "modules/orders/Cargo.toml:22:1: modules call each other in a circle: \
             orders -> payments -> orders",
            "help: take one of these dependencies out",
        ],
    );
    // A module that depends on another's code.
    with(
        "modules/payments/Cargo.toml",
        &[("[dependencies]\n", "[dependencies]\nstock = { path = \"../stock\" }\n")],
        &[
            "modules/payments/Cargo.toml:19:1: module `payments` depends on the crate of module \
             `stock`: a module knows another only by its interface",
            "help: depend on `stock-api` instead",
        ],
    );
    // A module that depends on an interface that nobody provides.
    let coupons = workspace.read("modules/stock/api/Cargo.toml");
    let coupons = edited(
        &coupons,
        &[
            ("stock-api", "coupons-api"),
            ("../../../libs/", "../"),
            ("../../../framework", "../../framework"),
        ],
    );
    std::fs::create_dir_all(workspace.root.join("libs/coupons-api/src")).unwrap();
    workspace.write("libs/coupons-api/Cargo.toml", &coupons);
    workspace.write("libs/coupons-api/src/lib.rs", "//! What nobody provides.\n");
    with(
        "modules/orders/Cargo.toml",
        &[(
            "[dependencies]\n",
            "[dependencies]\ncoupons-api = { path = \"../../libs/coupons-api\" }\n",
        )],
        &["modules/orders/Cargo.toml:19:1: `orders` depends on `coupons-api`, but no module \
             `coupons` is placed: nobody provides it"],
    );
    std::fs::remove_dir_all(workspace.root.join("libs/coupons-api")).unwrap();
    // A process whose program does not depend on what runs in it.
    with(
        "app-monolith/Cargo.toml",
        &[("stock = { path = \"../modules/stock\" }\n", "")],
        &[
            "deployment.toml has these in this process, and `app-monolith` does not depend on them",
            "add to the [dependencies] of app-monolith/Cargo.toml",
            "stock = { path = \"../modules/stock\" }",
        ],
    );
}
