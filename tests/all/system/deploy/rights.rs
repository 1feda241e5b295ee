//! Each pair of processes: what the network lets through, and whom a running process answers.

use super::{ALL_SPLIT, Process, root_file};
use monolift::{CallError, CallErrorKind, InterfaceError};
use monolift_call::link::{Interface, Link};
use monolift_manifest::{Address, Retries};
use monolift_seam::{
    remote::{Remote, Whereabouts},
    wire::{Bounds, Machine, Peer},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum ProbeError {
    #[error(transparent)]
    Call(CallError),
}

/// A method of one module, without its arguments: a process that answers its caller finds them missing.
macro_rules! probe {
    ($folder:ident, $name:ident, $method:ident, $module:literal) => {
        mod $folder {
            use super::ProbeError;

            #[monolift::interface(module = $module)]
            pub trait $name {
                #[idempotent]
                async fn $method(&self) -> Result<(), ProbeError>;
            }
        }
    };
}

probe!(users, Users, profile, "users");
probe!(stock, Stock, level, "stock");
probe!(orders, Orders, get, "orders");
probe!(payments, Payments, payment, "payments");
probe!(notifications, Notifications, sent_to, "notifications");
probe!(reports, Reports, history, "reports");

/// A client of a process at an address, for a process that says that it is `caller`.
fn client<I: Interface + ?Sized>(address: &str, process: &str, caller: &str) -> I::Client {
    let whereabouts = Whereabouts {
        process: process.to_owned(),
        connect: address.parse::<Address>().unwrap().into(),
        network: Arc::new(Machine),
        us: Peer::new("shop", caller, Bounds::default()),
        interfaces: vec![I::descriptor()],
        tls: None,
        bounds: Bounds::default(),
        hello: Duration::from_secs(5),
        in_flight: 16,
        memory: Arc::default(),
        retries: Retries::default(),
        thresholds: Default::default(),
    };
    let link = Link::unbound(Arc::default());
    link.bind_carrier(Arc::new(Remote::new(whereabouts, 1)));
    I::client(link)
}

/// Whether the process answers a call of its module.
async fn answers(address: &str, process: &str, caller: &str) -> bool {
    macro_rules! ask {
        ($folder:ident, $name:ident, $method:ident) => {{ client::<dyn $folder::$name>(address, process, caller).$method().await }};
    }
    let answer = match process {
        "users" => ask!(users, Users, profile),
        "stock" => ask!(stock, Stock, level),
        "orders" => ask!(orders, Orders, get),
        "payments" => ask!(payments, Payments, payment),
        "reports" => ask!(reports, Reports, history),
        _ => ask!(notifications, Notifications, sent_to),
    };
    let ProbeError::Call(error) = answer.unwrap_err();
    match error.kind() {
        CallErrorKind::Denied => false,
        // The process lets the caller in, and the method asks for a user.
        CallErrorKind::BadArguments | CallErrorKind::Unauthenticated | CallErrorKind::Forbidden => {
            true
        }
        _ => panic!("{caller} to {process}: {error}"),
    }
}

/// The processes that the policy of one lets in at its port of calls.
fn let_in(process: &str) -> BTreeSet<String> {
    let text = root_file(&format!("app-split/deploy/kubernetes/base/{process}.yaml"));
    let policy = text.split("---\n").find(|object| object.contains("kind: NetworkPolicy")).unwrap();
    let (ingress, _) = policy.split_once("  egress:\n").unwrap();
    let rules = ingress.split("    - from:\n").filter(|rule| rule.contains("- port: 7100\n"));
    let names = rules.flat_map(|rule| {
        rule.lines().filter_map(|line| line.trim().strip_prefix("app.kubernetes.io/component: "))
    });
    names.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_answers_whom_the_network_lets_in() {
    let run = ALL_SPLIT.run("rights");
    let processes: Vec<Process> = ALL_SPLIT
        .programs
        .iter()
        .map(|program| run.start(&ALL_SPLIT.program(program.file)))
        .collect();
    let mut agreed = 0;
    for (callee, mut process) in ALL_SPLIT.programs[..6].iter().zip(processes) {
        let address = process.says("other processes call it at ");
        let admitted = let_in(callee.process);
        for caller in ALL_SPLIT.programs.iter().map(|program| program.process) {
            if caller == callee.process {
                continue;
            }
            let answered = answers(&address, callee.process, caller).await;
            // The gateway asks each process for what it records, also the one whose methods have no routes.
            let observes = caller == "gateway";
            assert!(
                !answered || admitted.contains(caller),
                "the policy of {} keeps {caller} out",
                callee.process
            );
            assert_eq!(
                admitted.contains(caller),
                answered || observes,
                "{caller} to {}",
                callee.process
            );
            agreed += usize::from(answered);
        }
        process.stop();
    }
    // orders calls three modules, notifications and reports two each, and all six have routes for the gateway.
    assert_eq!(agreed, 13);
}
