//! `cargo monolift db init`: creates a schema and a login role for each module.

use crate::migrations;
use clap::{Args, Subcommand};
use monolift_data::{quoted, role_of, schema_of};
use monolift_manifest::Manifest;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::{
    error::Error,
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{self, Stdio},
};

/// Create the modules' schemas and roles on PostgreSQL
#[derive(Debug, Args)]
pub(crate) struct Db {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(Init),
}

/// Create a schema and a login role for each module in one database. A role can reach its own
/// schema only
///
/// Existing schemas and roles are kept, so the command can be run again when a module is added. It
/// prints a section of settings with the URL of each new role. The passwords of existing roles are
/// unknown and stay as they are.
#[derive(Debug, Args)]
struct Init {
    /// The URL of the database for an administrator who may create roles:
    /// postgres://postgres@db/shop
    #[arg(long, env = "MONOLIFT_ADMIN_URL", hide_env_values = true, value_name = "URL")]
    admin: String,
    /// The manifest that names the modules
    #[arg(long, default_value = "deployment.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// Only these modules. The default is all modules that have migrations
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    modules: Vec<String>,
    /// Write the sections to a new file that only you can read, instead of standard output
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Set new passwords for existing roles
    #[arg(long)]
    new_passwords: bool,
    /// Create one login, `APP_shared`, that can take on the role of each module and reaches nothing by itself. Modules
    /// then share one pool in each process. New roles of modules cannot log in
    #[arg(long)]
    shared: bool,
}

impl Db {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let Command::Init(init) = self.command;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(init.run())
    }
}

impl Init {
    async fn run(self) -> Result<(), Box<dyn Error>> {
        let text = fs::read_to_string(&self.manifest)
            .map_err(|error| format!("{} cannot be read: {error}", self.manifest.display()))?;
        let manifest = Manifest::parse(&text, &self.manifest)?;
        let modules = self.modules_of(&manifest)?;
        if self.shared && modules.iter().any(|module| module == SHARED) {
            return Err("--shared makes a login whose name is that of the role of the module `shared`: rename the \
                        module, or make the login by hand"
                .into());
        }
        // The file is created first, because a password that cannot be written would be lost.
        let file = match &self.write {
            Some(path) => Some(new_file(path)?),
            None => None,
        };
        let wrong = |expected| format!("--admin (or MONOLIFT_ADMIN_URL): expected {expected}");
        monolift_data::check_url(&self.admin).map_err(wrong)?;
        let server = Server::of(&self.admin)?;
        let mut admin = PgConnection::connect(&self.admin)
            .await
            .map_err(|error| format!("{} cannot be reached: {error}", server.shown()))?;
        let mut sections = String::new();
        for module in &modules {
            let role = role_of(&manifest.app, module);
            let login = Login { wanted: !self.shared, new_password: self.new_passwords };
            let made = make(&mut admin, module, &role, login).await;
            let made = made.map_err(|error| format!("`{module}`: {error}"))?;
            eprintln!("{module}: schema {}, role {role}{}", schema_of(module), made.said());
            if let Made::WithPassword(password) = made {
                let url = server.url(&role, &password);
                let _ = write!(sections, "[{module}.db]\nurl = \"{url}\"\n\n");
            }
        }
        if self.shared {
            let login = role_of(&manifest.app, SHARED);
            let roles: Vec<String> =
                modules.iter().map(|module| role_of(&manifest.app, module)).collect();
            let made = make_shared(&mut admin, &login, &roles, self.new_passwords).await;
            let made = made.map_err(|error| format!("the login {login}: {error}"))?;
            eprintln!("all: login {login}{}", made.said());
            if let Made::WithPassword(password) = made {
                let url = server.url(&login, &password);
                let _ = write!(sections, "[db]\nurl = \"{url}\"\n\n");
            }
        }
        match file {
            Some(mut file) => file.write_all(sections.as_bytes())?,
            None => print!("{sections}"),
        }
        if !sections.is_empty() {
            warn_of_git(self.write.as_deref());
        }
        Ok(())
    }

    fn modules_of(&self, manifest: &Manifest) -> Result<Vec<String>, String> {
        let placed: Vec<&str> = manifest.modules.iter().map(|one| one.module.as_str()).collect();
        if let Some(unknown) = self.modules.iter().find(|name| !placed.contains(&name.as_str())) {
            return Err(format!("{} has no module `{unknown}`", self.manifest.display()));
        }
        if !self.modules.is_empty() {
            return Ok(self.modules.clone());
        }
        let has = |module: &&&str| migrations::of(&self.manifest, module).is_some();
        let modules: Vec<String> = placed.iter().filter(has).map(|&name| name.to_owned()).collect();
        if modules.is_empty() {
            return Err(
                "no module has migrations: name those that need a schema by --modules".into()
            );
        }
        Ok(modules)
    }
}

fn new_file(path: &Path) -> Result<File, String> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| format!("{} cannot be made: {error}", path.display()))
}

/// Says that the URLs hold passwords if git could commit them.
pub(crate) fn warn_of_git(written: Option<&Path>) {
    let Some(file) = written else {
        eprintln!(
            "these URLs hold passwords: append them to a file that git ignores, or use --write FILE, \
             which also keeps other users from reading them"
        );
        return warn_of_git(Some(Path::new("settings.toml")));
    };
    if git_would_add(file) {
        let file = file.display();
        eprintln!("git does not ignore {file}: add it to .gitignore, because it holds passwords");
    }
}

/// Whether the file is in a repository of git that does not ignore it. Without git it is in none.
fn git_would_add(file: &Path) -> bool {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = file.file_name().unwrap_or(file.as_os_str());
    let mut git = process::Command::new("git");
    git.arg("-C")
        .arg(folder.unwrap_or(Path::new(".")))
        .args(["check-ignore", "--quiet", "--"])
        .arg(name);
    // 0: it is ignored. 1: it is not. 128: this is no repository.
    let status = git.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.code() == Some(1))
}

/// What the login that modules share is called, behind the application's name.
const SHARED: &str = "shared";

enum Made {
    WithPassword(String),
    WithoutLogin,
    WasThere,
}

impl Made {
    fn said(&self) -> &'static str {
        match self {
            Self::WithPassword(_) => "",
            Self::WithoutLogin => ", which cannot log in",
            Self::WasThere => ", which was there: its password is left as it is",
        }
    }
}

/// Whether a role should be able to log in.
struct Login {
    wanted: bool,
    new_password: bool,
}

/// Whether a role exists, and whether it can log in.
async fn existing(admin: &mut PgConnection, role: &str) -> Result<Option<bool>, sqlx::Error> {
    let sql = "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1";
    sqlx::query_scalar(sql).bind(role).fetch_optional(admin).await
}

/// Hexadecimal digits, which need no quotes.
fn new_password() -> String {
    format!("{:032x}", rand::random::<u128>())
}

async fn database(admin: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT current_database()::TEXT").fetch_one(admin).await
}

/// What no role of the application may do.
const NOTHING_ELSE: &str = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION";

/// Creates the schema and the role of one module in a transaction.
async fn make(
    admin: &mut PgConnection,
    module: &str,
    role: &str,
    login: Login,
) -> Result<Made, sqlx::Error> {
    let schema = schema_of(module);
    let mut tx = admin.begin().await?;
    let there = existing(&mut tx, role).await?;
    let needs_password = login.wanted && (there != Some(true) || login.new_password);
    let password = needs_password.then(new_password);
    let (role, schema) = (quoted(role), quoted(&schema));
    let mut statements = Vec::new();
    if there.is_none() {
        statements.push(format!("CREATE ROLE {role} NOLOGIN {NOTHING_ELSE}"));
    }
    if let Some(password) = &password {
        statements.push(format!("ALTER ROLE {role} LOGIN PASSWORD '{password}'"));
    }
    let database = quoted(&database(&mut tx).await?);
    statements.extend([
        format!("GRANT CONNECT ON DATABASE {database} TO {role}"),
        // An administrator who is no superuser must be a member of a role to make it the owner of a
        // schema. The membership lasts for this transaction.
        format!("GRANT {role} TO CURRENT_USER"),
        format!("CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {role}"),
        format!("REVOKE {role} FROM CURRENT_USER"),
        format!("REVOKE ALL ON SCHEMA {schema} FROM PUBLIC"),
        format!("ALTER ROLE {role} IN DATABASE {database} SET search_path = {schema}"),
    ]);
    run(&mut tx, statements).await?;
    tx.commit().await?;
    Ok(match (password, there) {
        (Some(password), _) => Made::WithPassword(password),
        (None, None) => Made::WithoutLogin,
        (None, Some(_)) => Made::WasThere,
    })
}

/// Creates the login that can take on `roles`. Without NOINHERIT it would reach what they reach.
async fn make_shared(
    admin: &mut PgConnection,
    login: &str,
    roles: &[String],
    new_passwords: bool,
) -> Result<Made, sqlx::Error> {
    let mut tx = admin.begin().await?;
    let there = existing(&mut tx, login).await?;
    let password = (there != Some(true) || new_passwords).then(new_password);
    let login = quoted(login);
    let mut statements = Vec::new();
    if there.is_none() {
        statements.push(format!("CREATE ROLE {login} NOINHERIT {NOTHING_ELSE}"));
    }
    if let Some(password) = &password {
        statements.push(format!("ALTER ROLE {login} LOGIN PASSWORD '{password}'"));
    }
    let database = quoted(&database(&mut tx).await?);
    statements.push(format!("GRANT CONNECT ON DATABASE {database} TO {login}"));
    statements.extend(roles.iter().map(|role| format!("GRANT {} TO {login}", quoted(role))));
    run(&mut tx, statements).await?;
    tx.commit().await?;
    Ok(password.map_or(Made::WasThere, Made::WithPassword))
}

async fn run(admin: &mut PgConnection, statements: Vec<String>) -> Result<(), sqlx::Error> {
    for statement in statements {
        admin.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

/// The parts of an administrator's URL.
struct Server {
    scheme: String,
    /// The URL from the host on.
    rest: String,
}

impl Server {
    fn of(url: &str) -> Result<Self, String> {
        let wrong = || "--admin is no URL like postgres://postgres@db/shop".to_owned();
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(wrong());
        }
        let (address, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let rest = address.rsplit_once('@').map_or(address, |(_, host)| host);
        if !rest.contains('/') {
            return Err("--admin names no database: postgres://postgres@db/shop".to_owned());
        }
        // Parameters of the connection are the same for all roles. The user and the password are
        // not.
        let who = |one: &&str| !one.starts_with("user=") && !one.starts_with("password=");
        let kept: Vec<&str> =
            parameters.split('&').filter(|one| !one.is_empty()).filter(who).collect();
        let parameters =
            if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
        Ok(Self { scheme: scheme.to_owned(), rest: format!("{rest}{parameters}") })
    }

    fn url(&self, role: &str, password: &str) -> String {
        format!("{}://{role}:{password}@{}", self.scheme, self.rest)
    }

    fn shown(&self) -> &str {
        &self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;

    #[test]
    fn a_role_is_given_the_servers_address_and_nobody_elses_name() {
        let server =
            Server::of("postgres://root:p@ss@db:5433/shop?sslmode=require&user=x").unwrap();
        let url = server.url("shop_orders", "7f");
        assert_eq!(url, "postgres://shop_orders:7f@db:5433/shop?sslmode=require");
        assert!(Server::of("postgres://root@db").is_err());
        assert!(Server::of("sqlite://x").is_err());
    }

    #[test]
    fn a_file_that_git_would_commit_is_known() {
        let folder = env::temp_dir().join(format!("monolift-ignored-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        // A parent of the temporary folder could be a repository, so this is one itself.
        let init = process::Command::new("git").args(["init", "--quiet"]).arg(&folder).status();
        assert!(init.unwrap().success());
        fs::write(folder.join(".gitignore"), "/settings.toml\n").unwrap();
        assert!(!git_would_add(&folder.join("settings.toml")));
        assert!(git_would_add(&folder.join("passwords.toml")));
        fs::remove_dir_all(folder.join(".git")).unwrap();
        assert!(!git_would_add(&folder.join("passwords.toml")));
        fs::remove_dir_all(&folder).unwrap();
    }
}
