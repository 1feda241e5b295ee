//! What runs a process: its pods, how many there are, and how they are replaced.

use super::{labels, object};
use crate::deploy::{
    settings::{self, DATA},
    system::{ADMIN, CALLS, FAREWELL, HTTP, Process, System, USER},
};
use monolift_data::DbSettings;
use std::{fmt::Write as _, time::Duration};

/// The fewest pods of a process: while one is replaced, another one works.
const FEWEST: usize = 2;
/// How far a process may grow, as a multiple of the fewest.
const MOST: usize = 2;

/// An account without rights: it names the process, for a mesh.
pub(super) fn account(system: &System, process: &Process) -> String {
    let head = object(system, "v1", "ServiceAccount", &process.unit, &process.host);
    format!("{head}automountServiceAccountToken: false\n")
}

/// A Deployment, or a StatefulSet where the process keeps files.
pub(super) fn workload(system: &System, process: &Process) -> String {
    let kind = if process.keeps_files() { "StatefulSet" } else { "Deployment" };
    let mut text = object(system, "apps/v1", kind, &process.unit, &process.host);
    let selector = labels(system, &process.host, 6);
    if process.keeps_files() {
        let _ = write!(
            text,
            "spec:
  # One pod: a SQLite file has one process. An update is a short pause.
  replicas: 1
  serviceName: {}
  selector:
    matchLabels:
{selector}",
            process.unit
        );
    } else {
        let _ = write!(
            text,
            "spec:
  # How many there are, the HorizontalPodAutoscaler says.
  minReadySeconds: 5
  revisionHistoryLimit: 5
  progressDeadlineSeconds: 300
  strategy:
    type: RollingUpdate
    rollingUpdate:
      # A new pod is ready before an old one stops.
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
{selector}"
        );
    }
    pod(&mut text, system, process);
    if process.keeps_files() {
        let _ = write!(
            text,
            "  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes:
          - ReadWriteOnce
        resources:
          requests:
            storage: 1Gi
"
        );
    }
    text
}

/// Writing to a string cannot fail.
fn pod(text: &mut String, system: &System, process: &Process) {
    let Process { host, unit, .. } = process;
    let farewell = if process.has_gateway { FAREWELL } else { Duration::ZERO };
    let (grace, drain) = (system.grace(farewell), system.manifest.calls.drain.as_secs());
    let pods = labels(system, host, 8);
    let before = if process.has_gateway {
        format!(", and {} s before, in which proxies still send requests", farewell.as_secs())
    } else {
        String::new()
    };
    let _ = write!(
        text,
        "  template:
    metadata:
      labels:
{pods}    spec:
      serviceAccountName: {unit}
      automountServiceAccountToken: false
      # Variables for each service of the namespace would begin as settings do.
      enableServiceLinks: false
      # A stop takes `calls.drain` ({drain} s), 10 s for modules and traces{before}.
      terminationGracePeriodSeconds: {grace}
      securityContext:
        runAsNonRoot: true
        runAsUser: {USER}
        runAsGroup: {USER}
        fsGroup: {USER}
        seccompProfile:
          type: RuntimeDefault
      # Replicas on different nodes, where that is possible.
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
{}      containers:
        - name: {host}
          image: {unit}
          env:
            - name: MONOLIFT_SETTINGS
              value: {}
          # Secrets: the admin token and the URLs of databases.
          envFrom:
            - secretRef:
                name: {unit}
          ports:
",
        labels(system, host, 14),
        settings::place(system)
    );
    let ports = [
        ("http", HTTP, process.has_gateway),
        ("calls", CALLS, process.listens),
        ("admin", ADMIN, true),
    ];
    for (name, port, _) in ports.into_iter().filter(|(.., is_there)| *is_there) {
        let _ = writeln!(text, "            - name: {name}\n              containerPort: {port}");
    }
    probes(text);
    if process.has_gateway {
        let _ = write!(
            text,
            "          lifecycle:
            # Until proxies know that this pod is going, it takes their requests. Needs Kubernetes 1.30.
            preStop:
              sleep:
                seconds: {}
",
            farewell.as_secs()
        );
    }
    resources(text, system);
    let _ = write!(
        text,
        "          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop:
                - ALL
          volumeMounts:
            - name: settings
              mountPath: /etc/{0}
              readOnly: true
",
        system.name
    );
    if process.keeps_files() {
        let _ = writeln!(text, "            - name: data\n              mountPath: {DATA}");
    }
    let _ = write!(
        text,
        "      volumes:
        - name: settings
          configMap:
            name: {}-settings
",
        system.name
    );
}

/// Neither path asks for the admin token. Nothing depends on another process's health but readiness.
fn probes(text: &mut String) {
    let probe = |name: &str, why: &str, path: &str, times: &str| {
        format!(
            "          # {why}\n          {name}:\n            httpGet:\n              path: {path}\n              port: admin\n{times}"
        )
    };
    let times = |period: u32, timeout: u32, failures: u32| {
        format!(
            "            periodSeconds: {period}\n            timeoutSeconds: {timeout}\n            failureThreshold: {failures}\n"
        )
    };
    text.push_str(&probe(
        "startupProbe",
        "It listens within two minutes.",
        "/livez",
        &times(1, 2, 120),
    ));
    text.push_str(&probe(
        "livenessProbe",
        "It answers at all. What it calls does not count: a restart would help no one.",
        "/livez",
        &times(10, 5, 6),
    ));
    text.push_str(&probe(
        "readinessProbe",
        "It has reached every process that it calls, and is not stopping.",
        "/readyz",
        &times(2, 2, 2),
    ));
}

fn resources(text: &mut String, system: &System) {
    let buffers = system.manifest.limits.memory >> 20;
    let _ = write!(
        text,
        "          resources:
            requests:
              # Enough to start, and what the HorizontalPodAutoscaler's share is of. Measure yours.
              cpu: 100m
              memory: 128Mi
            limits:
              # `limits.memory` ({buffers} MiB of buffers), and as much as 256 MiB for decoded values and recorded requests.
              # No limit of CPU: a process that is stopped for the rest of a period answers late.
              memory: {}Mi
",
        system.memory()
    );
}

/// Nodes are emptied one pod at a time.
pub(super) fn disruption(system: &System, process: &Process) -> String {
    let head = object(system, "policy/v1", "PodDisruptionBudget", &process.unit, &process.host);
    format!(
        "{head}spec:
  maxUnavailable: 1
  # A pod that is not ready does no work, and holds up no node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
{}",
        labels(system, &process.host, 6)
    )
}

/// By CPU. The component `queue` adds calls that wait.
pub(super) fn scaling(system: &System, process: &Process) -> String {
    if process.keeps_files() {
        return String::new();
    }
    let fewest = process.replicas.max(FEWEST);
    let pools = process.on_postgres().count() * DbSettings::CONNECTIONS as usize;
    let connections = match pools {
        0 => String::new(),
        pools => format!(
            "  # Each has up to {pools} connections to PostgreSQL, whose own limit is for all pods together.\n"
        ),
    };
    let head =
        object(system, "autoscaling/v2", "HorizontalPodAutoscaler", &process.unit, &process.host);
    format!(
        "{head}spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {}
  # While one is replaced, another one works.
  minReplicas: {fewest}
{connections}  maxReplicas: {}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          # Of what is requested. The rest is for a burst until a new pod is ready.
          averageUtilization: 70
  behavior:
    scaleDown:
      # A pause between two bursts is no reason to go.
      stabilizationWindowSeconds: 300
",
        process.unit,
        fewest * MOST
    )
}
