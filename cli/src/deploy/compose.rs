//! All processes on one machine, with the servers beside them.

use super::{
    databases::Kind,
    file,
    settings::{self, DATA, Hosts},
    system::{CALLS, HTTP, Process, System, USER},
};
use crate::{
    observe,
    paths::{real, relative, tidy},
    written::Written,
};
use monolift_data::{role_of, schema_of};
use monolift_manifest::{Address, Connect, Manifest};
use std::{error::Error, fmt::Write as _, fs, path::Path, time::Duration};

pub(super) fn files(system: &System, out: &Path) -> Result<Vec<Written>, Box<dyn Error>> {
    if system.manifest.tls.is_some() {
        return Err(format!(
            "{}: it has [tls], and a composed system has no certificates: leave [tls] to the component of Kubernetes",
            system.file
        )
        .into());
    }
    let head = system.head("compose");
    let mut files = vec![
        file("compose.yaml", compose(system, &head, out)?),
        file("settings.toml", settings::file(system, &head, &Hosts::Compose)),
        file(".env.example", env(system, &head)),
        file(".gitignore", "/.env\n"),
        file("grafana/datasource.yml", datasource(&head)),
        file("grafana/dashboards.yml", dashboards(&head)),
    ];
    if has_postgres(system) {
        files.push(file("postgres/modules.sh", modules(system, &head)));
    }
    for mut written in observe::for_deployment(&as_composed(system))? {
        let folder = if written.path.starts_with("grafana") { "grafana" } else { "prometheus" };
        written.path = format!("{folder}/{}", written.path);
        // A secret of compose, and not a file beside this one.
        written.text = written
            .text
            .replace("credentials_file: admin_token", "credentials_file: /run/secrets/admin_token");
        files.push(written);
    }
    Ok(files)
}

fn has_postgres(system: &System) -> bool {
    system.processes.iter().any(|process| process.on_postgres().next().is_some())
}

/// The manifest with the addresses of the composed system.
fn as_composed(system: &System) -> Manifest {
    let mut manifest = system.manifest.clone();
    for process in &system.processes {
        let stated = manifest.processes.entry(process.name.clone()).or_default();
        let at = Address::Tcp(format!("{}:{CALLS}", process.host));
        stated.connect = Some(Connect::Addresses(vec![at]));
        stated.admin = Some(format!("0.0.0.0:{}", super::system::ADMIN));
        // Each has addresses of its own, so a further one has the same ports.
        stated.replicas.0 = 1;
    }
    manifest
}

fn compose(system: &System, head: &str, out: &Path) -> Result<String, Box<dyn Error>> {
    let System { name, prefix, .. } = system;
    let root = fs::canonicalize(&system.workspace.root)?;
    let out = real(out)?;
    let dockerfile = relative(&root, &tidy(&out.join("../docker/Dockerfile")));
    let context = relative(&out, &root);
    let [context, dockerfile] = [context, dockerfile].map(|path| path.display().to_string());
    let grace = system.grace(Duration::ZERO);
    let place = settings::place(system);
    let mut text = format!(
        "# {head}
#
# The split application on one machine: copy .env.example to .env, fill it in, and
#
#   docker compose up --build

name: {name}

x-process: &process
  # Nothing is written to the image's files, and nothing runs as root.
  read_only: true
  user: \"{USER}:{USER}\"
  cap_drop: [ALL]
  security_opt: [\"no-new-privileges:true\"]
  restart: unless-stopped
  # Longer than a process takes to drain.
  stop_grace_period: {grace}s

services:
"
    );
    if has_postgres(system) {
        let _ = write!(
            text,
            "  postgres:
    image: postgres:15
    environment:
      POSTGRES_DB: {name}
      POSTGRES_PASSWORD: ${{{prefix}DB_PASSWORD:?copy .env.example to .env}}
    volumes:
      - postgres:/var/lib/postgresql/data
      # A schema and a role for each module, when the volume is new.
      - ./postgres/modules.sh:/docker-entrypoint-initdb.d/modules.sh:ro
    healthcheck:
      # Over TCP: while the roles are made, the server listens on its socket only.
      test: [\"CMD\", \"pg_isready\", \"-h\", \"127.0.0.1\", \"-U\", \"postgres\", \"-d\", \"{name}\"]
      interval: 2s
      timeout: 5s
      retries: 30
    restart: unless-stopped

"
        );
    }
    for process in &system.processes {
        service(&mut text, system, process, [&context, &dockerfile, &place]);
    }
    let _ = write!(
        text,
        "  prometheus:
    image: prom/prometheus:v2.55.1
    command: [\"--config.file=/etc/prometheus/prometheus.yml\", \"--enable-feature=exemplar-storage\"]
    volumes:
      - ./prometheus:/etc/prometheus:ro
      - prometheus:/prometheus
    secrets: [admin_token]
    ports: [\"127.0.0.1:9090:9090\"]
    restart: unless-stopped

  grafana:
    image: grafana/grafana:11.3.1
    environment:
      GF_SECURITY_ADMIN_PASSWORD: ${{{prefix}GRAFANA_PASSWORD:?copy .env.example to .env}}
    volumes:
      - ./grafana/datasource.yml:/etc/grafana/provisioning/datasources/datasource.yml:ro
      - ./grafana/dashboards.yml:/etc/grafana/provisioning/dashboards/dashboards.yml:ro
      - ./grafana/grafana-dashboard.json:/etc/dashboards/grafana-dashboard.json:ro
    ports: [\"127.0.0.1:3000:3000\"]
    depends_on: [prometheus]
    restart: unless-stopped

secrets:
  admin_token:
    environment: {prefix}ADMIN_TOKEN

volumes:
  prometheus:
"
    );
    if has_postgres(system) {
        text.push_str("  postgres:\n");
    }
    for process in system.processes.iter().filter(|process| process.keeps_files()) {
        let _ = writeln!(text, "  {}-data:", process.host);
    }
    Ok(text)
}

/// Writing to a string cannot fail.
fn service(
    text: &mut String,
    system: &System,
    process: &Process,
    [context, dockerfile, place]: [&String; 3],
) {
    let System { name, prefix, .. } = system;
    let Process { host, unit, .. } = process;
    let _ = write!(
        text,
        "  # {}
  {host}:
    <<: *process
    image: {unit}
    build:
      context: {context}
      dockerfile: {dockerfile}
      args: {{ PROCESS: {} }}
    environment:
      MONOLIFT_SETTINGS: {place}
      {prefix}ADMIN_TOKEN: ${{{prefix}ADMIN_TOKEN:?copy .env.example to .env}}
",
        process.runs(),
        process.name
    );
    for module in process.on_postgres() {
        let (variable, role) =
            (system.variable(&format!("{module}.db.url")), role_of(&system.app, module));
        let _ = writeln!(
            text,
            "      {variable}: postgres://{role}:${{{prefix}DB_PASSWORD:?copy .env.example to .env}}@postgres/{name}"
        );
    }
    let _ = writeln!(text, "    volumes:\n      - ./settings.toml:{place}:ro");
    if process.keeps_files() {
        let _ = writeln!(text, "      - {host}-data:{DATA}");
    }
    if process.has_gateway {
        let _ = writeln!(text, "    ports: [\"127.0.0.1:{HTTP}:{HTTP}\"]");
    } else if process.replicas > 1 && !process.keeps_files() {
        let _ = writeln!(text, "    deploy: {{ replicas: {} }}", process.replicas);
    }
    let needs_server = process.databases.iter().any(|(_, kind)| *kind == Kind::Postgres);
    if needs_server {
        text.push_str("    depends_on:\n      postgres: { condition: service_healthy }\n");
    }
    text.push('\n');
}

/// The passwords, without values.
fn env(system: &System, head: &str) -> String {
    let prefix = &system.prefix;
    let mut text = format!(
        "# {head}
#
# Copy this to .env, which git does not see, and fill it in. `openssl rand -hex 16` makes a value.

# What a request to an admin address brings.
{prefix}ADMIN_TOKEN=
# Of the user admin of Grafana.
{prefix}GRAFANA_PASSWORD=
"
    );
    if has_postgres(system) {
        let _ = writeln!(
            text,
            "# Of PostgreSQL's administrator, and of the role of each module. Letters and digits: it is a part of URLs.\n\
             {prefix}DB_PASSWORD="
        );
    }
    text
}

/// What makes the modules' schemas and roles, as `cargo monolift db init` does.
fn modules(system: &System, head: &str) -> String {
    let mut text = format!(
        "#!/bin/sh
# {head}
#
# Runs once, in a new volume: a schema and a role for each module, as `cargo monolift db init` makes them.
set -eu

module() {{
    psql --quiet --set ON_ERROR_STOP=1 --username postgres --dbname \"$POSTGRES_DB\" \\
        --set role=\"$1\" --set schema=\"$2\" --set database=\"$POSTGRES_DB\" --set password=\"$POSTGRES_PASSWORD\" <<'SQL'
CREATE ROLE :\"role\" LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
GRANT CONNECT ON DATABASE :\"database\" TO :\"role\";
CREATE SCHEMA :\"schema\" AUTHORIZATION :\"role\";
REVOKE ALL ON SCHEMA :\"schema\" FROM PUBLIC;
ALTER ROLE :\"role\" IN DATABASE :\"database\" SET search_path = :\"schema\";
SQL
}}

"
    );
    for module in system.processes.iter().flat_map(Process::on_postgres) {
        let _ = writeln!(text, "module {} {}", role_of(&system.app, module), schema_of(module));
    }
    text
}

fn datasource(head: &str) -> String {
    format!(
        "# {head}

apiVersion: 1
datasources:
  - name: Prometheus
    type: prometheus
    url: http://prometheus:9090
    isDefault: true
    jsonData:
      httpMethod: POST
"
    )
}

fn dashboards(head: &str) -> String {
    format!(
        "# {head}

apiVersion: 1
providers:
  - name: monolift
    type: file
    options:
      path: /etc/dashboards
"
    )
}
