//! Who may call what: as a matrix, and where nothing proves who calls.

use crate::{
    access::{Lobby, Vault},
    certificates::{APP, Authority},
    support::{Obedient, Worker},
};
use monolift::{
    app::{App, Linked, Program, Right},
    testing::{Mode, System},
};
use monolift_call::link::Interface;
use monolift_manifest::{Address, Manifest};
use std::sync::Arc;

/// A program in whose process the vault is. The lobby, in another one, calls it.
const MANIFEST: &str = "
app = \"club\"
host = \"club\"
[modules]
vault = \"club\"
lobby = \"lobby\"
[process.club]
listen = \"127.0.0.1:7100\"
[process.lobby]
listen = \"127.0.0.1:7101\"
[process.door]
http = \"127.0.0.1:8080\"
";

#[test]
fn the_matrix_has_every_method_with_its_rule_and_its_callers() {
    let linked = Linked {
        manifest: MANIFEST,
        file: "the test's manifest",
        root: "/nonexistent",
        kind: Program::Host,
        modules: &[],
        calls: &[("lobby", &["vault"]), ("vault", &[])],
        host_calls: &["lobby"],
        circles: &[],
        local_calls: &[],
    };
    let right = |method: &str, route: Option<&str>, rule: &str, callers: &[&str]| Right {
        process: "club".into(),
        module: "vault".into(),
        interface: "Vault".into(),
        method: method.into(),
        route: route.map(str::to_owned),
        rule: Some(rule.into()),
        callers: callers.iter().map(|&caller| caller.to_owned()).collect(),
    };
    let both = &["door", "lobby"];
    let staff = "a user with the role `staff` and the scope `boxes:write`, or a service";
    let expected = [
        right("add", Some("POST /boxes"), staff, both),
        right("hours", Some("GET /hours"), "anyone", both),
        right("open", Some("GET /boxes/{owner}"), "a user", both),
        right("routes", Some("/plans/…"), "a user", &["club", "door"]),
    ];
    assert_eq!(App::new(linked).unwrap().rights(), expected);
    // Without a gateway there are no requests.
    let manifest = MANIFEST.replace("[process.door]\nhttp = \"127.0.0.1:8080\"\n", "");
    let alone = App::new(Linked { manifest: manifest.leak(), ..linked }).unwrap().rights();
    let callers: Vec<_> = alone.iter().map(|right| (&right.route, &right.callers[..])).collect();
    assert_eq!(callers, [(&None, &["lobby".to_owned()][..]); 3]);
    // As the interfaces say it, so that a new method is not forgotten.
    assert_eq!(<dyn Vault>::descriptor().methods.len(), expected.len() - 1);
    assert_eq!(<dyn Lobby>::descriptor().module, "lobby");
}

/// A process that listens on `address`.
fn listening(address: &str, more: impl Fn(&mut Manifest) + Send + 'static) -> System {
    let address: Address = address.parse().unwrap();
    let worker: Arc<dyn Worker> = Arc::<Obedient>::default();
    System::new(Mode::InProcess).fake(worker).manifest(move |manifest| {
        let process = manifest.processes.entry("test".to_owned()).or_default();
        process.listen = Some(address.clone());
        more(manifest);
    })
}

#[tokio::test]
async fn a_process_does_not_listen_for_others_off_loopback_without_encryption() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = listening(address, |_| {}).try_start().await.unwrap_err().to_string();
        assert!(refused.contains(&format!("`process.test.listen` is {address}")), "{refused}");
        assert!(refused.contains("`insecure = true`"), "{refused}");
    }
    listening("127.0.0.1:0", |_| {}).start().await.stop().await;
    listening("0.0.0.0:0", |manifest| manifest.mesh = true).start().await.stop().await;
    listening("0.0.0.0:0", |manifest| manifest.insecure = true).start().await.stop().await;
    let authority = Authority::new();
    authority.sign("test", "test");
    assert_eq!(APP, "test");
    let files = authority.files();
    let with_tls = listening("0.0.0.0:0", move |manifest| manifest.tls = Some(files.clone()));
    with_tls.start().await.stop().await;
}
