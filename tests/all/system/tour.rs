//! The tour: one word of the manifest is changed, the programs are built again, and the same
//! requests have the same answers. And then the other placements.

use super::{
    http::{Response, get, request},
    processes::{Process, Run, ready},
    workspace::Workspace,
};

const ORDER: &str = r#"{"email": "ada@example.org", "lines": [{"sku": "tea", "quantity": 2}]}"#;

/// A shopper's requests, and what came back.
fn shop(address: &str) -> Vec<Response> {
    let place = |key: &str, body: &str| {
        request(address, "POST", "/orders", &[("idempotency-key", key)], body).unwrap()
    };
    let mut answers = vec![
        get(address, "/products/tea/stock"),
        get(address, "/products/gold/stock"),
        place("one", ORDER),
        place("one", ORDER),
        get(address, "/orders/one"),
        get(address, "/orders/two"),
        place("many", r#"{"email": "a", "lines": [{"sku": "tea", "quantity": 2000}]}"#),
        place("dear", r#"{"email": "a", "lines": [{"sku": "pot", "quantity": 5}]}"#),
        place("none", r#"{"email": "a", "lines": []}"#),
        place("odd", r#"{"email": "a"}"#),
        get(address, "/orders?most=1"),
        get(address, "/products/tea/stock"),
        get(address, "/products/pot/stock"),
        get(address, "/nowhere"),
    ];
    for answer in &mut answers {
        // The time of an order is its own.
        if let Some((before, after)) = answer.body.split_once("\"placed_at_ms\":") {
            let rest = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
            answer.body = format!("{before}\"placed_at_ms\":0{rest}");
        }
    }
    answers
}

fn visit(gateway: &mut Process) -> Vec<Response> {
    let address = gateway.http();
    ready(&address);
    shop(&address)
}

#[test]
fn one_word_moves_a_module_out_and_nothing_else_changes() {
    let workspace = Workspace::copy();
    let built = ["-p", "app-monolith", "-p", "payments"];
    workspace.build(&built, &[]);
    let monolith = workspace.program("app-monolith");
    let payments = workspace.program("payments");
    assert_eq!(workspace.modules_in(&monolith), ["orders", "payments", "stock"]);
    assert_eq!(workspace.modules_in(&payments), ["payments"]);

    // Everything in one process.
    let run = Run::new("monolith", &["monolith"]);
    let mut process = run.start(&monolith);
    let expected = visit(&mut process);
    process.stop();
    let statuses: Vec<u16> = expected.iter().map(|answer| answer.status).collect();
    assert_eq!(
        statuses,
        [200, 404, 200, 200, 200, 404, 409, 200, 422, 400, 200, 200, 200, 404],
        "{expected:#?}"
    );
    assert_eq!(expected[2], expected[3]);
    assert!(expected[11].body.contains("\"on_hand\":18"), "{expected:#?}");

    // Served beside the monolith, which keeps its own copy: it says so.
    let run =
        Run::new("aside", &["monolith"]).with("SHOP_PROCESS__PAYMENTS__LISTEN", "127.0.0.1:0");
    let mut process = run.start(&payments);
    process.says("has `payments` in the process `monolith`, and callers use that copy");
    process.stop();

    // The one word. Only programs are built again.
    workspace.edit("deployment.toml", "payments = \"monolith\"", "payments = \"payments\"");
    let arguments = [&built[..], &["--message-format=json"]].concat();
    let output = workspace.build(&arguments, &[]);
    let mut rebuilt = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        if message["reason"] == "compiler-artifact" && message["fresh"] == false {
            let target = &message["target"];
            assert_eq!(target["kind"], serde_json::json!(["bin"]), "{target}");
            rebuilt.push(target["name"].as_str().unwrap().to_owned());
        }
    }
    rebuilt.sort();
    assert_eq!(rebuilt, ["app-monolith", "payments"]);
    assert_eq!(workspace.modules_in(&monolith), ["orders", "stock"]);
    assert_eq!(workspace.modules_in(&payments), ["payments"]);

    // The monolith waits for the service, is not ready, and is there.
    let run = Run::new("split", &["monolith", "payments"]);
    let mut process = run.start(&monolith);
    let address = process.http();
    let waiting = get(&address, "/readyz");
    assert_eq!(waiting.status, 503);
    assert!(waiting.body.contains("payments at 127.0.0.1:"), "{waiting:?}");
    assert_eq!(get(&address, "/livez").status, 200);
    process.says("waiting for payments at 127.0.0.1:");
    let mut service = run.start(&payments);
    service.says("payments runs payments");
    assert_eq!(visit(&mut process), expected);

    // A service that dies is an error for those who need it, and no more; then it comes back.
    service.signal("-KILL");
    let (status, _) = service.ended();
    assert!(!status.success());
    assert_eq!(get(&address, "/products/tea/stock").status, 200);
    let order = |key: &str| {
        request(&address, "POST", "/orders", &[("idempotency-key", key)], ORDER).unwrap()
    };
    let failed = order("later");
    assert!([502, 503].contains(&failed.status), "{failed:?}");
    let mut service = run.start(&payments);
    service.says("payments runs payments");
    let by = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while order("later").status != 200 {
        assert!(std::time::Instant::now() < by, "it does not find the service again");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    // What is in flight when the process is asked to stop has its answer.
    service.signal("-STOP");
    let waiting = {
        let address = address.clone();
        std::thread::spawn(move || {
            request(&address, "POST", "/orders", &[("idempotency-key", "last")], ORDER)
        })
    };
    let by = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !get(&address, "/products/tea/stock").body.contains("\"on_hand\":14") {
        assert!(std::time::Instant::now() < by, "the order in flight has not reserved its units");
    }
    process.signal("-TERM");
    process.says("stopping");
    service.signal("-CONT");
    assert_eq!(waiting.join().unwrap().unwrap().status, 200);
    let (status, said) = process.ended();
    assert!(status.success(), "{said}");
    service.stop();

    all_split(&workspace, &expected);
    two_share_a_process(&workspace, &expected);
}

/// Every module in a process of its own, behind a gateway that has none.
fn all_split(workspace: &Workspace, expected: &[Response]) {
    let manifest = workspace.root.join("app-split/deployment.toml");
    let manifest = manifest.to_str().unwrap();
    workspace.build(
        &["-p", "app-split", "-p", "orders", "-p", "stock", "-p", "payments"],
        &[("MONOLIFT_MANIFEST", manifest), ("MONOLIFT_PROCESS", "gateway")],
    );
    let gateway = workspace.program("process");
    assert!(workspace.modules_in(&gateway).is_empty());
    let names = ["stock", "payments", "orders"];
    let run = Run::new("all", &names).with("MONOLIFT_MANIFEST", manifest);
    let services = names.map(|name| {
        let program = workspace.program(name);
        assert_eq!(workspace.modules_in(&program), [name]);
        run.start(&program)
    });
    let mut process = run.start(&gateway);
    assert_eq!(visit(&mut process), expected);
    process.stop();
    for service in services.into_iter().rev() {
        service.stop();
    }
}

/// Two modules share a process that is no module's own package.
fn two_share_a_process(workspace: &Workspace, expected: &[Response]) {
    let text = r#"
        app = "shop"
        [modules]
        stock = "back"
        payments = "back"
        orders = "monolith"
        [process.monolith]
        http = "127.0.0.1:0"
        [process.back]
        listen = "127.0.0.1:7105"
    "#;
    let manifest = workspace.root.join("mixed.toml");
    std::fs::write(&manifest, text).unwrap();
    let manifest = manifest.to_str().unwrap();
    let front = workspace.program("front");
    let build = |process: &str| {
        let env = [("MONOLIFT_MANIFEST", manifest), ("MONOLIFT_PROCESS", process)];
        workspace.build(&["-p", "app-split"], &env);
    };
    build("monolith");
    std::fs::copy(workspace.program("process"), &front).unwrap();
    build("back");
    let back = workspace.program("process");
    assert_eq!(workspace.modules_in(&front), ["orders"]);
    assert_eq!(workspace.modules_in(&back), ["payments", "stock"]);
    let run = Run::new("mixed", &["back"]);
    let behind = run.start(&back);
    let mut process = run.start(&front);
    assert_eq!(visit(&mut process), expected);
    process.stop();
    behind.stop();
}
