//! What of a manifest matters to those who observe the application.

use monolift_manifest::{Address, Connect, Manifest, Process};
use std::{error::Error, fs, net::IpAddr, path::Path, time::Duration};

/// An application, as it is observed.
#[derive(Debug)]
pub(super) struct Deployment {
    pub(super) app: String,
    /// The file name of the manifest.
    pub(super) manifest: String,
    /// The modules, by name.
    pub(super) modules: Vec<String>,
    /// The processes that run something, by name.
    pub(super) processes: Vec<Observed>,
    /// The admin address of the process that shows the whole application.
    pub(super) shows_all: String,
    /// A call or a request that takes longer is slow.
    pub(super) slow: Duration,
    /// The deadline of a call that states none.
    pub(super) deadline: Duration,
}

/// A process, as it is observed.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) name: String,
    pub(super) modules: Vec<String>,
    pub(super) targets: Targets,
    /// Whether its admin address takes the setting `admin_token`.
    pub(super) takes_token: bool,
}

/// Where the admin addresses of a process's replicas are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Targets {
    /// At these addresses.
    At(Vec<String>),
    /// At these ports of every address that the names have.
    Hosts { names: Vec<String>, ports: Vec<u16> },
    /// On the hosts of these SRV records. Each pair is a port of the records, and the admin port beside it.
    Srv { name: String, ports: Vec<(u16, u16)> },
}

/// What is slow where the manifest does not say.
const SLOW: Duration = Duration::from_secs(1);

impl Deployment {
    pub(super) fn read(file: &Path) -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(file)
            .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        Self::of(&Manifest::parse(&text, file)?)
    }

    pub(super) fn of(manifest: &Manifest) -> Result<Self, Box<dyn Error>> {
        let file = manifest.file.display();
        let nothing = Process::default();
        let stated = |name: &str| manifest.processes.get(name).unwrap_or(&nothing);
        let mut processes = Vec::new();
        let mut problems = Vec::new();
        for (at, name) in manifest.all_processes().filter(|name| manifest.is_run(name)).enumerate()
        {
            match targets(stated(name)) {
                Ok(targets) => processes.push(Observed {
                    name: name.to_owned(),
                    modules: manifest.modules_of(name).map(str::to_owned).collect(),
                    targets,
                    takes_token: stated(name).admins().iter().any(|admin| !is_loopback(admin)),
                }),
                Err(Unknown::NotStated) => problems.push(format!(
                    "{file}: process `{name}` states no admin address\n  help: add `admin = \"127.0.0.1:{}\"` under [process.{name}]",
                    7200 + at
                )),
                Err(Unknown::NoHost) => problems.push(format!(
                    "{file}: the admin address of process `{name}` names no host that Prometheus can reach\n  \
                     help: state one, or give [process.{name}] a `connect` of hosts or `srv:name`"
                )),
            }
        }
        if !problems.is_empty() {
            return Err(problems.join("\n").into());
        }
        let shows_all = processes.iter().find(|process| manifest.observes(&process.name));
        let shows_all = shows_all.or(processes.first()).map(|process| process.targets.first());
        let mut modules: Vec<String> =
            manifest.modules.iter().map(|placed| placed.module.clone()).collect();
        modules.sort();
        let name = manifest.file.file_name().unwrap_or(manifest.file.as_os_str());
        Ok(Self {
            app: manifest.app.clone(),
            manifest: name.to_string_lossy().into_owned(),
            modules,
            shows_all: shows_all.unwrap_or_default(),
            processes,
            slow: manifest.observe.slow.unwrap_or(SLOW),
            deadline: manifest.calls.deadline,
        })
    }
}

impl Targets {
    /// One of them, for a link.
    fn first(&self) -> String {
        match self {
            Self::At(addresses) => addresses.first().cloned().unwrap_or_default(),
            Self::Hosts { names, ports } => join(names.first(), ports.first()),
            Self::Srv { name, ports } => join(Some(name), ports.first().map(|(_, admin)| admin)),
        }
    }
}

fn join(host: Option<&String>, port: Option<&u16>) -> String {
    host.zip(port).map_or_else(String::new, |(host, port)| format!("{host}:{port}"))
}

/// Why the admin address of a process is not known.
enum Unknown {
    NotStated,
    NoHost,
}

fn targets(process: &Process) -> Result<Targets, Unknown> {
    let admins = process.admins();
    let known: Vec<(&str, u16)> = admins.iter().filter_map(Address::host_and_port).collect();
    let ports: Vec<u16> = known.iter().map(|(_, port)| *port).collect();
    let Some((host, port)) = known.first() else { return Err(Unknown::NotStated) };
    if *port == 0 {
        return Err(Unknown::NotStated);
    }
    if !is_unspecified(host) {
        return Ok(Targets::At(admins.iter().map(ToString::to_string).collect()));
    }
    match &process.connect {
        Some(Connect::Addresses(addresses)) => {
            let hosts = addresses.iter().filter_map(Address::host_and_port).map(|(host, _)| host);
            let mut hosts: Vec<String> = hosts.map(str::to_owned).collect();
            hosts.sort();
            hosts.dedup();
            if hosts.is_empty() {
                return Err(Unknown::NoHost);
            }
            if hosts.iter().all(|host| ip(host).is_some()) {
                let each = hosts
                    .iter()
                    .flat_map(|host| ports.iter().map(move |port| format!("{host}:{port}")));
                return Ok(Targets::At(each.collect()));
            }
            Ok(Targets::Hosts { names: hosts, ports })
        }
        Some(Connect::Srv(name)) => {
            let listens = process.listens();
            let calls = listens.iter().filter_map(Address::host_and_port).map(|(_, port)| port);
            Ok(Targets::Srv { name: name.clone(), ports: calls.zip(ports).collect() })
        }
        Some(Connect::File(_)) | None => Err(Unknown::NoHost),
    }
}

fn ip(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

fn is_unspecified(host: &str) -> bool {
    ip(host).is_some_and(|ip| ip.is_unspecified())
}

fn is_loopback(address: &Address) -> bool {
    let host = address.host_and_port().map_or("", |(host, _)| host);
    host == "localhost" || ip(host).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SHOP: &str = r#"app = "shop"
[modules]
stock = "stock"
orders = "orders"
[process.gateway]
http = "127.0.0.1:8080"
admin = "127.0.0.1:7200"
[process.stock]
listen = "127.0.0.1:7101"
admin = "127.0.0.1:7201"
replicas = 2
[process.orders]
listen = "127.0.0.1:7103"
admin = "127.0.0.1:7203"
"#;

    fn of(text: &str) -> Result<Deployment, String> {
        let manifest = Manifest::parse(text, Path::new("some/deployment.toml")).unwrap();
        Deployment::of(&manifest).map_err(|error| error.to_string())
    }

    pub(in crate::observe) fn shop() -> Deployment {
        of(SHOP).unwrap()
    }

    /// The targets of `stock`, with these lines in its table.
    fn stock(lines: &str) -> Result<Targets, String> {
        let text = SHOP.replace(
            "listen = \"127.0.0.1:7101\"\nadmin = \"127.0.0.1:7201\"\nreplicas = 2\n",
            lines,
        );
        let processes = of(&text)?.processes;
        Ok(processes.into_iter().find(|process| process.name == "stock").unwrap().targets)
    }

    #[test]
    fn every_replica_is_a_target() {
        let shop = shop();
        let names: Vec<&str> = shop.processes.iter().map(|process| process.name.as_str()).collect();
        assert_eq!(names, ["gateway", "orders", "stock"]);
        let both = ["127.0.0.1:7201", "127.0.0.1:7202"].map(str::to_owned);
        assert_eq!(shop.processes[2].targets, Targets::At(both.into()));
        assert_eq!(
            (&shop.shows_all[..], &shop.manifest[..]),
            ("127.0.0.1:7200", "deployment.toml")
        );
    }

    #[test]
    fn an_address_of_all_interfaces_is_found_as_callers_find_it() {
        let listen = "listen = \"0.0.0.0:7101\"\nadmin = \"0.0.0.0:7201\"\n";
        let at = |connect: &str| stock(&format!("{listen}connect = \"{connect}\"\n"));
        let both = ["10.0.0.1:7201", "10.0.0.2:7201"].map(str::to_owned);
        assert_eq!(at("10.0.0.1:7101, 10.0.0.2:7101"), Ok(Targets::At(both.into())));
        let names = Targets::Hosts { names: vec!["stock.internal".to_owned()], ports: vec![7201] };
        assert_eq!(at("stock.internal:7101"), Ok(names));
        let srv = Targets::Srv { name: "_calls._tcp.stock".to_owned(), ports: vec![(7101, 7201)] };
        assert_eq!(at("srv:_calls._tcp.stock"), Ok(srv));
        let refused = at("file:run/stock.addresses").unwrap_err();
        assert!(refused.contains("process `stock` names no host"), "{refused}");
    }

    #[test]
    fn a_process_without_an_admin_address_is_told_with_its_line() {
        for lines in ["", "admin = \"off\"\n", "admin = \"127.0.0.1:0\"\n"] {
            let refused = stock(&format!("listen = \"127.0.0.1:7101\"\n{lines}")).unwrap_err();
            assert_eq!(
                refused,
                "some/deployment.toml: process `stock` states no admin address\n  \
                 help: add `admin = \"127.0.0.1:7202\"` under [process.stock]"
            );
        }
    }
}
