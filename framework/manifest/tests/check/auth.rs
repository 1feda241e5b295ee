//! An application with identity: nothing is open by omission.

use monolift_manifest::{Manifest, RuleMode, states_auth};

use crate::scratch::{Scratch, parse};

fn api(module: &str, marks: &str) -> String {
    format!("[package]\nname = \"{module}-api\"\n[package.metadata.monolift]\n{marks}\n")
}

/// `stock` says that its routed methods state who may call them, `orders` does not.
fn shop() -> Scratch {
    Scratch::workspace()
        .module("stock", &[])
        .file("modules/stock/api/Cargo.toml", &api("stock", "auth = true"))
        .module("orders", &["stock-api"])
}

const PLAIN: &str = "app = \"shop\"\n[modules]\nstock = \"shop\"\norders = \"shop\"\n";

#[test]
fn packages_of_interfaces_say_that_their_routed_methods_do() {
    shop().graph(PLAIN);
    let refused = shop().refused(&format!("{PLAIN}[identity]\n"));
    let expected = "deployment.toml:4:1: this application has [identity], and the package `orders-api` does not say that each \
                    routed method of `orders` states who may call it";
    assert!(refused.contains(expected) && refused.contains("write `auth = true`"), "{refused}");
    assert!(!refused.contains("`stock-api`"), "{refused}");
    let stated = shop().file("modules/orders/api/Cargo.toml", &api("orders", "auth = true"));
    stated.graph(&format!("{PLAIN}[identity]\n"));
}

#[test]
fn issuers_are_read_and_mistakes_in_them_told() {
    let identity = "[identity]\nrules = \"observe,stock=enforce\"\n[identity.issuers.main]\n\
                    issuer = \"https://id\"\naudience = \"shop\"\nroles = \"realm_access.roles\"\n";
    let manifest: Manifest = parse(&format!("{PLAIN}{identity}")).unwrap();
    assert!(manifest.identity.stated && !parse(PLAIN).unwrap().identity.stated);
    assert_eq!(manifest.identity.keys.rules.all, RuleMode::Observe);
    assert_eq!(manifest.identity.keys.rules.modules["stock"], RuleMode::Enforce);
    let main = &manifest.identity.issuers["main"];
    assert_eq!((main.audience.as_deref(), &*main.roles), (Some("shop"), "realm_access.roles"));
    for (wrong, told) in [
        ("rules = \"of\"", "expected `enforce` or `observe`"),
        ("rule = \"observe\"", "did you mean `rules`?"),
        ("issuers = 7", "must be a table"),
        ("issuers.main = 7", "must be a table"),
        ("issuers.main.audience = \"shop\"", "write the URL of the issuer"),
        ("issuers.main.issuer = \"https://id\"", "write what its tokens are issued for"),
        ("issuers.main.issuer = \"id\"", "expected a URL"),
        ("issuers.main.jwks = \"keys\"", "or a path of this application"),
        ("issuers.main.jwks = \"//keys\"", "or a path of this application"),
        ("issuers.main.refresh = \"0s\"", "1s"),
        ("issuers.main.isuer = \"https://id\"", "did you mean `issuer`?"),
    ] {
        let problems = parse(&format!("{PLAIN}[identity]\n{wrong}\n")).unwrap_err().to_string();
        assert!(problems.contains(told), "{wrong}: {problems}");
    }
}

#[test]
fn a_package_says_it_in_its_cargo_toml() {
    let shop = shop();
    let says = |module: &str| states_auth(&shop.root.join(format!("modules/{module}/api")));
    assert!(says("stock") && !says("orders") && !says("nowhere"));
}
