//! What comes over, what a second run does, and what is never lost silently.

use std::path::Path;

use domain::time::Timestamp;
use domain::user::UserId;
use import::Error;
use import::django::{ImportOptions, Location, run};
use import::report::{NoteKind, Report};
use service::user;
use testkit::app::TestApp;

use crate::source_file::{HASH, OTHER_HASH, SourceFile};

async fn try_import(service: &TestApp, file: &Path, dry_run: bool) -> Result<Report, Error> {
    let options = ImportOptions { from: Location::File(file.to_owned()), dry_run, notes: None };
    run(&service.app, options, |_| {}).await
}

async fn import(service: &TestApp, file: &SourceFile) -> Report {
    try_import(service, &file.path(), false).await.unwrap()
}

/// Read, created, updated, unchanged, left out.
fn counts(report: &Report) -> [u64; 5] {
    [report.read, report.created, report.updated, report.unchanged, report.skipped]
}

fn notes(report: &Report) -> Vec<(i64, NoteKind)> {
    report.notes.iter().map(|note| (note.id.unwrap(), note.kind)).collect()
}

async fn account(service: &TestApp, id: i64) -> domain::user::User {
    user::list(&service.app, Some(UserId::new(id - 1)), 1).await.unwrap().remove(0)
}

#[tokio::test]
async fn everything_comes_over_and_old_passwords_work() {
    let file = SourceFile::with(&["ann", "bob"]);
    file.set(2, "is_active", 0);
    file.set(2, "is_staff", 1);
    file.set(2, "is_superuser", 1);
    file.set(2, "last_login", "2024-06-01 08:30:00");
    file.add(90, "gone");
    file.connection.execute("DELETE FROM auth_user WHERE id = 90", []).unwrap();
    let service = TestApp::start().await;

    let report = import(&service, &file).await;

    assert_eq!((counts(&report), notes(&report)), ([2, 2, 0, 0, 0], vec![]));
    assert_eq!(report.password_schemes.get("pbkdf2_sha256$1000"), Some(&2));
    let ann = account(&service, 1).await;
    assert_eq!((ann.id.get(), ann.username.as_str(), ann.email.as_str()), (1, "ann", "ann@example.com"));
    assert_eq!((ann.first_name.as_str(), ann.last_name.as_str()), ("First", "Last"));
    assert!(ann.is_active() && !ann.is_staff && !ann.is_superuser && ann.last_login_at.is_none());
    assert_eq!(ann.created_at, Timestamp::from_micros(1_714_564_800_123_456));
    let bob = account(&service, 2).await;
    assert!(!bob.is_active() && bob.is_staff && bob.is_superuser);
    assert_eq!(bob.last_login_at, Some(Timestamp::from_seconds(1_717_230_600)));
    assert_eq!(service.try_login("ann", "wanderlust-43").await.status, 401);
    service.login("ann", " wanderlust-42\u{1f}").await; // trimmed as Django trimmed it
    assert_eq!(service.try_login("bob", "wanderlust-42").await.status, 401, "inactive");
    // LG-12: an id that the source has issued is never issued again, not even that of an account deleted there.
    assert_eq!(report.ids_reserved_to, 90);
    assert_eq!(service.register("carl", "wanderlust-42").await, 91);
}

#[tokio::test]
async fn a_second_run_brings_only_what_has_changed_there() {
    let file = SourceFile::with(&["ann", "bob", "carl"]);
    let service = TestApp::start().await;
    import(&service, &file).await;
    assert_eq!(counts(&import(&service, &file).await), [3, 0, 0, 3, 0]);
    let pair = service.login("carl", "wanderlust-42").await;

    file.set(2, "email", "bob@example.org");
    file.set(2, "password", OTHER_HASH);
    file.set(1, "last_login", "2030-01-01 00:00:00");
    file.add(4, "dora");
    let report = import(&service, &file).await;

    assert_eq!((counts(&report), notes(&report)), ([4, 1, 1, 2, 0], vec![]));
    assert_eq!(account(&service, 2).await.email.as_str(), "bob@example.org");
    service.login("bob", "new-password-77").await;
    assert_eq!(service.verify(&pair.access).await, 200, "others keep their sessions");
}

#[tokio::test]
async fn disabling_in_the_source_disables_here() {
    let file = SourceFile::with(&["ann"]);
    let service = TestApp::start().await;
    import(&service, &file).await;
    file.set(1, "is_active", 0);
    assert_eq!(counts(&import(&service, &file).await), [1, 0, 1, 0, 0]);
    assert_eq!(service.try_login("ann", "wanderlust-42").await.status, 401);
}

#[tokio::test]
async fn what_changed_on_both_sides_stays_as_it_is_here_and_is_told() {
    let file = SourceFile::with(&["ann", "bob"]);
    let service = TestApp::start().await;
    import(&service, &file).await;
    user::set_password(&service.app, UserId::new(1), "violet-umbrella-42").await.unwrap();
    assert_eq!(counts(&import(&service, &file).await), [2, 0, 0, 2, 0], "changed here only");

    file.set(1, "password", OTHER_HASH);
    for _ in 0..2 {
        let report = import(&service, &file).await;
        assert_eq!((counts(&report), notes(&report)), ([2, 0, 0, 1, 1], vec![(1, NoteKind::Conflict)]));
    }
    service.login("ann", "violet-umbrella-42").await;
}

#[tokio::test]
async fn who_was_deleted_here_stays_deleted() {
    let file = SourceFile::with(&["ann", "bob"]);
    let service = TestApp::start().await;
    import(&service, &file).await;
    user::delete(&service.app, UserId::new(1)).await.unwrap();
    file.set(1, "email", "new@example.com");
    let report = import(&service, &file).await;
    assert_eq!((counts(&report), notes(&report)), ([2, 0, 0, 1, 1], vec![(1, NoteKind::DeletedHere)]));
    assert_eq!(service.try_login("ann", "wanderlust-42").await.status, 401);
}

#[tokio::test]
async fn ids_and_names_of_other_accounts_are_not_touched() {
    let service = TestApp::start().await;
    service.register("first", "violet-umbrella-42").await;
    let file = SourceFile::with(&["ann", "first", "First"]);
    let report = import(&service, &file).await;
    assert_eq!(counts(&report), [3, 1, 0, 0, 2]);
    assert_eq!(notes(&report), [(1, NoteKind::IdTaken), (2, NoteKind::NameTaken), (3, NoteKind::LookAlike)]);
    service.login("first", "violet-umbrella-42").await;
    service.login("First", "wanderlust-42").await;
}

#[tokio::test]
async fn unusable_rows_are_named_and_the_others_come_over() {
    let file = SourceFile::with(&["ann", "bob", "carl", "dora", " ｅve ", "eve"]);
    file.set(1, "date_joined", "yesterday");
    file.set(2, "username", vec![0xffu8, 0xfe]);
    file.set(3, "password", "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99");
    file.set(4, "last_login", "soon");
    let service = TestApp::start().await;
    let report = import(&service, &file).await;
    assert_eq!(counts(&report), [6, 3, 0, 0, 3]);
    assert_eq!(
        notes(&report),
        [
            (1, NoteKind::Unusable),
            (2, NoteKind::Unusable),
            (3, NoteKind::UnknownHash),
            (4, NoteKind::NoLastLogin),
            (5, NoteKind::Renamed),
            (6, NoteKind::NameTaken), // the same name after canonicalisation
        ]
    );
    assert!(report.notes[0].text.contains("date_joined"), "{report:?}");
    assert_eq!(service.try_login("carl", "password").await.status, 401);
    service.login("eve", "wanderlust-42").await;
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["skipped"], &json["notes"][0]["kind"]), (&3.into(), &"unusable".into()));
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_says_what_a_run_would_do() {
    let mut file = SourceFile::with(&["Ann"]);
    file.add_many(2, 1_100);
    file.add(1_500, "ann"); // in another batch than Ann
    file.add(1_501, "ａnn"); // the same name as ann after canonicalisation
    let service = TestApp::start().await;

    let dry = try_import(&service, &file.path(), true).await.unwrap();
    assert!(user::list(&service.app, None, 1).await.unwrap().is_empty());
    let wet = import(&service, &file).await;

    assert_eq!(counts(&wet), [1_103, 1_102, 0, 0, 1]);
    assert_eq!(
        notes(&wet),
        [(1_500, NoteKind::LookAlike), (1_501, NoteKind::Renamed), (1_501, NoteKind::NameTaken)]
    );
    assert_eq!(Report { dry_run: false, ..dry }, wet);
    service.login("Ann", "wanderlust-42").await;
    service.login("ann", "wanderlust-42").await;
}

#[tokio::test]
async fn the_source_is_read_while_django_writes_and_is_left_alone() {
    for journal in ["delete", "wal"] {
        let file = SourceFile::with(&["ann"]);
        file.connection.pragma_update(None, "journal_mode", journal).unwrap();
        file.add(2, "bob");
        file.connection.execute_batch("BEGIN; UPDATE auth_user SET email = 'x' WHERE id = 1").unwrap();
        let before = std::fs::read(file.path()).unwrap();
        let service = TestApp::start().await;

        let report = import(&service, &file).await;

        assert_eq!(counts(&report), [2, 2, 0, 0, 0], "{journal}");
        assert_eq!(
            account(&service, 1).await.email.as_str(),
            "ann@example.com",
            "uncommitted changes are none"
        );
        assert_eq!(std::fs::read(file.path()).unwrap(), before, "{journal}");
        file.connection.execute_batch("COMMIT").unwrap();
        assert_eq!(counts(&import(&service, &file).await), [2, 0, 1, 1, 0], "{journal}");
    }
}

#[tokio::test]
async fn foreign_files_are_refused_with_the_reason() {
    let service = TestApp::start().await;
    let file = SourceFile::new();
    let missing = file.folder().join("missing.sqlite3");
    let text = file.folder().join("text");
    std::fs::write(&text, "not a database at all, but a text that is long enough").unwrap();
    for path in [&missing, &text] {
        let error = try_import(&service, path, false).await.unwrap_err();
        assert!(matches!(error, Error::Open { .. }), "{error:?}");
    }
    assert!(!missing.exists(), "nothing is made");
    file.connection.execute_batch("ALTER TABLE auth_user DROP COLUMN first_name").unwrap();
    let error = try_import(&service, &file.path(), false).await.unwrap_err();
    assert!(error.to_string().contains("no column first_name"), "{error}");
    file.connection.execute_batch("DROP TABLE auth_user").unwrap();
    let error = try_import(&service, &file.path(), false).await.unwrap_err();
    assert!(error.to_string().contains("no table auth_user"), "{error}");
}

#[tokio::test]
async fn an_empty_source_is_no_failure() {
    let service = TestApp::start().await;
    assert_eq!(counts(&import(&service, &SourceFile::new()).await), [0; 5]);
    assert_eq!(service.register("ann", "violet-umbrella-42").await, 1);
}

#[test]
fn the_hashes_are_djangos() {
    for hash in [HASH, OTHER_HASH] {
        assert_eq!(crypto::password::kind_of(hash), crypto::password::Kind::Foreign);
    }
}

#[tokio::test]
async fn an_absurd_id_is_named_and_does_not_use_up_the_ids() {
    let service = TestApp::start().await;
    let file = SourceFile::new();
    file.add(3, "ann");
    file.add(i64::MAX, "absurd");
    let report = import(&service, &file).await;
    assert_eq!(report.notes.len(), 1);
    assert_eq!(report.notes[0].kind, NoteKind::Unusable);
    assert_eq!(report.ids_reserved_to, 3);
    assert_eq!(service.register("ben", "violet umbrella").await, 4);
}

fn run_sql(file: &SourceFile, sql: &str) {
    file.connection.execute_batch(sql).unwrap();
}

async fn may(service: &TestApp, id: i64) -> (Vec<i64>, Vec<String>) {
    let found = service::group::of_user(&service.app, &account(service, id).await).await.unwrap();
    let groups = found.groups.iter().map(|group| group.id.get()).collect();
    (groups, found.permissions.names().map(str::to_owned).collect())
}

#[tokio::test]
async fn groups_and_permissions_come_over_and_follow_the_source() {
    let file = SourceFile::with(&["ann", "bob", "carl"]);
    file.add_others();
    run_sql(
        &file,
        "INSERT INTO auth_user_groups VALUES (1, 1, 5), (2, 2, 6), (3, 1, 77);
         INSERT INTO auth_user_user_permissions VALUES (1, 3, 21), (2, 99, 21);",
    );
    let service = TestApp::start().await;
    let dry = try_import(&service, &file.path(), true).await.unwrap();
    let report = import(&service, &file).await;
    assert_eq!(Report { dry_run: false, ids_reserved_to: 3, ..dry }, report);
    assert_eq!((counts(&report), notes(&report)), ([3, 3, 0, 0, 0], vec![(6, NoteKind::Group)]));
    let groups = report.groups;
    assert_eq!((groups.read, groups.created, groups.skipped), (2, 1, 1));
    assert_eq!((report.permissions.read, report.permissions.created), (2, 2));
    assert_eq!(may(&service, 1).await, (vec![5], vec!["shop.add_book".into(), "shop.view_book".into()]));
    assert_eq!(may(&service, 2).await, (vec![], vec![]));
    assert_eq!(may(&service, 3).await, (vec![], vec!["shop.add_book".to_owned()]));

    let pair = service.login("carl", "wanderlust-42").await;
    run_sql(
        &file,
        "UPDATE auth_group SET name = 'Bell' WHERE id = 6; DELETE FROM auth_user_groups WHERE user_id = 1;
         INSERT INTO auth_user_groups VALUES (9, 3, 5);",
    );
    // Of the two who are in a changed group: bob is in one that can be read only now.
    let report = import(&service, &file).await;
    assert_eq!((counts(&report), report.groups.created), ([3, 0, 3, 0, 0], 1), "{report:?}");
    assert_eq!(
        (may(&service, 1).await.0, may(&service, 2).await.0, may(&service, 3).await.0),
        (vec![], vec![6], vec![5])
    );
    assert_eq!(counts(&import(&service, &file).await), [3, 0, 0, 3, 0]);
    // His login has upgraded the hash: the one of the source counts as a new password.
    assert_eq!(service.verify(&pair.access).await, 400);
}

#[tokio::test]
async fn tokens_refused_there_are_remembered_once_and_only_while_they_live() {
    let file = SourceFile::with(&["ann"]);
    file.add_others();
    run_sql(
        &file,
        "INSERT INTO token_blacklist_outstandingtoken VALUES
            (1, 'CANARY', NULL, '2026-01-05 00:00:00', NULL, '0123456789abcdef0123456789abcdef'),
            (2, 'CANARY', NULL, '2025-12-31 23:59:59.5', 1, 'expired'), (3, 'CANARY', NULL, 'soon', 1, 'unreadable'),
            (4, 'CANARY', NULL, '2026-01-05 00:00:00', 1, 'outstanding only');
         INSERT INTO token_blacklist_blacklistedtoken VALUES (1, '2025-12-30 00:00:00', 1), (2, '', 2), (3, '', 3);",
    );
    let service = TestApp::start().await;
    for (created, unchanged) in [(1, 0), (0, 1)] {
        let report = import(&service, &file).await;
        let counts = report.refused_tokens;
        assert_eq!(
            (counts.read, counts.created, counts.unchanged, counts.skipped),
            (3, created, unchanged, 2)
        );
        assert_eq!(notes(&report), [(3, NoteKind::Token), (6, NoteKind::Group)]);
    }
}

#[tokio::test]
async fn notes_are_bounded_in_the_report_and_all_in_their_file() {
    let mut file = SourceFile::new();
    file.add_many(1, 1_500);
    run_sql(&file, "UPDATE auth_user SET date_joined = 'soon'");
    let service = TestApp::start().await;
    let path = file.folder().join("notes");
    let notes = Some(std::fs::File::create(&path).unwrap());
    let options = ImportOptions { from: Location::File(file.path()), dry_run: false, notes };
    let report = run(&service.app, options, |_| {}).await.unwrap();
    assert_eq!((report.skipped, report.notes.len()), (1_500, import::report::MOST_NOTES));
    assert_eq!(report.notes_by_kind[&NoteKind::Unusable], 1_500);
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 1_500);
}
