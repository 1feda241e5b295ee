//! Whether the database itself keeps a module to its own tables.

use super::{Backend, Column, Db, ModuleDatabase, begins::Begins};
use std::{fmt, sync::Arc};

/// What a module's connection can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// A SQLite file that nobody else opens. Nothing but its path keeps others from it.
    File,
    /// A role that reaches its own schema and nothing else: the database refuses the rest.
    Role {
        /// The role.
        role: String,
        /// The schema that its tables are in.
        schema: String,
    },
    /// Such a role, which transactions on a shared pool take on. SQL of the module can give it up, and take on that of
    /// another module.
    TakenOn {
        /// The role.
        role: String,
        /// The schema that its tables are in.
        schema: String,
        /// The role that logs in. It reaches nothing by itself.
        login: String,
    },
    /// A role that reaches more than its own schema.
    Shared {
        /// The role.
        role: String,
        /// The schema that its tables are in.
        schema: String,
        /// Why: what it may do, and some of what it reaches.
        reaches: Vec<String>,
    },
}

/// What to do about a role that is not isolated.
const ISOLATE: &str = "next: `cargo monolift db init` makes a schema and a role for the module, and `cargo monolift data \
    copy` moves its rows there (docs/data.md, \"Data that is shared\"); where a role owns its database, \
    `REVOKE CONNECT ON DATABASE … FROM PUBLIC` keeps others out";

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("a file of its own"),
            Self::Role { role, schema } => {
                write!(f, "schema {schema}, isolated: role {role} reaches nothing else")
            }
            Self::TakenOn { role, schema, login } => write!(
                f,
                "schema {schema}, isolated against mistakes: transactions of {login} take on role {role}, which reaches \
                 nothing else"
            ),
            Self::Shared { role, schema, reaches } => {
                let reaches = reaches.join(", ");
                write!(f, "schema {schema}, NOT isolated: role {role} {reaches}; {ISOLATE}")
            }
        }
    }
}

/// Who we are, where our tables are, and whether anything stops us anywhere.
const WHO: &str = "SELECT current_user::TEXT, COALESCE(current_schema()::TEXT, ''), \
    (SELECT (rolsuper OR rolbypassrls OR rolcreaterole)::INT::BIGINT FROM pg_roles \
    WHERE rolname = current_user)";
const WHO_COLUMNS: &[Column] = &[Column::Text, Column::Text, Column::Number];

/// Roles that we could become, tables of others that we may touch, and roles that may use our schema.
/// The owner of a database is the only member of `pg_database_owner` there. The owner of the schema is no
/// stranger, since it migrates; its members are.
const REACH: &str = "\
    SELECT 'can become ' || rolname::TEXT FROM pg_roles \
    WHERE rolname <> current_user AND rolname <> 'pg_database_owner' \
    AND pg_has_role(current_user, oid, 'MEMBER') \
    UNION ALL \
    SELECT 'reaches ' || nspname::TEXT || '.' || relname::TEXT \
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f') \
    AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' \
    AND nspname <> COALESCE(current_schema(), '') \
    AND has_schema_privilege(current_user, relnamespace, 'USAGE') \
    AND has_table_privilege(current_user, pg_class.oid, \
        'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') \
    UNION ALL \
    SELECT 'shares it with ' || rolname::TEXT FROM pg_roles, pg_namespace \
    WHERE nspname = current_schema() AND rolname <> current_user AND rolcanlogin \
    AND NOT rolsuper AND has_database_privilege(pg_roles.oid, current_database(), 'CONNECT') \
    AND has_schema_privilege(pg_roles.oid, pg_namespace.oid, 'USAGE') \
    AND pg_roles.oid <> nspowner \
    AND NOT (pg_get_userbyid(nspowner) = 'pg_database_owner' AND pg_roles.oid = \
        (SELECT datdba FROM pg_database WHERE datname = current_database())) \
    LIMIT 3";

/// What the login of a shared pool reaches without a role. Nothing is its own.
const LOGIN_REACH: &str = "\
    SELECT nspname::TEXT || '.' || relname::TEXT \
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f') \
    AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' \
    AND has_schema_privilege(current_user, relnamespace, 'USAGE') \
    AND has_table_privilege(current_user, pg_class.oid, \
        'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') \
    LIMIT 3";

impl<D: ModuleDatabase> Db<D> {
    /// Asks the database what it lets this module reach, besides what is its own.
    pub async fn isolation(&self) -> Result<Isolation, sqlx::Error> {
        if self.backend() == Backend::Sqlite {
            return Ok(Isolation::File);
        }
        let mut tx = self.read().await?;
        let who = D::rows(&mut tx, Arc::from(WHO), Vec::new(), WHO_COLUMNS).await?;
        let who = who.first().ok_or(sqlx::Error::RowNotFound)?;
        let text = |at: usize| who[at].text().unwrap_or_default().to_owned();
        let (role, schema) = (text(0), text(1));
        if who[2].number() != 0 {
            let reaches = vec!["may do everything".to_owned()];
            return Ok(Isolation::Shared { role, schema, reaches });
        }
        let reach = D::rows(&mut tx, Arc::from(REACH), Vec::new(), &[Column::Text]).await?;
        tx.commit().await?;
        let mut reaches: Vec<String> =
            reach.iter().filter_map(|row| row[0].text().map(str::to_owned)).collect();
        // A login that takes on itself can give up nothing.
        let shared = self.begins.role.as_ref().filter(|role| role.login != role.name);
        let login = shared.map(|role| &role.login);
        if let Some(login) = login {
            reaches.extend(self.reach_of_login(login).await?);
        }
        Ok(match login {
            _ if !reaches.is_empty() => Isolation::Shared { role, schema, reaches },
            None => Isolation::Role { role, schema },
            Some(login) => Isolation::TakenOn { role, schema, login: login.clone() },
        })
    }

    /// What the login of a shared pool reaches without the role.
    async fn reach_of_login(&self, login: &str) -> Result<Vec<String>, sqlx::Error> {
        let mut tx = self.begin_reading(&Begins::as_login()).await?;
        let who = D::rows(&mut tx, Arc::from(WHO), Vec::new(), WHO_COLUMNS).await?;
        if who.first().is_none_or(|who| who[2].number() != 0) {
            return Ok(vec![format!("has the login {login}, which may do everything")]);
        }
        let reach = D::rows(&mut tx, Arc::from(LOGIN_REACH), Vec::new(), &[Column::Text]).await?;
        tx.commit().await?;
        let reach = reach.iter().filter_map(|row| row[0].text());
        Ok(reach
            .map(|table| {
                format!("has the login {login}, which reaches {table} without a role (make it NOINHERIT)")
            })
            .collect())
    }
}
