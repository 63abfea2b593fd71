//! What can be shown of the move to a server without one.

use domain::time::Timestamp;
use store::copy::{Standing, TABLES, standing, take_back};
use store::meta;
use store::migrate::{Mode, migrate};
use testdb::Place;

const EXISTING: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
    AND name <> 'schema_migrations'";

#[tokio::test]
async fn no_table_is_forgotten() {
    let place = Place::file();
    let db = place.open().await;
    migrate(&db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let rows = db.read().await.unwrap().query(EXISTING, &[]).await.unwrap();
    let mut existing: Vec<&str> = rows.iter().map(|row| row.text(0).unwrap()).collect();
    let mut copied = TABLES.to_vec();
    existing.sort_unstable();
    copied.sort_unstable();
    assert_eq!(existing, copied, "crates/store/src/copy.rs lists what is copied");
}

#[tokio::test]
async fn tables_come_after_those_that_they_refer_to() {
    let place = Place::file();
    let db = place.open().await;
    migrate(&db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let sql = "SELECT t.name, f.\"table\" FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table'";
    let rows = db.read().await.unwrap().query(sql, &[]).await.unwrap();
    assert!(!rows.is_empty());
    let place_of = |name: &str| TABLES.iter().position(|table| *table == name).unwrap();
    for row in &rows {
        let (child, parent) = (row.text(0).unwrap(), row.text(1).unwrap());
        assert!(place_of(parent) < place_of(child), "{child} before {parent}");
    }
}

#[tokio::test]
async fn a_database_knows_whether_it_is_the_installation() {
    let place = Place::new().await;
    let db = place.open().await;
    migrate(&db, Mode::Auto, Timestamp::from_seconds(1)).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    assert_eq!(standing(&mut tx).await.unwrap(), Standing::Here);
    meta::set(&mut tx, meta::COPYING_FROM, "abc").await.unwrap();
    assert_eq!(standing(&mut tx).await.unwrap(), Standing::Unfinished);
    meta::remove(&mut tx, meta::COPYING_FROM).await.unwrap();
    meta::set(&mut tx, meta::MOVED_TO, "postgres://a@b/c").await.unwrap();
    assert_eq!(standing(&mut tx).await.unwrap(), Standing::MovedTo("postgres://a@b/c".to_owned()));
    take_back(&mut tx).await.unwrap();
    assert_eq!(standing(&mut tx).await.unwrap(), Standing::Here);
    assert_eq!(meta::get(&mut tx, meta::COPY_ID).await.unwrap(), None, "a later copy is another one");
}
