//! The files of the shop, which is split and has a gateway.

use super::*;
use monolift_manifest::{Graph, Manifest, Workspace};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const MANIFEST: &str = "../app-split/deployment.toml";

fn shop(sqlite: &[&str]) -> System {
    let sqlite: Vec<String> = sqlite.iter().map(|&one| one.to_owned()).collect();
    System::read(Path::new(MANIFEST), &sqlite).unwrap()
}

fn texts(files: Files) -> BTreeMap<String, String> {
    files.generated.into_iter().chain(files.begun).map(|file| (file.path, file.text)).collect()
}

fn on_kubernetes(sqlite: &[&str]) -> BTreeMap<String, String> {
    texts(kubernetes::files(&shop(sqlite), Some(Mesh::Linkerd), Entry::Ingress))
}

/// The objects of a file, by their kinds.
fn objects<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let is_one = |object: &&str| object.lines().any(|line| line == format!("kind: {kind}"));
    text.split("---\n").filter(is_one).collect()
}

fn object<'a>(text: &'a str, kind: &str) -> &'a str {
    let found = objects(text, kind);
    assert_eq!(found.len(), 1, "{kind}: {text}");
    found[0]
}

#[test]
fn the_same_workspace_gives_the_same_files() {
    let all = || {
        let system = shop(&["users"]);
        let out = Path::new("../app-split/deploy/docker");
        let mut all = texts(kubernetes::files(&system, Some(Mesh::Linkerd), Entry::GatewayApi));
        all.extend(texts(Files::generated(docker::files(&system, out).unwrap())));
        all.extend(texts(Files::generated(compose::files(&system, out).unwrap())));
        all.extend(texts(Files::generated(nginx::files(&system).unwrap())));
        all.extend(texts(Files::generated(helm::files(&system))));
        all
    };
    assert_eq!(all(), all());
    for (path, text) in all() {
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{path}: {text}");
        assert!(
            !text.contains('\t') && !text.lines().any(|line| line.ends_with(' ')),
            "{path}: {text}"
        );
    }
}

/// The components that a policy lets in to, or out to, the port of calls.
fn peers(policy: &str, direction: &str) -> BTreeSet<String> {
    let (ingress, egress) = policy.split_once("  egress:\n").unwrap();
    let rules =
        if direction == "ingress" { ingress.split_once("  ingress:\n").unwrap().1 } else { egress };
    let rules = rules.split("    - from:\n").flat_map(|rule| rule.split("    - to:\n"));
    let of_calls = rules.filter(|rule| rule.contains("- port: 7100\n"));
    let names = of_calls.flat_map(|rule| {
        rule.lines().filter_map(|line| line.trim().strip_prefix("app.kubernetes.io/component: "))
    });
    names.map(str::to_owned).collect()
}

#[test]
fn policies_say_of_each_pair_what_the_graph_says() {
    let text = fs::read_to_string(MANIFEST).unwrap();
    // Processes that observe, and one that nothing calls.
    let with_ops = text.clone().replace(
        "[process.gateway]",
        "[process.ops]\nobserve = true\n[process.gateway]\nlisten = \"127.0.0.1:7100\"",
    );
    for text in [text, with_ops] {
        let manifest = Manifest::parse(&text, Path::new(MANIFEST)).unwrap();
        let workspace = Workspace::find(Path::new(".")).unwrap();
        let graph = Graph::check(&manifest, &workspace, None).unwrap();
        let system =
            System::of(manifest.clone(), workspace, "deployment.toml".to_owned(), &[]).unwrap();
        let files = texts(kubernetes::files(&system, Some(Mesh::Linkerd), Entry::Ingress));
        let policy = |process: &str| {
            object(&files[&format!("base/{process}.yaml")], "NetworkPolicy").to_owned()
        };
        let mesh = &files["components/linkerd/policies.yaml"];
        let names: Vec<&str> = manifest.all_processes().collect();
        let mut pairs = 0;
        for from in &names {
            for to in names.iter().filter(|to| *to != from) {
                let calls =
                    manifest.modules_of(to).any(|module| graph.may_call(&manifest, from, module));
                let listens = manifest.processes[*to].listen.is_some();
                let expected = listens && (calls || manifest.observes(from));
                assert_eq!(
                    peers(&policy(from), "egress").contains(*to),
                    expected,
                    "{from} to {to}"
                );
                assert_eq!(
                    peers(&policy(to), "ingress").contains(*from),
                    expected,
                    "{from} to {to}"
                );
                let server = format!("  name: shop-{to}-calls\n");
                let callers = objects(mesh, "MeshTLSAuthentication")
                    .into_iter()
                    .find(|one| one.contains(&server));
                let account = format!("      name: shop-{from}\n");
                assert_eq!(
                    callers.is_some_and(|one| one.contains(&account)),
                    expected,
                    "{from} to {to}"
                );
                pairs += usize::from(expected);
            }
        }
        // The gateway reaches five, and orders reaches four.
        assert!(pairs >= 9, "{pairs}");
    }
}

/// The ports outside of the application that a policy lets out to, wherever they are.
fn ports_outside(policy: &str) -> Vec<&str> {
    let egress = policy.split_once("  egress:\n").unwrap().1;
    let rules = egress.split("    - ports:\n        - port: ").skip(1);
    rules.map(|rule| rule.split('\n').next().unwrap()).collect()
}

#[test]
fn the_gateway_reaches_the_issuers_of_tokens_and_no_other_process_does() {
    let text = fs::read_to_string(MANIFEST).unwrap();
    let with = |issuers: &str| {
        let text = format!("{text}\n{issuers}");
        let manifest = Manifest::parse(&text, Path::new(MANIFEST)).unwrap();
        let workspace = Workspace::find(Path::new(".")).unwrap();
        let system = System::of(manifest, workspace, "deployment.toml".to_owned(), &[]).unwrap();
        texts(kubernetes::files(&system, None, Entry::Ingress))
    };
    let policy = |files: &BTreeMap<String, String>, process: &str| {
        object(&files[&format!("base/{process}.yaml")], "NetworkPolicy").to_owned()
    };
    // `users` issues tokens itself: its keys come by a call.
    let inside = with("");
    assert!(ports_outside(&policy(&inside, "gateway")).is_empty());
    assert!(peers(&policy(&inside, "gateway"), "egress").contains("users"));

    let issuer = |name: &str, url: &str, more: &str| {
        format!("[identity.issuers.{name}]\nissuer = \"{url}\"\naudience = \"shop\"\n{more}\n")
    };
    let discovered = issuer("a", "https://id.example.com", "");
    let stated = issuer("b", "https://b.example.com", "jwks = \"https://keys.example.com:8443/b\"");
    let outside = with(&(discovered + &stated));
    assert_eq!(ports_outside(&policy(&outside, "gateway")), ["443", "8443"]);
    assert_eq!(ports_outside(&policy(&outside, "orders")), ["5432"]);
}

/// What an entry of a route says, up to the next one.
fn rules(route: &str) -> Vec<&str> {
    let (_, rules) = route.split_once("  rules:\n").unwrap();
    rules.split("    - matches:\n").skip(1).collect()
}

#[test]
fn an_http_route_stands_in_place_of_the_ingress() {
    let mut system = shop(&[]);
    system.streams = vec!["/pictures".to_owned()];
    let of = |entry| texts(kubernetes::files(&system, None, entry));
    let (ingress, route) = (of(Entry::Ingress), of(Entry::GatewayApi));
    let only_in = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
        let names = one.keys().filter(|name| !other.contains_key(*name));
        names.cloned().collect::<Vec<_>>()
    };
    assert_eq!(only_in(&ingress, &route), ["base/ingress.yaml"]);
    assert_eq!(only_in(&route, &ingress), ["base/route.yaml"]);
    assert!(route["base/kustomization.yaml"].contains("  - route.yaml\n"));
    assert!(!route["base/kustomization.yaml"].contains("ingress.yaml"));

    let text = object(&route["base/route.yaml"], "HTTPRoute");
    let [streams, rest] = rules(text)[..] else { panic!("{text}") };
    assert!(streams.contains("value: /pictures\n") && streams.contains("request: 0s\n"));
    // payments has calls of 30 s.
    assert!(rest.contains("value: /\n") && rest.contains("request: 35s\n"));
    // The port of the service that it names.
    let front = "        - name: shop-gateway-http\n          port: 80\n";
    assert!([streams, rest].iter().all(|rule| rule.contains(front)), "{text}");
    assert!(route["base/gateway.yaml"].contains("name: shop-gateway-http\n"));

    // Requests come from the Gateway's proxies, and overlays name the host.
    let policy = |files: &BTreeMap<String, String>| {
        object(&files["base/gateway.yaml"], "NetworkPolicy").to_owned()
    };
    let namespace = "kubernetes.io/metadata.name: ";
    assert!(policy(&route).contains(&format!("{namespace}gateways\n")));
    assert!(!policy(&route).contains("ingress-nginx"));
    assert!(policy(&ingress).contains(&format!("{namespace}ingress-nginx\n")));
    let overlay = &route["overlays/production/kustomization.yaml"];
    assert!(overlay.contains("      kind: HTTPRoute\n      name: shop\n"), "{overlay}");
    assert!(overlay.contains("path: /spec/hostnames\n        value: [shop.example.org]\n"));
}

#[test]
fn a_process_with_sqlite_is_one_pod_with_a_volume() {
    let files = on_kubernetes(&["users"]);
    let users = &files["base/users.yaml"];
    let set = object(users, "StatefulSet");
    assert!(
        set.contains("  replicas: 1\n")
            && set.contains("mountPath: /data")
            && set.contains("serviceName: shop-users")
    );
    assert!(
        objects(users, "HorizontalPodAutoscaler").is_empty()
            && objects(users, "Deployment").is_empty()
    );
    assert!(!files.contains_key("migrate/users.yaml") && files.contains_key("migrate/orders.yaml"));
    let settings = &files["base/settings.toml"];
    assert!(
        settings.contains("[db]\nmigrate = \"never\"")
            && settings.contains("[users.db]\nmigrate = \"start\"")
    );
    assert!(!files["secrets.example/shop-users.env"].contains("USERS__DB__URL"));
    assert!(
        files["secrets.example/shop-orders.env"]
            .contains("SHOP_ORDERS__DB__URL=postgres://shop_orders_run:")
    );
    assert!(files["components/tls/kustomization.yaml"].contains("kind: StatefulSet"));
    let nobody = System::read(Path::new(MANIFEST), &["nobody".to_owned()]).unwrap_err().to_string();
    assert!(nobody.ends_with("has no module `nobody`"), "{nobody}");
}

#[test]
fn pods_have_time_to_drain_and_proxies_wait_longer_than_calls() {
    let files = on_kubernetes(&[]);
    // 20 s of drain and 10 s for the rest; the gateway is sent requests for 5 s more.
    assert!(files["base/orders.yaml"].contains("terminationGracePeriodSeconds: 30\n"));
    let gateway = &files["base/gateway.yaml"];
    assert!(
        gateway.contains("terminationGracePeriodSeconds: 35\n")
            && gateway.contains("                seconds: 5\n")
    );
    // payments has calls of 30 s.
    assert!(files["base/ingress.yaml"].contains("proxy-read-timeout: \"35\""));
    let nginx = texts(Files::generated(nginx::files(&shop(&[])).unwrap()));
    assert!(nginx["shop.conf"].contains("    proxy_read_timeout 35s;\n"));
}

#[test]
fn certificates_are_for_the_names_that_processes_check() {
    let files = on_kubernetes(&[]);
    let certificates = objects(&files["components/tls/certificates.yaml"], "Certificate");
    for process in ["gateway", "orders", "payments"] {
        let of = certificates
            .iter()
            .find(|one| one.contains(&format!("secretName: shop-{process}-tls\n")))
            .unwrap();
        assert!(of.contains(&format!("  uris:\n    - spiffe://shop/{process}\n")));
    }
}

#[test]
fn callees_are_released_before_their_callers() {
    let system = shop(&[]);
    let at = |name: &str| system.processes.iter().position(|one| one.name == name).unwrap();
    for process in &system.processes {
        for called in &process.calls {
            assert!(at(called) < at(&process.name), "{} calls {called}", process.name);
        }
    }
    let release = &on_kubernetes(&[])["RELEASE.md"];
    assert!(release.contains("7. `shop-gateway` calls"), "{release}");
}

#[test]
fn a_manifest_with_a_host_is_refused() {
    let text = "app = \"shop\"\nhost = \"web\"\n[modules]\nusers = \"web\"\nstock = \"web\"\norders = \"web\"\npayments = \"web\"\nnotifications = \"web\"\nreports = \"web\"\n";
    let manifest = Manifest::parse(text, Path::new("deployment.toml")).unwrap();
    let workspace = Workspace::find(Path::new(".")).unwrap();
    let error =
        System::of(manifest, workspace, "deployment.toml".to_owned(), &[]).unwrap_err().to_string();
    assert!(error.contains("host"), "{error}");
}

#[test]
fn files_of_an_older_manifest_are_found() {
    let folder = std::env::temp_dir().join(format!("ml-deploy-{}", std::process::id()));
    let Files { generated, begun, whole } = kubernetes::files(&shop(&[]), None, Entry::Ingress);
    written::write(&folder, &generated).unwrap();
    written::begin(&folder, &begun).unwrap();
    assert!(written::left_over(&folder, whole, &generated).is_empty());
    written::check(&folder, &generated).unwrap();
    let old = folder.join("base/coupons.yaml");
    fs::write(&old, "").unwrap();
    assert_eq!(written::left_over(&folder, whole, &generated), [old]);
    // What a person changes stays.
    let overlay = folder.join("overlays/production/kustomization.yaml");
    fs::write(&overlay, "mine\n").unwrap();
    written::begin(&folder, &begun).unwrap();
    assert_eq!(fs::read_to_string(&overlay).unwrap(), "mine\n");
    written::check(&folder, &generated).unwrap();
    fs::write(folder.join("base/orders.yaml"), "edited\n").unwrap();
    let stale = written::check(&folder, &generated).unwrap_err().to_string();
    assert!(
        stale.starts_with("out of date: ") && stale.contains("base/orders.yaml\nhelp: "),
        "{stale}"
    );
    fs::remove_dir_all(&folder).unwrap();
}
