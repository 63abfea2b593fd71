//! The move of an installation from a file to a server.

use domain::time::Timestamp;
use store::copy::{Order, Progress, Report, Stage, Standing, TABLES, copy, standing};
use store::migrate::{Mode, migrate};
use store::{Db, Error, Result, imported_user, meta};
use testdb::Place;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
/// More than two pages of rows.
const USERS: i64 = 2345;

const SEED: [&str; 11] = [
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2345) \
     INSERT INTO users (id, username, username_key, username_claim, email, first_name, password_hash, password_scheme, \
     created_at, disabled_at, login_failures) SELECT i, 'Üser' || i, 'üser' || i, CASE WHEN i % 3 THEN 'üser' || i END, \
     'ß' || i || '@example.com', '', 'hash' || i, 'argon2', -i, CASE WHEN i % 7 = 0 THEN i END, CASE WHEN i % 5 = 0 \
     THEN CAST(x'00ff' AS BLOB) END FROM n",
    "INSERT INTO sessions (id, user_id, generation, jti, previous_jti, created_at, last_used_at, rotated_at, \
     idle_expires_at, expires_at, keep_until, revoked_at, address, user_agent) SELECT CAST(printf('%016d', id * 7919 % 100003) \
     AS BLOB), id, 0, x'00', NULL, 1, 2, 3, 4, 5, 6, CASE WHEN id % 2 THEN 9 END, '::1', 'agent' FROM users",
    "INSERT INTO changes (at, session_id) SELECT created_at, id FROM sessions WHERE revoked_at IS NOT NULL",
    "INSERT INTO status_lists (id, opened_at) VALUES (1, 5), (2, 6)",
    "INSERT INTO status_entries (list, place, session_id, user_id, keep_until) SELECT 1 + user_id % 2, user_id * 31 % 4096, \
     id, user_id, 9 FROM sessions",
    "UPDATE sessions SET status_list = 1 + user_id % 2, status_place = user_id * 31 % 4096",
    "INSERT INTO deleted_users (id, deleted_at) VALUES (9000, 1), (9001, 2)",
    "INSERT INTO imported_users (source, user_id, source_digest, our_digest) SELECT CASE WHEN id % 2 THEN 'Zebra' ELSE 'apple' END, \
     id, x'01', x'' FROM users",
    "INSERT INTO unknown_names (slot, failures) VALUES (0, x'01'), (9223372036854775807, x'02')",
    "INSERT INTO signing_keys (kid, purpose, alg, public_part, sealed, created_at, active_from) VALUES \
     ('b-1', 'access', 'EdDSA', '{}', x'0a', 1, 2), ('_A', 'refresh', 'HS256', '', x'', 1, 2), ('B', 'access', 'ES256', '', x'', 1, 2)",
    "UPDATE sqlite_sequence SET seq = 70000 WHERE name = 'users'",
];

struct Move {
    file: Place,
    server: Place,
}

impl Move {
    async fn new() -> Self {
        let this = Self { file: Place::file(), server: Place::on(&crate::cluster()).await };
        let db = this.file.open().await;
        migrate(&db, Mode::Auto, NOW).await.unwrap();
        for sql in SEED {
            run(&db, sql).await;
        }
        let mut tx = db.begin().await.unwrap();
        meta::set(&mut tx, meta::MODE, "serve").await.unwrap();
        meta::set(&mut tx, meta::TOKENS_NOT_BEFORE, "77").await.unwrap();
        tx.commit().await.unwrap();
        db.close().await;
        this
    }

    async fn copy(&self, last: bool) -> Result<Report> {
        self.copy_watched(last, &mut |_| {}).await
    }

    async fn copy_watched(&self, last: bool, watch: &mut dyn FnMut(&Progress)) -> Result<Report> {
        let to = self.server.postgres_options().unwrap();
        let id = if last { "last" } else { "first" };
        copy(&Order { from: &self.file.path(), to: &to, last, id, now: NOW }, watch).await
    }

    async fn change(&self, statements: &[&'static str]) {
        let db = self.file.open().await;
        for sql in statements {
            run(&db, sql).await;
        }
        db.close().await;
    }
}

async fn run(db: &Db, sql: &'static str) {
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn number(db: &Db, sql: &'static str) -> i64 {
    db.read().await.unwrap().query_opt(sql, &[]).await.unwrap().unwrap().int(0).unwrap()
}

async fn standing_of(place: &Place) -> Standing {
    let db = place.open().await;
    let found = standing(&mut db.read().await.unwrap()).await.unwrap();
    db.close().await;
    found
}

/// Rows, added, changed and removed.
fn done(report: &Report, name: &str) -> [u64; 4] {
    let table = report.tables.iter().find(|table| table.name == name).unwrap();
    [table.rows, table.added, table.changed, table.removed]
}

fn refused(result: Result<Report>, part: &str) {
    match result {
        Err(Error::Refused(text)) if text.contains(part) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[tokio::test]
async fn all_of_it_goes_over_and_ids_go_on() {
    let place = Move::new().await;
    let mut heard = Vec::new();
    let report = place.copy_watched(false, &mut |progress| heard.push(progress.clone())).await.unwrap();
    assert!(!report.moved && report.tables.iter().all(|table| table.sha256.is_none()));
    assert_eq!(done(&report, "users"), [USERS as u64, USERS as u64, 0, 0]);
    assert_eq!(done(&report, "signing_keys"), [3, 3, 0, 0]);
    let users: Vec<_> = heard.iter().filter(|progress| progress.table == "users").collect();
    assert_eq!(users.iter().map(|progress| progress.done).collect::<Vec<_>>(), [0, 1000, 2000, 2345]);
    assert!(users.iter().all(|progress| progress.total == 2345));
    assert_eq!(standing_of(&place.server).await, Standing::Unfinished);
    assert_eq!(standing_of(&place.file).await, Standing::Here);

    let report = place.copy(true).await.unwrap();
    assert!(report.moved);
    for table in TABLES {
        let [_, added, changed, removed] = done(&report, table);
        assert_eq!((added, changed, removed), (0, 0, 0), "{table}: nothing has changed in between");
    }
    assert!(report.tables.iter().all(|table| table.sha256.as_ref().is_some_and(|sum| sum.len() == 64)));
    let Standing::MovedTo(address) = standing_of(&place.file).await else { panic!("not moved") };
    assert!(address.starts_with("postgres://tester@"), "{address}");
    assert_eq!(standing_of(&place.server).await, Standing::Here);

    let db = place.server.open().await;
    let sql = "INSERT INTO users (username, username_key, email, password_hash, password_scheme, created_at) \
        VALUES ('new', 'new', '', '', '', 0) RETURNING id";
    let mut tx = db.begin().await.unwrap();
    assert_eq!(tx.query_opt(sql, &[]).await.unwrap().unwrap().int(0).unwrap(), 70_001);
    let sql = "INSERT INTO changes (at) VALUES (1) RETURNING seq";
    assert!(tx.query_opt(sql, &[]).await.unwrap().unwrap().int(0).unwrap() > USERS / 2);
    imported_user::reserve_ids(&mut tx, 5).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.read().await.unwrap();
    assert_eq!(meta::get(&mut tx, meta::TOKENS_NOT_BEFORE).await.unwrap().as_deref(), Some("77"));
    drop(tx);
    refused(place.copy(true).await, "completed before");
}

#[tokio::test]
async fn later_runs_bring_what_has_changed() {
    let place = Move::new().await;
    place.copy(false).await.unwrap();
    place
        .change(&[
            "DELETE FROM users WHERE id = 10",
            "INSERT INTO deleted_users (id, deleted_at) VALUES (10, 5)",
            "UPDATE users SET password_hash = 'other', epoch = 1 WHERE id IN (1, 2345)",
            // Names that go round: each is another's while it is written, over pages and within one.
            "UPDATE users SET username = 'aside' WHERE id = 20",
            "UPDATE users SET username = 'Üser20', username_claim = NULL WHERE id = 2200",
            "UPDATE users SET username = 'Üser2200' WHERE id = 21",
            "UPDATE users SET username = 'Üser21' WHERE id = 20",
            // One that was freed by the deletion above, earlier and later in the table.
            "UPDATE users SET username = 'Üser10', username_claim = 'üser10' WHERE id = 5",
            "INSERT INTO users (username, username_key, email, password_hash, password_scheme, created_at) \
             VALUES ('Üser5', 'üser5', '', '', '', 0)",
            "UPDATE sessions SET generation = 1, previous_jti = jti, jti = x'0102' WHERE user_id = 30",
            "UPDATE sessions SET revoked_at = 12 WHERE user_id = 32",
            "DELETE FROM sessions WHERE user_id IN (40, 2300)",
            "DELETE FROM changes WHERE seq <= 100",
            // A list goes with its entries, which keep it from being removed alone.
            "DELETE FROM status_entries WHERE list = 1",
            "DELETE FROM status_lists WHERE id = 1",
            "UPDATE meta SET value = '78' WHERE key = 'tokens_not_before'",
        ])
        .await;
    let report = place.copy(true).await.unwrap();
    // 5, 20, 21, 1 and 2345, 2200; the owner of a name that another row was to have is removed and comes back in its turn.
    let [rows, added, changed, removed] = done(&report, "users");
    assert_eq!((rows, removed), (USERS as u64, 1));
    assert!(added >= 1 && added + changed == 7, "{added} {changed}");
    assert_eq!(done(&report, "deleted_users"), [3, 1, 0, 0]);
    assert_eq!(done(&report, "changes")[3], 100);
    assert_eq!(done(&report, "meta")[2], 1);
    assert_eq!(done(&report, "status_lists"), [1, 0, 0, 1]);
    let db = place.server.open().await;
    assert_eq!(number(&db, "SELECT COUNT(*) FROM users WHERE username = 'Üser20' AND id = 2200").await, 1);
    assert_eq!(number(&db, "SELECT COUNT(*) FROM sessions WHERE user_id IN (10, 40, 2300)").await, 0);
    assert_eq!(number(&db, "SELECT generation FROM sessions WHERE user_id = 30").await, 1);
    assert_eq!(number(&db, "SELECT revoked_at FROM sessions WHERE user_id = 32").await, 12);
    // Sessions of accounts that were taken aside have come back.
    assert_eq!(number(&db, "SELECT COUNT(*) FROM sessions WHERE user_id IN (5, 20, 21, 2200)").await, 4);
}

#[tokio::test]
async fn the_service_goes_on_while_a_run_reads_one_moment_of_it() {
    let place = Move::new().await;
    let db = place.file.open().await;
    let mut written = 0;
    let writing = db.clone();
    let report = place
        .copy_watched(false, &mut |progress| {
            // A new account with a session, while the run is between the two tables and within them.
            if progress.stage == Stage::Copying && matches!(progress.table, "users" | "sessions") {
                written += 1;
                let db = writing.clone();
                on_the_side(async move {
                    let mut tx = db.begin().await.unwrap();
                    let sql = "INSERT INTO users (username, username_key, email, password_hash, password_scheme, created_at) \
                        VALUES (CAST($1 AS TEXT), '', '', '', '', 0) RETURNING id";
                    let id = tx.query_opt(sql, &[i64::from(written).into()]).await.unwrap().unwrap().int(0).unwrap();
                    let sql = "INSERT INTO sessions (id, user_id, generation, jti, created_at, last_used_at, rotated_at, \
                        idle_expires_at, expires_at, keep_until, address, user_agent) \
                        VALUES ($1, $2, 0, $1, 0, 0, 0, 0, 0, 0, '', '')";
                    tx.execute(sql, &[(&[u8::try_from(written).unwrap(); 16]).into(), id.into()]).await.unwrap();
                    tx.commit().await.unwrap();
                });
            }
        })
        .await
        .unwrap();
    assert!(written >= 4, "{written}");
    assert_eq!((done(&report, "users")[0], done(&report, "sessions")[0]), (USERS as u64, USERS as u64));
    refused(place.copy(true).await, "the database is in use");
    db.close().await;
    let report = place.copy(true).await.unwrap();
    let written = u64::try_from(written).unwrap();
    assert_eq!((done(&report, "users")[1], done(&report, "sessions")[1]), (written, written));
}

/// Does something on another thread and waits for it.
fn on_the_side(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    });
    thread.join().unwrap();
}

#[tokio::test]
async fn a_row_that_differs_is_noticed_and_nothing_moves() {
    for sql in [
        "UPDATE users SET password_hash = 'weak' WHERE id = 1234",
        "UPDATE sessions SET revoked_at = NULL WHERE user_id = 33",
        "DELETE FROM changes WHERE seq = 1",
        "INSERT INTO signing_keys (kid, purpose, alg, public_part, sealed, created_at, active_from) \
         VALUES ('mine', 'access', 'EdDSA', '', '', 1, 2)",
    ] {
        let place = Move::new().await;
        let url = place.server.url();
        let mut is_done = false;
        let result = place
            .copy_watched(true, &mut |progress| {
                if progress.stage == Stage::Verifying && !is_done {
                    is_done = true;
                    let url = url.clone();
                    on_the_side(async move { testdb::run(&url, sql).await });
                }
            })
            .await;
        let Err(Error::Corrupt(text)) = result else { panic!("{sql}: not noticed") };
        assert!(text.contains("differ") && text.contains("nothing was handed over"), "{text}");
        assert_eq!(standing_of(&place.file).await, Standing::Here);
        assert_eq!(standing_of(&place.server).await, Standing::Unfinished);
        assert!(place.copy(true).await.unwrap().moved, "the next run mends it");
    }
}

#[tokio::test]
async fn a_run_that_ends_between_the_two_marks_is_completed_by_another() {
    let place = Move::new().await;
    place.copy(true).await.unwrap();
    let key = "UPDATE meta SET key = 'copying_from' WHERE key = 'copied_from'";
    testdb::run(&place.server.url(), key).await;
    assert_eq!(standing_of(&place.server).await, Standing::Unfinished);
    assert!(matches!(standing_of(&place.file).await, Standing::MovedTo(_)));
    refused(place.copy(false).await, "has moved already");
    let elsewhere = Move { server: Place::on(&crate::cluster()).await, file: place.file };
    refused(elsewhere.copy(true).await, "has moved to postgres://tester@");
    let place = Move { server: place.server, file: elsewhere.file };
    assert!(place.copy(true).await.unwrap().moved);
    assert_eq!(standing_of(&place.server).await, Standing::Here);
}

#[tokio::test]
async fn what_others_use_is_left_alone() {
    let place = Move::new().await;
    for sql in [
        "INSERT INTO users (username, username_key, email, password_hash, password_scheme, created_at) VALUES ('a', 'a', '', '', '', 0)",
        "INSERT INTO meta (key, value) VALUES ('mode', 'serve')",
        "INSERT INTO deleted_users (id, deleted_at) VALUES (1, 1)",
    ] {
        let used = Place::on(&crate::cluster()).await;
        let db = used.open().await;
        migrate(&db, Mode::Auto, NOW).await.unwrap();
        run(&db, sql).await;
        db.close().await;
        let to = used.postgres_options().unwrap();
        let order = Order { from: &place.file.path(), to: &to, last: true, id: "x", now: NOW };
        refused(copy(&order, &mut |_| {}).await, "not empty");
        assert_eq!(standing_of(&used).await, Standing::Here);
    }
    place.copy(false).await.unwrap();
    let other = Move { file: Move::new().await.file, server: place.server };
    let to = other.server.postgres_options().unwrap();
    let order = Order { from: &other.file.path(), to: &to, last: false, id: "another", now: NOW };
    refused(copy(&order, &mut |_| {}).await, "another database");
}

#[tokio::test]
async fn a_source_that_is_not_of_this_schema_is_refused() {
    let place = Move { file: Place::file(), server: Place::on(&crate::cluster()).await };
    refused(place.copy(false).await, "no database at");
    let db = place.file.open().await;
    refused(place.copy(false).await, "run `bookstore-auth migrate`");
    migrate(&db, Mode::Auto, NOW).await.unwrap();
    run(
        &db,
        "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (999, 'later', 'x', 0)",
    )
    .await;
    refused(place.copy(false).await, "the schema of the source is version 999");
    let text = "UPDATE users SET first_name = 'a' || char(0) || 'b' WHERE id = 7";
    let place = Move::new().await;
    place.change(&[text]).await;
    refused(place.copy(false).await, "first_name of a row in users holds the character NUL");
}
