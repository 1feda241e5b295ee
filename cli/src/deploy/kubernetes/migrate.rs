//! The jobs that apply migrations before a release: each with the image of its process, and with the role that owns the
//! tables. The pods of the process have a role that only reads and writes rows.

use super::{labels, network, object};
use crate::{
    deploy::{
        file,
        system::{Process, System, USER},
    },
    written::Written,
};

pub(super) fn files(system: &System, head: &str) -> Vec<Written> {
    let with_job: Vec<&Process> =
        system.processes.iter().filter(|process| process.has_job()).collect();
    if with_job.is_empty() {
        return Vec::new();
    }
    let resources: String =
        with_job.iter().map(|process| format!("  - {}.yaml\n", process.host)).collect();
    let mut files = vec![file(
        "migrate/kustomization.yaml",
        format!(
            "# {head}\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}"
        ),
    )];
    for process in with_job {
        let modules: Vec<&str> = process.on_postgres().collect();
        let text = format!(
            "# {head}\n#\n# Applies the migrations of {}. A job cannot be changed: delete the one before.\n---\n{}---\n{}",
            modules.join(", "),
            job(system, process),
            network::policy_of_job(system, &name_of(process), &component_of(process))
        );
        files.push(file(format!("migrate/{}.yaml", process.host), text));
    }
    files
}

fn name_of(process: &Process) -> String {
    format!("{}-migrate", process.unit)
}

fn component_of(process: &Process) -> String {
    format!("{}-migrate", process.host)
}

fn job(system: &System, process: &Process) -> String {
    let (name, component) = (name_of(process), component_of(process));
    let head = object(system, "batch/v1", "Job", &name, &component);
    let unit = &process.unit;
    format!(
        "{head}spec:
  # A database that is just being restarted is there at the next attempt.
  backoffLimit: 3
  activeDeadlineSeconds: 600
  ttlSecondsAfterFinished: 86400
  template:
    metadata:
      labels:
{}    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext:
        runAsNonRoot: true
        runAsUser: {USER}
        runAsGroup: {USER}
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: migrate
          image: {unit}
          args:
            - migrate
          env:
            # The addresses of a deployment are no matter of the database.
            - name: MONOLIFT_SETTINGS
              value: /dev/null
          envFrom:
            - secretRef:
                name: {name}
          resources:
            requests:
              cpu: 100m
              memory: 64Mi
            limits:
              memory: 256Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop:
                - ALL
",
        labels(system, &component, 8)
    )
}
