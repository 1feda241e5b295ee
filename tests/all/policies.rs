//! Policies of PostgreSQL's row-level security that ask who makes the call.

use crate::{connections::roles, postgres::Postgres};
use monolift::{
    Context, Db, Principal,
    testing::{service, user},
};
use monolift_call::call::CallSettings;
use monolift_data::{DbSettings, History, Location, SharedPools};
use sqlx::{Connection, Executor, PgConnection};
use std::{collections::BTreeSet, future::Future};

/// Each letter is its writer's, at one customer. The policy holds for the owner of the table too.
const LETTERS: &str = "CREATE TABLE letters (
    owner TEXT NOT NULL DEFAULT current_setting('app.user'),
    tenant TEXT NOT NULL DEFAULT current_setting('app.tenant'),
    words TEXT NOT NULL
);
ALTER TABLE letters ENABLE ROW LEVEL SECURITY;
ALTER TABLE letters FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON letters USING (
    owner <> '' AND owner = current_setting('app.user', true) AND tenant = current_setting('app.tenant', true)
);";

async fn open(pools: &SharedPools, location: &Location, caller: bool) -> Db {
    let history = History::of("stock", &[("0001_letters.sql", LETTERS)]);
    let settings =
        DbSettings { connections: Some(2), caller: Some(caller), ..DbSettings::default() };
    Db::open_in(pools, location, &settings, &[history]).await.unwrap()
}

fn by<F: Future>(who: Option<Principal>, work: F) -> impl Future<Output = F::Output> {
    let edge = Context::edge(&CallSettings::default());
    let context = match who {
        Some(who) => edge.with_principal(who),
        None => edge,
    };
    context.scope(work)
}

async fn write(db: &Db, words: &str) -> Result<(), sqlx::Error> {
    let mut tx = db.write().await?;
    let insert = sqlx::query("INSERT INTO letters (words) VALUES ($1)").bind(words);
    insert.execute(&mut *tx).await?;
    tx.commit().await
}

/// What the caller sees: in a statement of its own, in a transaction that reads, and in one that writes.
async fn seen(db: &Db) -> Vec<String> {
    const ALL: &str = "SELECT words FROM letters ORDER BY words";
    let of = |rows: Vec<(String,)>| rows.into_iter().map(|(words,)| words).collect::<Vec<_>>();
    let mut connection = db.connection().await.unwrap();
    let single = of(sqlx::query_as(ALL).fetch_all(&mut *connection).await.unwrap());
    drop(connection);
    let mut tx = db.read().await.unwrap();
    let reads = of(sqlx::query_as(ALL).fetch_all(&mut *tx).await.unwrap());
    tx.rollback().await.unwrap();
    let mut tx = db.write().await.unwrap();
    let writes = of(sqlx::query_as(ALL).fetch_all(&mut *tx).await.unwrap());
    // Others may write the same words meanwhile.
    let different = |words: &[String]| words.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(different(&reads), different(&single));
    assert_eq!(different(&writes), different(&single));
    tx.rollback().await.unwrap();
    single
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_knows_who_makes_the_call() {
    let postgres = Postgres::start();
    let admin = postgres.database("shop");
    let shared = roles(&admin, "login", &["stock"]).await;
    let mut as_admin = PgConnection::connect(&admin).await.unwrap();
    as_admin.execute("ALTER ROLE stock LOGIN").await.unwrap();
    let own = Location::Url(admin.replace("postgres@", "stock@"));
    let shared = Location::Shared { url: shared, role: "stock".to_owned() };
    for (at, location) in [&own, &shared].into_iter().enumerate() {
        let pools = SharedPools::new(2);
        let db = open(&pools, location, true).await;
        let of = |name: &str, tenant: &str| Some(user(&format!("{name}-{at}")).with_tenant(tenant));
        let ada = || of("ada", "acme");
        by(ada(), write(&db, "to bob")).await.unwrap();
        by(of("ada", "globex"), write(&db, "to cyd")).await.unwrap();
        assert_eq!(by(ada(), seen(&db)).await, ["to bob"], "{location}");
        assert_eq!(by(of("ada", "globex"), seen(&db)).await, ["to cyd"]);
        let hostile = user(&format!("ada-{at}' OR true; --\\"));
        for stranger in [of("bob", "acme"), Some(user(&format!("ada-{at}"))), Some(hostile), None] {
            assert!(by(stranger, seen(&db)).await.is_empty());
        }
        assert!(by(None, write(&db, "from no one")).await.is_err());
        // Two connections serve them all.
        let many = (0..40).map(|number| {
            let (db, name) = (db.clone(), format!("many{}", number % 8));
            let who = of(&name, "acme");
            tokio::spawn(by(who, async move {
                write(&db, &name).await.unwrap();
                assert!(seen(&db).await.iter().all(|words| *words == name));
            }))
        });
        for one in many.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        assert_eq!(by(of("many0", "acme"), seen(&db)).await.len(), 5);
        // A module's own work is told from a user who is called like it.
        let named = async {
            let told =
                "SELECT current_setting('app.service') || '/' || current_setting('app.user')";
            let mut tx = db.read().await.unwrap();
            sqlx::query_scalar::<_, String>(told).fetch_one(&mut *tx).await.unwrap()
        };
        assert_eq!(by(Some(service("stock")), named).await, "stock/");
        // Nothing is left on a connection.
        let left = "SELECT COALESCE(current_setting('app.user', true), '')";
        let left: String = sqlx::query_scalar(left).fetch_one(db.pool()).await.unwrap();
        assert_eq!(left, "");
        // Without the setting, nobody is named.
        let unnamed = open(&SharedPools::new(1), location, false).await;
        assert!(by(ada(), seen(&unnamed)).await.is_empty());
        unnamed.pool().close().await;
        db.pool().close().await;
    }
}

#[tokio::test]
async fn a_file_has_no_policies() {
    let file = std::env::temp_dir().join(format!("ml-policies-{}.db", std::process::id()));
    let settings = DbSettings { caller: Some(true), ..DbSettings::default() };
    let opened = Db::<sqlx::Any>::open(&Location::File(file.clone()), &settings, &[]).await;
    let refused = opened.unwrap_err().to_string();
    assert!(refused.contains("`caller = false`"), "{refused}");
    let _ = std::fs::remove_file(file);
}
