//! The SQL of docs/data.md for tables that everybody joins, on the tables of `examples/adopt`.

use crate::postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{fs, path::Path};

/// The blocks of SQL in the section, in their order.
fn blocks(page: &str) -> Vec<String> {
    let section = page.split("\n## ").find(|section| section.starts_with("Data that is shared"));
    let blocks = section.unwrap().split("```sql\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_sql_of_the_page_runs_on_the_tables_of_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/data.md")).unwrap();
    let blocks = blocks(&page);
    let [keys, drop, orphans, names, role] = &blocks[..] else { panic!("{blocks:#?}") };
    let server = Postgres::start();
    let mut connection = PgConnection::connect(&server.database("gazette")).await.unwrap();
    let run = async |connection: &mut PgConnection, sql: &str| {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(connection).await.unwrap();
    };
    let mut files: Vec<_> = fs::read_dir(root.join("examples/adopt/before/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        run(&mut connection, &fs::read_to_string(file).unwrap()).await;
    }

    // What it finds is what it drops.
    let found = async |connection: &mut PgConnection| {
        let sql =
            format!("SELECT conname::TEXT FROM ({}) keys", keys.trim_end().trim_end_matches(';'));
        let found = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql));
        found.fetch_all(connection).await.unwrap()
    };
    let keys = found(&mut connection).await;
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys.iter().all(|key| drop.contains(key.as_str())), "{keys:?}");
    run(&mut connection, drop).await;
    assert!(found(&mut connection).await.is_empty());

    let count = async |connection: &mut PgConnection| {
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(orphans.clone()));
        count.fetch_one(connection).await.unwrap()
    };
    assert_eq!(count(&mut connection).await, 0);
    run(&mut connection, "INSERT INTO follows VALUES (1, 2)").await;
    assert_eq!(count(&mut connection).await, 1);

    // A change that arrives late changes nothing.
    let table = "CREATE TABLE author_names (user_id BIGINT PRIMARY KEY, name TEXT, version BIGINT)";
    run(&mut connection, table).await;
    for (name, version) in [("first", 1_i64), ("third", 3), ("second", 2)] {
        let update = sqlx::query(AssertSqlSafe(names.clone())).bind(7_i64).bind(name).bind(version);
        update.execute(&mut connection).await.unwrap();
    }
    let name: String = sqlx::query_scalar("SELECT name FROM author_names WHERE user_id = 7")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(name, "third");

    let own = "CREATE SCHEMA profiles; CREATE TABLE profiles.faces (id BIGINT)";
    run(&mut connection, own).await;
    run(&mut connection, role).await;
    run(&mut connection, "SET ROLE gazette_reports").await;
    run(&mut connection, "SELECT FROM articles, profiles.faces").await;
    let written = sqlx::query("DELETE FROM tags").execute(&mut connection).await.unwrap_err();
    assert!(written.to_string().contains("permission denied"), "{written}");
}
