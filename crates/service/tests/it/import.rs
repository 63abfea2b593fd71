use std::sync::atomic::{AtomicBool, Ordering};

use domain::group::GroupName;
use domain::session::Jti;
use domain::time::Timestamp;
use domain::user::{EmailAddress, UserId, Username};
use service::import::{
    GroupOutcome, Import, ImportedGroup, ImportedPermission, ImportedUser, Ready, RefusedToken, RowOutcome,
    apply_batch, apply_groups, refuse_tokens, reserve_ids,
};

use crate::harness::{Harness, PASSWORD, START};

/// Made by Django 4.2: PBKDF2 over "django secret", few iterations to be quick.
const DJANGO_HASH: &str = "pbkdf2_sha256$1000$abcdefghijkl$";

pub(crate) fn row(id: i64, name: &str) -> ImportedUser {
    ImportedUser {
        id: Some(UserId::new(id)),
        username: Username::from_stored(name.into()),
        email: EmailAddress::from_stored(format!("{name}@example.com")),
        first_name: String::new(),
        last_name: String::new(),
        password_hash: DJANGO_HASH.into(),
        password_scheme: crypto::password::scheme_of(DJANGO_HASH),
        password_trims: true,
        is_active: true,
        is_staff: false,
        is_superuser: false,
        created_at: Some(Timestamp::from_seconds(1_600_000_000)),
        last_login_at: None,
        groups: Vec::new(),
        permissions: Vec::new(),
        fingerprint: crypto::keyed::sha256(name.as_bytes()),
    }
}

pub(crate) async fn apply(harness: &Harness, rows: &[ImportedUser]) -> Vec<RowOutcome> {
    apply_batch(&harness.app, "django", &ready(rows), false).await.unwrap()
}

fn ready(rows: &[ImportedUser]) -> Vec<Ready> {
    rows.iter().cloned().map(Ready::new).collect()
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_changes_on_one_side_are_followed() {
    let harness = Harness::new().await;
    let mut rows = vec![row(5, "ann"), row(9, "ben")];
    let created = RowOutcome::Created { same_key_as: None };
    assert_eq!(apply_batch(&harness.app, "django", &ready(&rows), true).await.unwrap().len(), 2);
    assert!(service::user::find(&harness.app, "ann").await.is_err(), "a dry run writes nothing");
    assert_eq!(apply(&harness, &rows).await, [created.clone(), created]);
    assert_eq!(apply(&harness, &rows).await, [RowOutcome::Unchanged, RowOutcome::Unchanged]);

    rows[0].first_name = "Ann".into();
    rows[0].fingerprint = [1; 32];
    rows[1].first_name = "Ben".into();
    rows[1].fingerprint = [2; 32];
    service::user::disable(&harness.app, UserId::new(9)).await.unwrap();
    let outcomes = apply(&harness, &rows).await;
    assert_eq!(outcomes, [RowOutcome::Updated { same_key_as: None }, RowOutcome::Conflict]);
    assert_eq!(service::user::find(&harness.app, "ann").await.unwrap().first_name, "Ann");
    assert!(service::user::find(&harness.app, "ben").await.unwrap().disabled_at.is_some(), "ours wins");
}

#[tokio::test]
async fn names_that_differ_by_case_are_both_found_exactly_and_neither_by_another_spelling() {
    // LG-03
    let harness = Harness::new().await;
    let outcomes = apply(&harness, &[row(1, "Ann"), row(2, "ann"), row(3, "Ann")]).await;
    assert_eq!(outcomes[1], RowOutcome::Created { same_key_as: Some(UserId::new(1)) });
    assert_eq!(outcomes[2], RowOutcome::NameTaken { by: UserId::new(1) });
    assert_eq!(service::user::find(&harness.app, "ann").await.unwrap().id, UserId::new(2));
    assert_eq!(service::user::find(&harness.app, "Ann").await.unwrap().id, UserId::new(1));
    assert!(service::user::find(&harness.app, "ANN").await.is_err());
    assert!(harness.try_register("aNN", PASSWORD).await.is_err());
}

#[tokio::test]
async fn a_batch_is_stored_as_if_its_rows_came_one_by_one_whatever_their_order_and_ids() {
    let harness = Harness::new().await;
    // Neighbours in no order, and ids so far apart that they are not looked up as a range.
    let far = 4_000_000_000_000_000;
    let mut grouped = row(far, "zoe");
    let editors =
        ImportedGroup { id: 1, name: GroupName::parse("Editors").unwrap(), permissions: Vec::new() };
    let groups = apply_groups(&harness.app, "django", &[], &[editors], false).await.unwrap();
    grouped.groups = vec![groups.groups[&1].unwrap()];
    let rows = [grouped, row(7, "Ben"), row(30, "ann"), row(8, "ben"), row(9, "Ben"), row(31, "carl")];
    let created = RowOutcome::Created { same_key_as: None };
    let outcomes = apply(&harness, &rows).await;
    let look_alike = RowOutcome::Created { same_key_as: Some(UserId::new(7)) };
    let name_taken = RowOutcome::NameTaken { by: UserId::new(7) };
    let all = [&created, &created, &created, &look_alike, &name_taken, &created].map(Clone::clone);
    assert_eq!(outcomes, all, "of two with one name the first is stored");
    for (name, id) in [("zoe", far), ("Ben", 7), ("ben", 8), ("ann", 30), ("carl", 31)] {
        assert_eq!(service::user::find(&harness.app, name).await.unwrap().id, UserId::new(id));
    }
    let again = apply(&harness, &rows).await;
    let unchanged = again.iter().filter(|outcome| **outcome == RowOutcome::Unchanged).count();
    assert_eq!((unchanged, &again[4]), (5, &name_taken));
    // A batch of new ones between those that are here: their neighbours are none of its business.
    let outcomes = apply(&harness, &[row(6, "dora"), row(10, "emil"), row(11, "ANN")]).await;
    let look_alike = RowOutcome::Created { same_key_as: Some(UserId::new(30)) };
    assert_eq!(outcomes, [created.clone(), created, look_alike]);
}

#[tokio::test]
async fn what_was_deleted_here_stays_deleted_and_ids_go_on_above_the_source() {
    let harness = Harness::new().await;
    apply(&harness, &[row(5, "ann")]).await;
    service::user::delete(&harness.app, UserId::new(5)).await.unwrap();
    assert_eq!(apply(&harness, &[row(5, "ann")]).await, [RowOutcome::DeletedHere]);
    reserve_ids(&harness.app, 40).await.unwrap();
    reserve_ids(&harness.app, 7).await.unwrap();
    assert_eq!(harness.register("cleo").await.id, UserId::new(41));
    let taken = RowOutcome::IdTaken { username: "cleo".into() };
    assert_eq!(apply(&harness, &[row(41, "dan")]).await, [taken]);
}

#[tokio::test]
async fn an_imported_password_is_trimmed_as_django_did_and_upgraded_once() {
    // PW-07, PW-09
    let harness = Harness::new().await;
    let mut ann = row(5, "ann");
    ann.password_hash = django_hash(" spaced out ".trim());
    apply(&harness, &[ann.clone()]).await;
    assert!(harness.try_login("ann", "wrong").await.is_err());
    assert_eq!(stored_hash(&harness).await.split('$').next(), Some("pbkdf2_sha256"), "not on failure");
    assert!(harness.try_login("ann", " spaced out ").await.is_ok());
    let upgraded = stored_hash(&harness).await;
    assert!(upgraded.starts_with("$argon2id$"), "{upgraded}");
    assert!(harness.try_login("ann", "\u{1f}spaced out").await.is_ok(), "trimmed until the password changes");
    assert_eq!(stored_hash(&harness).await, upgraded);

    let mut disabled_there = ann.clone();
    disabled_there.is_active = false;
    disabled_there.fingerprint = [3; 32];
    let outcome = apply(&harness, &[disabled_there]).await;
    assert_eq!(outcome, [RowOutcome::Updated { same_key_as: None }], "an upgraded hash is no change of ours");
    assert!(harness.try_login("ann", "spaced out").await.is_err());
    ann.fingerprint = [4; 32];
    apply(&harness, &[ann.clone()]).await;
    service::user::set_password(&harness.app, UserId::new(5), " new and spaced ").await.unwrap();
    harness.clock.set(START + std::time::Duration::from_secs(5));
    assert!(harness.try_login("ann", "new and spaced").await.is_err());
    assert!(harness.try_login("ann", " new and spaced ").await.is_ok());
    ann.fingerprint = [5; 32];
    assert_eq!(apply(&harness, &[ann]).await, [RowOutcome::Conflict], "a new password is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_parallel_first_logins_upgrade_to_one_hash_and_all_succeed() {
    // PW-07
    let harness = std::sync::Arc::new(Harness::new().await);
    let mut ann = row(5, "ann");
    ann.password_hash = django_hash("django secret");
    apply(&harness, &[ann]).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let harness = harness.clone();
            tokio::spawn(async move { harness.try_login("ann", "django secret").await.is_ok() })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap());
    }
    assert!(stored_hash(&harness).await.starts_with("$argon2id$"));
}

async fn stored_hash(harness: &Harness) -> String {
    let mut tx = harness.app.db.read().await.unwrap();
    let found = store::imported_user::find_credentials(&mut tx, UserId::new(5)).await.unwrap().unwrap();
    found.password_hash
}

/// What Django would have stored: made by PyCA-independent means in the hash format's own tests.
pub(crate) fn django_hash(password: &str) -> String {
    use pbkdf2::pbkdf2_hmac;
    let mut output = [0; 32];
    pbkdf2_hmac::<sha2::Sha256>(password.as_bytes(), b"abcdefghijkl", 1000, &mut output);
    format!("{DJANGO_HASH}{}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, output))
}

#[tokio::test]
async fn the_right_password_of_a_disabled_account_costs_what_a_wrong_one_does() {
    // LG-01, LG-02
    let harness = Harness::new().await;
    let mut ann = row(5, "ann");
    ann.password_hash = django_hash("django secret");
    ann.is_active = false;
    apply(&harness, &[ann]).await;
    for password in ["django secret", "wrong"] {
        let before = harness.app.hasher.stats().computed;
        assert!(harness.try_login("ann", password).await.is_err());
        assert_eq!(harness.app.hasher.stats().computed, before + 1, "{password}");
    }
}

#[tokio::test]
async fn sessions_outlive_a_new_address_and_end_with_the_password_there() {
    let harness = Harness::new().await;
    let mut ann = row(5, "ann");
    ann.password_hash = django_hash("django secret");
    apply(&harness, &[ann.clone()]).await;
    let updated = [RowOutcome::Updated { same_key_as: None }];
    let token = crate::harness::legacy_token("access", 5, "0123456789abcdef", START.seconds(), 3600);
    (ann.email, ann.fingerprint) = (EmailAddress::from_stored("new@example.com".into()), [2; 32]);
    assert_eq!(apply(&harness, &[ann.clone()]).await, updated);
    assert!(harness.verify(&token).await.is_ok());
    (ann.password_hash, ann.fingerprint) = (django_hash("another secret"), [3; 32]);
    assert_eq!(apply(&harness, &[ann]).await, updated);
    assert!(harness.verify(&token).await.is_err());
}

fn group(id: i64, name: &str, permissions: &[i64]) -> ImportedGroup {
    ImportedGroup { id, name: GroupName::parse(name).unwrap(), permissions: permissions.to_vec() }
}

fn permission(id: i64, codename: &str) -> ImportedPermission {
    ImportedPermission { id, codename: codename.into(), name: codename.to_uppercase() }
}

#[tokio::test]
async fn groups_keep_their_ids_and_follow_the_side_that_changed() {
    let harness = Harness::new().await;
    let app = &harness.app;
    let permissions = [permission(7, "shop.add"), permission(9, "shop.view"), permission(11, "shop.view")];
    let mut groups = vec![group(30, "Editors", &[7, 9]), group(31, "Readers", &[11])];
    let dry = apply_groups(app, "django", &permissions, &groups, true).await.unwrap();
    assert_eq!((dry.outcomes, dry.permissions_created), (vec![GroupOutcome::Created; 2], 2));
    assert!(service::group::list(app, None, 10).await.unwrap().is_empty());

    let here = apply_groups(app, "django", &permissions, &groups, false).await.unwrap();
    assert_eq!(here.outcomes, [GroupOutcome::Created, GroupOutcome::Created]);
    assert_eq!(here.groups[&30].unwrap().get(), 30);
    assert_eq!((here.permissions[&7].get(), here.permissions[&11].get()), (7, 9), "one name, one permission");
    assert_eq!(service::group::create(app, "Ours").await.unwrap().id.get(), 32, "ids go on above the source");

    let mut ann = row(5, "ann");
    ann.groups = vec![here.groups[&30].unwrap()];
    ann.permissions = vec![here.permissions[&11]];
    apply(&harness, &[ann.clone()]).await;
    let user = service::user::find(app, "ann").await.unwrap();
    let member = service::group::of_user(app, &user).await.unwrap();
    assert_eq!(member.permissions.names().collect::<Vec<_>>(), ["shop.add", "shop.view"]);

    groups[0] = group(30, "Authors", &[7]);
    service::group::delete(app, here.groups[&31].unwrap()).await.unwrap();
    let again = apply_groups(app, "django", &permissions, &groups, false).await.unwrap();
    assert_eq!(again.outcomes, [GroupOutcome::Updated, GroupOutcome::DeletedHere]);
    let member = service::group::of_user(app, &user).await.unwrap();
    assert_eq!(member.groups[0].name.as_str(), "Authors");
    let again = apply_groups(app, "django", &permissions, &groups, false).await.unwrap();
    assert_eq!(again.outcomes, [GroupOutcome::Unchanged, GroupOutcome::DeletedHere]);
    groups.push(group(50, "Ours", &[7]));
    groups[0] = group(30, "Ours", &[7]);
    let again = apply_groups(app, "django", &permissions, &groups, false).await.unwrap();
    assert_eq!(again.outcomes, [GroupOutcome::NameTaken, GroupOutcome::DeletedHere, GroupOutcome::Merged]);
}

#[tokio::test]
async fn a_change_of_groups_on_both_sides_stays_as_it_is_here() {
    let harness = Harness::new().await;
    let app = &harness.app;
    let here =
        apply_groups(app, "django", &[], &[group(1, "A", &[]), group(2, "B", &[])], false).await.unwrap();
    let [a, b] = [1, 2].map(|id| here.groups[&id].unwrap());
    let mut rows = [row(5, "ann"), row(6, "ben")];
    rows[0].groups = vec![a];
    rows[1].groups = vec![a];
    apply(&harness, &rows).await;
    service::group::add_user(app, b, UserId::new(5)).await.unwrap();
    for row in &mut rows {
        row.groups.clear();
        row.fingerprint = [1; 32];
    }
    let outcomes = apply(&harness, &rows).await;
    assert_eq!(outcomes, [RowOutcome::Conflict, RowOutcome::Updated { same_key_as: None }]);
    let groups = async |name| {
        let user = service::user::find(app, name).await.unwrap();
        service::group::of_user(app, &user).await.unwrap().groups.len()
    };
    assert_eq!((groups("ann").await, groups("ben").await), (2, 0));
}

#[tokio::test]
async fn a_token_that_was_refused_there_is_refused_here() {
    // RF-08
    let harness = Harness::new().await;
    apply(&harness, &[row(5, "ann")]).await;
    let jtis = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
    let [bad, good] =
        jtis.map(|jti| crate::harness::legacy_token("refresh", 5, jti, START.seconds(), 604_800));
    assert!(harness.verify(&bad).await.is_ok());
    let expires_at = START + crate::harness::DAY * 7;
    let refused = [RefusedToken { jti: jtis[0].into(), expires_at }];
    assert_eq!(refuse_tokens(&harness.app, &refused, true).await.unwrap(), [true]);
    assert!(harness.verify(&bad).await.is_ok(), "a dry run");
    assert_eq!(refuse_tokens(&harness.app, &refused, false).await.unwrap(), [true]);
    assert_eq!(refuse_tokens(&harness.app, &refused, false).await.unwrap(), [false]);
    assert!(harness.verify(&bad).await.is_err() && harness.refresh(&bad).await.is_err());
    assert!(harness.verify(&good).await.is_ok() && harness.refresh(&good).await.is_ok());

    harness.pass(crate::harness::DAY * 9).await;
    service::worker::tidy_once(&harness.app, harness.clock.now()).await.unwrap();
    let mut tx = harness.app.db.read().await.unwrap();
    let jti = Jti::parse(jtis[0]).unwrap();
    assert!(!store::refused_token::is_refused(&mut tx, jti).await.unwrap(), "forgotten when it is over");
}

#[tokio::test]
async fn a_row_without_an_id_is_the_account_of_its_name() {
    let harness = Harness::new().await;
    harness.register("zoe").await;
    let mut rows = [row(0, "ann"), row(0, "zoe"), row(0, "ANN")];
    rows.iter_mut().for_each(|row| row.id = None);
    let ann = UserId::new(2);
    assert_eq!(
        apply(&harness, &rows).await,
        [
            RowOutcome::Created { same_key_as: None },
            RowOutcome::NameTaken { by: UserId::new(1) },
            RowOutcome::Created { same_key_as: Some(ann) }
        ]
    );
    assert_eq!(apply(&harness, &rows[..1]).await, [RowOutcome::Unchanged]);
    (rows[0].first_name, rows[0].fingerprint) = ("Ann".into(), [1; 32]);
    assert_eq!(apply(&harness, &rows[..1]).await, [RowOutcome::Updated { same_key_as: None }]);
    assert_eq!(service::user::find(&harness.app, "ann").await.unwrap().id, ann);
}

#[tokio::test]
async fn who_gets_another_password_or_role_by_an_import_is_told_of_one_by_one() {
    // LA-01
    let harness = Harness::new().await;
    let mut rows =
        [row(5, "ann"), row(6, "ben"), row(7, "carl"), row(8, "dora"), row(9, "emil"), row(10, "fay")];
    let permissions = [permission(7, "shop.add"), permission(8, "shop.view")];
    let groups = [group(30, "Editors", &[])];
    let here = apply_groups(&harness.app, "django", &permissions, &groups, false).await.unwrap();
    rows[5].permissions = vec![here.permissions[&7], here.permissions[&8]];
    apply(&harness, &rows).await;
    rows.iter_mut().for_each(|row| row.fingerprint = [1; 32]);
    rows[0].password_hash.push('x');
    (rows[1].is_staff, rows[1].is_superuser) = (true, true);
    rows[2].is_active = false;
    rows[3].first_name = "Dora".into();
    rows[4].email = EmailAddress::from_stored("other@example.com".into());
    rows[4].groups = vec![here.groups[&30].unwrap()];
    rows[5].permissions = vec![here.permissions[&8], here.permissions[&8]];
    apply_batch(&harness.app, "django", &ready(&rows), true).await.unwrap();
    apply(&harness, &rows).await;
    apply(&harness, &rows).await;
    let told: Vec<_> = crate::audit::rows(&harness)
        .await
        .into_iter()
        .filter(|row| row.kind == "import.access_changed")
        .map(|row| (row.actor, row.user.unwrap().get(), row.detail.unwrap()))
        .collect();
    let expected = [
        (5, r#"{"password":true,"source":"django"}"#),
        (6, r#"{"source":"django","staff":true,"superuser":true}"#),
        (7, r#"{"active":false,"source":"django"}"#),
        (9, r#"{"email":true,"groups":true,"source":"django"}"#),
        (10, r#"{"permissions":true,"source":"django"}"#),
    ];
    assert_eq!(told, expected.map(|(id, detail)| ("operator".to_owned(), id, detail.to_owned())));
}

#[tokio::test]
async fn chunks_of_one_transaction_are_stored_together_or_not_at_all() {
    let harness = Harness::new().await;
    let created = RowOutcome::Created { same_key_as: None };
    let mut import = Import::begin(&harness.app, "django", false).await.unwrap();
    let chunks = [[row(5, "ann"), row(6, "ben")], [row(7, "carl"), row(8, "Ann")]];
    assert_eq!(import.apply(&ready(&chunks[0])).await.unwrap(), [created.clone(), created.clone()]);
    let look_alike = RowOutcome::Created { same_key_as: Some(UserId::new(5)) };
    let outcomes = import.apply(&ready(&chunks[1])).await.unwrap();
    assert_eq!(outcomes, [created.clone(), look_alike], "what a chunk before it has is seen");
    let shares_transactions = !import.is_committed();
    drop(import);
    let is_stored = service::user::find(&harness.app, "ben").await.is_ok();
    assert_ne!(is_stored, shares_transactions, "nothing stays without a commit");

    let mut import = Import::begin(&harness.app, "django", false).await.unwrap();
    for chunk in &chunks {
        import.apply(&ready(chunk)).await.unwrap();
    }
    import.commit().await.unwrap();
    assert!(import.is_committed());
    import.commit().await.unwrap();
    for name in ["ann", "Ann", "ben", "carl"] {
        assert_eq!(service::user::find(&harness.app, name).await.unwrap().username.as_str(), name);
    }
    let told = crate::audit::rows(&harness).await;
    let of_imports = told.iter().filter(|row| row.kind == "import.applied").count();
    assert_eq!(of_imports, if shares_transactions { 1 } else { 2 }, "one for each transaction");
    assert_eq!(apply(&harness, &chunks.concat()).await, vec![RowOutcome::Unchanged; 4]);
}

#[tokio::test]
async fn a_dry_run_in_chunks_writes_nothing() {
    let harness = Harness::new().await;
    let mut import = Import::begin(&harness.app, "django", true).await.unwrap();
    for id in 1..4 {
        import.apply(&ready(&[row(id, &format!("user{id}"))])).await.unwrap();
        assert!(import.is_committed(), "nothing waits for a commit");
    }
    import.commit().await.unwrap();
    assert!(service::user::find(&harness.app, "user1").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_elsewhere_gets_turns_while_an_import_runs() {
    let harness = Harness::new().await;
    let other = harness.replica(crate::harness::settings()).await.unwrap();
    harness.register("ann").await;
    let ann = service::user::find(&harness.app, "ann").await.unwrap().id;
    let is_over = AtomicBool::new(false);
    let import = async {
        let mut import = Import::begin(&harness.app, "django", false).await.unwrap();
        for chunk in 1..40 {
            let rows: Vec<_> = (0..100).map(|n| row(chunk * 100 + n, &format!("user{chunk}x{n}"))).collect();
            import.apply(&ready(&rows)).await.unwrap();
            import.commit().await.unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
    };
    let writes = async {
        let mut meanwhile = 0;
        while !is_over.load(Ordering::SeqCst) {
            service::user::disable(&other, ann).await.unwrap();
            service::user::enable(&other, ann).await.unwrap();
            meanwhile += 1;
        }
        meanwhile
    };
    let ((), meanwhile) = tokio::join!(import, writes);
    assert!(meanwhile > 1, "{meanwhile} turns");
    assert!(service::user::find(&other, "user39x99").await.is_ok());
}
