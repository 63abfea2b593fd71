//! DB-05: one replica at a time, only into what the program knows, and not at all where that is switched off.

use domain::time::Timestamp;
use store::migrate::{Mode, migrate, pending};
use store::{Db, Error, PostgresOptions, user};
use testdb::Place;

use crate::cluster;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

async fn run(db: &Db, sql: &'static str) {
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn replicas_that_start_at_once_migrate_once() {
    for _ in 0..5 {
        let place = Place::on(&cluster()).await;
        let mut databases = Vec::new();
        for _ in 0..4 {
            databases.push(place.open().await);
        }
        let names = pending(&databases[0]).await.unwrap();
        assert!(!names.is_empty());
        let tasks: Vec<_> = databases
            .into_iter()
            .map(|db| tokio::spawn(async move { migrate(&db, Mode::Auto, NOW).await.unwrap().applied }))
            .collect();
        let mut applied = Vec::new();
        for task in tasks {
            applied.extend(task.await.unwrap());
        }
        applied.sort();
        assert_eq!(applied, names, "each once");
    }
}

#[tokio::test]
async fn a_schema_that_is_not_ours_or_too_new_is_refused() {
    let place = Place::on(&cluster()).await;
    let db = place.open().await;
    let version = migrate(&db, Mode::Auto, NOW).await.unwrap().version;
    assert!(pending(&db).await.unwrap().is_empty());
    run(
        &db,
        "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (999, 'later', 'x', 0)",
    )
    .await;
    assert_eq!(migrate(&db, Mode::Never, NOW).await.unwrap().version, 999, "a later one that works with us");
    run(&db, "UPDATE meta SET value = '999' WHERE key = 'compatible_from'").await;
    let error = migrate(&db, Mode::Auto, NOW).await.unwrap_err();
    assert!(matches!(error, Error::SchemaTooNew { compatible_from: 999, known } if known == version));
    run(&db, "DELETE FROM schema_migrations WHERE version = 999").await;
    run(&db, "UPDATE schema_migrations SET checksum = 'abc' WHERE version = 1").await;
    assert!(matches!(migrate(&db, Mode::Never, NOW).await, Err(Error::MigrationChanged(1))));
}

#[tokio::test]
async fn a_role_that_may_not_change_the_schema_works_with_never() {
    // DB-04
    let place = Place::on(&cluster()).await;
    let owner = place.open().await;
    let role = place.url().rsplit('=').next().unwrap().split("%3D").last().unwrap().to_owned();
    let schema = role.clone();
    let grants = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role};
         ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
         ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, UPDATE, USAGE ON SEQUENCES TO {role}"
    );
    testdb::run(&cluster(), &grants).await;
    let url = place.url().replace("tester@", &format!("{role}@"));
    let db = Db::open_postgres(PostgresOptions::parse(&url).unwrap()).await.unwrap();
    assert!(matches!(migrate(&db, Mode::Never, NOW).await, Err(Error::MigrationsPending(_))));
    assert!(migrate(&db, Mode::Auto, NOW).await.is_err(), "it has no right to");
    migrate(&owner, Mode::Auto, NOW).await.unwrap();
    assert!(migrate(&db, Mode::Never, NOW).await.unwrap().applied.is_empty());
    db.check_writable().await.unwrap();
    let mut tx = db.begin().await.unwrap();
    store::imported_user::reserve_ids(&mut tx, 50).await.unwrap();
    assert!(user::list(&mut tx, domain::user::UserId::new(0), 10).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}
