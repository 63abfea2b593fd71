//! The two engines have the same tables with the same columns.

use std::collections::BTreeSet;

use domain::time::Timestamp;
use store::migrate::{Mode, migrate};
use store::{Db, Result};
use testdb::Place;

const SQLITE: &str = "SELECT t.name, c.name, c.type, c.\"notnull\" FROM sqlite_schema t, pragma_table_info(t.name) c \
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'";
const POSTGRES: &str = "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), CAST(data_type AS TEXT), \
    CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END \
    FROM information_schema.columns WHERE table_schema = current_schema()";

/// Table, column, its type in one word, and whether it may be NULL.
type Column = (String, String, &'static str, bool);

async fn columns(db: &Db, sql: &'static str) -> Result<BTreeSet<Column>> {
    let mut tx = db.read().await?;
    let rows = tx.query(sql, &[]).await?;
    rows.iter()
        .map(|row| {
            let kind = match row.text(2)?.to_ascii_uppercase().as_str() {
                "INTEGER" | "BIGINT" => "number",
                "TEXT" => "text",
                "BYTEA" => "bytes",
                other => panic!("{other} is no type of ours"),
            };
            let name = row.text(1)?.to_owned();
            // A primary key that SQLite numbers says nothing of NULL, and is never.
            let optional = !row.flag(3)? && name != "id" && name != "seq";
            Ok((row.text(0)?.to_owned(), name, kind, optional))
        })
        .collect()
}

#[tokio::test]
async fn both_engines_have_the_same_tables_and_columns() {
    let (file, server) = (Place::file(), Place::on(&crate::cluster()).await);
    let mut found = Vec::new();
    for (place, sql) in [(&file, SQLITE), (&server, POSTGRES)] {
        let db = place.open().await;
        migrate(&db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
        found.push(columns(&db, sql).await.unwrap());
    }
    assert!(found[0].len() > 40, "{found:?}");
    let different: Vec<_> = found[0].symmetric_difference(&found[1]).collect();
    assert!(different.is_empty(), "{different:?}");
}
